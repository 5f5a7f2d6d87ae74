"""``ui``: the tracking server and the watch run together, and end together."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from registry import ledger
from tests import stores
from tests.command import Command, failed, run
from tests.patience import soon
from tests.registry import made

#: Worse than the mean, which is off by 17.
BAD = made.holdout([90.0] * made.ROWS)


@pytest.fixture
def port() -> int:
    return stores.free_port()


@pytest.fixture
def pages(tracking: str, port: int, tmp_path: Path) -> Iterator[Command]:
    """Both processes, on the test's own store, as somebody starts them who has set nothing else."""
    with Command("ui", "--port", str(port), package="registry", folder=tmp_path, fresh=True) as command:
        command.wait_for("watching every", timeout=soon(60))
        yield command


def test_a_stage_that_is_changed_by_hand_is_judged_and_both_end_with_ctrl_c(
    pages: Command, tracking: str, port: int, tmp_path: Path
):
    client = MlflowClient(f"http://127.0.0.1:{port}")
    made.register(client, "made", BAD)
    client.transition_model_version_stage("made", "1", "Production")
    pages.wait_for("made version 1: stage changed by hand from None to Production", timeout=soon(30))
    assert client.get_model_version("made", "1").current_stage == "None"
    # The ledger is where every command of this folder looks for it.
    with ledger.open(f"sqlite:///{tmp_path}/ledger.db") as book:
        assert [entry.kind for entry in book.entries("made")][-1] == "revert"

    children = psutil.Process(pages.process.pid).children(recursive=True)
    assert len(children) >= 2
    pages.signal(signal.SIGINT)
    done = pages.done()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "HTTP/1.1" not in done.out + done.err, "the server's access log would bury the watch's lines"
    assert psutil.wait_procs(children, timeout=soon(10))[1] == []


def test_where_one_ends_the_other_is_stopped(pages: Command):
    children = psutil.Process(pages.process.pid).children(recursive=True)
    (watch,) = [child for child in children if "registry" in child.cmdline()]
    watch.kill()
    done = pages.done()
    assert (done.code, "the watch ended by signal 9; stopping the other one" in done.err) == (1, True), done.err
    assert psutil.wait_procs(children, timeout=soon(10))[1] == []


def test_a_port_that_is_taken_is_told(tracking: str, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("ui", "--port", str(port), package="registry", folder=tmp_path)
    line = failed(done, says=f"127.0.0.1 port {port}: Address already in use; give another --port, such as --port")
    assert line.endswith("or another --host")


def test_beside_a_tracking_server_the_watch_is_what_is_wanted(tracking: str, tmp_path: Path):
    address = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = run("ui", package="registry", folder=tmp_path, env=address)
    failed(done, says="http://127.0.0.1:9 is a tracking server already; run `lifecycle watch` beside it")


def test_a_server_that_does_not_start_is_told(tracking: str, port: int, tmp_path: Path):
    words = ("ui", "--port", str(port), "--backend", "nonsense://x")
    failed(run(*words, package="registry", folder=tmp_path), says="the ledger is a database that all its clients share")
