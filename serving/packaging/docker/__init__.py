"""Docker: an image of the server with one version in it; it needs no registry, no MLflow and no place to write."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from serving.errors import ServingError
from serving.models.files import META, MLMODEL, SCORECARD
from serving.server.memory import BESIDE, MAX_MEMORY

from ..model import PackagedModel
from ..naming import named
from ..options import Target, matching, option, some_of, yes_no
from ..plan import CONTAINER, File, PackagePlan

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
PORT = 8080
#: The user that the image runs as; it has no name, no home and no rights.
USER = 10001
DOCS, PARQUET = "docs", "parquet"
_SWAGGER = "flask-swagger-ui"

#: What the image carries of this project: the server, and what it imports.
_PARTS = (
    *(f"registry/{name}.py" for name in ("__init__", "errors", "logs", "redaction")),
    *(f"registry/cli/{name}.py" for name in ("__init__", "commands", "interrupts", "log_output", "text")),
    *(f"serving/{name}.py" for name in ("__init__", "__main__", "errors")),
    *("serving/contract", "serving/models", "serving/scorecard", "serving/server"),
)
#: Of these, what only a server runs that follows a registry, and what only compiling and exporting needs.
_LEFT_BEHIND = (
    *(f"serving/models/{name}.py" for name in ("gating", "native")),
    *(f"serving/scorecard/{name}" for name in ("compiler", "exports", "loader.py", "parity.py")),
    *(f"serving/server/{name}" for name in ("follower/registry.py", "follower/choice.py", "telemetry/alerts.yaml")),
    "serving/server/telemetry/dashboard.json",
)

#: https://docs.docker.com/reference/cli/docker/image/tag, a name with or without its registry; and one with its tag.
_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_IMAGE = rf"(?:{_PART}(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
TAGGED = rf"{_IMAGE}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"


@dataclass(frozen=True)
class DockerOptions:
    """Options of an image."""

    name: str = option(
        "",
        "the image's name, with its registry if it has one [default: after the model]",
        matching(_IMAGE, "an image's name without its tag, such as registry.example/team/diabetes"),
    )
    base: str = option(
        "python:3.13-slim-bookworm",
        "the image that it is built on: a Python, 3.11 or later",
        matching(rf"(?=.*[:@]){TAGGED}", "an image with its tag or digest, such as python:3.13-slim-bookworm"),
    )
    open: bool = option(False, "answer without keys: for SageMaker and Vertex AI, which let in whom they know", yes_no)
    extras: tuple[str, ...] = option(
        (DOCS,), "docs: the page /docs (2 MB); parquet: bodies in Parquet (150 MB); or none", some_of(DOCS, PARQUET)
    )


_DOCKERFILE = """\
FROM {base}

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements.txt

COPY registry/ ./registry/
COPY serving/ ./serving/
COPY start.py ./
# Nothing can be compiled where nothing can be written.
RUN python -m compileall -q .
COPY about.json ./
COPY model/ ./model/

ENV HOME=/tmp \\
    PYTHONDONTWRITEBYTECODE=1 \\
    SERVING_HOST=0.0.0.0 \\
    SERVING_MAX_MEMORY={memory}MiB{open}
LABEL org.opencontainers.image.title={title} \\
      org.opencontainers.image.version={version} \\
      org.opencontainers.image.revision={digest}
