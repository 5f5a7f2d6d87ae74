"""Connections without sockets: bytes in, in any pieces, and the answers as bytes; the rest is the server's own."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import uvloop

from serving.server.app import App
from serving.server.guard.admission import Admission
from serving.server.http.connection import Connection
from serving.server.http.listener import Listener
from serving.server.routes import router
from serving.server.settings import ServerSettings
from serving.server.state import Served

_DATE = re.compile(rb"date: [^\r]*\r\n")


class Transport(asyncio.Transport):
    """Keeps what is written, and whether more is read."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent: list[bytes] = []
        self.reads, self.ended, self.closed = True, False, False

    def write(self, data: Any) -> None:
        assert not self.closed
        assert not self.ended
        self.sent.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True


class Wire:
    """The server's application behind connections that a test feeds."""

    def __init__(self, served: Served, settings: ServerSettings | None = None):
        settings = settings or ServerSettings()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        app = App(
            settings,
            served,
            router=router(settings),
            admission=Admission(),
            observe=lambda *_: None,
            new_id=lambda given: (given or b"none").decode("latin-1"),
            shadow=lambda *_: None,
        )
        self.listener = self._runner.run(self._made(app))

    async def _made(self, app: App) -> Listener:
        return Listener(app)

    def end(self) -> None:
        """End its loop."""
        self._runner.close()

    async def answered(self) -> None:
        """Wait until no request is being answered."""
        while self.listener.tasks:
            await asyncio.sleep(0)

    def ask(self, pieces: Iterable[bytes]) -> tuple[bytes, bool]:
        """Send pieces on a new connection; all that is answered, without dates, and whether it stays open."""
        return self._runner.run(self._ask(pieces))

    def ask_all(self, requests: Iterable[Iterable[bytes]]) -> list[tuple[bytes, bool]]:
        """The same for several, each on its own connection."""

        async def all_of_them() -> list[tuple[bytes, bool]]:
            return [await self._ask(pieces) for pieces in requests]

        return self._runner.run(all_of_them())

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test in the loop."""
        self._runner.run(test())

    def connected(self) -> tuple[Connection, Transport]:
        """A new connection."""
        connection, transport = Connection(self.listener), Transport()
        connection.connection_made(transport)
        return connection, transport

    async def _ask(self, pieces: Iterable[bytes]) -> tuple[bytes, bool]:
        connection, transport = self.connected()
        for piece in pieces:
            while not transport.reads:  # as a socket would, it keeps the rest until it is read again
                await asyncio.sleep(0)
            if transport.closed:
                break
            connection.data_received(piece)
            if self.listener.tasks:
                await asyncio.sleep(0)
        turns = 0
        while self.listener.tasks and turns < 10:  # those that wait for the rest of a body go on waiting
            turns = 0 if connection.answering else turns + 1
            await asyncio.sleep(0)
        stays = not (transport.closed or transport.ended)
        connection.connection_lost(None)
        await self.answered()
        return _DATE.sub(b"", b"".join(transport.sent)), stays
