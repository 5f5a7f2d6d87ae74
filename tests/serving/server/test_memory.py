"""A worker stays within its memory, whatever it is asked, and goes on answering meanwhile."""

import base64
import contextlib
import gzip
import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from sklearn.linear_model import LogisticRegression

from registry.cli.sizes import parse_size
from serving.contract import Limits, RequestError
from serving.scorecard import Input
from serving.scorecard import compile as compile_pipeline
from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
from serving.server.cache_reader import CacheReader
from serving.server.guard.admission import Admission
from serving.server.memory import LEAST, RESERVED, Pool, Shares
from serving.server.settings import ServerSettings
from tests.serving.server import cards
from tests.serving.server.running import running
from tests.serving.server.servers import MIXED, NUMBERS, Server, classification, model, regression, wait

LIMIT = 256 * 2**20
BODY = 16 * 2**20
JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
PARQUET = "application/vnd.apache.parquet"

#: The largest table that is answered: 100,000 rows.
ROWS = 100_000


def many_classes():
    """A model of one number and 300 classes: its answers are much larger than its questions."""
    random = np.random.default_rng(0)
    table, labels = random.normal(size=(1500, 1)), [f"class number {place % 300}" for place in range(1500)]
    return compile_pipeline(LogisticRegression(max_iter=3).fit(table, labels), [Input("x", "number", null=False)])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("memory")
    words = [
        f"plain={model(folder / 'plain', regression())}",
        f"mixed={model(folder / 'mixed', classification())}",
        f"many={model(folder / 'many', many_classes())}",
    ]
    with Server(["--max-memory", "256MiB", "--default", "plain", "--log", "no", *words], folder) as found:
        yield found.ready("plain", "mixed", "many")


def worker(server: Server) -> psutil.Process:
    """The one worker."""
    (found,) = server.children("worker")
    return found


def status(process: psutil.Process, name: str) -> int:
    """A line of what the system knows of a process, in bytes."""
    with open(f"/proc/{process.pid}/status") as file:
        (line,) = (line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


class Asking:
    """A client that asks for one row again and again; ``slowest`` in seconds."""

    def __init__(self, server: Server):
        self._server, self._over = server, threading.Event()
        self.slowest, self.answered, self.wrong = 0.0, 0, ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Asking":
        self._thread.start()
        wait(lambda: self.answered > 0 or self.wrong != "")
        return self

    def __exit__(self, *_: object) -> None:
        answered = self.answered
        wait(lambda: self.answered > answered or self.wrong != "")
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=120)
        body = json.dumps({"dataframe_records": [NUMBERS]})
        try:
            began = None
            while not self._over.wait(0.005):
                began = began or time.monotonic()
                connection.request("POST", "/models/plain/invocations", body, {"Content-Type": JSON})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == 503:
                    continue  # the machine is busy with others; the wait goes on
                self.slowest, began = max(self.slowest, time.monotonic() - began), None
                if answer.status != 200:
                    self.wrong = f"{answer.status} {content.decode()}"
                    return
                self.answered += 1
        except (OSError, http.client.HTTPException) as error:
            self.wrong = repr(error)
        finally:
            connection.close()


def table(columns: dict, **options) -> bytes:
    """A Parquet file."""
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def full(item: bytes, before: bytes = b"[", after: bytes = b"]") -> bytes:
    """As many items as a body holds."""
    count = (BODY - len(before) - len(after)) // (len(item) + 1)
    return before + b",".join([item] * count) + after