EXPOSE {port}
USER {user}:{user}
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "/app/start.py", "health"]
# SageMaker says `serve`, too; what follows are options of the server.
ENTRYPOINT ["python", "/app/start.py"]
CMD ["serve"]
"""
# Everything but what the Dockerfile copies.
_IGNORED = "*\n!requirements.txt\n!start.py\n!about.json\n!registry\n!serving\n!model\n**/__pycache__\n"


def plan(model: PackagedModel, options: DockerOptions) -> PackagePlan:
    """Return the plan of an image of the server with a model.

    Raises
    ------
    ServingError
        if the model has no scorecard, or an image cannot be called so.
    """
    if model.scorecard is None:
        raise ServingError(
            f"{model.uri} has no scorecard ({model.why}), and the server answers from one; "
            f"`mlflow models build-docker -m {shlex.quote(model.uri)}` makes an image of MLflow's own server"
        )
    called, notes = _name(model, options.name)
    package = _files(model, options)
    size = sum(file.size for file in package)
    image = f"{called}:{model.version or model.digest.removeprefix('sha256:')[:12]}"
    if not options.open:
        notes += (
            "it starts only with keys (SERVING_KEYS, or a file that SERVING_KEYS_FILE names), or with SERVING_OPEN=yes",
            "SageMaker and Vertex AI bring no keys, and let nobody else in: give open=yes for them",
        )
    memory = f"--memory {(MAX_MEMORY + BESIDE) // 2**20}m"
    safe = "--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"
    keyed = "" if options.open else '-e SERVING_KEYS="$(cat keys.json)" '
    commands = () if options.open else ("python -m serving keys add me",)
    return PackagePlan(
        target="docker",
        variant=CONTAINER,
        reason="the version has a scorecard, and the server needs no more",
        name=called,
        **model.facts,
        package=package,
        unzipped=size,
        settings={
            "Image": image,
            "Base": options.base,
            "Port": PORT,
            "User": USER,
            "Open": options.open,
            "Extras": options.extras,
        },
        environment={"SERVING_HOST": "0.0.0.0", **({"SERVING_OPEN": "yes"} if options.open else {})},
        notes=notes,
        commands=(
            f"docker build -t {image} .",
            *commands,
            f"docker run --rm {safe} {memory} {keyed}-p 127.0.0.1:{PORT}:{PORT} {image}",
        ),
    )


def _name(model: PackagedModel, given: str) -> tuple[str, tuple[str, ...]]:
    """The image's name, and a note where it is another than the model's.

    Raises
    ------
    ServingError
        if none can be made of the model's.
    """
    expected = "lower-case letters, digits, and one of . _ - between them"
    return named(model, given, pattern=_IMAGE, expected=expected, target="docker", most=128)


def _files(model: PackagedModel, options: DockerOptions) -> tuple[File, ...]:
    title = model.title
    if title in (".", "..") or "/" in title or "\0" in title:
        raise ServingError(f"docker: no folder can be called {title!r}, as the model is")
    dockerfile = _DOCKERFILE.format(
        base=options.base,
        memory=MAX_MEMORY // 2**20,
        open=" \\\n    SERVING_OPEN=yes" if options.open else "",
        title=_quoted(title),
        version=_quoted(model.version or "none"),
        digest=_quoted(model.digest),
        port=PORT,
        user=USER,
    )
    about = json.dumps(dict(model.about), separators=(",", ":"), ensure_ascii=False) + "\n"
    found = [
        File("Dockerfile", dockerfile.encode(), "the image"),
        File(".dockerignore", _IGNORED.encode(), "what does not go to Docker"),
        File("requirements.txt", requirements(options.extras).encode(), "what the server needs, pinned"),
        File("start.py", _HERE / "start.py", "what the image runs"),
        File("about.json", about.encode(), "which version it is"),
        *(File(path, _ROOT / path, "the server") for path in sources()),
        *(File(f"model/{title}/{name}", content, "the model") for name, content in _model(model)),
    ]
    return tuple(sorted(found, key=lambda file: file.path))


def sources() -> list[str]:
    """The files of this project that the image carries, by their paths from its root."""
    found = []
    for part in _PARTS:
        path = _ROOT / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = file.relative_to(_ROOT).as_posix()
            if file.is_file() and "__pycache__" not in file.parts and not name.startswith(_LEFT_BEHIND):
                found.append(name)
    return found


def requirements(extras: tuple[str, ...]) -> str:
    """What the image installs: every package with its release and hashes."""
    blocks = [*_blocks("server.txt"), *(_blocks("parquet.txt") if PARQUET in extras else ())]
    return "".join(block for block in blocks if DOCS in extras or not block.startswith(_SWAGGER))


def _blocks(name: str) -> Iterator[str]:
    """The packages of a file, each with its hashes."""
    block = ""
    for line in (_HERE / name).read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("#"):
            continue
        block += line
        if not line.rstrip().endswith("\\"):
            yield block
            block = ""


def _model(model: PackagedModel) -> Iterator[tuple[str, bytes | Path]]:
    """The files of a model that the server reads: the scorecard, and an example of a row."""
    assert model.scorecard is not None
    yield SCORECARD, model.scorecard.dumps().encode()
    if model.version:
        meta = {"model_name": model.name, "model_version": model.version}
        yield META, yaml.safe_dump(meta, allow_unicode=True).encode()
    file = model.folder / MLMODEL
    try:
        about = yaml.safe_load(file.read_text(encoding="utf-8"))["saved_input_example_info"]
        example = str(about["artifact_path"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return
    if Path(example).name == example and (model.folder / example).is_file():
        # Who logged it, and where, is nobody's business but the registry's.
        yield MLMODEL, yaml.safe_dump({"saved_input_example_info": about}).encode()
        yield example, model.folder / example


def _quoted(text: str) -> str:
    """A text as a Dockerfile takes it."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


TARGET = Target(
    "docker",
    "An image of the HTTP server with this one version in it: for Docker, Kubernetes, SageMaker and Vertex AI.",
    DockerOptions,
    plan,
)
