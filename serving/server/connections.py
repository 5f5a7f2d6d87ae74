"""One HTTP/1.1 connection: httptools parses it, requests are answered in the order they came, slow clients are closed.

All bytes go through one parser, and whatever is known of a request comes from the parser's events. A request whose
body has arrived is answered in the same call that read it, because a task costs as much as scoring a row; anything that
has to wait (the rest of a body, a thread) is answered by a task, and later requests of the connection wait behind it.
"""

import asyncio
import json
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import httptools

from serving.server.log import say
from serving.server.messages import Request

if TYPE_CHECKING:
    from serving.server.listener import Listener

#: Most bytes of a request's line and headers, and of what may surround one piece of a chunked body.
LONGEST_HEAD = 64 * 1024
#: Most bytes of a request's target: its path and query.
LONGEST_TARGET = 8 * 1024
#: Seconds within which the request line and headers have to arrive.
HEAD_LIMIT = 10.0
#: Seconds a client may leave an answer unread.
WRITE_LIMIT = 60.0
#: Seconds a refused client is given to read why, while what it still sends is discarded.
LINGER = 2.0
#: Most bytes of a refused body that are read and discarded.
REFUSED_MOST = 64 * 1024 * 1024
#: Bytes parsed at a time, which bounds how many requests can queue on one connection.
PIECE = 16 * 1024
#: Bytes of an unread body beyond which the client is no longer read.
BODY_AHEAD = 64 * 1024

#: A status, the header lines as they are sent, and a body.
Answer = tuple[int, bytes, bytes]

_MALFORMED = "the request is not valid HTTP/1.1"


class Application(Protocol):
    """Answers requests."""

    def at_once(self, request: Request) -> Answer | None:
        """Answer a request whose body is there; None, and nothing done, if that takes longer."""

    async def later(self, request: Request, receive: "Receive") -> Answer | None:
        """Answer any request; None if the client has gone."""

    def unsent(self, size: int) -> None:
        """Be told that so many bytes of answers more, or fewer, wait in memory for their clients to read them."""


#: Gives the next piece of a request's body: ``b""`` at its end, None if the client has gone.
Receive = Callable[[], Awaitable[bytes | None]]


class Refusal(Exception):
    """A request that is refused before any route sees it.

    Parameters
    ----------
    status : of the answer.
    message : one line, without anything the client sent.
    reason : for the metric of closed connections.
    """

    CODES = {
        400: "BAD_REQUEST",
        408: "REQUEST_TIMEOUT",
        414: "RESOURCE_LIMIT_EXCEEDED",
        431: "RESOURCE_LIMIT_EXCEEDED",
        501: "NOT_IMPLEMENTED",
        503: "TEMPORARILY_UNAVAILABLE",
        505: "NOT_IMPLEMENTED",
    }

    def __init__(self, status: int, message: str, reason: str = "malformed"):
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason

    def answer(self) -> Answer:
        """The refusal as it is sent."""
        body = json.dumps({"error_code": self.CODES[self.status], "message": self.message}).encode()
        return self.status, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body


class Exchange:
    """A request and what is known of its answer.

    Parameters
    ----------
    request : None for bytes that never became one, and are refused.
    keep_alive : whether the connection stays open after the answer.
    expects : whether the client waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = ("expects", "gone", "keep_alive", "parts", "refusal", "request", "size", "waiter", "whole")

    def __init__(self, request: Request | None, *, keep_alive: bool, expects: bool = False):
        self.request, self.keep_alive, self.expects = request, keep_alive, expects
        #: Pieces of the body that nobody has taken yet, their size, and whether the body has arrived.
        self.parts: list[bytes] = []
        self.size, self.whole = 0, False
        self.refusal: Refusal | None = None
        #: Whether the client has gone; whoever waits for its body hears of it.
        self.gone = False
        self.waiter: asyncio.Future | None = None

    def take(self) -> bytes:
        """The pieces of the body that have arrived since the last call."""
        found = b"".join(self.parts)
        self.parts, self.size = [], 0
        return found

    def wake(self) -> None:
        """Let whoever waits for the body look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def leave(self) -> None:
        """The client has gone."""
        self.gone = True
        self.wake()


# Between requests, within a request line and headers, within a body.
_IDLE, _HEAD, _BODY = range(3)


