"""A request with its answer to come, and what a connection expects of the application that answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Protocol

from serving.server.messages import Request

#: A status, the header lines as they are sent, and a body.
Answer = tuple[int, bytes, bytes]

#: Returns the next piece of a request's body: ``b""`` at its end, None if the client has disconnected.
Receive = Callable[[], Awaitable[bytes | None]]


class Application(Protocol):
    """Answers requests."""

    def handle_now(self, request: Request) -> Answer | None:
        """Answer a request whose body is complete, or return None without side effects if that takes too long."""

    async def handle(self, request: Request, receive: Receive) -> Answer | None:
        """Answer any request; None if the client has disconnected."""

    def unsent(self, size: int) -> None:
        """Account for this many more (or, if negative, fewer) bytes of answers waiting for clients to read them."""


class HTTPException(Exception):
    """A request that is refused before it reaches a route.

    Parameters
    ----------
    status : HTTP status of the answer.
    message : one line, without anything that the client sent.
    reason : label of the metric of closed connections.
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
        """The answer that tells the client why."""
        body = json.dumps({"error_code": self.CODES[self.status], "message": self.message}).encode()
        return self.status, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body


class Exchange:
    """A request, its body as far as it has arrived, and how the connection continues after the answer.

    Parameters
    ----------
    request : None for bytes that never became a request and are refused.
    keep_alive : whether the connection stays open after the answer.
    expects : whether the client waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = ("complete", "disconnected", "error", "expects", "keep_alive", "parts", "request", "size", "waiter")

    def __init__(self, request: Request | None, *, keep_alive: bool, expects: bool = False):
        self.request, self.keep_alive, self.expects = request, keep_alive, expects
        #: Pieces of the body that nobody has taken yet, their total size, and whether the body has arrived completely.
        self.parts: list[bytes] = []
        self.size, self.complete = 0, False
        #: Why the request is refused, if it is.
        self.error: HTTPException | None = None
        self.disconnected = False
        self.waiter: asyncio.Future | None = None

    def take(self) -> bytes:
        """Return the pieces of the body that have arrived since the last call."""
        body = b"".join(self.parts)
        self.parts, self.size = [], 0
        return body

    def wake(self) -> None:
        """Wake up whoever waits for the body."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def disconnect(self) -> None:
        """Tell whoever waits for the body that the client has disconnected."""
        self.disconnected = True
        self.wake()
