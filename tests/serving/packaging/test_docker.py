"""The docker target: its build context, run as the Dockerfile says by a Python that has what the image has."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.contract import reply
from serving.errors import ServingError
from serving.packaging.docker import requirements, sources
from tests import stores
from tests.command import ROOT
from tests.serving.contract import cases
from tests.serving.contract.cases import NAMES, ROWS
from tests.serving.functions.clouds import Answer, Request, over_http
from tests.serving.packaging import made
from tests.serving.server import servers

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"dataframe_split": {"columns": NAMES, "data": ROWS}}).encode()
EXAMPLE = dict(zip(NAMES, ROWS[0], strict=True))


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their words, comments left out."""
    joined = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def imported(path: Path) -> Iterator[str]:
    """The files of this project that a module imports as soon as it is imported itself."""
    body = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while body:
        node = body.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            body += node.body
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{one.name}" for one in node.names]
        for name in names:
            place = ROOT.joinpath(*name.split("."))
            for file in (place / "__init__.py", place.with_suffix(".py"), place.parent.with_suffix(".py")):
                if file.is_file():
                    yield file.relative_to(ROOT).as_posix()
                    break


def test_what_its_modules_import_is_in_it() -> None:
    carried = set(sources())
    missing = {name: set(imported(ROOT / name)) - carried for name in carried if name.endswith(".py")}
    assert {name: files for name, files in missing.items() if files} == {}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build context of a registered version with an example."""
    folder = tmp_path_factory.mktemp("docker")
    model = servers.model(folder / "model", cases.scorecard("labels"), EXAMPLE)
    made.built(made.model(model), "docker", folder / "context")
    return folder / "context"


@dataclass
class Image:
    """What an image would be, as a folder.

    Parameters
    ----------
    app : its /app.
    python : its interpreter.
    command, variables : its ENTRYPOINT with its CMD, and its ENV.
    """

    app: Path
    python: Path
    command: list[str]
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", **self.variables, **more}

    def words(self, command: list[str]) -> list[str]:
        """A command of the image, on this machine."""
        return [str(self.python) if one == "python" else one.replace("/app", str(self.app)) for one in command]

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        words = self.words(command)
        return subprocess.run(words, env=self.environment(**more), cwd="/", capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def image(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image: its packages installed by its own line, and what it copies, where nothing may be written."""
    folder = tmp_path_factory.mktemp("image")
    python, app = folder / "venv" / "bin" / "python", folder / "app"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    app.mkdir()
    variables: dict[str, str] = {}
    words: dict[str, list[str]] = {}
    for name, rest in instructions((context / "Dockerfile").read_text()):
        if name == "COPY":
            source, target = rest.split()
            assert target in ("./", f"./{source}")
            if (context / source).is_dir():
                shutil.copytree(context / source, app / source)
            else:
                shutil.copyfile(context / source, app / source)
        elif name == "RUN":
            program, *arguments = rest.split()
            head = [str(python), "-m", "pip"] if program == "pip" else [str(python)]
            assert program in ("pip", "python")
            subprocess.run([*head, *arguments], cwd=app, check=True, capture_output=True)
        elif name == "ENV":
            variables |= dict(part.split("=", 1) for part in rest.split())
        elif name in ("ENTRYPOINT", "CMD"):
            words[name] = json.loads(rest)
    for path in [app, *app.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    return Image(app, python, [*words["ENTRYPOINT"], *words["CMD"]], variables)


@dataclass
class Running:
    """A container of the image.

    Parameters
    ----------
    more : further variables, which its health check sees, too.
    """

    image: Image
    port: int
    process: subprocess.Popen
    more: Mapping[str, str]

    def ask(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return over_http(self.port, Request(body, "POST" if body else "GET", path, (JSON if body else {}) | named))

    def healthy(self) -> bool:
        """What the image's health check says."""
        return self.image.run(["python", "/app/start.py", "health"], **self.more).returncode == 0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def start(image: Image, tmp_path: Path) -> Iterator:
    """Starts a container, and waits until it is healthy."""
    started: list[Running] = []

    def run(port_variable: str = "SERVING_PORT", **more: str) -> Running:
        port = stores.free_port()
        more = {port_variable: str(port), "TMPDIR": str(tmp_path), **more}
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                image.words(image.command), env=image.environment(**more), cwd="/", stdout=log, stderr=log
            )
        started.append(Running(image, port, process, more))
        servers.wait(started[-1].healthy, lambda: (tmp_path / "log").read_text())
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()  # the supervisor takes its children with it
            one.process.wait(60)


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a folder, with what changes when they are written."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_it_serves_its_version_and_writes_nothing_into_itself(image: Image, start) -> None:
    before = seen(image.app) | seen(image.python.parents[1])
    running = start(SERVING_OPEN="yes")
    found = running.ask("/invocations", BODY)
    status, payload = reply(cases.scorecard("labels"), BODY, "application/json")
    assert (found.status, found.json) == (status, payload)
    assert found.headers["x-model-version"] == "made/3"
    described = running.ask("/models/made").json
    assert (described["version"], described["example"]) == ("3", EXAMPLE)
    many = json.dumps({"dataframe_split": {"columns": NAMES, "data": ROWS * 100}}).encode()
    assert len(running.ask("/invocations", many).json["predictions"]) == 600  # as a table, by NumPy
    for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json", "/metrics", "/v2/models/made"):
        assert running.ask(path).status == 200, path
    assert running.ask("/invocations", b"PAR1", Content_Type="application/vnd.apache.parquet").status == 415
    assert running.stop() == 0
    assert not running.healthy()
    assert seen(image.app) | seen(image.python.parents[1]) == before


def test_the_variables_of_vertex_ai_are_heard(start) -> None:
    running = start("AIP_HTTP_PORT", SERVING_OPEN="yes", AIP_HEALTH_ROUTE="/healthy", AIP_PREDICT_ROUTE="/ask")
    assert running.ask("/healthy").status == 200
    assert running.ask("/ask", BODY).status == 200


def test_without_keys_it_does_not_start_and_with_them_it_asks_for_them(image: Image, start, tmp_path: Path) -> None:
    refused = image.run(image.command, TMPDIR=str(tmp_path))
    assert refused.returncode == 2
    assert "no keys are set" in refused.stderr
    made_key = image.run(["python", "-m", "serving", "keys", "add", "me", "--file", "-"], PYTHONPATH=str(image.app))
    secret = made_key.stderr.rpartition(": ")[2].strip()
    running = start(SERVING_KEYS=made_key.stdout)
    assert running.ask("/invocations", BODY).status == 401
    assert running.ask("/invocations", BODY, Authorization=f"Bearer {secret}").status == 200
    assert running.ask("/ready").status == 200


def test_it_refuses_to_be_another_version(image: Image, tmp_path: Path) -> None:
    wrong = "sha256:" + "0" * 64
    done = image.run(image.command, EXPECTED_DIGEST=wrong, SERVING_OPEN="yes", TMPDIR=str(tmp_path))
    assert done.returncode == 2
    assert f"EXPECTED_DIGEST asks for {wrong}" in done.stderr


def test_where_nothing_can_be_written_it_says_what_to_do(
    image: Image, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    spec = importlib.util.spec_from_file_location("start", image.app / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(module, "WRITABLE", ("/no/such/folder",))
    assert module.main(["serve"]) == 2
    assert "mount one of them, as by --tmpfs /tmp" in capsys.readouterr().err


def test_the_dockerfile_is_as_it_should_be(context: Path) -> None:
    found = instructions((context / "Dockerfile").read_text())
    by_name = dict(found)
    assert by_name["USER"] == "10001:10001"  # a number: Kubernetes cannot know who a name is
    assert by_name["EXPOSE"] == "8080"
    assert by_name["CMD"] == '["serve"]'  # SageMaker's only argument
    assert "health" in by_name["HEALTHCHECK"]
    assert "--require-hashes" in by_name["RUN"] or any("--require-hashes" in rest for _, rest in found)
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", by_name["FROM"])
    ignored = (context / ".dockerignore").read_text().split()
    copied = {rest.split()[0].rstrip("/") for name, rest in found if name == "COPY"}
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_hadolint_finds_nothing(context: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    name = 'a "name" with $HOME \\ and more'
    for place, options in enumerate(({}, {"open": "yes", "extras": "none"})):
        made.built(made.model(context, name=name), "docker", tmp_path / str(place), **options)
        file = tmp_path / str(place) / "Dockerfile"
        done = subprocess.run([program, "--no-color", file], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
        assert r'title="a \"name\" with \$HOME \\ and more"' in file.read_text()


def test_what_it_installs_is_what_is_tested_here_each_with_its_hashes() -> None:
    pins = re.findall(r"^([\w.-]+)==(\S+)", requirements(("docs", "parquet")), re.M)
    assert {name for name, _ in pins} >= {"httptools", "numpy", "msgspec", "click", "flask-swagger-ui", "pyarrow"}
    assert {name: importlib.metadata.version(name) for name, _ in pins} == dict(pins)
    for extras in ((), ("docs",), ("parquet",)):
        text = requirements(extras)
        assert ("flask-swagger-ui" in text, "pyarrow" in text) == ("docs" in extras, "parquet" in extras)
        blocks = re.split(r"\n(?=\w)", text.strip())
        assert all("--hash=sha256:" in block for block in blocks)
        assert not any(name in text for name in ("mlflow", "scikit-learn", "pandas"))


def test_it_carries_the_server_and_no_more(context: Path) -> None:
    carried = {str(path.relative_to(context)) for path in context.rglob("*.py")}
    assert {"serving/server/worker.py", "serving/scorecard/tables.py", "registry/cli/commands.py"} <= carried
    for part in ("compiler", "exports", "packaging", "deployments", "aws_lambda", "ledger"):
        assert not any(part in Path(name).parts for name in carried), part
    assert not any(path.name == "__pycache__" for path in context.rglob("*"))
    about = (context / "model" / "made" / "MLmodel").read_text()
    assert "example" in about
    assert "run_id" not in about


@pytest.mark.parametrize("name", ["Made", "a//b", "made:3", "-made", "host:port/made"])
def test_names_that_docker_does_not_take_are_refused(context: Path, name: str) -> None:
    with pytest.raises(ServingError, match="docker: option name: expected an image's name"):
        made.plan(made.model(context), "docker", name=name)


def test_the_plan_says_how_to_build_and_run(context: Path) -> None:
    plan = made.plan(made.model(context), "docker", name="registry.example:5000/team/made", open="yes")
    assert plan.commands[0] == "docker build -t registry.example:5000/team/made:3 ."
    assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(plan.commands[-1].split())
    assert plan.environment["SERVING_OPEN"] == "yes"
    closed = made.plan(made.model(context), "docker")
    assert "SERVING_OPEN" not in closed.environment
    assert any("starts only with keys" in note for note in closed.notes)
    with pytest.raises(ServingError, match="option base: expected an image with its tag or digest"):
        made.plan(made.model(context), "docker", base="python")
    unregistered = made.plan(made.model(context, name=None, version=None), "docker")
    assert re.fullmatch(r"context:[0-9a-f]{12}", unregistered.settings["Image"])


def test_a_folder_that_mlflow_downloaded_is_served_as_the_version_that_it_is(tmp_path: Path) -> None:
    folder = servers.model(tmp_path / "shop", cases.scorecard("labels"))
    (folder / "registered_model_meta").write_text("model_name: shop\nmodel_version: '12'\n")
    other = servers.model(tmp_path / "other", cases.scorecard("labels"))
    (other / "registered_model_meta").write_text("model_version: [1]\n")
    with servers.Server([str(folder), str(other)], tmp_path) as server:
        server.ready("shop", "other")
        labels = {
            name: server.post(f"/models/{name}/invocations", json.loads(BODY)).headers["x-model-version"]
            for name in ("shop", "other")
        }
    assert labels == {"shop": "shop/12", "other": "other/0"}
