"""Whatever goes wrong: one line, exit code 2, no version, no run that seems to go on, and nothing left behind."""

import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.runs import tidy
from tests import command, stores
from tests.command import BARE, Command, failed, run
from tests.patience import soon

#: How long a command may take to say that its tracking server is away, in seconds.
AWAY = soon(15)


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a command's temporary files: empty again when it is over."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    # MLflow keeps the lock that guards the making of a database.
    assert [path.name for path in folder.iterdir() if not path.name.startswith("db_init_lock")] == []


def asked(uri: str, query: str) -> list[tuple]:
    """The answer of an SQLite store to a query."""
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"), timeout=30)) as database:
        return database.execute(query).fetchall()


def runs(uri: str) -> Counter:
    """How many runs of a store are in each status."""
    return Counter(status for (status,) in asked(uri, "SELECT status FROM runs"))


def nothing_registered(uri: str) -> bool:
    """Whether a store has no version, and no empty registered model."""
    return not asked(uri, "SELECT name FROM registered_models") and not asked(uri, "SELECT name FROM model_versions")


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


# Each moment: what is waited for on standard error, what is waited for in the store, then the seconds, and what is
# done beside the barest training.
MOMENTS = {
    "importing": ("", "", 0.0, ()),
    "reading": ("reading", "", 0.0, ()),
    "connecting": ("task: ", "", 0.1, ()),
    "beginning": ("", "SELECT 1 FROM runs", 0.0, ()),
    "validating": ("", "SELECT 1 FROM runs", 0.6, ("--suite", "auto")),
    "fitting": ("fitting", "", 0.0, ("--folds", "5")),
    "logging": ("logging", "", 0.0, ()),
    "drawing": ("", "SELECT 1 FROM logged_models", 0.3, ("--pictures", "yes")),
    "registering": ("", "SELECT 1 FROM registered_models", 0.0, ()),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_command_that_is_told_to_stop(moment: str, tracking: str, tmp_path: Path, temporary: Path):
    words, row, seconds, more = MOMENTS[moment]
    place = list(MOMENTS).index(moment)
    first, second = (signal.SIGINT, signal.SIGTERM) if place % 2 else (signal.SIGTERM, signal.SIGINT)
    # Where nothing tells the moment from outside, it is one of an interpreter that imports all anew.
    fresh = moment in ("importing", "connecting")
    with Command("train", "--data", "diabetes", *BARE, *more, folder=tmp_path, fresh=fresh) as training:
        if words:
            training.wait_for(words)
        while row and not asked(tracking, row):
            assert training.process.poll() is None, training.done()
            time.sleep(0.01)
        time.sleep(seconds)
        while not catches(training.process.pid, first):  # an interpreter that begins dies of it without a word
            assert training.process.poll() is None, training.done()
            time.sleep(0.01)
        training.signal(first)
        if place % 3 == 1:
            time.sleep(0.05)
            training.signal(second)
        done = training.done()
    ended = runs(tracking)
    if moment == "registering" and done.code == 0:
        # It came too late: then all is as if it had not come.
        assert all(line.startswith("  ") for line in done.err.splitlines())
        assert ended == {"FINISHED": 1}
        assert asked(tracking, "SELECT version FROM model_versions") == [(1,)]
        return
    line = failed(done, says=": what was not finished is not registered; run the command again")
    # Python tells of two that wait in the order of their numbers.
    assert line.startswith(("error: interrupted by SIGINT", "error: interrupted by SIGTERM"))
    assert nothing_registered(tracking)
    # How far it came meanwhile depends on the machine where nothing of it can be seen from outside.
    assert ended in ([{}, {"KILLED": 1}] if moment in ("importing", "reading", "connecting") else [{"KILLED": 1}])


def test_a_run_that_was_killed_is_marked_by_the_next_command(tracking: str, tmp_path: Path):
    with Command("train", "--data", "diabetes", *BARE, folder=tmp_path) as training:
        training.wait_for("fitting")
        training.signal(signal.SIGKILL)
        training.done()
    assert runs(tracking) == {"RUNNING": 1}
    failed(run("evaluate", "--model", "diabetes", "--data", "diabetes", folder=tmp_path), says="diabetes")
    assert runs(tracking) == {"KILLED": 1}
    assert nothing_registered(tracking)


@pytest.mark.parametrize("server", ["refusing", "silent"])
def test_a_tracking_server_that_is_away_is_told_in_time(server: str, tmp_path: Path, temporary: Path):
    with contextlib.ExitStack() as stack:
        port = stores.free_port()
        if server == "silent":
            port = stack.enter_context(contextlib.closing(stores.socket.create_server((stores.HOST, 0)))).getsockname()[
                1
            ]
        env = {"MLFLOW_TRACKING_URI": f"http://ann:s3cr3t@{stores.HOST}:{port}"}
        done = run("train", "--data", "diabetes", folder=tmp_path, env=env)
    assert "s3cr3t" not in failed(done, says=f"the tracking server http://ann:***@{stores.HOST}:{port} does not answer")
    assert done.seconds < AWAY
    assert list(tmp_path.iterdir()) == []


def test_a_tracking_server_that_dies_in_the_middle_of_a_run(tmp_path: Path, temporary: Path):
    folder = tmp_path / "server"
    folder.mkdir()
    with contextlib.ExitStack() as server:
        address = server.enter_context(stores.tracking_server(folder))
        env = {"MLFLOW_TRACKING_URI": address}
        with Command("train", "--data", "diabetes", *BARE, folder=tmp_path, env=env) as training:
            training.wait_for("fitting")
            # A server takes a while to end.
            training.signal(signal.SIGSTOP)
            server.close()
            training.signal(signal.SIGCONT)
            gone = time.monotonic()
            done = training.done()
    assert time.monotonic() - gone < AWAY
    failed(done, says=f"the tracking server {address} does not answer (Connection refused); see that it runs")
    store = f"sqlite:///{folder}/tracking.db"
    assert nothing_registered(store)
    # Nobody could be told. The next start marks it.
    assert runs(store) == {"RUNNING": 1}
    tidy(MlflowClient(store))
    assert runs(store) == {"KILLED": 1}


def test_an_artifact_store_that_refuses(
    tracking: str, object_store: stores.ObjectStore, tmp_path: Path, temporary: Path
):
    object_store.client().create_bucket(Bucket="refuses")
    MlflowClient(tracking).create_experiment("in the bucket", "s3://refuses/runs")
    env = object_store.env | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    done = run("train", "--data", "diabetes", "--experiment", "in the bucket", *BARE, folder=tmp_path, env=env)
    failed(done, says="the artifact store refused: ")
    assert "AWS_SECRET_ACCESS_KEY" in done.line
    assert runs(tracking) == {"FAILED": 1}
    assert nothing_registered(tracking)


@contextlib.contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[None]:
    """A file system of a size, in memory, over a folder."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def may_mount(folder: Path) -> bool:
    """Whether a test may mount a file system here."""
    try:
        with small_disk(folder, size="64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def limited(size: int) -> Mapping:
    """What makes every file of a process end at a size, as a full disk would; in bytes."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}


@pytest.mark.parametrize("full", ["artifacts", "temporary files"])
def test_a_disk_that_is_full(full: str, tracking: str, tmp_path: Path, temporary: Path):
    folder = temporary if full == "temporary files" else tmp_path / "mlruns"
    folder.mkdir(exist_ok=True)
    if not may_mount(folder):
        pytest.skip("a small disk needs the right to mount one; the next tests do without")
    with small_disk(folder, size="24k"):
        done = run("train", "--data", "diabetes", *BARE, folder=tmp_path)
        left = [path.name for path in temporary.iterdir() if not path.name.startswith("db_init_lock")]
    failed(done, says="no space left to write ")
    assert left == []
    assert runs(tracking) == {"FAILED": 1}
    assert nothing_registered(tracking)


def test_a_tracking_database_that_cannot_grow(tracking: str, tmp_path: Path, temporary: Path):
    done = run("train", "--data", "diabetes", *BARE, folder=tmp_path, **limited(16_384))
    failed(done, says="the tracking database failed: ")
    assert "see that its disk has space" in done.line
    assert nothing_registered(tracking)
    assert not runs(tracking)


def test_files_that_may_not_grow_with_a_server_that_does(
    tracking_server: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    client = MlflowClient(tracking_server)
    env = {"MLFLOW_TRACKING_URI": tracking_server}
    words = ("train", "--data", "diabetes", "--name", "too-large", "--experiment", "too large", *BARE)
    done = run(*words, folder=tmp_path, env=env, **limited(4_096))
    failed(done, says="no space left to write ")
    found = client.search_runs([client.get_experiment_by_name("too large").experiment_id])
    assert [one.info.status for one in found] == ["FAILED"]
    assert not client.search_registered_models("name = 'too-large'")


@pytest.mark.parametrize("store", ["file", "server"])
def test_two_trainings_of_one_model_at_a_time(
    store: str, tracking: str, request: pytest.FixtureRequest, tmp_path: Path, temporary: Path
):
    uri = tracking if store == "file" else request.getfixturevalue("tracking_server")
    words = ("train", "--data", "diabetes", "--name", "at-a-time", *BARE)
    env = {"MLFLOW_TRACKING_URI": uri}
    with Command(*words, folder=tmp_path, env=env) as one, Command(*words, folder=tmp_path, env=env) as other:
        assert [one.done().code, other.done().code] == [0, 0], (one.done().err, other.done().err)
    versions = MlflowClient(uri).search_model_versions("name = 'at-a-time'")
    assert sorted(int(version.version) for version in versions) == [1, 2]
    assert len({version.run_id for version in versions}) == 2


def mlflow_run(tmp_path: Path, *words: str) -> command.Done:
    """``mlflow run`` of this project, with the programs of this environment on the path."""
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_EXPERIMENT_NAME": "Default",
    }
    return run("run", str(command.ROOT), "--env-manager", "local", *words, package="mlflow", folder=tmp_path, env=env)


def test_mlflow_run_has_one_run_which_is_the_trainings(tracking: str, tmp_path: Path):
    words = ("folds=0", "intervals=0", "pictures=no", "suite=none", "data=diabetes")
    done = mlflow_run(tmp_path, "-e", "train", *(part for word in words for part in ("-P", word)))
    assert done.code == 0, done.err
    assert runs(tracking) == {"FINISHED": 1}
    assert asked(tracking, "SELECT r.name FROM runs r JOIN model_versions v ON v.run_id = r.run_uuid") == [
        ("train diabetes",)
    ]


def test_mlflow_run_of_what_fails_fails(tracking: str, tmp_path: Path):
    done = mlflow_run(tmp_path, "-e", "train", "-P", "data=nowhere.csv")
    assert done.code != 0
    assert "error: --data nowhere.csv is not there" in done.err
    assert runs(tracking) == {"FAILED": 1}
    assert nothing_registered(tracking)
