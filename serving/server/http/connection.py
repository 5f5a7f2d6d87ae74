"""One HTTP/1.1 connection: requests are answered in the order they came, and slow clients are disconnected.

A request whose body has arrived is answered in the same call that read it, because an asyncio task costs as much as
scoring a row. What has to wait (for the rest of a body, for a thread) is answered by a task, and later requests of the
connection wait behind it.
"""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from typing import Protocol

from serving.server.http.exchange import Answer, Application, Exchange, HTTPException
from serving.server.http.limits import CHUNK, MAX_DISCARDED, READ_AHEAD, Timeouts
from serving.server.http.reader import BODY, HEAD, RequestReader
from serving.server.log import say


class Host(Protocol):
    """What a connection needs of the server that accepted it, which is a ``Listener``."""

    app: Application
    #: Called with the reason each time the server closes a connection that the client would have kept.
    count: Callable[[str], None]
    #: Whether the server is shutting down.
    stopping: bool
    #: The requests that are being answered, including those whose client has disconnected.
    tasks: set[asyncio.Task]

    def add(self, connection: "Connection") -> None:
        """Register a new connection."""

    def discard(self, connection: "Connection") -> None:
        """Forget a closed connection."""

    def hold(self, more: int) -> None:
        """Account for this many more bytes of incomplete headers."""

    def ended(self, task: asyncio.Task) -> None:
        """Forget a task that is done."""

    def opening(self, status: int) -> bytes:
        """The status line and date of an answer."""


