"""Asks lanes: from a worker's event loop, and from a process that may wait."""

import asyncio
import contextlib
import itertools
import socket
import time
from typing import Any

import msgspec

from serving.contract import RequestError
from serving.contract.errors import MALFORMED, TOO_LARGE
from serving.functions import loaded
from serving.functions.signature import PyfuncInput, misfit
from serving.server.pyfunc import framing
from serving.server.pyfunc.framing import FrameReader
from serving.server.pyfunc.places import LanePlaces

#: Seconds after which a client may retry a request that no lane could take.
AGAIN = 1
#: Largest answer that is compared in the shadow, in bytes.
_MOST_COMPARED = 16 * 2**20


class Unavailable(RequestError):
    """No lane can take a request now; the answer says when to retry."""

    headers = ((b"retry-after", b"%d" % AGAIN),)

    def __init__(self, message: str):
        super().__init__(message, status=503, code="TEMPORARILY_UNAVAILABLE")


class ModelError(RequestError):
    """The model raised an exception.

    Parameters
    ----------
    details : its type and where, for the log.
    """

    def __init__(self, message: str, details: str, *, known: bool):
        # A request that fits the signature is a good one; without a signature it may be the request's fault.
        super().__init__(message, status=500 if known else 400, code="MODEL_ERROR" if known else MALFORMED)
        self.details = details


class Lanes:
    """The lanes of a version, as a worker sees them.

    Parameters
    ----------
    pending : maximum number of requests that wait for them.
    known : whether the model has a signature.
    summary : what a request has to have, in words.
    """

    def __init__(self, places: LanePlaces, *, pending: int, known: bool = True, summary: str = ""):
        self.places, self._pending, self._known, self._summary = places, pending, known, summary
        self._connections: list[_Connection | None] = [None] * places.processes
        self._numbers = itertools.count()
        self._waiting = 0
        self._closed = False
        self._connecting = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether a lane answers."""
        return self.places.ready()

    async def ask(self, asked: PyfuncInput, until: float, most: int) -> Any:
        """The model's answer to a request, as JSON has it: a list with an item a row, unless the model says otherwise.

        Parameters
        ----------
        until : when the answer is late, by the monotonic clock.
        most : maximum size of the answer, in bytes.

        Raises
        ------
        RequestError
            if the request does not fit the signature, the model fails, or no lane can take it.
        TimeoutError
            if the answer is late.
        """
        if self._waiting >= self._pending:
            raise Unavailable(f"the model has more requests than it can answer; try again in {AGAIN} s")
        self._waiting += 1
        try:
            connection = await self._connection()
            number = next(self._numbers)
            message = framing.request(asked, id=number, until=until, most=most)
            header, body = await asyncio.wait_for(connection.ask(number, message), until - time.monotonic())
        finally:
            self._waiting -= 1
            if self._closed and not self._waiting:
                self._disconnect()
        return decoded(header, body, known=self._known, summary=self._summary)

    def close(self) -> None:
        """Leave the lanes once all requests are answered; to be called on the event loop."""
        self._closed = True
        if not self._waiting:
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in self._connections:
            if connection is not None and connection.transport is not None:
                connection.transport.close()

    async def _connection(self) -> "_Connection":
        """A connection to the lane with the fewest requests."""
        if any(connection is None or connection.lost for connection in self._connections):
            async with self._connecting:
                for number, connection in enumerate(self._connections):
                    if connection is None or connection.lost:
                        self._connections[number] = await self._connect(number)
        there = [connection for connection in self._connections if connection is not None and not connection.lost]
        if not there:
            raise Unavailable(self.trouble())
        return min(there, key=lambda connection: len(connection.open))

    def trouble(self) -> str:
        """Why no lane answers."""
        reason = self.places.failure()
        if reason:
            return f"the model is not served now: {reason}"
        return f"the model is being loaded; try again in {AGAIN} s"

    async def _connect(self, number: int) -> "_Connection | None":
        try:
            _, connection = await asyncio.get_running_loop().create_unix_connection(
                _Connection, str(self.places.socket(number))
            )
        except OSError:
            return None
        return connection


class _Connection(asyncio.Protocol):
    """A connection to a lane; requests are told apart by numbers."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.open: dict[int, asyncio.Future] = {}
        self.lost = False
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        waiting, self.open = self.open, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(
                    Unavailable(f"the model's process ended, and is started again; try again in {AGAIN} s")
                )

    def data_received(self, data: bytes) -> None:
        for header, body in self._reader.feed(data):
            future = self.open.pop(header["id"], None)
            if future is not None and not future.done():
                future.set_result((header, body))

    async def ask(self, number: int, message: bytes) -> tuple[dict[str, Any], bytes]:
        assert self.transport is not None
        future = self.open[number] = asyncio.get_running_loop().create_future()
        try:
            self.transport.write(message)
            return await future
        finally:
            self.open.pop(number, None)


def ask_idle(places: LanePlaces, asked: PyfuncInput, *, within: float, known: bool, summary: str) -> Any:
    """Ask a lane that has nothing else to do, and wait; raises as ``Lanes.ask``."""
    path = next((path for path in places.sockets() if path.exists()), None)
    if path is None:
        raise Unavailable(f"the model is being loaded; try again in {AGAIN} s")
    reader = FrameReader()
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(within)
            connection.connect(str(path))
            connection.sendall(
                framing.request(asked, id=0, until=time.monotonic() + within, most=_MOST_COMPARED, low=True)
            )
            while data := connection.recv(1 << 18):
                for header, body in reader.feed(data):
                    return decoded(header, body, known=known, summary=summary)
    except OSError:
        pass
    raise Unavailable(f"the model's process ended, and is started again; try again in {AGAIN} s")


def decoded(header: dict[str, Any], body: bytes, *, known: bool, summary: str) -> Any:
    """The answer in a reply; raises RequestError if there is none."""
    kind = header["kind"]
    if kind == framing.FOUND:
        return _json(body) if header["code"] == "j" else loaded.decoded(header["code"], body)
    if kind == framing.INVALID:
        raise misfit(summary)
    if kind == framing.TOO_LARGE:
        raise RequestError(
            "the answer is larger than a request may be (--max-body); ask for fewer rows at a time",
            status=413,
            code=TOO_LARGE,
        )
    if kind == framing.MEMORY:
        raise Unavailable("the model needs more memory than --pyfunc-memory lets it take; it is started again")
    raise ModelError(
        f"the model failed on this request ({header['what']})",
        f"{header['what']} at {'; '.join(header['at'])}",
        known=known,
    )


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)["predictions"]
    except msgspec.DecodeError:  # whole numbers of any size
        return loaded.decoded("j", body)
