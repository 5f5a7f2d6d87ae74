"""Hands requests over to the recorder, without waiting for it: what it does not take in time is dropped and counted.

The supervisor holds the listening socket, so that a worker can connect, and the system's buffers take what it sends,
also while a recorder that ended is being replaced.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from serving.contract.json_text import JSON
from serving.functions.sampling import sampled
from serving.server.messages import Request, Response
from serving.server.protocols.base import WireProtocol
from serving.server.recording.messages import ACKNOWLEDGED, REQUESTS, VERSION, head, introduced
from serving.server.settings import ServerSettings
from serving.server.state import ServedVersion
from serving.server.traffic import ShadowAnswer

#: Maximum size of what the recorder has not acknowledged, in bytes; a single larger request is taken if nothing waits.
MOST = 8 * 2**20
#: Requests are sent together: after so many seconds, or when they have so many bytes.
PAUSE, PACKET = 0.02, 64 * 1024
#: Seconds between two attempts to connect.
AGAIN = 0.5
#: Bytes that a request takes beside its body, roughly.
OVERHEAD = 200
#: So many versions are introduced once; after that, each anew. The recorder keeps twice as many.
VERSIONS = 1024
# Place of the rows in a request's tuple.
_ROWS = 5
# Seconds that the last requests may take.
_ENDING = 2.0

#: Why rows are missing in the log.
BUSY, LOST, UNREADABLE, UNWRITABLE, REFUSED = "busy", "lost", "unreadable", "unwritable", "refused"

#: Counts rows that are dropped: ``drop(reason, rows)``.
Drop = Callable[[str, int], None]


def address(settings: ServerSettings) -> Path:
    """The socket of the recorder."""
    return Path(settings.metrics_folder) / "recorder.sock"


class Batch:
    """Requests until they are sent, and the numbers of the versions that answered them.

    Parameters
    ----------
    role : of the versions; None for the one that their stage gives them.
    """

    def __init__(self, role: str | None = None):
        self._role = role
        # By identity; the version is kept, so that no other gets its identity.
        self._known: dict[int, tuple[int, ServedVersion]] = {}
        self._numbers = itertools.count()
        self._introductions: list[bytes] = []
        self._requests: list[tuple] = []
        #: Size of the waiting requests in bytes, and their number of rows.
        self.size = self.rows = 0

    def add(
        self,
        version: ServedVersion,
        request: Request,
        protocol: WireProtocol,
        status: int,
        latency: float,
        rows: int,
        found: Any,
    ) -> None:
        """Add a request; parameters as in ``Handover``."""
        known = self._known.get(id(version))
        if known is None:
            known = self._introduce(version)
        body: bytes | None = request.body
        length = None
        if not rows:
            body = found = None
        elif request.kind != JSON:
            length = request.header(b"inference-header-content-length")
        said = (known[0], request.id, int(time.time() * 1e6), status, latency, rows, type(protocol).__name__)
        self._requests.append((*said, request.kind, request.encoding, length, found, body))
        self.size += OVERHEAD if body is None else OVERHEAD + len(body)
        self.rows += rows or 1

    def again(self) -> None:
        """Introduce all versions to another recorder."""
        self._introductions = [
            head(VERSION, introduced(number, version, self._role)) for number, version in self._known.values()
        ]

    def take(self) -> list["Packet"]:
        """The messages of what waits; afterwards nothing does."""
        packets = [Packet((message,), len(message), 0) for message in self._introductions]
        requests, self._introductions, self._requests = self._requests, [], []
        self.size = self.rows = 0
        small = []
        for request in requests:
            body = request[-1]
            if body is None or len(body) <= PACKET:
                small.append(request)
            else:
                packets.append(_packet([(*request[:-1], None)], body))
        if small:
            packets.append(_packet(small))
        return packets

    def _introduce(self, version: ServedVersion) -> tuple[int, ServedVersion]:
        if len(self._known) >= VERSIONS:
            self._known = {}
        known = self._known[id(version)] = next(self._numbers), version
        self._introductions.append(head(VERSION, introduced(*known, self._role)))
        return known


class Packet(NamedTuple):
    """A message, its size in bytes, and how many rows are in it: 0 if it introduces a version."""

    parts: tuple[bytes, ...]
    size: int
    rows: int


def _packet(requests: list[tuple], body: bytes = b"") -> Packet:
    try:
        message = head(REQUESTS, requests, len(body))
    except (TypeError, ValueError, OverflowError):
        # Answers that MessagePack cannot hold, such as numbers of more than 64 bits: the scorecard gives them again.
        message = head(REQUESTS, [(*request[:-2], None, request[-1]) for request in requests], len(body))
    parts = (message, body) if body else (message,)
    return Packet(parts, len(message) + len(body), sum(request[_ROWS] or 1 for request in requests))


class RecordChannel(asyncio.Protocol):
    """A worker's channel to the recorder.

    Parameters
    ----------
    drop : counts rows that are not recorded.
    most : maximum size of what is not acknowledged, in bytes.
    """

    def __init__(self, settings: ServerSettings, drop: Drop, *, most: int = MOST):
        self._settings, self._drop, self._most = settings, drop, most
        self._share = settings.record_share
        self._batch = Batch()
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: asyncio.Task | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Size and rows of each message that is not acknowledged.
        self._sent: deque[tuple[int, int]] = deque()
        self._waiting = 0
        self._answer = b""
        self._closed = False

    def start(self) -> None:
        """Connect, in the background; to be called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._connecting = self._loop.create_task(self._connect())

    def record(self, request: Request, protocol: WireProtocol, response: Response, seconds: float) -> None:
        """Hand over a request that was answered or failed; returns at once.

        ``request.chosen`` is the version, ``request.found`` its answers.
        """
        version = request.chosen
        if version is None or (self._share < 1.0 and not sampled(request.id, self._share)):
            return
        batch = self._batch
        waiting = self._waiting + batch.size
        if waiting and waiting + len(request.body) > self._most:
            self._drop(BUSY, response.rows or 1)
            return
        status = response.status
        rows = response.rows if status < 400 else 0
        batch.add(version, request, protocol, status, seconds * 1e3, rows, request.found)
        if batch.size >= PACKET:
            self._send()
        elif self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(PAUSE, self._send)

    async def close(self) -> None:
        """Send the rest; the recorder is not waited for long."""
        self._closed = True
        self._send()
        transport, until = self._transport, time.monotonic() + _ENDING
        while transport is not None and transport.get_write_buffer_size() and time.monotonic() < until:
            await asyncio.sleep(0.01)
        if transport is not None:
            transport.close()
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._batch.again()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._answer = None, b""
        lost, self._sent, self._waiting = self._sent, deque(), 0
        if not self._closed:
            if rows := sum(rows for _, rows in lost):
                self._drop(LOST, rows)
            assert self._loop is not None
            self._connecting = self._loop.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        self._answer += data
        while len(self._answer) >= ACKNOWLEDGED.size:
            (number,) = ACKNOWLEDGED.unpack_from(self._answer)
            self._answer = self._answer[ACKNOWLEDGED.size :]
            for _ in range(number):
                size, _ = self._sent.popleft()
                self._waiting -= size

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for packet in self._batch.take():
            for part in packet.parts:
                transport.write(part)
            if packet.rows:
                self._sent.append((packet.size, packet.rows))
                self._waiting += packet.size

    async def _connect(self) -> None:
        path = str(address(self._settings))
        while not self._closed:
            try:
                await asyncio.get_running_loop().create_unix_connection(lambda: self, path)
                return
            except OSError:
                await asyncio.sleep(AGAIN)