class Connection(asyncio.Protocol):
    """One connection.

    It sets no timers, which would cost each request as much as its JSON: the listener calls ``check_timeouts`` once a
    second.
    """

    def __init__(self, host: Host):
        self._host, self._app = host, host.app
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until `connection_made`
        #: Requests in the order they came; the first is being answered. A body that is discarded belongs to none.
        self._queue: deque[Exchange] = deque()
        self._reader = RequestReader(self._queue, self._loop.time)
        self._task: asyncio.Task | None = None
        #: Bytes that were received and not parsed yet.
        self._rest = b""
        #: Bytes of incomplete headers, as the host was told.
        self.held = 0
        self._reading, self._unread_since, self._lingers = True, 0.0, False
        #: Bytes of answers that the client has not read, as the application was told.
        self._unsent = 0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._reader.client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._host.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._hold(0)
        self._keep(0)
        self._host.discard(self)
        self._rest = b""
        self._reader.close()
        for exchange in self._queue:
            exchange.disconnect()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._reader.closed:
            self._reader.discarded += len(data)
            self._check_discarded()
            return
        self._rest += data
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more, but may wait for answers: True keeps our side open until it has them."""
        reader, queue = self._reader, self._queue
        reader.closed = True
        if reader.arriving is not None and queue and queue[-1] is reader.arriving:
            queue.pop().disconnect()
        if queue:
            queue[-1].keep_alive = False
        return bool(queue)

    def pause_writing(self) -> None:
        self._unread_since = self._loop.time()
        self._keep(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._unread_since = 0.0
        self._keep(0)
        self._advance()

    # Reading and answering.

    def _advance(self) -> None:
        """Parse and answer until the connection has to wait for the client, or for an answer."""
        reader = self._reader
        while True:
            self._answer()
            if not self._rest or reader.closed or self._blocked():
                break
            piece, self._rest = self._rest[:CHUNK], self._rest[CHUNK:]
            self._parse(piece)
        if self._transport.is_closing() or self._lingers:
            return
        if self._host.stopping and not self._queue:
            self._transport.close()
            return
        wanted = not self._blocked()
        if wanted != self._reading:
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _blocked(self) -> bool:
        """Whether reading on would only pile up requests that cannot be answered yet."""
        queue = self._queue
        if self._unread_since or len(queue) > 1:
            return True
        return bool(queue) and queue[0].size > READ_AHEAD

    def _parse(self, piece: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(piece)
        except HTTPException as error:
            self._refuse(error)
            return
        except Exception as error:
            self._fail(error)
            return
        if reader.discarded:
            self._check_discarded()
        if reader.head_size != self.held and not reader.closed:
            self._hold(reader.head_size)

    def _hold(self, size: int) -> None:
        """Tell the host how many bytes of incomplete headers are kept."""
        more, self.held = size - self.held, size
        self._host.hold(more)

    def _keep(self, size: int) -> None:
        """Tell the application how many bytes of answers are kept for the client to read."""
        more, self._unsent = size - self._unsent, size
        if more:
            self._app.unsent(more)

    def _answer(self) -> None:
        """Answer all requests that can be answered now, and start a task for the first that cannot."""
        queue = self._queue
        while queue and self._task is None and not self._unread_since:
            exchange = queue[0]
            if exchange.error is not None:
                self._send_error(exchange.error)
                return
            if exchange.complete:
                request = exchange.request
                assert request is not None  # otherwise there was an error
                request.body = exchange.take() if exchange.parts else b""
                answer = self._app.handle_now(request)
                if answer is not None:
                    self._send(exchange, answer)
                    continue
                exchange.parts, exchange.size = [request.body], len(request.body)
            self._task = self._loop.create_task(self._wait_for(exchange))
            self._host.tasks.add(self._task)
            self._task.add_done_callback(self._host.ended)

    async def _wait_for(self, exchange: Exchange) -> None:
        """Answer a request that has to wait."""
        assert exchange.request is not None

        async def receive() -> bytes | None:
            if exchange.expects and not exchange.parts and not exchange.disconnected:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            exchange.expects = False
            while not (exchange.parts or exchange.complete or exchange.disconnected):
                exchange.waiter = self._loop.create_future()
                await exchange.waiter
            if exchange.disconnected:
                return None
            body = exchange.take()
            if not self._reading:
                self._advance()
            return body

        try:
            answer = await self._app.handle(exchange.request, receive)
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._task = None
        if answer is not None and not exchange.disconnected:
            self._send(exchange, answer)
            self._advance()

    def _send(self, exchange: Exchange, answer: Answer) -> None:
        """Send the answer to the first request of the queue."""
        queue, reader = self._queue, self._reader
        queue.popleft()
        status, head, body = answer
        if not exchange.complete:
            reader.arriving = None
        last = self._host.stopping and not queue and not self._rest
        # A client that waits for 100 Continue and gets an answer instead may or may not send its body.
        if exchange.expects and not exchange.complete or not exchange.keep_alive or last:
            head += b"connection: close\r\n"
            self._ignore_rest()
        assert exchange.request is not None
        if exchange.request.method == "HEAD":
            body = b""
        transport = self._transport
        transport.write(b"%s%s\r\n%s" % (self._host.opening(status), head, body))
        if reader.closed and not queue:
            if reader.phase == BODY:
                self._linger()
            else:
                transport.close()
        reader.since = self._loop.time()

    def _ignore_rest(self) -> None:
        self._reader.closed, self._rest = True, b""

    def _refuse(self, error: HTTPException) -> None:
        """Read no more, and send an error once all requests before it are answered."""
        self._ignore_rest()
        exchange = self._reader.arriving
        if exchange is None and self._reader.phase == BODY:
            # The request is answered already, and the rest of its body does not come.
            self._linger()
            return
        if exchange is None:
            exchange = Exchange(None, keep_alive=False)
            self._queue.append(exchange)
        exchange.error = error
        if exchange is self._queue[0]:
            self._send_error(error)

    def _send_error(self, error: HTTPException) -> None:
        """Send an error to the first request of the queue, which is the last one."""
        self._queue.popleft().disconnect()
        self._host.count(error.reason)
        status, head, body = error.answer()
        self._transport.write(b"%s%sconnection: close\r\n\r\n%s" % (self._host.opening(status), head, body))
        self._linger()

    def _linger(self) -> None:
        """Close, but only after the client could read the answer: closing on unread bytes would reset it."""
        transport = self._transport
        if self._host.stopping or not transport.can_write_eof():
            transport.close()
            return
        self._lingers, self._reader.since = True, self._loop.time()
        if not self._reading:
            self._reading = True
            transport.resume_reading()
        transport.write_eof()

    def _check_discarded(self) -> None:
        if self._reader.discarded > MAX_DISCARDED:
            self._transport.abort()

    def _fail(self, error: BaseException) -> None:
        say(f"a connection failed: {''.join(traceback.format_exception(error))}")
        self._ignore_rest()
        self._transport.abort()

    # Called by the listener.

    @property
    def since(self) -> float:
        """Since when the connection waits for the client, by the event loop's clock."""
        return self._reader.since

    @property
    def answering(self) -> bool:
        """Whether a request that has arrived completely is not answered yet."""
        return bool(self._queue) and self._queue[0].complete

    @property
    def waits(self) -> bool:
        """Whether the connection could be closed without losing an answer to a request that has arrived."""
        return not self._queue

    def check_timeouts(self, now: float, limits: Timeouts) -> None:
        """Close the connection if the client takes too long."""
        if self._unread_since:
            if now - self._unread_since > limits.write:
                self.close("unread", abort=True)
            return
        waited = now - self.since
        if self._lingers:
            if waited > limits.linger:
                self._transport.abort()
        elif self.answering or len(self._queue) > 1:
            self._reader.since = now  # the server is the one to act
        elif self._reader.phase == BODY:
            if waited > limits.request:
                self._refuse(HTTPException(408, f"the request took longer than {limits.request:g} s to arrive", "slow"))
        elif self._reader.phase == HEAD:
            if waited > limits.head:
                self._refuse(HTTPException(408, f"the headers took longer than {limits.head:g} s to arrive", "slow"))
        elif waited > limits.idle:
            self.close("idle")

    def close(self, reason: str, *, abort: bool = False) -> None:
        """Close the connection without an answer, and count why."""
        self._reader.closed = True
        self._hold(0)
        self._host.count(reason)
        (self._transport.abort if abort else self._transport.close)()

    def reject(self, error: HTTPException) -> None:
        """Refuse a connection that was just made."""
        self._refuse(error)
        self._transport.close()

    def stop(self) -> None:
        """Close as soon as all requests that have arrived are answered."""
        if not self._queue:
            self._transport.close()
