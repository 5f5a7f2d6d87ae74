"""A connection as uvicorn has it, and what it lacks against clients that are slow, endless or no HTTP at all.

uvicorn parses, and answers in order. It knows no limit for headers, and none for the time in which a request arrives or
an answer is read; it tells in plain text of a request that is malformed; it makes a task of each request, and sends
an answer's headers and its body apart, which together cost as much as all that is done for a one-row prediction. And
it parses the head of every request, where a client that keeps its connection says the same again and again.
"""

import json
import re
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.server.saying import say

#: Bytes of a request's line and headers.
LONGEST_HEAD = 64 * 1024
#: Seconds in which these have to arrive.
HEAD_LIMIT = 10.0
#: Seconds that a client may take to read on, where its answer waits for it.
WRITE_LIMIT = 60.0
#: Bytes of a body that are read and thrown away after it was refused, so that the client comes to read why.
REFUSED_MOST = 64 * 1024 * 1024
#: How often connections are looked at, in seconds.
EVERY = 1.0
#: Heads that a connection remembers, and the bytes of the longest.
KNOWN, LONGEST_KNOWN = 8, 2048

_UPGRADE = re.compile(rb"\nupgrade[ \t]*:", re.IGNORECASE)

_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
_CODES = {400: "BAD_REQUEST", 408: "REQUEST_TIMEOUT", 431: "RESOURCE_LIMIT_EXCEEDED"}


#: A status, the headers as they are sent, and a body.
Answer = tuple[int, bytes, bytes]


class Application(Protocol):
    """What answers requests."""

    def at_once(self, scope: Any, body: bytes) -> Answer | None:
        """The answer to a request that has come whole; None where that takes longer, and nothing was done yet."""

    async def later(self, scope: Any, receive: Callable[[], Awaitable[Any]]) -> Answer | None:
        """The answer to any request, whose body ``receive`` gives as in ASGI; None where the client has gone."""


class Exchange(RequestResponseCycle):
    """A request and its answer, which leaves in one piece."""

    def finish(self, answer: Answer) -> None:
        """Send the answer."""
        if self.disconnected:
            return
        if self.waiting_for_100_continue:
            self.keep_alive = False  # whether the body still comes, nobody knows
        status, head, body = answer
        if not self.keep_alive:
            head += b"connection: close\r\n"
        if self.scope["method"] == "HEAD":
            body = b""
        self.transport.write(_wire(status, self.default_headers, head, body))
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def run(self, app: Application) -> None:
        """Answer, whatever that has to wait for."""
        try:
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            answer = await app.later(self.scope, self.receive)
            if answer is not None:
                self.finish(answer)
        except Exception:
            say(f"a connection failed: {traceback.format_exc()}")
            self.transport.close()


