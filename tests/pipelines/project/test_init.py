"""``init``: a project that trains, is judged and passes its own tests; whole, or not written at all."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import mlflow
import pytest
import yaml

from pipelines.errors import PipelineError
from pipelines.project import pins
from pipelines.project.init import init
from registry import policy
from tests.command import ROOT, failed, run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder with a blank in its path."""
    folder = tmp_path / "my projects" / "churn"
    init(str(folder), ci="github")
    return folder


def programs() -> dict[str, str]:
    """The environment of a person who has activated this one, and has set nothing else."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LEDGER_"))}
    path = os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ["PATH"]))
    return {**ours, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.mark.timeout(900)
def test_it_trains_by_mlflow_run_from_its_own_folder(project: Path):
    done = subprocess.run(
        ["mlflow", "run", ".", "--env-manager", "local"], cwd=project, env=programs(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no scorecard" not in done.stderr
    assert "suite 'customers': all 24 expectations met" in done.stderr
    assert "lifecycle promote churn 1 --stage Production" in done.stdout
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert client.get_model_version("churn", "1").tags["pipeline"] == "features:build"


@pytest.mark.timeout(900)
def test_it_passes_its_own_tests_and_its_workflow_runs_them(project: Path):
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["test"]["steps"][-1] == {"run": "make test"}
    assert "\tpython -m pytest -q tests\n" in (project / "Makefile").read_text()

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=project, env=programs(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not (project / "mlruns").exists()
    assert not (project / "mlflow.db").exists()


def test_its_modules_are_as_clean_as_ours(project: Path):
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(["ruff", *command, project], cwd=ROOT, env=programs(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_its_policy_is_found_and_read(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    read = policy.read()
    assert (read.default.lineage.commit, read.default.bounds) == ("optional", {"roc_auc": 0.7})


def test_it_pins_everything_that_is_installed_here(project: Path):
    lines = (project / "requirements.txt").read_text().splitlines()
    pinned = {line.split(" ;")[0] for line in lines if "==" in line}
    assert {f"mlflow=={version('mlflow')}", f"scikit-learn=={version('scikit-learn')}"} <= pinned
    ours = [line for line in lines if line.startswith("model-lifecycle")]
    assert ours == [pins.package()]
    # The tests of a project run on the pytest that ours do.
    dev = [line.split()[0] for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if line[:1].isalpha()]
    (pytest_pin,) = [pin for pin in dev if pin.startswith("pytest==")]
    assert (project / "requirements-dev.txt").read_text() == f"-r requirements.txt\n{pytest_pin}\n"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("1.2.3", "model-lifecycle==1.2.3"),
        ("git+https://host/x@main", "model-lifecycle @ git+https://host/x@main"),
        (str(ROOT), f"model-lifecycle @ {ROOT.as_uri()}"),
    ],
)
def test_the_package_may_come_from_elsewhere(source: str, line: str):
    assert pins.package(source) == line


def test_a_source_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(PipelineError, match=r"--from: expected a version, a URL, a checkout or a wheel, found no"):
        init(str(tmp_path / "new"), source="x.whl")
    assert not (tmp_path / "new").exists()


def test_gitlab_has_a_workflow_too_and_none_is_written_unasked(tmp_path: Path):
    init(str(tmp_path / "lab"), ci="gitlab")
    assert yaml.safe_load((tmp_path / "lab" / ".gitlab-ci.yml").read_text())["test"]["script"] == ["make test"]
    init(str(tmp_path / "bare"))
    assert not (tmp_path / "bare" / ".github").exists()


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path):
    folder = tmp_path / "taken"
    (folder / ".git").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    line = failed(run("init", "taken", folder=tmp_path), says="expected a new or empty folder, found 'notes.txt' in ")
    assert line.endswith("name another one")
    assert sorted(each.name for each in folder.iterdir()) == [".git", "notes.txt"]
    (folder / "notes.txt").unlink()
    done = run("init", "taken", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [f"  cd {folder}", done.out.splitlines()[-1]]


def test_a_folder_whose_name_a_shell_would_run_gives_a_name_that_it_does_not(tmp_path: Path):
    assert init(str(tmp_path / "a $(touch x);b")).name == "a-touch-x-b"
    assert yaml.safe_load((tmp_path / "a $(touch x);b" / "MLproject").read_text())["name"] == "a-touch-x-b"
    init(str(tmp_path / "2024"))
    assert yaml.safe_load((tmp_path / "2024" / "MLproject").read_text())["name"] == "2024"


def test_where_nothing_can_be_written_nothing_is(tmp_path: Path):
    (tmp_path / "file").write_text("")
    failed(run("init", "file/new", folder=tmp_path), says="file/new: Not a directory")
    failed(run("init", "file", folder=tmp_path), says="file: Not a directory; name a new folder")
    # The name of the model is the folder's.
    failed(run("init", "@@@", folder=tmp_path), says="the folder's name is the model's, and '@@@' leaves none")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_was_begun_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "features.py":
            raise OSError(28, "No space left on device", str(path))
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PipelineError, match="No space left on device; nothing is written"):
        init(str(tmp_path / "deep" / "new"))
    assert list(tmp_path.iterdir()) == []
