"""HTTP as clients really speak it: slow, endless, in pieces, several requests at once, or not at all."""

import gzip
import json
import re
import socket
import time

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.cli.ask import ask
from serving.errors import ServingError
from tests.effort import times
from tests.patience import soon
from tests.serving.server.servers import NUMBERS, Server, wait

BODY = json.dumps({"dataframe_records": [NUMBERS]}).encode()
ASK = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WHOLE = ASK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
LAST = ASK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def statuses(received: bytes) -> list[int]:
    """The statuses of the answers in what was received; their bodies hold no status line."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", received)]


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    try:
        while more := connection.recv(65536):
            found += more
    except ConnectionResetError:
        pass
    return found


def test_one_connection_answers_many_requests(server: Server) -> None:
    with connected(server) as connection:
        for _ in range(5):
            connection.sendall(WHOLE)
            found = connection.recv(65536)
            assert statuses(found) == [200]
            assert b"\r\nconnection: close" not in found


def test_requests_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    many = [b'{"features": [%d, 0]}' % age for age in range(20)]
    content = b"".join(ASK + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in many)
    found = server.raw(content + LAST)
    answers = [json.loads(one) for one in re.findall(rb'\{"prediction": ?[^}]*\}', found)]
    assert [round(one["prediction"]) for one in answers] == [2 * age for age in range(20)]
    assert statuses(found) == [200] * 21


def message(target: bytes, body: bytes, *headers: bytes, chunked: bool = False) -> bytes:
    """A request with a body."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    head = b"\r\n".join(
        (b"POST " + target + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers, framing)
    )
    return head + b"\r\n\r\n" + (b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)


#: Requests that share heads, bodies, lengths or nothing; the numbers go into the bodies.
KINDS = [
    lambda number: message(b"/invocations", b'{"features": [%d, 0]}' % number),
    lambda number: message(b"/predict", b'{"features": [%d, 0]}' % number),
    lambda number: message(b"/models/sums/invocations", b'{"instances": [[%d, 0], [0, %d]]}' % (number, number)),
    lambda number: message(b"/invocations", b'{"features": [%d, 0]' % number),
    lambda number: message(b"/invocations", b'{"features": [%d, 0]}' % number, chunked=True),
    lambda number: message(b"/invocations", b'{"features": [%d, 0]}' % number, b"Content-Encoding: gzip"),
    lambda number: message(b"/invocations", b'{"features": [%d, 0]}' % number, b"X-Request-Id: %d" % number),
    lambda number: message(b"/nothing", b'{"features": [%d, 0]}' % number),
    lambda number: message(b"/invocations", b" " * 20_000 + b'{"features": [%d, 0]}' % number),
    lambda number: message(b"/invocations", b""),
    lambda number: b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n",
]


def answered(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """The statuses and bodies of as many answers, whatever comes in one piece."""
    found, received = [], b""
    while len(found) < count:
        head, end, rest = received.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if end else 0
        if end and len(rest) >= length:
            found.append((statuses(head)[0], rest[:length]))
            received = rest[length:]
            continue
        more = connection.recv(65536)
        assert more, "the server closed the connection"
        received += more
    assert not received
    return found


@settings(max_examples=times(60))
@given(st.data())
def test_a_kept_connection_answers_as_new_ones_do(server: Server, data: st.DataObject) -> None:
    """Whatever came before on it, in whatever pieces, and however often a head is said again."""
    places = data.draw(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=4))
    numbers = data.draw(st.lists(st.integers(10, 99), min_size=2, max_size=12))
    sent = [KINDS[places[turn % len(places)]](number) for turn, number in enumerate(numbers)]
    together = data.draw(st.lists(st.booleans(), min_size=len(sent), max_size=len(sent)))
    cuts = data.draw(st.lists(st.integers(0, 200), min_size=len(sent), max_size=len(sent)))
    alone = []
    for one in sent:
        with connected(server) as connection:
            connection.sendall(one)
            alone += answered(connection, 1)
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kept, waits, pieces = [], 0, b""
        for place, one in enumerate(sent):
            pieces, waits = pieces + one, waits + 1
            if together[place] and place < len(sent) - 1:
                continue
            cut = min(cuts[place], len(pieces))
            for piece in filter(None, (pieces[:cut], pieces[cut:])):
                connection.sendall(piece)
                time.sleep(0.002 if cut else 0)
            kept += answered(connection, waits)
            pieces, waits = b"", 0
    assert kept == alone


