"""A server that is watched: counts over all workers, through their deaths, and a log without anybody's data."""

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from serving.server.state import Served
from tests.serving.server import cards, warm
from tests.serving.server.servers import ROOT, Server, wait

#: Values that no log line, no metric and no error may repeat.
SECRET = "4711.0815"
HOSTILE = 'a "b" {c}'


def models(slope: float = 2.0, *, generation: int = 1) -> Served:
    return cards.served(
        cards.model("line", cards.line(slope)),
        cards.model("people", cards.people(), challenger=cards.people(1), mode="canary", weight=0.5),
        cards.model(HOSTILE, cards.line()),
        default="line",
        generation=generation,
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def server(folder) -> Iterator[Server]:
    with warm.warm(models(), folder, "--workers", "2", "--default", "line") as found:
        up(found)
        yield found


def up(server: Server) -> None:
    def answers() -> bool:
        try:
            return server.get("/ready").status == 200 and told(server)["serving_workers",] == len(
                server.children("worker")
            )
        except (OSError, http.client.HTTPException):
            return False

    wait(answers, lambda: server.err)


def told(server: Server) -> dict:
    """All samples, by name and labels."""
    found = server.get("/metrics")
    assert found.status == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families(found.body.decode())
        for sample in family.samples
    }


def requests(server: Server, **wanted: str) -> float:
    """How many requests with these labels there were."""
    return sum(
        value
        for (name, *labels), value in told(server).items()
        if name == "serving_requests_total" and wanted.items() <= dict(labels).items()
    )


class Pair:
    """A connection to each of two workers."""

    def __init__(self, server: Server):
        self.workers = server.children("worker")
        self.connections = []
        for away in self.workers:
            # While one does not run, the other takes the connection.
            away.suspend()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                connection.request("GET", "/live")
                connection.getresponse().read()
            finally:
                away.resume()
            self.connections.insert(0, connection)

    def post(self, place: int, times: int) -> None:
        for _ in range(times):
            body = json.dumps({"inputs": [[1.0]]})
            self.connections[place].request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = self.connections[place].getresponse()
            answer.read()
            assert answer.status == 200

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def test_counts_are_those_of_all_workers_whichever_is_asked(server):
    pair = Pair(server)
    pair.post(0, 30)
    pair.post(1, 12)
    line = 'serving_requests_total{model="line",protocol="mlflow",status="200",version="3"} 42.0\n'
    for connection in pair.connections:

        def text(asked=connection) -> str:
            asked.request("GET", "/metrics")
            return asked.getresponse().read().decode()

        # Each hears of the other a moment later.
        wait(lambda ask=text: line in ask(), text)
        assert 'serving_request_seconds_count{model="line",protocol="mlflow"} 42.0\n' in text()
        assert 'serving_rows_total{model="line",version="3"} 42.0\n' in text()
    pair.close()


def test_counts_survive_a_worker_that_is_killed(server):
    pair = Pair(server)
    pair.post(0, 30)
    pair.post(1, 12)
    wait(lambda: requests(server, model="line") == 42)
    time.sleep(0.5)  # what was counted in the last moment is lost with a worker
    os.kill(pair.workers[0].pid, signal.SIGKILL)
    pair.close()
    wait(lambda: len(server.children("worker")) == 2, lambda: server.err)
    up(server)
    assert requests(server, model="line") == 42
    for _ in range(8):
        assert server.post("/invocations", {"inputs": [[1.0]]}).status == 200
    wait(lambda: requests(server, model="line") == 50, lambda: str(told(server)))
    # The one that came has the place of the one that went.
    slots = {dict(labels)["worker"] for name, *labels in told(server) if name == "serving_worker_generation"}
    assert slots == {"0", "1"}


def test_what_a_client_makes_up_makes_no_series(server):
    before = len(told(server))
    for number in range(50):
        assert server.post(f"/models/made-up-{number}/invocations", {"inputs": [[1.0]]}).status == 404
        assert server.post(f"/v2/models/made-up-{number}/infer", {}).status == 404
        assert server.get(f"/made-up-{number}").status == 404
        assert server.ask("MADEUP" if number % 2 else "PUT", "/invocations").status in (400, 405)
    time.sleep(0.4)
    text = server.get("/metrics").body.decode()
    assert "made-up" not in text
    assert len(told(server)) - before < 120  # a histogram for each of three protocols, and a few statuses
    path = f"/models/{quote(HOSTILE, safe='')}/invocations"
    assert server.post(path, {"inputs": [[1.0]]}).status == 200
    wait(lambda: requests(server, model=HOSTILE) == 1)


