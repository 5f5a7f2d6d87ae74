"""How long and how much a connection may wait, and which are closed when there are too many."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serving.server.http import limits
from serving.server.http.connection import Connection
from serving.server.http.listener import MAX_HEADS, Listener
from tests.serving.server import cards, servers
from tests.serving.server.servers import NUMBERS, Server, wait
from tests.serving.server.test_framing import MARK, OFFER, statuses
from tests.serving.server.wire import Transport, Wire

ASK = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b'{"instances": [[1, 2]]}'
QUICK = ASK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
#: Answered in a thread.
LARGE = json.dumps({"instances": [[1, 2]] * 5000}).encode()
SLOW = ASK + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE
LIMITS = limits.Timeouts()


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire(cards.served(cards.model("sums", servers.regression()), default="sums"))
    yield made
    made.end()


@pytest.fixture
def counted(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why connections were closed."""
    found: list[str] = []
    monkeypatch.setattr(wire.listener, "count", found.append)
    return found


def told(transport: Transport) -> list[int]:
    return statuses(b"".join(transport.sent))


# ---- Time ----


def test_a_connection_that_asks_nothing_is_closed_after_its_time(wire: Wire, counted: list[str]) -> None:
    async def test() -> None:
        for asked, expected in ((b"", []), (QUICK, [200]), (b"\r\n", [])):
            connection, transport = wire.connected()
            connection.data_received(asked)
            connection.check_timeouts(connection.since + 74, LIMITS)
            assert not transport.closed
            connection.check_timeouts(connection.since + 76, LIMITS)
            assert transport.closed
            assert told(transport) == expected
            connection.connection_lost(None)

    wire.run(test)
    assert counted == ["idle"] * 3


@pytest.mark.parametrize(
    ("part", "limit", "status"),
    [
        (b"P", LIMITS.head, 408),
        (ASK, LIMITS.head, 408),
        (ASK + OFFER, LIMITS.head, 408),
        (QUICK[:-1], 60.0, 408),
        (ASK + OFFER + QUICK[len(ASK) : -1], 60.0, 408),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 60.0, 408),
    ],
)
@pytest.mark.parametrize("before", [b"", QUICK, ASK + OFFER + QUICK[len(ASK) :], SLOW, SLOW + QUICK])
def test_a_request_that_does_not_arrive_in_time_is_told_so_after_those_before(
    wire: Wire, counted: list[str], part: bytes, limit: float, status: int, before: bytes
) -> None:
    """Wherever it begins: as the first, in the same piece as others, or behind one that takes long."""

    async def test() -> None:
        connection, transport = wire.connected()
        connection.data_received(before + part)
        connection.check_timeouts(connection.since + 0.5 * limit, LIMITS)
        await settled(connection)
        first = [200] * len(re.findall(b"POST ", before))
        assert told(transport) == first
        connection.check_timeouts(connection.since + limit - 1, LIMITS)
        assert told(transport) == first
        connection.check_timeouts(connection.since + limit + 1, LIMITS)
        assert told(transport) == [*first, status]
        assert transport.ended
        # It may read why, and then is gone.
        connection.data_received(MARK)
        connection.check_timeouts(connection.since + 1, LIMITS)
        assert not transport.closed
        connection.check_timeouts(connection.since + LIMITS.linger + 1, LIMITS)
        assert transport.closed
        assert told(transport) == [*first, status]
        connection.connection_lost(None)
        await wire.answered()

    wire.run(test)
    assert counted == ["slow"]


def test_no_time_runs_while_a_request_is_answered(wire: Wire, counted: list[str]) -> None:
    async def test() -> None:
        connection, transport = wire.connected()
        connection.data_received(SLOW + ASK)
        for later in range(0, 1000, 5):
            connection.check_timeouts(connection.since + later, LIMITS)
        assert told(transport) == []
        await settled(connection)
        connection.data_received(QUICK[len(ASK) :])
        assert told(transport) == [200, 200]
        connection.connection_lost(None)

    wire.run(test)
    assert counted == []


def test_a_client_that_reads_nothing_is_asked_no_more_and_closed_after_a_time(wire: Wire, counted: list[str]) -> None:
    async def test() -> None:
        connection, transport = wire.connected()
        connection.data_received(QUICK)
        connection.pause_writing()
        connection.data_received(QUICK * 3)
        assert told(transport) == [200]
        assert not transport.reads
        connection.resume_writing()
        assert told(transport) == [200] * 4
        assert transport.reads
        connection.pause_writing()
        now = connection._loop.time()
        connection.check_timeouts(now + LIMITS.write - 1, LIMITS)
        assert not transport.closed
        connection.check_timeouts(now + LIMITS.write + 1, LIMITS)
        assert transport.closed
        connection.connection_lost(None)

    wire.run(test)
    assert counted == ["unread"]


# ---- Size ----


@pytest.mark.parametrize("before", [b"", QUICK, SLOW, SLOW + QUICK])
@pytest.mark.parametrize("piece", [1000, 16_000, 70_000])
def test_a_head_without_an_end_is_refused_after_those_before(wire: Wire, before: bytes, piece: int) -> None:
    async def test() -> None:
        connection, transport = wire.connected()
        connection.data_received(before + ASK + b"X-A: ")
        sent = 0
        while not transport.ended and sent < 300_000:
            if transport.reads:
                connection.data_received(b"a" * piece)
                sent += piece
            else:
                await settled(connection)
        await settled(connection)
        assert told(transport) == [*[200] * len(re.findall(b"POST ", before)), 431]
        assert sent <= limits.MAX_HEAD + 2 * max(piece, limits.CHUNK)
        connection.connection_lost(None)

    wire.run(test)


