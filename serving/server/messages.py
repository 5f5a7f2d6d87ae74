"""A request and the response to it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from serving.server.state import ServedVersion

Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"


class Request:
    """A request.

    Parameters
    ----------
    method : ``GET``, ``POST``, ...
    path, raw : the path decoded, and as it was sent; ``raw`` defaults to ``path`` encoded.
    query : as it was sent, without the ``?``.
    headers : in the order they were sent, the names in lower case.
    key : name of the API key; None if no key was needed.
    id : for the log and the header ``X-Request-Id``.
    client : the client's address; empty if it has none.

    Attributes
    ----------
    kind, encoding, given : the headers ``Content-Type``, ``Content-Encoding`` and ``X-Request-Id``, or None.
    chosen : the version that answers, once it is chosen.
    found : its predictions, for the prediction log; None if it failed, or was asked for something else.
    held : bytes of the body that admission has reserved.
    """

    __slots__ = (
        *("body", "chosen", "client", "encoding", "found", "given", "headers", "held", "id", "key", "kind", "method"),
        *("admitted", "path", "query", "raw"),
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        raw: bytes | None = None,
        query: bytes = b"",
        headers: Headers = (),
        body: bytes = b"",
        key: str | None = None,
        id: str = "",
        client: str = "",
    ):
        self.method, self.path, self.query, self.headers = method, path, query, headers
        self.raw = quote(path).encode() if raw is None else raw
        self.body, self.key, self.id, self.client, self.held = body, key, id, client, 0
        #: Whether it was admitted before, and counted against its caller's rate limit.
        self.admitted = False
        self.kind: str | None = None
        self.encoding: str | None = None
        self.given: bytes | None = None
        self.chosen: ServedVersion | None = None
        self.found: Any = None
        for name, value in headers:
            if name == b"content-type":
                self.kind = value.decode("latin-1")
            elif name == b"content-encoding":
                self.encoding = value.decode("latin-1")
            elif name == b"x-request-id":
                self.given = value

    def header(self, name: bytes) -> str | None:
        """The first header of this name (in lower case) as text; None if there is none."""
        for found, value in self.headers:
            if found == name:
                return value.decode("latin-1")
        return None


class Response:
    """A response.

    Parameters
    ----------
    media_type : the header ``Content-Type``; None for none.
    headers : further headers, names in lower case.
    kind : which security headers it gets, of ``guard.headers.standing``: ``api``, ``page``, ``docs`` or ``file``.
    model, version : that answered, for metrics and log; empty if none did.
    rows : number of rows that were scored.
    """

    __slots__ = ("body", "headers", "kind", "media_type", "model", "rows", "status", "version")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        *,
        media_type: bytes | None = JSON,
        headers: Headers = (),
        kind: str = "api",
        model: str = "",
        version: str = "",
        rows: int = 0,
    ):
        self.status, self.body, self.media_type, self.headers = status, body, media_type, list(headers)
        self.kind = kind
        self.model, self.version, self.rows = model, version, rows
