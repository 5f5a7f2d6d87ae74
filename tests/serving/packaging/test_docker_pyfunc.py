"""The image of a version without a scorecard: the server, and MLflow in a Python of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import ServingError
from tests import stores
from tests.serving.packaging import made
from tests.serving.packaging.test_docker import Image, Running, instructions
from tests.serving.server import pyfuncs, servers


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build context of a registered forest."""
    folder = tmp_path_factory.mktemp("docker")
    model = pyfuncs.forest(folder / "model")
    made.built(made.unsaid(model), "docker", folder / "context")
    return folder / "context"


def test_its_packages_are_kept_apart_from_the_servers(context: Path) -> None:
    written = instructions((context / "Dockerfile").read_text())
    runs = [words for name, words in written if name == "RUN"]
    assert " ".join(runs[0].split()).startswith("python -m venv /opt/model && /opt/model/bin/pip install")
    variables = dict(part.split("=", 1) for name, words in written if name == "ENV" for part in words.split())
    assert variables["SERVING_PYFUNC"] == "yes"
    assert variables["SERVING_PYFUNC_PYTHON"] == "/opt/model/bin/python"
    assert (context / "model-requirements.txt").read_text().startswith("mlflow==")
    assert "mlflow" not in (context / "requirements.txt").read_text()
    assert "!model-requirements.txt" in (context / ".dockerignore").read_text().splitlines()


def test_its_entry_point_serves_the_version(context: Path, tmp_path: Path) -> None:
    written = instructions((context / "Dockerfile").read_text())
    variables = dict(part.split("=", 1) for name, words in written if name == "ENV" for part in words.split())
    variables |= {"SERVING_PYFUNC_PYTHON": sys.executable, "SERVING_OPEN": "yes", "TMPDIR": str(tmp_path)}
    image = Image(context, Path(sys.executable), ["python", "/app/start.py", "serve"], variables)
    more = {"SERVING_PORT": str(stores.free_port())}
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            image.words(image.command), env=image.environment(**more), cwd="/", stdout=out, stderr=out
        )
    running = Running(image, int(more["SERVING_PORT"]), process, more)
    try:
        servers.wait(running.healthy, log.read_text, within=4 * servers.PATIENCE)
        answer = running.ask("/invocations", b'{"instances": [[40.0, 50.0]]}')
        assert (answer.status, answer.headers["x-model-version"]) == (200, "forest/1")
    finally:
        running.stop()


def test_a_package_that_is_not_pinned_is_refused(tmp_path: Path) -> None:
    model = pyfuncs.forest(tmp_path / "model")
    (model / "requirements.txt").write_text("mlflow\n")
    with pytest.raises(ServingError, match="does not pin 'mlflow'"):
        made.plan(made.unsaid(model), "docker")
