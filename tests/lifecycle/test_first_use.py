"""First commands of different kinds, at once in a new folder: each succeeds, and they share one store."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

from registry import client, ledger
from tests.command import BARE, ROOT

COMMANDS = {
    "train": ["-m", "pipelines", "train", "--data", "diabetes", *BARE],
    "validate": ["-m", "pipelines", "validate", "--data", "diabetes"],
    "list": ["-m", "registry", "list"],
    "watch": ["-m", "registry", "watch", "--once"],
    "a project": ["-m", "mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "list"],
    "MLflow itself": ["-c", "import mlflow; mlflow.set_experiment('own'); mlflow.log_metric('a', 1)"],
}


def test_first_commands_of_different_kinds_at_once(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # What a project runs is the Python that is found first.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(subprocess.Popen([sys.executable, *words], cwd=tmp_path, **pipes))
            for name, words in COMMANDS.items()
        }
        said = {name: process.communicate(timeout=280)[0] for name, process in running.items()}
    assert {name: process.returncode for name, process in running.items()} == dict.fromkeys(COMMANDS, 0), said

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    connected = client.connect()
    assert {"Default", "own"} <= {one.name for one in connected.search_experiments()}
    assert [one.name for one in connected.search_registered_models()] == ["diabetes"]
    with ledger.open() as book:
        assert book.verify() is None
    with contextlib.closing(sqlite3.connect("mlflow.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
