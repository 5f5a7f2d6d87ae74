"""Accepts a worker's connections, keeps their number below the open file limit, and drains them at shutdown."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from heapq import nsmallest
from http import HTTPStatus

from registry.troubles import Troubles
from serving.server.http.connection import Connection
from serving.server.http.exchange import Application, HTTPException
from serving.server.http.limits import Timeouts
from serving.server.log import say
from serving.server.settings import BACKLOG

#: Seconds between two checks of all connections.
INTERVAL = 1.0
#: Maximum number of connections of one worker, whatever the limit of open files: an idle one takes about 4 kB.
MAX_CONNECTIONS = 10_000
#: Maximum size of the incomplete headers of all connections together, in bytes.
MAX_HEADS = 16 * 1024 * 1024
#: If there are too many, this share of them is closed, so that not every new connection searches for the oldest.
_SHARE = 64


class Listener:
    """All connections of one worker.

    Parameters
    ----------
    app : answers their requests.
    timeouts : time limits of each connection.
    count : called with the reason each time the server closes a connection that the client would have kept:
        ``idle``, ``crowded`` (to make room for others), ``slow``, ``malformed``, ``unread`` (answers that the client
        does not read).
    max_connections, max_heads : maximum number of connections, and size of their incomplete headers in bytes.
    """

    def __init__(
        self,
        app: Application,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  # frozen
        count: Callable[[str], None] = lambda reason: None,
        max_connections: int = MAX_CONNECTIONS,
        max_heads: int = MAX_HEADS,
    ):
        self.app, self.count = app, count
        self._timeouts = timeouts
        self._max_connections, self._max_heads = min(max_connections, MAX_CONNECTIONS), min(max_heads, MAX_HEADS)
        self.connections: dict[Connection, None] = {}  # in the order they came
        self.tasks: set[asyncio.Task] = set()
        self.stopping = False
        self._held = 0
        self._quiet = asyncio.Event()
        self._files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
        self._troubles = Troubles(say)
        self._openings: dict[int, bytes] = {}

    async def serve(
        self, listener: socket.socket, stop: asyncio.Event, *, grace: float, tls: ssl.SSLContext | None = None
    ) -> bool:
        """Answer until ``stop`` is set, then finish the requests that have arrived.

        Parameters
        ----------
        grace : seconds that finishing may take.

        Returns
        -------
        bool
            Whether everything was finished in that time.
        """
        loop = asyncio.get_running_loop()
        handshake = self._timeouts.head if tls is not None else None
        server = await loop.create_server(
            lambda: Connection(self), sock=listener, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=handshake
        )
        sweeping = loop.create_task(self._sweep())
        try:
            await stop.wait()
            server.close()
            self.stopping = True
            for connection in list(self.connections):
                connection.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    while self.connections or self.tasks:
                        self._quiet.clear()
                        await self._quiet.wait()
            return not self.connections
        finally:
            sweeping.cancel()
            for task in self.tasks:
                task.cancel()

    def add(self, connection: Connection) -> None:
        """Register a new connection; if that makes too many, close some that wait for a request."""
        self.connections[connection] = None
        most = self.most
        if len(self.connections) <= most:
            return
        if not self._close_oldest([each for each in self.connections if each.waits and each is not connection]):
            connection.reject(HTTPException(503, "the server has no room for more connections", "crowded"))
        self._troubles.has(
            "crowded",
            f"more than {most:,} connections: those that wait longest for a request are closed; raise the limit of "
            "open files (ulimit -n), --max-memory or --workers, or lower --keep-alive",
        )

    def hold(self, more: int) -> None:
        """Account for bytes of incomplete headers; if there are too many, close the connections with the oldest."""
        self._held += more
        while more > 0 and self._held > self._max_heads:
            self._close_oldest([each for each in self.connections if each.held])

    def _close_oldest(self, among: list[Connection]) -> bool:
        """Close some connections that have waited longest; return whether there were any."""
        oldest = nsmallest(len(among) // _SHARE + 1, among, key=lambda each: each.since)
        for connection in oldest:
            self.connections.pop(connection, None)
            connection.close("crowded", abort=True)
        return bool(oldest)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        self.connections.pop(connection, None)
        self._quiet.set()

    def ended(self, task: asyncio.Task) -> None:
        """Forget a task that has answered its request."""
        self.tasks.discard(task)
        self._quiet.set()

    def opening(self, status: int) -> bytes:
        """The status line of an answer, and the date of this second."""
        opening = self._openings.get(status)
        if opening is None:
            phrase, date = HTTPStatus(status).phrase, formatdate(usegmt=True)
            opening = self._openings[status] = f"HTTP/1.1 {status:d} {phrase}\r\ndate: {date}\r\n".encode()
        return opening

    @property
    def most(self) -> int:
        """Maximum number of connections, also by the open file limit, less what the worker itself may need."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            return self._max_connections
        return max(1, min(self._max_connections, limit - self._files - max(16, limit // 16)))

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL)
            self._openings.clear()
            now = loop.time()
            for connection in list(self.connections):
                connection.check_timeouts(now, self._timeouts)
                if self.stopping:
                    connection.stop()  # one that was accepted just before, and has no request
            if len(self.connections) < 0.9 * self.most:
                self._troubles.over("crowded", "there is room for connections again")