class BlockingChannel:
    """The channel of a process that may wait a little: of the challengers in the shadow.

    Parameters
    ----------
    drop : counts rows that are not recorded.
    role : of the versions that answer.
    patience : seconds that the recorder is waited for.
    """

    def __init__(self, settings: ServerSettings, drop: Drop, *, role: str, patience: float = 1.0):
        self._settings, self._drop, self._patience = settings, drop, patience
        self._share = settings.record_share
        self._batch = Batch(role)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._due = 0.0

    def record(self, version: ServedVersion, request: Request, protocol: WireProtocol, answer: ShadowAnswer) -> None:
        """Hand over a request that a version answered or refused."""
        if self._share < 1.0 and not sampled(request.id, self._share):
            return
        with self._lock:
            latency = answer.seconds * 1e3
            self._batch.add(version, request, protocol, answer.status, latency, answer.rows, answer.found)
            full = self._batch.size >= PACKET
        if full:
            self.send()

    def send(self) -> None:
        """Send what waits."""
        with self._lock:
            self._send()

    def _send(self) -> None:
        if not self._batch.rows:
            return
        if self._socket is None and time.monotonic() >= self._due:
            self._connect()
        rows = self._batch.rows
        packets = self._batch.take()
        try:
            if self._socket is None:
                raise OSError
            for packet in packets:
                for part in packet.parts:
                    self._socket.sendall(part)
            self._discard()
        except OSError:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            self._drop(BUSY, rows)

    def _connect(self) -> None:
        self._due = time.monotonic() + AGAIN
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._patience)
        try:
            connection.connect(str(address(self._settings)))
        except OSError:
            connection.close()
            return
        self._socket = connection
        self._batch.again()

    def _discard(self) -> None:
        """Read what the recorder has acknowledged."""
        assert self._socket is not None
        self._socket.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                if not self._socket.recv(4096):
                    raise ConnectionResetError
        finally:
            self._socket.settimeout(self._patience)