def test_what_came_together_is_not_taken_for_what_comes_alone(server: Server) -> None:
    alone = message(b"/invocations", b'{"instances": [[10, 0]]}')
    with connected(server) as connection:
        connection.sendall(alone + message(b"/models/none/invocations", b'{"instances": [[10, 0]]}'))
        first, second = answered(connection, 2)
        assert (first[0], second[0]) == (200, 404)
        for _ in range(3):
            connection.sendall(alone)
            assert answered(connection, 1) == [first]


def test_a_large_request_between_small_ones_keeps_the_order(server: Server) -> None:
    large = json.dumps({"dataframe_split": {"columns": list(NUMBERS), "data": [[1, 2]] * 5000}}).encode()
    found = server.raw(WHOLE + ASK + b"Content-Length: %d\r\n\r\n" % len(large) + large + LAST)
    assert statuses(found) == [200] * 3
    assert found.count(b",") > 4000
    assert found.index(b"4.0") < len(found) - 300 < found.rindex(b"151.5")


def test_http_1_0_is_answered_and_closed(server: Server) -> None:
    found = server.raw(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert statuses(found) == [200]
    assert b"connection: close" in found


def test_head_says_what_get_would(server: Server) -> None:
    found = server.ask("HEAD", "/models")
    assert (found.status, found.body) == (200, b"")
    assert int(found.headers["content-length"]) == len(server.get("/models").body)


def test_options_and_other_methods_name_those_that_are_taken(server: Server) -> None:
    found = server.ask("OPTIONS", "/invocations")
    assert (found.status, found.headers["allow"], found.body) == (204, "POST, OPTIONS", b"")
    assert "content-length" not in found.headers
    for method, path, allowed in (("GET", "/invocations", "POST, OPTIONS"), ("DELETE", "/ping", "GET, HEAD, OPTIONS")):
        found = server.ask(method, path)
        assert (found.status, found.json["error_code"]) == (405, "METHOD_NOT_ALLOWED")
        assert found.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/nothing", "/models/sums/nothing", "/models/sums/versions", "/%", "//", "/models//x"]
)
def test_paths_that_lead_nowhere(server: Server, path: str) -> None:
    found = server.get(path)
    assert found.status == 404
    assert found.json["error_code"] in ("ENDPOINT_NOT_FOUND", "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    ("method", "path", "status", "keys"),
    [
        ("GET", "/v2/models/sums/config", 404, {"error"}),
        ("GET", "/v2/systemsharedmemory/status", 404, {"error"}),
        ("POST", "/v2/models/sums", 405, {"error"}),
        ("GET", "/v2/models/none", 404, {"error"}),
        ("GET", "/v1/nothing", 404, {"error"}),
        ("POST", "/v1/models/sums/metadata", 405, {"error"}),
        ("GET", "/v1/models/none/metadata", 404, {"error"}),
        ("POST", "/predictions/sums/1/2", 404, {"code", "type", "message"}),
        ("GET", "/explanations/sums", 405, {"code", "type", "message"}),
        ("GET", "/models/none", 404, {"error_code", "message"}),
    ],
)
def test_what_is_wrong_is_said_as_the_clients_of_the_path_read_it(
    server: Server, method: str, path: str, status: int, keys: set[str]
) -> None:
    """Triton's client, for one, looks for ``error`` whatever it asked, and raises another error where there is none."""
    found = server.ask(method, path)
    assert (found.status, set(found.json)) == (status, keys)


def test_who_asks_the_page_for_json_hears_that_the_server_is_alive(server: Server) -> None:
    found = server.get("/", {"Accept": "application/json"})
    assert (found.status, found.json["status"]) == (200, "alive")
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "text/html,application/json;q=0.9,*/*;q=0.8"}):
        assert server.get("/", headers).headers["content-type"].startswith("text/html")


