"""The guarded server, asked over sockets: keys, scopes, rates, limits, floods, and what never leaks."""

import concurrent.futures
import gzip
import http.client
import json
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serving.server.guard.keys import Key, make, write
from serving.server.guard.rates import Rate
from tests.patience import soon
from tests.serving.server import cards, warm
from tests.serving.server.servers import Server, wait

SERVED = cards.served(
    cards.model("tariff", cards.line()),
    cards.model("tenants", cards.people()),
    default="tariff",
)
ROW = {"dataframe_split": {"columns": ["x"], "data": [[3.0]]}}
#: All paths that answer without a key where keys are set: health, and files that say nothing of a model.
OPEN = ["/ping", "/health", "/ready", "/live", "/v2/health/live", "/v2/health/ready", "/", "/page/page.js", "/docs"]
#: Some that do not.
CLOSED = [
    *("/models", "/models/tariff", "/models/tariff/ping", "/v2/models/tariff", "/v1/models/tariff", "/openapi.json"),
    *("/page", "/page/numbers", "/page?model=tariff", "/metrics", "/v2"),
]


class Guarded:
    """A server of two workers with keys of several kinds."""

    def __init__(self, folder: Path):
        kinds = {
            "ann": {},
            "bob": {"models": frozenset({"tenants"})},
            "prometheus": {"uses": frozenset({"metrics"})},
            "slow": {"rate": Rate.parse("20/h")},
        }
        self.keys: dict[str, Key] = {}
        self.secrets: dict[str, str] = {}
        for name, facts in kinds.items():
            self.secrets[name], self.keys[name] = make(name, **facts)
        self.file = folder / "keys.json"
        self.keep(*self.keys.values())
        words = ["--workers", "2", "--keys", str(self.file), "--max-body", "1000000", "--default", "tariff"]
        self.server = warm.warm(SERVED, folder, *words)

    def keep(self, *keys: Key) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(write(keys))
        os.replace(part, self.file)

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[name]}"}

    def get(self, path: str, name: str | None = None):
        return self.server.get(path, self.bearer(name) if name else None)

    def post(self, name: str | None = None, path: str = "/invocations", content=ROW, **headers: str):
        return self.server.post(path, content, {**(self.bearer(name) if name else {}), **headers})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("guarded"))
    with made.server:
        up(made.server)
        yield made