class Connection(asyncio.Protocol):
    """One connection of a ``Listener``.

    There are no timers, which would cost every request as much as its JSON: the listener calls ``look`` once a second.
    """

    def __init__(self, listener: "Listener"):
        self._listener, self._app = listener, listener.app
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until `connection_made`
        self._client = ""
        #: Requests in the order they came, the first being answered; a refused body still to come is in none.
        self._queue: deque[Exchange] = deque()
        self._task: asyncio.Task | None = None
        #: The request whose body is arriving.
        self._arriving: Exchange | None = None
        self._phase = _IDLE
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        #: Bytes received and not parsed; those parsed since the parser last told of anything that counts as progress.
        self._rest, self._silent, self._told = b"", 0, False
        #: Bytes of a head that is not complete.
        self.held = 0
        #: Bytes of a refused body, or after the last request, that were discarded.
        self._discarded = 0
        #: Since when the client is waited for: for a request, or the rest of one.
        self.since = self._loop.time()
        self._reading, self._unread_since, self._lingers = True, 0.0, False
        #: Bytes of answers that the client has not read, as the application was told.
        self._unsent = 0
        #: Whether nothing more is parsed; whether the head just parsed offers another protocol, which is declined.
        self._deaf, self._offer = False, False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._listener.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._hold(0)
        self._keep(0)
        self._listener.discard(self)
        self._deaf, self._rest = True, b""
        self._parser = None  # which knows the connection, and would keep it
        for exchange in self._queue:
            exchange.leave()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discard(len(data))
            return
        self._rest += data
        self._go_on()

    def eof_received(self) -> bool:
        """The client sends no more, but may wait for answers: True keeps our side open until it has them."""
        self._deaf = True
        if self._arriving is not None and self._queue and self._queue[-1] is self._arriving:
            self._queue.pop().leave()
        if self._queue:
            self._queue[-1].keep_alive = False
        return bool(self._queue)

    def pause_writing(self) -> None:
        self._unread_since = self._loop.time()
        self._keep(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._unread_since = 0.0
        self._keep(0)
        self._go_on()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._deaf:
            raise Refusal(400, "the request before was the last of this connection")  # nobody is told
        self._phase, self._told = _HEAD, True
        self._url, self._headers = b"", []
        self.since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # A header after a chunked body must neither overrule one before it nor be kept.
        if self._phase == _HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        names = [name for name, _ in headers]
        if self._silent and len(method) + len(self._url) + 14 + _size(headers) > LONGEST_HEAD:
            raise _too_long()
        if len(self._url) > LONGEST_TARGET:
            raise Refusal(414, f"the request's target is longer than {LONGEST_TARGET:,} bytes")
        if version not in ("1.1", "1.0"):
            raise Refusal(505, "expected HTTP/1.1, found another version")
        hosts = names.count(b"host")
        if hosts != 1 and (hosts or version == "1.1"):
            raise Refusal(400, f"expected the header Host once, found {'it several times' if hosts else 'none'}")
        if b"transfer-encoding" in names:
            _check_encoding(value for name, value in headers if name == b"transfer-encoding")
        if method == "CONNECT":
            raise Refusal(501, "this server is no proxy: CONNECT is not supported")
        self._phase, self._told = _BODY, True
        self._offer = parser.should_upgrade()
        if self._offer:
            return  # `_decline` says it again without the offer
        target = httptools.parse_url(self._url)
        raw = target.path or b"/"
        path = raw.decode("ascii")
        request = Request(
            method, unquote(path) if "%" in path else path, raw=raw, query=target.query or b"", headers=headers
        )
        request.client = self._client
        expects = version == "1.1" and b"expect" in names and _waits_to_be_asked(headers)
        keep_alive = version == "1.1" and parser.should_keep_alive()
        self._arriving = Exchange(request, keep_alive=keep_alive, expects=expects)
        self._queue.append(self._arriving)

    def on_body(self, body: bytes) -> None:
        self._told = True
        exchange = self._arriving
        if exchange is None:
            self._discard(len(body))
            return
        exchange.parts.append(body)
        exchange.size += len(body)
        exchange.wake()

    def on_message_complete(self) -> None:
        if self._offer:
            return
        self._phase, self._told, self._discarded = _IDLE, True, 0
        exchange, self._arriving = self._arriving, None
        if exchange is not None:
            exchange.whole = True
            exchange.wake()
            self._deaf = not exchange.keep_alive

    # Reading and answering.

    def _go_on(self) -> None:
        """Parse and answer until the client, or an answer, has to be waited for."""
        while True:
            self._answer()
            if not self._rest or self._deaf or self._blocked():
                break
            piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
            self._parse(piece)
        if self._transport.is_closing() or self._lingers:
            return
        if self._listener.stopping and not self._queue:
            self._transport.close()
            return
        wanted = not self._blocked()
        if wanted != self._reading:
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _blocked(self) -> bool:
        """Whether reading on would only pile up what cannot be answered yet."""
        queue = self._queue
        if self._unread_since or len(queue) > 1:
            return True
        return bool(queue) and queue[0].size > BODY_AHEAD

    def _parse(self, piece: bytes) -> None:
        """Give the parser a piece; what it makes of it ends up in the queue."""
        self._told = False
        size = len(piece)
        try:
            while piece and not self._deaf:
                try:
                    self._parser.feed_data(piece)
                    break
                except httptools.HttpParserUpgrade as stopped:
                    piece = piece[stopped.args[0] :]
                    self._decline()
        except httptools.HttpParserError as error:
            if self._deaf:
                return  # after a request that was the last
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            if cause is None or isinstance(cause, httptools.HttpParserError):
                cause = Refusal(400, _MALFORMED)
            if not isinstance(cause, Refusal):
                self._fail(cause)
                return
            self._refuse(cause)
            return
        if self._deaf:
            return
        self._silent = 0 if self._told else self._silent + size
        if self._silent > LONGEST_HEAD:
            self._refuse(_too_long())
        elif self._phase == _HEAD:
            self._hold(self.held + size)
        elif self.held:
            self._hold(0)

    def _hold(self, size: int) -> None:
        """Let the listener know how much of an incomplete head is kept."""
        more, self.held = size - self.held, size
        self._listener.hold(more)

    def _keep(self, size: int) -> None:
        """Let the application know how much of the answers is kept for the client to read."""
        more, self._unsent = size - self._unsent, size
        if more:
            self._app.unsent(more)

    def _decline(self) -> None:
        """Go on as if the head just parsed had not offered another protocol, as HTTP wants of those who know none.

        Java's client offers HTTP/2 with every request. httptools stops behind such a head and would take the body for
        the other protocol, so a new parser is given the head again, written from what the old one told of it.
        """
        old, self._parser = self._parser, httptools.HttpRequestParser(self)
        line = b"%s %s HTTP/%s\r\n" % (old.get_method(), self._url, old.get_http_version().encode())
        headers = b"".join(b"%s: %s\r\n" % header for header in self._headers if header[0] != b"upgrade")
        self._parser.feed_data(line + headers + b"\r\n")

    def _answer(self) -> None:
        """Answer all requests that can be answered now, and begin to answer the first that cannot."""
        queue = self._queue
        while queue and self._task is None and not self._unread_since:
            exchange = queue[0]
            if exchange.refusal is not None:
                self._turn_away(exchange.refusal)
                return
            if exchange.whole:
                request = exchange.request
                assert request is not None  # else it had been refused
                request.body = exchange.take() if exchange.parts else b""
                answer = self._app.at_once(request)
                if answer is not None:
                    self._send(exchange, answer)
                    continue
                exchange.parts, exchange.size = [request.body], len(request.body)
            self._task = self._loop.create_task(self._wait_for(exchange))
            self._listener.tasks.add(self._task)
            self._task.add_done_callback(self._listener.ended)

    async def _wait_for(self, exchange: Exchange) -> None:
        """Answer a request that has to wait for something."""
        assert exchange.request is not None

        async def receive() -> bytes | None:
            if exchange.expects and not exchange.parts and not exchange.gone:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            exchange.expects = False
            while not (exchange.parts or exchange.whole or exchange.gone):
                exchange.waiter = self._loop.create_future()
                await exchange.waiter
            if exchange.gone:
                return None
            found = exchange.take()
            if not self._reading:
                self._go_on()
            return found

        try:
            answer = await self._app.later(exchange.request, receive)
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._task = None
        if answer is not None and not exchange.gone:
            self._send(exchange, answer)
            self._go_on()

    def _send(self, exchange: Exchange, answer: Answer) -> None:
        """Send the answer to the first request of the queue."""
        self._queue.popleft()
        status, head, body = answer
        if not exchange.whole:
            self._arriving = None
        last = self._listener.stopping and not self._queue and not self._rest
        # A client that waits to be asked for its body, and is not, may or may not send it.
        if exchange.expects and not exchange.whole or not exchange.keep_alive or last:
            head += b"connection: close\r\n"
            self._deaf, self._rest = True, b""
        assert exchange.request is not None
        if exchange.request.method == "HEAD":
            body = b""
        transport = self._transport
        transport.write(b"%s%s\r\n%s" % (self._listener.opening(status), head, body))
        if self._deaf and not self._queue:
            if self._phase == _BODY:
                self._linger()
            else:
                transport.close()
        self.since = self._loop.time()

    def _refuse(self, refusal: Refusal) -> None:
        """Read no more, and send a refusal once what was asked before is answered."""
        self._deaf, self._rest = True, b""
        exchange = self._arriving
        if exchange is None and self._phase == _BODY:
            # Its answer is sent already, and all that is left of it does not come.
            self._linger()
            return
        if exchange is None:
            exchange = Exchange(None, keep_alive=False)
            self._queue.append(exchange)
        exchange.refusal = refusal
        if exchange is self._queue[0]:
            self._turn_away(refusal)

    def _turn_away(self, refusal: Refusal) -> None:
        """Send a refusal to the first of the queue, which is the last."""
        exchange = self._queue.popleft()
        exchange.leave()
        self._listener.count(refusal.reason)
        status, head, body = refusal.answer()
        self._transport.write(b"%s%sconnection: close\r\n\r\n%s" % (self._listener.opening(status), head, body))
        self._linger()

    def _linger(self) -> None:
        """Close, but not before the client could read the answer: closing on unread bytes would take it back."""
        transport = self._transport
        if self._listener.stopping or not transport.can_write_eof():
            transport.close()
            return
        self._lingers, self.since = True, self._loop.time()
        if not self._reading:
            self._reading = True
            transport.resume_reading()
        transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > REFUSED_MOST:
            self._transport.abort()

    def _fail(self, error: BaseException) -> None:
        say(f"a connection failed: {''.join(traceback.format_exception(error))}")
        self._deaf, self._rest = True, b""
        self._transport.abort()

    # What the listener calls.

    @property
    def answering(self) -> bool:
        """Whether a request that has arrived whole is not answered yet."""
        return bool(self._queue) and self._queue[0].whole

    @property
    def waits(self) -> bool:
        """Whether the connection could be closed without losing an answer to what has arrived."""
        return not self._queue

    def look(self, now: float, *, idle: float, reading: float) -> None:
        """Close the connection if the client takes too long: ``idle`` and ``reading`` are seconds."""
        if self._unread_since:
            if now - self._unread_since > WRITE_LIMIT:
                self.close("unread", abort=True)
            return
        waited = now - self.since
        if self._lingers:
            if waited > LINGER:
                self._transport.abort()
        elif self.answering or len(self._queue) > 1:
            self.since = now  # it is our turn
        elif self._phase == _BODY:
            if waited > reading:
                self._refuse(Refusal(408, f"the request took longer than {reading:g} s to arrive", "slow"))
        elif self._phase == _HEAD:
            if waited > HEAD_LIMIT:
                self._refuse(Refusal(408, f"the headers took longer than {HEAD_LIMIT:g} s to arrive", "slow"))
        elif waited > idle:
            self.close("idle")

    def close(self, reason: str, *, abort: bool = False) -> None:
        """Close the connection without an answer, and count why."""
        self._deaf = True
        self._hold(0)
        self._listener.count(reason)
        (self._transport.abort if abort else self._transport.close)()

    def turn_away(self, refusal: Refusal) -> None:
        """Refuse a connection that was just made."""
        self._refuse(refusal)
        self._transport.close()

    def stop(self) -> None:
        """Close as soon as all requests that have arrived are answered."""
        if not self._queue:
            self._transport.close()


def _waits_to_be_asked(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    """Bytes of headers as they are sent."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _too_long() -> Refusal:
    return Refusal(431, f"the request's line and headers are longer than {LONGEST_HEAD:,} bytes")


def _check_encoding(values: Any) -> None:
    """Raise Refusal for a body in any other form than chunks."""
    if [value.strip().lower() for value in values] != [b"chunked"]:
        raise Refusal(501, "expected Transfer-Encoding: chunked, found another")


def opening(status: int, date: bytes) -> bytes:
    """The first lines of an answer."""
    return b"HTTP/1.1 %d %s\r\ndate: %s\r\n" % (status, HTTPStatus(status).phrase.encode(), date)