def tensor(raw: bytes, **about) -> tuple[bytes, dict[str, str]]:
    """A binary tensor and its header."""
    head = json.dumps({"inputs": [{"name": "x", **about, "parameters": {"binary_data_size": len(raw)}}]}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def members(size: int) -> bytes:
    """gzip in many members, each of which unpacks to a megabyte."""
    return gzip.compress(b" " * 2**20) * size


ONE = {"age": [40.0], "weight": [71.5]}
#: path, Content-Type, body, further headers. Bodies are made when they are sent.
Bomb = tuple[str, str, Callable[[], bytes], dict[str, str]]


def _bombs() -> dict[str, Bomb]:
    plain, predict, many = "/models/plain/invocations", "/models/plain/predict", "/models/many/invocations"
    v2, v1 = "/v2/models/many/infer", "/v1/models/many"
    number = "9" * 10_000
    found: dict[str, Bomb] = {}

    def add(name: str, body: Callable[[], bytes], kind: str = JSON, path: str = plain, **headers: str) -> None:
        found[name] = (path, kind, body, {key.replace("_", "-"): value for key, value in headers.items()})

    add("objects", lambda: full(b"{}"), path=predict)
    add("lists", lambda: full(b"[]"), path=predict)
    add("lists of one", lambda: full(b"[1]", b'{"instances":[', b"]}"))
    add("objects of one", lambda: full(b'{"a":1}', b'{"dataframe_records":[', b"]}"))
    add("objects in objects", lambda: full(b'{"a":{"b":{}}}', b'{"dataframe_records":[', b"]}"))
    add("numbers", lambda: full(b"1.5", b'{"inputs":{"age":[', b"]}}"))
    add("rows of a number", lambda: full(b"1.5", b'{"instances":[', b"]}"), path=many)
    add("short texts", lambda: full(b'"ab"', b'{"inputs":{"age":[', b"]}}"))
    add("wide texts", lambda: full('"😀"'.encode(), b'{"inputs":{"age":[', b"]}}"))
    add("escaped texts", lambda: full(rb'"\u20ac\n\""', b'{"inputs":{"age":[', b"]}}"))
    add("one text", lambda: json.dumps({"instances": [["a" * (BODY - 100)]]}).encode())
    add("one wide text", lambda: ('{"instances":[["' + "a" * (BODY - 100) + '😀"]]}').encode())
    add("no JSON at the end", lambda: full(b"1.5", b'{"inputs":{"age":[', b"]}"))
    add("deep lists", lambda: b"[" * BODY)
    add("deep objects", lambda: b'{"a":' * (BODY // 5))
    add("long numbers", lambda: full(number.encode(), b'{"instances":[[', b"]]}"))
    add("one number", lambda: b'{"instances":[[' + b"9" * (BODY - 100) + b"]]}")
    add("one fraction", lambda: b'{"instances":[[0.' + b"1" * (BODY - 100) + b"]]}")
    add("one key again", lambda: b"{" + b",".join([b'"age":1'] * (BODY // 8 - 2)) + b"}")
    add("different keys", lambda: b"{" + b",".join(b'"%07x":1' % key for key in range(BODY // 12 - 2)) + b"}")
    add(
        "a key for each row",
        lambda: b'{"dataframe_records":[' + b",".join(b'{"%05x":1}' % row for row in range(ROWS)) + b"]}",
    )
    add(
        "names",
        lambda: json.dumps(
            {"dataframe_split": {"columns": [*(f"{place:x}" for place in range(600_000)), "0"], "data": [[1]]}}
        ).encode(),
    )
    add("lines of lists", lambda: b"[]\n" * (BODY // 3), LINES)
    add("empty lines", lambda: b"\n" * BODY, LINES)
    add("lines of numbers", lambda: b"1\n" * (BODY // 2), LINES)
    add("CSV of many rows", lambda: b"age,weight\n" + b"1,1\n" * 4_000_000, CSV)
    add("CSV of short rows", lambda: b"age,weight\n" + b"1\n" * 8_000_000, CSV)
    add("CSV of empty lines", lambda: b"age,weight\n" + b"\n" * (BODY - 11), CSV)
    add("CSV of returns", lambda: b"age,weight\n" + b"\r" * (BODY - 11), CSV)
    add("CSV of one line", lambda: b"," * BODY, CSV)
    add("CSV of one cell", lambda: b"age,weight\n" + b"1" * (BODY - 11), CSV)
    add("CSV with an open quote", lambda: b'age,weight\n"' + b"1,\n" * 5_000_000, CSV)
    add("CSV of wide texts", lambda: b"age,weight\n" + "😀,😀\n".encode() * (BODY // 10 - 2), CSV)
    add("CSV that ends in no text", lambda: b"age,weight\n" + b"1,1\n" * 99_000 + b"\xff", CSV)
    add("gzip", lambda: gzip.compress(b" " * 2 * 10**8), content_encoding="gzip")
    add("gzip of objects", lambda: gzip.compress(full(b"{}")), path=predict, content_encoding="gzip")
    add("gzip in members", lambda: members(2000), content_encoding="gzip")
    add("gzip in tiny members", lambda: gzip.compress(b"") * 400_000, content_encoding="gzip")
    add("deflate", lambda: zlib.compress(b" " * 2 * 10**8), content_encoding="deflate")
    add("zstd", lambda: b"\x28\xb5\x2f\xfd" + b"\0" * 1000, content_encoding="zstd")
    add("br", lambda: b"\0" * 1000, content_encoding="br")
    add("Parquet, one text", lambda: table({**ONE, "age": ["a" * 64_000_000]}, compression="zstd"), PARQUET)
    add("Parquet, one text, snappy", lambda: table({**ONE, "age": ["a" * 64_000_000]}, compression="snappy"), PARQUET)
    add("Parquet, one text, gzip", lambda: table({**ONE, "age": ["a" * 64_000_000]}, compression="gzip"), PARQUET)
    add(
        "Parquet, one word in many rows",
        lambda: table(
            {
                "age": pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array(["a" * 50_000])),
                "weight": [1.0] * ROWS,
            }
        ),
        PARQUET,
    )
    add("Parquet, many rows", lambda: table({name: np.zeros(30_000_000, "int8") for name in ONE}), PARQUET)
    add("Parquet, lists", lambda: table({"age": [[1.0] * 5_000_000], "weight": [1.0]}), PARQUET)
    add("Parquet, prefixes", lambda: prefixes(), PARQUET)
    add("Parquet, row groups", lambda: footer(b"\x49\xfc\x80\x92\xf4\x01" + b"\0" * 4_000_001), PARQUET)
    add("Parquet, vast list", lambda: footer(b"\x49\xfc\xff\xff\xff\xff\x07"), PARQUET)
    add("Parquet, deep", lambda: footer(b"\x4c" * 8_000_000), PARQUET)
    for name, about, raw in (
        ("bytes", {"datatype": "INT8", "shape": [2**24 - 300]}, b"\x80" * (2**24 - 300)),
        ("a vast shape", {"datatype": "FP64", "shape": [2**62, 2**62]}, b"\0" * 800),
        ("no texts", {"datatype": "BYTES", "shape": [4_000_000]}, b"\0" * 16_000_000),
        ("texts of a vast shape", {"datatype": "BYTES", "shape": [2**40]}, b"\0" * 16_000_000),
    ):
        body, headers = tensor(raw, **about)
        found[f"tensor of {name}"] = (v2, "application/octet-stream", lambda body=body: body, headers)
    add(
        "base64",
        lambda: json.dumps({"instances": [{"x": {"b64": base64.b64encode(b"a" * 11_000_000).decode()}}]}).encode(),
        path=f"{v1}:predict",
    )
    add("values in lists", lambda: full(b'{"x":[1]}', b'{"instances":[', b"]}"), path=f"{v1}:predict")
    add(
        "probabilities",
        lambda: json.dumps({"instances": [1.5] * 90_000, "params": {"output": "probabilities"}}).encode(),
        path=many,
    )
    add("predictions of many classes", lambda: json.dumps({"instances": [1.5] * ROWS}).encode(), path=many)
    add("classes", lambda: full(b'{"x":1}', b'{"examples":[', b"]}")[:2_000_000], path=f"{v1}:classify")
    add(
        "reasons",
        lambda: json.dumps({"dataframe_records": [MIXED] * 90_000, "params": {"output": "explain"}}).encode(),
        path="/models/mixed/invocations",
    )
    add("TorchServe", lambda: full(b"{}", b'{"data":[', b"]}"), path="/predictions/many")
    form = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.json"\r\n\r\n'
    add(
        "a form with a file",
        lambda: form + full(b"{}")[:15_000_000] + b"]\r\n--x--",
        "multipart/form-data; boundary=x",
        "/predictions/many",
    )
    field = b'--x\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
    add(
        "a form with a text",
        lambda: field + "😀".encode() * 4_000_000 + b"\r\n--x--",
        "multipart/form-data; boundary=x",
        "/predictions/many",
    )
    return found


def footer(content: bytes) -> bytes:
    """A Parquet file that is its footer alone."""
    return b"PAR1" + content + struct.pack("<I4s", len(content), b"PAR1")


def prefixes() -> bytes:
    """Texts of which each is the one before: a few bytes for each of 20,000."""
    columns = {"age": ["a" * 20_000] * 20_000, "weight": [1.0] * 20_000}
    return table(columns, use_dictionary=False, column_encoding={"age": "DELTA_BYTE_ARRAY"}, compression="zstd")


BOMBS = _bombs()
AT_ONCE = [
    *("objects", "short texts", "one wide text", "different keys", "a key for each row", "lines of lists", "gzip"),
    *(
        "CSV of short rows",
        "CSV of one line",
        "Parquet, one text",
        "Parquet, row groups",
        "base64",
        "tensor of no texts",
    ),
    *("probabilities", "reasons"),
]


@pytest.fixture(scope="module")
def patience(server: Server) -> float:
    """Seconds that a row may wait while others are answered: a few times what the largest table makes it wait."""
    body = b"age,weight\n" + b"40,71.5\n" * ROWS
    slowest = 0.0
    for _ in range(3):
        with Asking(server) as asking:
            assert server.post("/models/plain/invocations", body, {"Content-Type": CSV}, timeout=120).status == 200
        assert not asking.wrong
        slowest = max(slowest, asking.slowest)
    return 0.3 + 4 * slowest


def test_the_system_enforces_the_limit(server: Server) -> None:
    """No estimate has to be right for it; what is reserved and not used comes on top."""
    assert worker(server).rlimit(psutil.RLIMIT_DATA)[0] == LIMIT + RESERVED


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(server: Server, patience: float, name: str, record_property) -> None:
    path, kind, made, headers = BOMBS[name]
    before, body = worker(server), made()
    with Asking(server) as asking:
        answer = server.post(path, body, {"Content-Type": kind, **headers}, timeout=120)
    record_property("slowest", asking.slowest)
    assert answer.status in (400, 413, 415), answer.body[:200]
    assert len(answer.body) < 1000
    assert not asking.wrong
    assert asking.slowest < patience
    assert worker(server) == before
    assert status(before, "VmHWM") < LIMIT


def test_bombs_at_once(server: Server, patience: float) -> None:
    before = worker(server)
    # Made before: this process asks for rows meanwhile, too.
    bodies = {name: BOMBS[name][2]() for name in AT_ONCE}

    def send(name: str) -> int:
        path, kind, _, headers = BOMBS[name]
        answer = server.post(path, bodies[name], {"Content-Type": kind, **headers}, timeout=120)
        assert answer.status != 503 or answer.headers["retry-after"] == "1"
        return answer.status

    with Asking(server) as asking, ThreadPoolExecutor(8) as clients:
        found = set(clients.map(send, AT_ONCE * 2))
    assert found <= {400, 413, 415, 503}
    assert not asking.wrong
    assert asking.slowest < patience
    assert worker(server) == before
    assert status(before, "VmHWM") < LIMIT


def test_what_was_refused_is_given_back(server: Server) -> None:
    """A worker that is left alone is soon as small as one that was never asked much."""
    with Server(["--default", "plain", *server.words[4:]], server.folder) as other:
        fresh = status(worker(other.ready("plain")), "RssAnon")
    assert server.post("/models/plain/predict", full(b"{}"), timeout=120).status == 413
    wait(lambda: status(worker(server), "RssAnon") < fresh + 64 * 2**20)


def test_large_tables_at_once_wait_for_one_another(server: Server, patience: float) -> None:
    """Each of them is answered or asked to come again; together they would need several times the limit."""
    before = worker(server)
    body = b'{"dataframe_records":[' + b",".join([b'{"age":40.5,"weight":71.5}'] * ROWS) + b"]}"
    with Asking(server) as asking, ThreadPoolExecutor(12) as clients:
        asked = [clients.submit(server.post, "/invocations", body, timeout=120) for _ in range(12)]
        answers = [one.result() for one in asked]
    assert {answer.status for answer in answers} <= {200, 503}
    assert sum(answer.status == 200 for answer in answers) >= 1
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
    assert not asking.wrong
    assert asking.slowest < patience
    assert worker(server) == before
    assert status(before, "VmHWM") < LIMIT
    assert server.post("/invocations", body, timeout=120).status == 200


def test_bodies_that_do_not_end(server: Server) -> None:
    """Clients that send most of a large body, and then nothing: others are asked to come again, rows are answered."""
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 16000000\r\n\r\n"
    )
    before = worker(server)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            connection.settimeout(2)
            with contextlib.suppress(OSError):
                connection.sendall(head + b" " * 15_000_000)
        with Asking(server) as asking:
            refused = server.post("/invocations", b" " * 15_000_000 + b"[40, 71.5]", timeout=60)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert not asking.wrong
    assert worker(server) == before
    assert status(before, "VmHWM") < LIMIT
    wait(lambda: server.post("/invocations", b'{"instances": [[40, 71.5]]}' + b" " * 1_000_000).status == 200)


def test_answers_that_nobody_reads(server: Server) -> None:
    """Clients that ask for large answers and read none: the answers count, until their clients have gone."""
    before = worker(server)
    body = json.dumps({"instances": [1.5] * 1500, "params": {"output": "probabilities"}}).encode()
    head = b"POST /models/many/invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            stack.enter_context(connection).sendall(head + body)
        asked = {"Content-Type": JSON}
        wait(lambda: server.post("/models/many/invocations", body, asked, timeout=60).status == 503)
        with Asking(server) as asking:
            pass
        assert not asking.wrong
    assert worker(server) == before
    assert status(before, "VmHWM") < LIMIT
    wait(lambda: server.post("/models/many/invocations", body, timeout=60).status == 200)


def busy() -> RequestError:
    return RequestError("busy", status=503)


def test_a_lease_is_given_back() -> None:
    pool = Pool(100, busy)
    with pool.lease(Limits(memory=80), 0.0) as lease:
        lease.claim(50)
        lease.claim(30)
        assert pool.used == 80
        with pytest.raises(RequestError) as refused:
            lease.claim(1)  # more than one request may have
        assert refused.value.status == 413
        with pool.lease(Limits(memory=80), 0.0) as other, pytest.raises(RequestError) as late:
            other.claim(30)  # more than is left, and it may not wait
        assert late.value.status == 503
    assert pool.used == 0


def test_a_lease_waits_for_another() -> None:
    pool = Pool(100, busy)
    waiting = threading.Event()

    def second() -> int:
        with pool.lease(Limits(), 60.0) as lease:
            waiting.set()
            lease.claim(60)
            return lease.held

    with ThreadPoolExecutor(1) as thread:
        with pool.lease(Limits(), 60.0) as lease:
            lease.claim(60)
            asked = thread.submit(second)
            assert waiting.wait(60)
            assert not asked.done()
        assert asked.result(60) == 60


def test_leases_that_wait_for_one_another() -> None:
    """Of two that hold a half and want another, the first gets it, and the second is refused."""
    pool = Pool(100, busy)
    held = threading.Barrier(2)
    turn = threading.Event()

    def ask(first: bool) -> int:
        if not first:
            assert turn.wait(60)
        with pool.lease(Limits(), 60.0) as lease:
            lease.claim(50)
            turn.set()
            held.wait(60)
            lease.claim(50)
            return lease.held

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(ask, True), threads.submit(ask, False)
        assert first.result(60) == 100
        with pytest.raises(RequestError, match="busy"):
            second.result(60)
    assert pool.used == 0


def test_an_allocation_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs one request its answer, which may be asked for again, and the log no trace."""

    def fails(*_, **__):
        raise MemoryError

    with running(cards.served(cards.model("line", cards.line()), default="line"), admission=Admission()) as found:
        for rows in (1, 5000):  # at once, and in a thread
            with monkeypatch.context() as patch:
                patch.setattr("serving.server.app.answers", fails)
                refused = found.post("/invocations", {"instances": [1.5] * rows})
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert found.post("/invocations", {"instances": [1.5] * rows}).status == 200


def test_shares_add_up() -> None:
    for most in (LEAST, LIMIT, 4 * LIMIT):
        shares = Shares.of(most, own=64 * 2**20, models=8 * 2**20)
        assert shares.bodies > 0
        assert shares.work > shares.bodies
        assert shares.bodies + shares.work < 0.8 * (most - 72 * 2**20)
    assert ServerSettings().limits(Shares.of(LIMIT, own=64 * 2**20)).body == BODY


def test_models_that_do_not_fit(tmp_path) -> None:
    cache = Cache(tmp_path, "test")
    cache.make()
    made = {"line": cards.line(), "people": cards.people()}
    for card in made.values():
        cache.add(card)
    kept = [CachedModel(name, CachedVersion("1", "Production", card.digest)) for name, card in made.items()]
    cache.write(StateDocument(tuple(kept)))
    room = 16 * 1024
    reader = CacheReader(cache, most=room)
    found = reader.read()
    assert set(found.models) == {"line"}
    assert "--max-memory leaves" in reader.broken["people"]
    assert 0 < reader.taken <= room


@pytest.mark.parametrize(
    ("text", "size"), [("268435456", LIMIT), ("256MiB", LIMIT), ("256Mi", LIMIT), ("256m", LIMIT), ("1 G", 4 * LIMIT)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5G", "256Mx", "1e9", "MiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)