class Connection(HttpToolsProtocol):
    """One connection. Its times are not timers, which cost each request as much as its JSON: see ``look``."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        #: Since when the next request, or the rest of one, is waited for.
        self.since = self.loop.time()
        #: Since when the client does not read its answer.
        self.unread: float | None = None
        #: Whether a request's head is waited for, how much of it has come, and how much of a body that was refused.
        self.in_head, self.head, self.refused = True, 0, 0
        #: The request that is to be answered next, and whether that is seen to already.
        self.next: Exchange | None = None
        self.busy = False
        #: What the parser made of heads that came before, and the length of the body that each announces.
        self.known: dict[bytes, tuple[Any, int]] = {}

    def data_received(self, data: bytes) -> None:
        rested = self.in_head and not self.head and (self.cycle is None or self.cycle.response_complete)
        if rested and self.known and self._again(data):
            return
        if self.in_head:
            if not self.head:
                self.since = self.loop.time()
            self.head += len(data)
            if b"pgrade" in data:
                data = _without_upgrade(data)
        self.busy = True
        super().data_received(data)
        self._go_on()
        if self.in_head and self.head > LONGEST_HEAD:
            self._refuse_head()
        elif rested:
            self._remember(data)

    def _again(self, data: bytes) -> bool:
        """Answer a request that has come whole, and whose head is known to the last byte; False where it is not."""
        end = data.find(b"\r\n\r\n") + 4
        scope, length = self.known.get(data[:end], (None, 0))
        if scope is None or len(data) - end != length or self.flow.write_paused or self.transport.is_closing():
            return False
        answer = self.app.at_once(scope, data[end:])
        if answer is None:
            return False
        status, head, body = answer
        self.transport.write(_wire(status, self.server_state.default_headers, head, body))
        self.since = self.loop.time()
        self.server_state.total_requests += 1
        return True

    def _remember(self, data: bytes) -> None:
        """Keep the head of a request that was answered at once, if it and its body are all that has come.

        Where the bytes after the first head are as many as the last body's, no second request was among them, and
        the body came by its length and not in chunks.
        """
        cycle, end = self.cycle, data.find(b"\r\n\r\n") + 4
        if cycle is None or not cycle.response_complete or not cycle.keep_alive or self.head or not self.in_head:
            return
        if 0 < len(cycle.body) == len(data) - end and end <= LONGEST_KNOWN:
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[data[:end]] = (cycle.scope, len(cycle.body))

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body in chunks is no header: it may neither overrule one, nor be kept without a limit.
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self.head > LONGEST_HEAD and self._length() > LONGEST_HEAD:
            raise httptools.HttpParserError("the head is too large")
        super().on_headers_complete()

    def _start_asgi_task(self, cycle, app) -> None:
        # uvicorn has no setting for what it makes of a request.
        cycle.__class__ = Exchange
        self.next = cycle
        if not self.busy:
            self._go_on()

    def _go_on(self) -> None:
        """Answer one request after another: were each to begin the next, they would stand on one another."""
        self.busy = True
        while self.next is not None:
            cycle, self.next = self.next, None
            self._run(cycle)
        self.busy = False

    def _run(self, cycle: Exchange) -> None:
        """Answer: at once where that can be, for a task costs as much as scoring a row does."""
        if not cycle.more_body and not self.flow.write_paused:
            answer = self.app.at_once(cycle.scope, bytes(cycle.body))
            if answer is not None:
                cycle.finish(answer)
                return
        task = self.loop.create_task(cycle.run(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self.refused += len(body)
            if self.refused > REFUSED_MOST:
                self.transport.abort()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.in_head, self.head, self.refused = True, 0, 0
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # True keeps our side open
        """A client that has no more to say may still wait for its answer."""
        waits = self.cycle is not None and not self.cycle.response_complete and self.in_head and not self.head
        if waits:
            self.cycle.keep_alive = False
        return waits

    def on_response_complete(self) -> None:
        """Go on with a request that waits behind this one; uvicorn would start a timer where there is none."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.in_head:
            self.since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def send_400_response(self, msg: str) -> None:
        if self.head > LONGEST_HEAD and self._length() > LONGEST_HEAD:
            self._refuse_head()
        else:
            self._refuse(400, "the request is no HTTP that can be read")

    def look(self, now: float, *, idle: float, reading: float) -> None:
        """Close the connection where the client takes too long: ``idle`` and ``reading`` seconds at most."""
        if self.flow.write_paused:
            self.unread = self.unread or now
            if now - self.unread > WRITE_LIMIT:
                self.transport.abort()
            return
        self.unread = None
        waited = now - self.since
        if not self.in_head:
            if waited > reading:
                self._refuse(408, f"the request took longer than {reading:g} s to arrive")
        elif self.cycle is not None and not self.cycle.response_complete:
            return  # it is our turn
        elif not self.head:
            if waited > idle:
                self.transport.close()
        elif waited > HEAD_LIMIT:
            self._refuse(408, f"the headers took longer than {HEAD_LIMIT:g} s to arrive")

    def _length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers or ())

    def _refuse_head(self) -> None:
        self._refuse(431, f"the request's line and headers are longer than {LONGEST_HEAD:,} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Say what is wrong and close, or close after the answer that is under way."""
        self._go_on()  # what was asked before is answered before
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete and self.in_head:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        body = json.dumps({"error_code": _CODES[status], "message": message}).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


def _wire(status: int, default_headers: list[tuple[bytes, bytes]], head: bytes, body: bytes) -> bytes:
    """An answer as it is sent."""
    parts = [STATUS_LINE[status]]
    for name, value in default_headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (head, b"\r\n", body)
    return b"".join(parts)


def _without_upgrade(data: bytes) -> bytes:
    """A head that offers no other protocol: the parser would take it up, and never read the body.

    Java's client offers HTTP/2 with each request; whoever does not take that up is to answer as if it had not.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(rb"\nx-offered:", head) + end + rest


def sweep(connections, now: float, *, idle: float, reading: float) -> None:
    """Look at all connections, as ``Connection.look`` does."""
    for connection in list(connections):
        connection.look(now, idle=idle, reading=reading)
