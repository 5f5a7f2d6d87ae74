"""Docker: an image of the server with one version in it; it needs no registry and no place to write.

Nor does it need MLflow, unless the version has no scorecard: then a second Python in it has what the model wants.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from serving.errors import ServingError
from serving.models import example
from serving.models.files import META, MLMODEL, SCORECARD, Folder
from serving.server.memory import BESIDE, MAX_MEMORY, PYFUNC_MEMORY

from .. import pyfunc
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
    *(
        f"registry/{name}.py"
        for name in (
            "__init__",
            "errors",
            "last_report",
            "logs",
            "policy_file",
            "redaction",
            "secret_patterns",
            "troubles",
            "waiting",
        )
    ),
    *(
        f"registry/cli/{name}.py"
        for name in ("__init__", "commands", "early", "interrupts", "log_output", "sizes", "text")
    ),
    *(f"serving/{name}.py" for name in ("__init__", "__main__", "errors")),
    *("serving/contract", "serving/models", "serving/prediction_log", "serving/scorecard", "serving/server"),
    *(
        f"serving/functions/{name}.py"
        for name in ("__init__", "columns", "failures", "loaded", "sampling", "signature")
    ),
)
#: Of these, what only a server runs that follows a registry, and what only compiling and exporting needs.
_LEFT_BEHIND = (
    *(f"serving/models/{name}" for name in ("gating.py", "native")),
    *(f"serving/prediction_log/{name}.py" for name in ("database", "jobs", "line_files", "lines")),
    *(f"serving/scorecard/{name}" for name in ("compiler", "exports", "loader.py", "parity.py")),
    *(f"serving/server/follower/{name}.py" for name in ("registry", "choice", "facts")),
    *(f"serving/server/telemetry/{name}" for name in ("alerts.yaml", "dashboard.json")),
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
        "name of the image, with its registry if any [default: after the model]",
        matching(_IMAGE, "an image's name without its tag, such as registry.example/team/diabetes"),
    )
    base: str = option(
        "python:3.13-slim-bookworm",
        "base image, with Python 3.11 or later",
        matching(rf"(?=.*[:@]){TAGGED}", "an image with its tag or digest, such as python:3.13-slim-bookworm"),
    )
    open: bool = option(False, "answer without keys: for SageMaker, which authenticates requests itself", yes_no)
    extras: tuple[str, ...] = option(
        (DOCS,), "docs: the page /docs (2 MB); parquet: Parquet requests (150 MB); or none", some_of(DOCS, PARQUET)
    )


_DOCKERFILE = """\
FROM {base}

WORKDIR /app
{own}COPY requirements.txt ./
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
    SERVING_MAX_MEMORY={memory}MiB{open}{pyfunc}
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
# A Python of its own for a model without a scorecard: its releases need not be those of the server.
_OWN = """\
COPY model-requirements.txt ./
RUN python -m venv /opt/model \\
    && /opt/model/bin/pip install --no-cache-dir -r model-requirements.txt
"""
_PYFUNC = """ \\
    SERVING_PYFUNC=yes \\
    SERVING_PYFUNC_PYTHON=/opt/model/bin/python"""
# What the Dockerfile copies.
_COPIED = ("requirements.txt", "start.py", "about.json", "registry", "serving", "model")


def plan(model: PackagedModel, options: DockerOptions) -> PackagePlan:
    """Return the plan of an image of the server with a model.

    Raises
    ------
    ServingError
        if the model has no scorecard and does not pin what it needs, or an image cannot be called so.
    """
    called, notes = _name(model, options.name)
    package = _files(model, options)
    image = f"{called}:{model.version or model.digest.removeprefix('sha256:')[:12]}"
    if not options.open:
        notes += (
            "it starts only with keys (SERVING_KEYS, or the file SERVING_KEYS_FILE) or with SERVING_OPEN=yes",
            "SageMaker sends no keys, and authenticates requests itself: set open=yes for it",
        )
    needed, reason = MAX_MEMORY + BESIDE, "the version has a scorecard, and the server needs no more"
    if model.scorecard is None:
        needed += PYFUNC_MEMORY
        reason = f"MLflow answers in the image, for the version has no scorecard: {model.why}"
        notes += ("it runs the model's code; MLflow and what the model needs are in a Python of their own",)
    memory = f"--memory {needed // 2**20}m"
    safe = "--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"
    keyed = "" if options.open else '-e SERVING_KEYS="$(cat keys.json)" '
    commands = () if options.open else ("python -m serving keys add me",)
    return PackagePlan(
        target="docker",
        variant=CONTAINER,
        reason=reason,
        name=called,
        **model.facts,
        package=package,
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
        own="" if model.scorecard else _OWN,
        pyfunc="" if model.scorecard else _PYFUNC,
        title=_quoted(title),
        version=_quoted(model.version or "none"),
        digest=_quoted(model.digest),
        port=PORT,
        user=USER,
    )
    about = json.dumps(dict(model.about), separators=(",", ":"), ensure_ascii=False) + "\n"
    found = [
        File("Dockerfile", dockerfile.encode(), "the image"),
        File(".dockerignore", _ignored(model).encode(), "what does not go to Docker"),
        File("requirements.txt", requirements(options.extras).encode(), "what the server needs, pinned"),
        File("start.py", _HERE / "start.py", "what the image runs"),
        File("about.json", about.encode(), "which version it is"),
        *(File(path, _ROOT / path, "the server") for path in sources()),
    ]
    if model.scorecard is None:
        wanted = File("model-requirements.txt", pyfunc.requirements(model), "what the model needs, pinned")
        parts = {file.path: file for file in pyfunc.files(model, f"model/{title}")}
        parts |= {f"model/{title}/{META}": File(f"model/{title}/{META}", meta, "the model") for meta in _meta(model)}
        found += [wanted, *parts.values()]
    else:
        found += [File(f"model/{title}/{name}", content, "the model") for name, content in _model(model)]
    return tuple(sorted(found, key=lambda file: file.path))


def _ignored(model: PackagedModel) -> str:
    """Everything but what the Dockerfile copies."""
    copied = _COPIED if model.scorecard else (*_COPIED, "model-requirements.txt")
    return "*\n" + "".join(f"!{name}\n" for name in copied) + "**/__pycache__\n"


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


def _meta(model: PackagedModel) -> Iterator[bytes]:
    """The file by which the server knows which registered version it is; none for a model that is no version."""
    if model.version:
        meta = {"model_name": model.name, "model_version": model.version}
        yield yaml.safe_dump(meta, allow_unicode=True).encode()


def _model(model: PackagedModel) -> Iterator[tuple[str, bytes | Path]]:
    """The files of a model that the server reads: the scorecard, and an example of a row."""
    assert model.scorecard is not None
    yield SCORECARD, model.scorecard.dumps().encode()
    for content in _meta(model):
        yield META, content
    if found := example.logged(Folder(model.folder)):
        about, file = found
        # Who logged it, and where, is nobody's business but the registry's.
        yield MLMODEL, yaml.safe_dump({"saved_input_example_info": about}).encode()
        yield file.name, file


def _quoted(text: str) -> str:
    """A text as a Dockerfile takes it."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


TARGET = Target(
    "docker",
    "An image of the HTTP server with one version in it: for Docker, Kubernetes, SageMaker, Vertex AI and Azure ML.",
    DockerOptions,
    plan,
)
