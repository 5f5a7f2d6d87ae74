"""Accepts the connections of a worker, keeps their number below the open file limit, and drains them at the end."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from heapq import nsmallest

from serving.server.connections import HEAD_LIMIT, Application, Connection, Refusal, opening
from serving.server.log import Troubles
from serving.server.settings import BACKLOG

#: Seconds between two looks at all connections.
EVERY = 1.0
#: The most connections of one worker, whatever the limit of open files: an idle one takes about 4 kB.
MOST = 10_000
#: Bytes of incomplete heads that all connections may hold together.
HEADS = 16 * 1024 * 1024
#: When there are too many, this share of them is closed, so that not every new one has to look for the oldest.
_SHARE = 64


class Listener:
    """All connections of one worker.

    Parameters
    ----------
    app : answers their requests.
    idle, reading : seconds that a connection may wait for its next request, and a request may take to arrive.
    count : called with the reason each time the server closes a connection that the client would have kept:
        ``idle`` (longer than ``idle`` seconds), ``crowded`` (to make room for others), ``slow``, ``malformed``,
        ``unread`` (answers that the client does not read).
    most, heads : connections that there may be, and bytes of incomplete heads that they may hold together.
    """

    def __init__(
        self,
        app: Application,
        *,
        idle: float = 75.0,
        reading: float = 60.0,
        count: Callable[[str], None] = lambda reason: None,
        most: int = MOST,
        heads: int = HEADS,
    ):
        self.app, self.count = app, count
        self._idle, self._reading = idle, reading
        self._most, self._heads = min(most, MOST), min(heads, HEADS)
        self.connections: dict[Connection, None] = {}  # in the order they came
        #: Requests being answered, also those whose client has gone.
        self.tasks: set[asyncio.Task] = set()
        #: Whether no more requests are taken.
        self.stopping = False
        self._held = 0
        self._quiet = asyncio.Event()
        self._files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
        self._troubles = Troubles()
        self._openings: dict[int, bytes] = {}

    async def serve(
        self, listener: socket.socket, stop: asyncio.Event, *, grace: float, tls: ssl.SSLContext | None = None
    ) -> bool:
        """Answer until ``stop`` is set, then finish what has begun.

        Parameters
        ----------
        grace : seconds that finishing may take.

        Returns
        -------
        bool
            Whether everything was finished in that time.
        """
        loop = asyncio.get_running_loop()
        handshake = HEAD_LIMIT if tls is not None else None
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
        """Take a new connection; if that makes too many, close some that wait for a request."""
        self.connections[connection] = None
        most = self.most
        if len(self.connections) <= most:
            return
        if not self._close_oldest([one for one in self.connections if one.waits and one is not connection]):
            connection.turn_away(Refusal(503, "the server has no room for more connections", "crowded"))
        self._troubles.has(
            "crowded",
            f"more than {most:,} connections: those that wait longest for a request are closed; raise the limit of "
            "open files (ulimit -n), --max-memory or --workers, or lower --keep-alive",
        )

    def hold(self, more: int) -> None:
        """Count bytes of incomplete heads; if they become too many, close the connections that have the oldest."""
        self._held += more
        while more > 0 and self._held > self._heads:
            self._close_oldest([one for one in self.connections if one.held])

    def _close_oldest(self, among: list[Connection]) -> bool:
        """Close some connections that have waited longest; whether there were any."""
        oldest = nsmallest(len(among) // _SHARE + 1, among, key=lambda one: one.since)
        for one in oldest:
            self.connections.pop(one, None)
            one.close("crowded", abort=True)
        return bool(oldest)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        self.connections.pop(connection, None)
        self._quiet.set()

    def ended(self, task: asyncio.Task) -> None:
        """Forget a request that was answered by a task."""
        self.tasks.discard(task)
        self._quiet.set()

    def opening(self, status: int) -> bytes:
        """The first lines of an answer, with the date of this second."""
        found = self._openings.get(status)
        if found is None:
            found = self._openings[status] = opening(status, formatdate(usegmt=True).encode())
        return found

    @property
    def most(self) -> int:
        """The most connections that there may be, also by the open file limit, less what the worker itself may need."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            return self._most
        return max(1, min(self._most, limit - self._files - max(16, limit // 16)))

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EVERY)
            self._openings.clear()
            now = loop.time()
            for connection in list(self.connections):
                connection.look(now, idle=self._idle, reading=self._reading)
                if self.stopping:
                    connection.stop()  # one that was accepted just before, and asks nothing
            if len(self.connections) < 0.9 * self.most:
                self._troubles.over("crowded", "there is room for connections again")