def test_a_target_has_a_limit_of_its_own(wire: Wire) -> None:
    for over in (0, 1):
        target = b"/live?" + b"a" * (limits.MAX_TARGET - 6 + over)
        content = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        assert statuses(wire.ask([content])[0]) == [414 if over else 200]


@pytest.mark.parametrize("piece", [1, 7000, 200_000])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_longest_head_is_the_same_in_any_pieces(wire: Wire, piece: int, over: int) -> None:
    start, end = b"GET /live HTTP/1.1\r\nHost: x\r\nX-A: ", b"\r\n\r\n"
    content = start + b"a" * (limits.MAX_HEAD + over - len(start + end)) + end
    answers, _ = wire.ask([content[place : place + piece] for place in range(0, len(content), piece)])
    assert statuses(answers) == [431 if over > 0 else 200]


def test_requests_behind_a_slow_one_are_not_read_without_end(wire: Wire) -> None:
    async def test() -> None:
        connection, transport = wire.connected()
        connection.data_received(SLOW + QUICK * 2)
        assert not transport.reads
        await settled(connection)
        assert transport.reads
        assert told(transport) == [200] * 3
        connection.connection_lost(None)

    wire.run(test)


# ---- Too many ----


def test_incomplete_heads_of_all_connections_have_one_limit(wire: Wire, counted: list[str]) -> None:
    """The oldest are closed; whoever completes a head meanwhile is answered."""
    head = ASK + b"X-A: " + b"a" * 50_000
    many = 2 * MAX_HEADS // len(head)

    async def test() -> None:
        held = [wire.connected() for _ in range(many)]
        for connection, _ in held:
            connection.data_received(head)
        closed = [transport.closed for _, transport in held]
        assert closed == sorted(closed, reverse=True)
        assert 0.4 * many < sum(closed) < 0.6 * many
        held[-1][0].data_received(b"\r\n" + QUICK[len(ASK) :])
        assert told(held[-1][1]) == [200]
        for connection, _ in held:
            connection.connection_lost(None)
        assert wire.listener._held == 0

    wire.run(test)
    assert counted
    assert set(counted) == {"crowded"}


def test_where_all_connections_are_busy_a_new_one_is_refused(
    wire: Wire, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that was refused, and still comes, is no business."""
    monkeypatch.setattr(Listener, "most", 2)

    async def test() -> None:
        busy = [wire.connected() for _ in range(2)]
        for connection, _ in busy:
            connection.data_received(QUICK[:-1])
        late, refused = wire.connected()
        assert told(refused) == [503]
        assert refused.closed
        late.connection_lost(None)
        busy[0][0].data_received(QUICK[-1:])
        await settled(busy[0][0])
        busy[0][0].data_received(b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        await settled(busy[0][0])
        assert told(busy[0][1]) == [200, 404]
        answered, transport = wire.connected()
        answered.data_received(QUICK)
        assert told(transport) == [200]
        assert [transport.closed for _, transport in busy] == [True, False]
        for connection in (busy[0][0], busy[1][0], answered):
            connection.connection_lost(None)
        await wire.answered()

    wire.run(test)
    assert counted == ["crowded"] * 2


def test_of_too_many_connections_the_longest_idle_are_closed_told_and_counted(tmp_path: Path, folders) -> None:
    """One with a request under way is not; new ones are answered all the time."""
    with Server([str(folders["sums"]), "--log", "no"], tmp_path) as server:
        server.ready("sums")
        (worker,) = server.children("worker")
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 60, 4096))
        address = ("127.0.0.1", server.port)
        held = []
        with socket.create_connection(address) as busy:
            busy.sendall(QUICK[:-5])
            for _ in range(150):
                held.append(socket.create_connection(address))
                held[-1].sendall(QUICK)
                assert held[-1].recv(9999).startswith(b"HTTP/1.1 200")
            busy.sendall(QUICK[-5:])
            assert busy.recv(9999).startswith(b"HTTP/1.1 200")
        closed = []
        for connection in held:
            connection.settimeout(0.01)
            try:
                closed.append(connection.recv(1) == b"")
            except TimeoutError:
                closed.append(False)
            except ConnectionError:
                closed.append(True)
        assert closed == sorted(closed, reverse=True)
        assert 90 <= sum(closed) < 150
        assert server.err.count("those that wait longest for a request are closed") == 1

        def shown() -> bool:
            metrics = server.get("/metrics").body.decode()
            found = re.search(r'serving_connections_closed_total\{reason="crowded"\} (\S+)', metrics)
            return found is not None and float(found[1]) >= sum(closed) and "serving_worker_connections{" in metrics

        wait(shown)
        for connection in held:
            connection.close()
        server.says("there is room for connections again")


def test_paths_that_clients_make_up_are_not_kept(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"])], tmp_path) as server:
        server.ready("sums")
        (worker,) = server.children("worker")

        def ask(count: int) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                for number in range(count):
                    path = b"/models/%s%06d/invocations" % (b"%C3%A9" + b"a" * 8000, number)
                    connection.sendall(QUICK.replace(b"/invocations", path))
                    assert connection.recv(65536).startswith(b"HTTP/1.1 404")

        ask(100)
        before = worker.memory_info().rss
        ask(1500)
        assert worker.memory_info().rss < before + (8 << 20)
        assert server.post("/invocations", {"instances": [NUMBERS]}).status == 200


async def settled(connection: Connection) -> None:
    """Wait until no request that has arrived whole is unanswered."""
    while connection.answering:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