def test_a_model_or_version_that_is_not_served(server: Server) -> None:
    found = server.post("/models/wine/invocations", [1])
    assert (found.status, found.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "'sums', 'visits'" in found.said
    found = server.post("/models/sums/versions/7/invocations", [1])
    assert (found.status, found.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "served: 0" in found.said
    with pytest.raises(ServingError, match="answers 404: no such model is served; served: 'sums', 'visits'"):
        ask(f"http://127.0.0.1:{server.port}", model="wine")


def test_a_client_that_waits_for_the_go_ahead(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(ASK + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert statuses(connection.recv(65536)) == [200]


def test_a_client_that_waits_with_too_large_a_body_is_refused_before_it_sends(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(ASK + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")
        found = rest(connection)  # it closes: whether a body comes, it cannot know
        assert statuses(found) == [413]
        assert b"connection: close" in found


def test_a_body_in_chunks(server: Server) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:3], BODY[3:20], BODY[20:]))
    found = server.raw(ASK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert statuses(found) == [200]
    assert b"151.5" in found


def test_what_comes_after_a_body_in_chunks_is_no_header(server: Server) -> None:
    body = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
    after = b"Content-Type: text/csv\r\nContent-Encoding: gzip\r\nX-Request-Id: mine\r\n\r\n"
    found = server.raw(ASK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body + after)
    assert statuses(found) == [200]
    assert b"x-request-id: mine" not in found


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(BODY), BODY), b"a: b\r\n"),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\na: " % (len(BODY), BODY), b"bbbb"),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"aaaa"),
        (WHOLE, b"\r\n"),
        (b"POST /", b"aaaa"),
        (ASK + b"a: ", b"    "),
    ],
    ids=["trailers", "a trailer", "a chunk extension", "empty lines", "a target", "blanks"],
)
def test_what_never_ends_and_is_no_body_is_refused_and_kept_by_nobody(
    server: Server, start: bytes, endless: bytes
) -> None:
    (worker,) = server.children("worker")
    before = psutil.Process(worker.pid).memory_info().rss
    with connected(server) as connection:
        try:
            connection.sendall(start)
            for _ in range(400):
                connection.sendall(endless * 10_000)
        except ConnectionError:
            pass
        found = rest(connection)
    assert statuses(found)[-1] == 431
    assert psutil.Process(worker.pid).memory_info().rss < before + (16 << 20)


@pytest.mark.parametrize("rows", [1, 5000])
def test_what_was_asked_before_nonsense_is_answered(server: Server, rows: int) -> None:
    body = json.dumps({"instances": [[1, 2]] * rows}).encode()
    found = server.raw(message(b"/invocations", body) + b"NONSENSE\r\n\r\n")
    assert statuses(found)[0] == 200
    assert found.count(b"4.0") >= rows


@pytest.mark.parametrize(
    "offer", [b"", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"]
)
def test_requests_that_come_a_byte_at_a_time(server: Server, offer: bytes) -> None:
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    content = 2 * (ASK + offer + length + BODY) + LAST
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
        assert statuses(rest(connection)) == [200] * 3


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,  # TLS, to a port that has none
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        ASK + b"Content-Length: -1\r\n\r\n",
        ASK + b"Content-Length: 1e3\r\n\r\n",
        ASK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        # Two ways of telling where a request ends are how one is smuggled behind another's back.
        ASK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ASK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ASK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so_in_json(server: Server, content: bytes) -> None:
    found = server.raw(content, timeout=8)
    assert statuses(found) == [400], found
    said = json.loads(found.partition(b"\r\n\r\n")[2])
    assert said == {"error_code": "BAD_REQUEST", "message": "the request is not valid HTTP/1.1"}


def test_a_head_that_is_too_long(server: Server) -> None:
    for content in (
        b"GET /live HTTP/1.1\r\n" + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /live HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % place for place in range(12_000)) + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nX-A: " + b"a" * 500_000,
    ):
        found = server.raw(content)
        assert statuses(found)[:1] == [431] or found == b"", found[:200]  # it may close before all is sent


