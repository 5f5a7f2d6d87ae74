"""The access log: what a line says, what it never says, and what happens when nobody reads."""

import fcntl
import json
import multiprocessing
import os
import re
import termios
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.server.telemetry import access_log
from serving.server.telemetry.access_log import AccessLog, Ids
from serving.server.telemetry.flusher import Flusher
from serving.server.telemetry.metrics import Metrics
from tests.patience import soon


class Reader:
    """A log, and what was written to it."""

    def __init__(self):
        self.end, self.file = os.pipe()
        os.set_blocking(self.end, False)
        self.log = AccessLog(self.file)

    def lines(self) -> list[dict]:
        self.log.flush()
        try:
            content = os.read(self.end, 1 << 20)
        except BlockingIOError:
            return []
        assert content.endswith(b"\n")
        return [json.loads(line) for line in content.splitlines()]

    def close(self) -> None:
        os.close(self.end)
        os.close(self.file)


@pytest.fixture
def reader():
    made = Reader()
    yield made
    made.close()


def test_a_line_says_what_was_asked_of_whom(reader):
    reader.log.write(
        method="POST",
        path="/invocations",
        seconds=0.0012345,
        id="abc",
        status=200,
        client="192.0.2.1",
        key="ann",
        protocol="mlflow",
        model="diabetes",
        version="3",
        rows=2,
    )
    (line,) = reader.lines()
    assert abs(time.time() - time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        **{"id": "abc", "method": "POST", "path": "/invocations", "status": 200, "ms": 1.234, "client": "192.0.2.1"},
        **{"key": "ann", "protocol": "mlflow", "model": "diabetes", "version": "3", "rows": 2},
    }


@given(st.text(max_size=300), st.text(max_size=10))
def test_any_path_is_one_line_of_json(path, method):
    reader = Reader()
    try:
        reader.log.write(method=method, path=path, seconds=0, id="x", status=404)
        (line,) = reader.lines()
        assert line["method"] == method
        assert line["path"] == (path if len(path) <= 200 else path[:200] + "...")
    finally:
        reader.close()


def test_a_path_that_is_no_text_is_written_all_the_same(reader):
    reader.log.write(method="GET", path="/\udcff", seconds=0, id="x", status=404)
    assert reader.lines()[0]["path"] == "/?"


def test_a_key_in_a_path_is_blanked(reader):
    reader.log.write(method="GET", path="/models/mlk_abc-DEF_123/x", seconds=0, id="x", status=404)
    assert reader.lines()[0]["path"] == "/models/mlk_***/x"


def _logs(file: int, turns: Path, name: str, begin) -> None:
    log = AccessLog(file, turns)
    begin.wait()
    for number in range(40):
        for part in range(50):
            log.write(
                method="GET", path="/" + name * (20 + number), seconds=0, id=f"{name}-{number}-{part}", status=200
            )
        log.flush()


def test_lines_of_several_workers_do_not_run_into_each_other(reader, tmp_path):
    context = multiprocessing.get_context("fork")
    begin = context.Barrier(3)
    workers = [context.Process(target=_logs, args=(reader.file, tmp_path / "log", name, begin)) for name in "abc"]
    for worker in workers:
        worker.start()
    content, deadline = b"", time.monotonic() + 60
    while content.count(b"\n") < 3 * 40 * 50:
        assert time.monotonic() < deadline
        try:
            content += os.read(reader.end, 10_000)
        except BlockingIOError:
            time.sleep(0.001)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = [json.loads(line)["id"] for line in content.splitlines()]
    assert len(set(found)) == len(found) == 3 * 40 * 50