def up(server: Server) -> None:
    """Wait until it answers."""

    def answers() -> bool:
        try:
            return server.get("/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait(answers, lambda: server.err)


@pytest.mark.parametrize("path", OPEN)
def test_health_and_bare_files_ask_for_no_key_and_name_no_model(guarded, path):
    found = guarded.get(path)
    assert found.status == 200
    assert not re.search(rb"tariff|tenants|rooms", found.body)


@pytest.mark.parametrize("path", CLOSED)
def test_all_else_asks_for_one(guarded, path):
    found = guarded.get(path)
    told = {"error"} if path.startswith(("/v1", "/v2")) else {"error_code", "message"}
    assert (found.status, set(found.json)) == (401, told)
    assert found.headers["www-authenticate"] == "Bearer"
    assert guarded.get(path, "prometheus" if path == "/metrics" else "ann").status == 200


@pytest.mark.parametrize(
    "path",
    ["/invocations", "/predict", "/models/tariff/invocations", "/v2/models/tariff/infer", "/v1/models/tariff:predict"],
)
def test_no_protocol_answers_without_a_key(guarded, path):
    assert guarded.post(None, path).status == 401


def test_predictions_go_through_torchserves_path_with_a_key_alone(guarded):
    assert guarded.post(None, "/predictions/tariff").status == 401
    assert guarded.post("ann", "/predictions/tariff").status == 200


def test_a_key_is_told_nothing_of_models_that_are_not_its_own(guarded):
    assert guarded.post("ann").json["predictions"] == [pytest.approx(7.0)]
    for path in ("/invocations", "/models/tariff/invocations", "/models/none/invocations", "/predictions/tariff"):
        found = guarded.post("bob", path)
        assert (found.status, found.headers["www-authenticate"]) == (403, 'Bearer error="insufficient_scope"')
    assert guarded.post("bob", "/models/tenants/invocations", {"inputs": [cards.PERSON]}).status == 200
    for path in ("/models", "/openapi.json", "/page", "/page/numbers", "/v2/repository/index"):
        method = "POST" if path.startswith("/v2") else "GET"
        found = guarded.server.ask(method, path, headers=guarded.bearer("bob"))
        if found.status != 404:
            assert b"tenants" in found.body, path
            assert not re.search(rb"tariff", found.body), path
    assert guarded.get("/models/tariff", "bob").status == 403
    assert b"No such model" in guarded.get("/page?model=tariff", "bob").body


def test_a_wrong_key_is_refused_and_repeated_nowhere(guarded):
    wrong = "mlk_" + "w" * 43
    found = guarded.post(None, Authorization=f"Bearer {wrong}")
    assert (found.status, found.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    for word in (wrong, guarded.secrets["ann"]):
        assert guarded.post(None, f"/models/{word}/invocations").status == 401
        assert guarded.get(f"/{word}?key={word}").status == 404
    assert guarded.post("ann").status == 200

    def logged() -> bool:
        return guarded.server.out.count("mlk_***") >= 4

    wait(logged, lambda: guarded.server.out)
    family = [psutil.Process(guarded.server.process.pid), *psutil.Process(guarded.server.process.pid).children(True)]
    seen = " ".join(" ".join(one.cmdline()) + str(one.environ()) for one in family)
    seen += guarded.server.out + guarded.server.err + guarded.get("/metrics", "prometheus").body.decode()
    for secret in (wrong, *guarded.secrets.values()):
        assert secret not in seen
        assert secret.removeprefix("mlk_") not in seen


def test_a_rate_is_exact_over_two_workers(guarded):
    # A connection to each: while one does not run, the other takes it.
    connections, workers = [], guarded.server.children("worker")
    for worker in workers:
        worker.suspend()
        try:
            connections.append(http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=30))
            connections[-1].request("GET", "/ping")
            found = connections[-1].getresponse()
            found.read()
            connections[-1].worker = found.headers["x-request-id"].partition("-")[0]
        finally:
            worker.resume()
    assert len({connection.worker for connection in connections}) == len(workers) == 2

    def ask(connection: http.client.HTTPConnection) -> Counter:
        statuses: Counter = Counter()
        for _ in range(30):
            connection.request("POST", "/invocations", json.dumps(ROW), headers)
            answer = connection.getresponse()
            assert answer.headers["x-request-id"].startswith(connection.worker)
            statuses[answer.status] += 1
            body = answer.read()
            if answer.status == 429:
                assert json.loads(body)["error_code"] == "REQUEST_LIMIT_EXCEEDED"
                assert 0 < int(answer.headers["retry-after"]) <= 180
        return statuses

    headers = {"Content-Type": "application/json", **guarded.bearer("slow")}
    with concurrent.futures.ThreadPoolExecutor(2) as many:
        first, second = many.map(ask, connections)
    assert first + second == {200: 20, 429: 40}
    for connection in connections:
        connection.close()


def test_a_change_of_the_file_holds_soon_and_a_broken_one_changes_nothing(guarded):
    secret, key = make("new")
    guarded.secrets["new"] = secret
    try:
        guarded.keep(*guarded.keys.values(), key)
        both(guarded, "new", 200)
        guarded.file.write_text("{")
        guarded.server.says("the previous keys stay valid")
        time.sleep(1.2)
        assert {guarded.post("new").status for _ in range(20)} == {200}
        guarded.keep(*guarded.keys.values())
        both(guarded, "new", 401)
        assert guarded.post("ann").status == 200
    finally:
        guarded.keep(*guarded.keys.values())


def both(guarded: Guarded, name: str, status: int) -> None:
    """Wait until every worker answers a key so."""
    wait(lambda: {guarded.post(name).status for _ in range(20)} == {status}, lambda: guarded.server.err)


def test_every_answer_has_the_headers_and_none_names_the_server(guarded):
    answers = [
        guarded.get("/"),
        guarded.get("/nowhere"),
        guarded.get("/ping"),
        guarded.get("/page/page.css"),
        guarded.post("ann"),
        guarded.post(None),
        guarded.server.ask("DELETE", "/invocations"),
    ]
    for found in answers:
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
        assert "server" not in found.headers
        assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", found.headers["x-request-id"])


def test_an_id_that_a_client_gives_comes_back_where_it_is_sane(guarded):
    assert guarded.get("/ping", None).headers["x-request-id"] != ""
    assert guarded.server.get("/ping", {"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert guarded.server.get("/ping", {"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


# ---- What is too much ----


def test_a_body_over_the_limit_is_refused_before_it_is_sent(guarded):
    head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: {guarded.bearer('ann')['Authorization']}\r\nContent-Length: 500000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"[1")
        assert b" 413 " in connection.recv(4096).partition(b"\r\n")[0]


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(guarded):
    def chunks():
        yield from [b"x" * 100_000] * 1000

    before = resident(guarded.server)
    connection = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=20)
    headers = {"Content-Type": "application/json", **guarded.bearer("ann")}
    # Of 100 MB the server takes one, throws more away for a while, and then has had enough.
    with pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken pipe"):
        connection.request("POST", "/invocations", chunks(), headers, encode_chunked=True)
    connection.close()
    assert resident(guarded.server) - before < 40e6


@pytest.mark.parametrize(
    "bomb",
    [lambda: gzip.compress(b"[" + b" " * 300_000_000 + b"]", 1), lambda: gzip.compress(gzip.compress(b"0" * 10**8, 1))],
    ids=["blanks", "twice"],
)
def test_a_gzip_bomb_costs_neither_memory_nor_an_answer(guarded, bomb):
    before = resident(guarded.server)
    found = guarded.post("ann", content=bomb(), **{"Content-Encoding": "gzip"})
    assert found.status in (400, 413)
    assert resident(guarded.server) - before < 40e6
    assert guarded.post("ann").status == 200


def resident(server: Server) -> int:
    """The memory of all workers."""
    return sum(worker.memory_info().rss for worker in server.children("worker"))


def test_a_flood_without_keys_leaves_room_for_those_who_have_one(guarded):
    def flood(_: int) -> int:
        with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=30) as connection:
            request = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
            connection.sendall(request * 200 + b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            found = b""
            while more := connection.recv(65536):
                found += more
        return found.count(b" 401 ")

    before = resident(guarded.server)
    with concurrent.futures.ThreadPoolExecutor(10) as many:
        floods = [many.submit(flood, number) for number in range(40)]
        answers = [guarded.post("ann").status for _ in range(20)]
        assert sum(one.result() for one in floods) == 40 * 200
    assert answers == [200] * 20
    assert resident(guarded.server) - before < 30e6


def test_who_announces_a_body_and_sends_none_keeps_nobody_out(guarded):
    head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"
    head += f"Authorization: {guarded.bearer('ann')['Authorization']}\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", guarded.server.port)) for _ in range(60)]
    try:
        for connection in slow:
            connection.sendall(head.encode() + b'{"inputs": [')
        time.sleep(0.3)
        big = {"inputs": [[float(number)] for number in range(20_000)]}
        assert {guarded.post("ann", content=big).status for _ in range(5)} == {200}
    finally:
        for connection in slow:
            connection.close()
    wait(lambda: guarded.post("ann").status == 200)