def test_a_head_of_reasonable_length_with_a_long_body_behind_it(server: Server) -> None:
    body = BODY + b" " * 100_000
    head = ASK + b"X-A: " + b"a" * 30_000 + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert statuses(server.raw(head + body)) == [200]


def test_a_client_that_offers_http_2_is_answered_all_the_same(server: Server) -> None:
    """As Java's own client does unless it is told not to."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    with connected(server) as connection:
        for _ in range(2):
            connection.sendall(ASK + offer + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
            assert statuses(connection.recv(65536)) == [200]


def test_a_body_that_is_too_large_is_refused_whatever_its_length_is_said_to_be(server: Server) -> None:
    found = server.raw(ASK + b"Content-Length: 20000000\r\n\r\n" + BODY, timeout=8)
    assert statuses(found)[:1] == [413]
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    with connected(server) as connection:
        connection.sendall(ASK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)
        assert statuses(connection.recv(65536)) == [413]
    found = server.post("/invocations", gzip.compress(b" " * (17 << 20)), {"Content-Encoding": "gzip"})
    assert (found.status, found.json["error_code"]) == (413, "RESOURCE_LIMIT_EXCEEDED")


def test_a_client_that_is_slow_with_its_body_is_told_after_a_time(server: Server) -> None:
    with connected(server) as connection:
        began = time.monotonic()
        connection.sendall(ASK + b"Content-Length: 100\r\n\r\n{")
        found = rest(connection)
    assert statuses(found) == [408]
    assert b"REQUEST_TIMEOUT" in found
    assert 2 < time.monotonic() - began < soon(10)


def test_a_client_that_is_slow_with_its_headers_is_told_after_a_time(server: Server) -> None:
    with connected(server) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /live HTTP/1.1\r\n")
        connection.settimeout(0.5)
        found = b""
        while not found and time.monotonic() - began < soon(20):
            try:
                connection.sendall(b"X-A: b\r\n")
                found = connection.recv(65536)
            except TimeoutError:
                continue
    assert statuses(found) == [408]
    assert 9 < time.monotonic() - began < soon(16)


def test_those_who_are_slow_keep_nobody_waiting(server: Server) -> None:
    slow = [connected(server) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nX: ")
        began = time.monotonic()
        assert server.post("/invocations", BODY).status == 200
        assert time.monotonic() - began < soon(5)
    finally:
        for connection in slow:
            connection.close()


def test_clients_that_leave_in_the_middle_leave_nothing_behind(server: Server) -> None:
    for content in (WHOLE[:40], WHOLE[:-5], WHOLE, ASK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"):
        for _ in range(20):
            with connected(server) as connection:
                connection.sendall(content)
    (worker,) = server.children("worker")
    wait(lambda: len(worker.net_connections()) < 10)
    assert server.post("/invocations", BODY).status == 200
    assert "Traceback" not in server.err


def test_a_client_that_says_that_it_is_done_still_gets_its_answer(server: Server) -> None:
    large = json.dumps({"dataframe_split": {"columns": list(NUMBERS), "data": [[1, 2]] * 5000}}).encode()
    for body in (BODY, large):
        found = server.raw(ASK + b"Content-Length: %d\r\n\r\n" % len(body) + body, shut=True)
        assert statuses(found) == [200]
        assert found.endswith(b"]}")


def test_names_in_paths_are_percent_encoded(folders, tmp_path) -> None:
    names = ["a b", "été", "x#y", "50%", "q?"]
    with Server([f"{name}={folders['sums']}" for name in names], tmp_path) as server:
        server.ready(*names)
        for name, path in zip(names, ("a%20b", "%C3%A9t%C3%A9", "x%23y", "50%25", "q%3F"), strict=True):
            found = server.post(f"/models/{path}/invocations", BODY)
            assert found.json == {"predictions": [pytest.approx(151.5)]}, name
            assert found.headers["x-model-version"].isascii()
        assert server.post("/invocations", BODY).status == 404