def test_a_worker_that_is_killed_in_the_middle_of_a_line_spoils_no_other(reader, tmp_path):
    if (child := os.fork()) == 0:
        log = AccessLog(reader.file, tmp_path / "log")
        for _ in range(5000):  # more than a pipe takes
            log.write(method="GET", path="/killed", seconds=0, id="killed", status=200)
        log.flush()
        os._exit(1)
    deadline = time.monotonic() + 20
    while fcntl.ioctl(reader.end, termios.FIONREAD, b"\0\0\0\0") != (1 << 16).to_bytes(4, "little"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    spoilt = os.read(reader.end, 1 << 20)
    log = AccessLog(reader.file, tmp_path / "log")
    for _ in range(2):
        log.write(method="GET", path="/", seconds=0, id="next", status=200)
        log.flush()
    spoilt += os.read(reader.end, 1 << 20)
    *killed, torn, first, second = spoilt.split(b"\n")[:-1]
    assert not torn.endswith(b"}")
    assert {json.loads(line)["id"] for line in killed} == {"killed"}
    assert [json.loads(line)["id"] for line in (first, second)] == ["next", "next"]


def test_a_log_that_nobody_reads_stops_nobody(reader, monkeypatch):
    monkeypatch.setattr(access_log, "MOST", 1000)
    beat = Flusher(Metrics(), reader.log)
    began = time.monotonic()
    for _ in range(5000):
        reader.log.write(method="GET", path="/" + "x" * 150, seconds=0, id="x", status=200)
        if _ % 100 == 0:
            time.sleep(0.01)
    assert time.monotonic() - began < soon(10)
    assert reader.log.dropped > 1000
    # And goes on when somebody reads again.
    deadline = time.monotonic() + 10
    content = b""
    while content.count(b"\n") + reader.log.dropped < 5000:
        assert time.monotonic() < deadline
        try:
            content += os.read(reader.end, 1 << 20)
        except BlockingIOError:
            time.sleep(0.01)
    beat.close()
    assert all(json.loads(line) for line in content.splitlines())


def test_a_log_whose_reader_is_gone_stops_nobody(reader):
    reader.log.write(method="GET", path="/", seconds=0, id="x", status=200)
    os.close(reader.end)
    reader.log.flush()
    assert reader.log.dropped == 1
    reader.end = os.open(os.devnull, os.O_RDONLY)


def test_lines_are_written_soon_and_at_the_end(reader):
    beat = Flusher(Metrics(), reader.log)
    reader.log.write(method="GET", path="/", seconds=0, id="1", status=200)
    deadline = time.monotonic() + 5
    while True:
        try:
            content = os.read(reader.end, 4096)
            break
        except BlockingIOError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert json.loads(content)["id"] == "1"
    reader.log.write(method="GET", path="/", seconds=0, id="2", status=200)
    beat.close()
    assert json.loads(os.read(reader.end, 4096))["id"] == "2"


def test_none_is_lost_between_writer_and_thread(reader):
    log = reader.log
    over = threading.Event()
    content: list[bytes] = []

    def flush() -> None:
        while not over.is_set():
            log.flush()

    def read() -> None:  # beside it, for a flush waits while the pipe is full
        while not over.is_set():
            try:
                content.append(os.read(reader.end, 1 << 20))
            except BlockingIOError:
                time.sleep(0.001)

    threads = [threading.Thread(target=flush), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for number in range(10_000):
        log.write(method="GET", path="/", seconds=0, id=str(number), status=200)
        if number % 50 == 0:
            time.sleep(0)
    deadline = time.monotonic() + 20
    while b"".join(content).count(b"\n") + log.dropped < 10_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    found = [json.loads(line)["id"] for line in b"".join(content).splitlines()]
    assert len(found) + log.dropped == 10_000
    assert found == sorted(found, key=int)


def test_ids_are_the_clients_where_they_are_sane():
    ids = Ids()
    for given_id in ("abc", "A-1.b_c:d", "x" * 64, "0f8fad5b-d9cb-469f-a165-70867728950e"):
        assert ids.id(given_id.encode()) == given_id
    made = [
        ids.id(bad) for bad in (None, b"", b"x" * 65, b"a b", b'a"b', b"a\nb", b"\xff", b"a\r\nset-cookie: x", b"<b>")
    ]
    made += [Ids().id() for _ in range(20)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", one) for one in made)