def test_each_version_that_answers_is_counted(server):
    for number in range(40):
        row = {**cards.PERSON, "age": number}
        assert server.post("/models/people/invocations", {"inputs": [row]}).status == 200
    name, *labels = "serving_rows_total", ("model", "people")
    found: list[float] = []

    def counted() -> bool:
        rows = told(server)
        found[:] = [rows.get((name, *labels, ("version", version)), 0) for version in ("3", "4")]
        return sum(found) == 40

    wait(counted, lambda: str(found))
    assert min(found) > 5


def test_a_swap_is_counted_once_a_worker(server, folder):
    generations = [("serving_worker_generation", ("worker", worker)) for worker in ("0", "1")]
    wait(lambda: [told(server).get(one) for one in generations] == [1, 1], lambda: str(told(server)))
    warm.keep(models(3.0, generation=2), folder)
    swaps = [("serving_swaps_total", ("model", "line"), ("worker", worker)) for worker in ("0", "1")]
    wait(lambda: [told(server).get(swap) for swap in swaps] == [1, 1], lambda: str(told(server)))
    assert not [name for name in told(server) if name[0] == "serving_swaps_total" and name not in swaps]
    wait(lambda: [told(server).get(one) for one in generations] == [2, 2], lambda: str(told(server)))
    assert told(server)["serving_registry_age_seconds",] < 60


def test_a_log_line_says_who_asked_what_and_nothing_of_the_data(server):
    asked = [
        server.post("/invocations", {"inputs": [[float(SECRET)]]}, {"X-Request-Id": "mine-1"}),
        server.post("/invocations", {"inputs": [[SECRET + "x"]]}, {"X-Request-Id": "mine-2"}),
        server.post("/invocations", SECRET.encode() + b"{", {"X-Request-Id": "mine-3"}),
        server.get(f"/nowhere?key={SECRET}", {"X-Request-Id": "mine-4", "Authorization": f"Bearer {SECRET}"}),
        server.post(
            "/models/people/invocations", {"inputs": [{**cards.PERSON, "été": SECRET}]}, {"X-Request-Id": "mine-5"}
        ),
        server.get("/ping", {"X-Request-Id": "mine-6"}),
    ]
    assert [answer.status for answer in asked] == [200, 400, 400, 404, 200, 200]

    def lines() -> dict[str, dict]:
        return {line["id"]: line for line in map(json.loads, server.out.splitlines())}

    wait(lambda: {f"mine-{number}" for number in range(1, 6)} <= lines().keys(), lambda: server.out)
    found = lines()
    assert "mine-6" not in found  # that it lives is no news
    first = found["mine-1"]
    assert 0 < first.pop("ms") < 1000
    assert first.pop("time").endswith("Z")
    assert first == {
        **{"id": "mine-1", "method": "POST", "path": "/invocations", "status": 200, "client": "127.0.0.1"},
        **{"protocol": "mlflow", "model": "line", "version": "3", "rows": 1},
    }
    assert found["mine-2"]["error"] == "INVALID_PARAMETER_VALUE"
    assert found["mine-3"]["error"] == "BAD_REQUEST"
    assert (found["mine-4"]["path"], found["mine-4"]["error"]) == ("/nowhere", "ENDPOINT_NOT_FOUND")
    assert found["mine-5"]["version"] in ("3", "4")
    assert [answer.headers["x-request-id"] for answer in asked] == [f"mine-{number}" for number in range(1, 7)]
    everything = server.out + server.err + server.get("/metrics").body.decode()
    assert SECRET not in everything
    assert SECRET not in "".join(answer.body.decode() for answer in asked[1:])


def test_the_last_lines_are_written_when_it_stops(server):
    for number in range(20):
        server.get("/models", {"X-Request-Id": f"last-{number}"})
    assert server.stop() == 0
    found = [json.loads(line)["id"] for line in server.out.splitlines()]
    assert {f"last-{number}" for number in range(20)} <= set(found)


def test_a_log_that_nobody_reads_stops_no_answer(folder):
    server = warm.warm(models(), folder, "--default", "line")
    words = [sys.executable, "-m", "serving", "serve", "--port", "0", *server.words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **server.env}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=folder, env=environment, text=True, **pipes)
    try:
        # Of its two pipes only the one that it says its port on is read.
        server.port = int(re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())[1])
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        wait(lambda: listening(server) and server.get("/ready").status == 200)
        for _ in range(300):
            assert server.post("/invocations", {"inputs": [[1.0]]}).status == 200
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_metrics_and_log_may_be_off(folder):
    with warm.warm(models(), folder, "--metrics", "no", "--log", "no") as server:
        wait(lambda: listening(server) and server.get("/ready").status == 200, lambda: server.err)
        assert server.get("/metrics").status == 404
        assert server.post("/models/line/invocations", {"inputs": [[1.0]]}).status == 200
        assert server.stop() == 0
        assert server.out == ""


def listening(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0
