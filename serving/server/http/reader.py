"""Reads requests from the bytes of a connection.

All bytes go through httptools, and everything known about a request comes from its events: a second parser beside it
would one day disagree with it about where a request ends, which is how requests are smuggled.
"""

from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools

from serving.server.http.exchange import Exchange, HTTPException
from serving.server.http.limits import MAX_HEAD, MAX_TARGET
from serving.server.messages import Request

#: Where the bytes read so far end: between requests, in a request line or headers, or in a body.
IDLE, HEAD, BODY = range(3)


class RequestReader:
    """Appends each request to a queue as soon as its headers are complete, and adds to its body what follows.

    Parameters
    ----------
    queue : the requests of the connection, in the order they came.
    clock : the time of the event loop, in seconds.
    """

    def __init__(self, queue: deque[Exchange], clock: Callable[[], float]):
        self._queue, self._clock = queue, clock
        self._parser: Any = httptools.HttpRequestParser(self)
        #: The address the connection comes from.
        self.client = ""
        self.phase = IDLE
        #: The request whose body is arriving; None if it was refused or answered already, and its body is discarded.
        self.arriving: Exchange | None = None
        #: Since when the connection waits for the client: for a request, or for the rest of one.
        self.since = clock()
        #: Whether all further bytes are ignored.
        self.closed = False
        #: Bytes of headers that are not complete.
        self.head_size = 0
        #: Bytes discarded of a refused body, or after the last request.
        self.discarded = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        # Bytes since the parser last reported anything that counts as progress, and whether the current ones have any.
        self._silent, self._progress = 0, False
        # Whether the headers just parsed offer another protocol, which is declined.
        self._offer = False

    def feed(self, data: bytes) -> None:
        """Parse some bytes.

        Raises
        ------
        HTTPException
            if they are not valid HTTP/1.1, or headers are too long.
        """
        size, self._progress = len(data), False
        try:
            while data and not self.closed:
                try:
                    self._parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as stopped:
                    data = data[stopped.args[0] :]
                    self._decline()
        except httptools.HttpParserError as error:
            if self.closed:
                return  # bytes after a request that was the last one
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            if cause is None or isinstance(cause, httptools.HttpParserError):
                raise HTTPException(400, "the request is not valid HTTP/1.1") from None
            raise cause from None
        if self.closed:
            return
        self._silent = 0 if self._progress else self._silent + size
        if self._silent > MAX_HEAD:
            raise _head_too_long()
        self.head_size = self.head_size + size if self.phase == HEAD else 0

    def close(self) -> None:
        """Forget the parser, whose references to this reader would keep it alive."""
        self.closed, self._parser = True, None

    def _decline(self) -> None:
        """Continue as if the headers had not offered another protocol, which is how HTTP/1.1 declines one.

        Java's client offers HTTP/2 with every request. httptools stops after such headers and would take the body for
        the other protocol, so a new parser is given the headers again, as the old one reported them.
        """
        old, self._parser = self._parser, httptools.HttpRequestParser(self)
        line = b"%s %s HTTP/%s\r\n" % (old.get_method(), self._url, old.get_http_version().encode())
        headers = b"".join(b"%s: %s\r\n" % header for header in self._headers if header[0] != b"upgrade")
        self._parser.feed_data(line + headers + b"\r\n")

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self.closed:
            raise HTTPException(400, "the previous request was the last one of this connection")  # never sent
        self.phase, self._progress = HEAD, True
        self._url, self._headers = b"", []
        self.since = self._clock()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers of a chunked body must neither override headers nor be kept.
        if self.phase == HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        if self._silent and len(method) + len(self._url) + 14 + _size(headers) > MAX_HEAD:
            raise _head_too_long()
        names = [name for name, _ in headers]
        self._check(method, version, names)
        self.phase, self._progress = BODY, True
        self._offer = parser.should_upgrade()
        if self._offer:
            return  # `_decline` parses the headers again, without the offer
        target = httptools.parse_url(self._url)
        raw = target.path or b"/"
        path = raw.decode("ascii")
        request = Request(
            method, unquote(path) if "%" in path else path, raw=raw, query=target.query or b"", headers=headers
        )
        request.client = self.client
        modern = version == "1.1"
        self.arriving = Exchange(
            request,
            keep_alive=modern and parser.should_keep_alive(),
            expects=modern and b"expect" in names and b"100-continue" in _values(headers, b"expect"),
        )
        self._queue.append(self.arriving)

    def _check(self, method: str, version: str, names: list[bytes]) -> None:
        """Raise HTTPException for a request that this server does not accept."""
        if len(self._url) > MAX_TARGET:
            raise HTTPException(414, f"the request's target is longer than {MAX_TARGET:,} bytes")
        if version not in ("1.1", "1.0"):
            raise HTTPException(505, "expected HTTP/1.1, found another version")
        hosts = names.count(b"host")
        if hosts != 1 and (hosts or version == "1.1"):
            raise HTTPException(400, f"expected the header Host once, found {'it several times' if hosts else 'none'}")
        if b"transfer-encoding" in names and _values(self._headers, b"transfer-encoding") != [b"chunked"]:
            raise HTTPException(501, "expected Transfer-Encoding: chunked, found another")
        if method == "CONNECT":
            raise HTTPException(501, "this server is no proxy: CONNECT is not supported")

    def on_body(self, body: bytes) -> None:
        self._progress = True
        exchange = self.arriving
        if exchange is None:
            self.discarded += len(body)
            return
        exchange.parts.append(body)
        exchange.size += len(body)
        if exchange.waiter is not None:
            exchange.wake()

    def on_message_complete(self) -> None:
        if self._offer:
            return
        self.phase, self._progress, self.discarded = IDLE, True, 0
        exchange, self.arriving = self.arriving, None
        if exchange is not None:
            exchange.complete = True
            if exchange.waiter is not None:
                exchange.wake()
            self.closed = not exchange.keep_alive


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    """The values of a header, in lower case."""
    return [value.strip().lower() for name, value in headers if name == wanted]


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    """Bytes of headers as they are sent."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _head_too_long() -> HTTPException:
    return HTTPException(431, f"the request's line and headers are longer than {MAX_HEAD:,} bytes")