@pytest.mark.parametrize("path", ["/ping", "/", "/live", "/docs"])
def test_a_body_for_what_is_open_to_everybody_takes_no_room(guarded, path):
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", guarded.server.port)) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(head + b"x" * 900_000)
            connection.settimeout(10)
            # It is answered before the body is there.
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        big = {"inputs": [[float(number)] for number in range(20_000)]}
        assert {guarded.post("ann", content=big).status for _ in range(5)} == {200}
    finally:
        for connection in slow:
            connection.close()


# ---- Overload ----


def test_overload_is_shed_and_health_is_not(tmp_path):
    words = ["--max-pending", "3", "--default", "tenants"]
    with warm.warm(SERVED, tmp_path, *words) as server:
        up(server)
        rows = {"inputs": [cards.PERSON] * 6000, "params": {"output": "explain"}}
        body = json.dumps(rows).encode()

        def ask(_: int):
            return server.post("/invocations", body, timeout=60)

        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as many:
            asked = [many.submit(ask, number) for number in range(16)]
            pings = []
            while not all(one.done() for one in asked):
                pings.append(server.get("/ping").status)
                pings.append(server.get("/metrics").status)
                time.sleep(0.02)
            found = [one.result() for one in asked]
        assert time.monotonic() - began < soon(50)
        statuses = Counter(answer.status for answer in found)
        assert set(statuses) == {200, 503}
        assert statuses[200] >= 3
        refused = next(answer for answer in found if answer.status == 503)
        assert refused.json["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert refused.headers["retry-after"] == "1"
        assert set(pings) == {200}
        told = server.get("/metrics").body.decode()
        assert f'serving_refused_total{{key="",reason="busy"}} {statuses[503]}.0' in told
        assert server.post("/invocations", {"inputs": [cards.PERSON]}).status == 200


def test_metrics_do_not_wait_for_large_requests(tmp_path):
    with warm.warm(SERVED, tmp_path, "--default", "tenants") as server:
        up(server)
        assert server.get("/metrics").status == 200
        body = json.dumps({"inputs": [cards.PERSON] * 10_000, "params": {"output": "explain"}}).encode()
        with concurrent.futures.ThreadPoolExecutor(8) as many:
            asked = [many.submit(server.post, "/invocations", body, timeout=60) for _ in range(8)]
            wait(lambda: any(one.done() for one in asked))
            found = server.get("/metrics")
            done = sum(one.done() for one in asked)
            assert [one.result().status for one in asked] == [200] * 8
        assert found.status == 200
        assert done < len(asked)


def test_a_server_without_keys_may_limit_addresses(tmp_path):
    with warm.warm(SERVED, tmp_path, "--rate", "5/h", "--workers", "2") as server:
        up(server)
        found = Counter(server.post("/models/tariff/invocations", ROW).status for _ in range(12))
        assert found == {200: 5, 429: 7}
        assert server.get("/ping").status == 200


def test_keys_come_from_the_environment_too_and_metrics_may_be_open(tmp_path):
    secret, key = make("ann")
    words = ["--host", "0.0.0.0", "--open-metrics", "yes"]
    with warm.warm(SERVED, tmp_path, *words, env={"SERVING_KEYS": write([key])}) as server:
        up(server)
        assert server.post("/models/tariff/invocations", ROW).status == 401
        assert server.post("/models/tariff/invocations", ROW, {"Authorization": f"Bearer {secret}"}).status == 200
        assert server.get("/metrics").status == 200
        # A worker that dies while it is asked is followed by one that knows the keys.
        for worker in server.children("worker"):
            worker.kill()
        wait(lambda: _status(server, secret) == 200, lambda: server.err)


def _status(server: Server, secret: str) -> int:
    try:
        return server.post("/models/tariff/invocations", ROW, {"Authorization": f"Bearer {secret}"}).status
    except (OSError, http.client.HTTPException):
        return 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--keys", "none.json"], "none.json"),
        (["--keys", "bad.json"], "expected keys as JSON"),
        (["--rate", "fast"], "a rate is written as"),
        (["--host", "0.0.0.0"], "no keys are set"),
    ],
)
def test_a_server_does_not_start_where_its_guard_is_wrong(tmp_path, words, says):
    from tests.command import failed, run

    (tmp_path / "bad.json").write_text("{")
    failed(run("serve", *words, folder=tmp_path, package="serving"), says=says)
