"""A request that was read whole, and the response to it."""

from collections.abc import Sequence
from urllib.parse import quote

from serving.server.state import ServedVersion

Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"


class Request:
    """What came.

    Parameters
    ----------
    method : ``GET``, ``POST``, ...
    path, raw : percent-decoded, and as it came; ``raw`` is made of ``path`` where it is not given.
    query : as it came, without the ``?``.
    headers : in the order they came, the names in lower case.
    key : the name of the API key, None where keys are not asked for.
    id : of the request, for the log and the header ``X-Request-Id``.
    client : the address it came from; empty where there is none.

    ``kind`` and ``encoding`` are what its headers ``Content-Type`` and ``Content-Encoding`` say, ``given`` is the
    client's own id; None where there is none. ``chosen`` is the version that is to answer, once one is; ``held`` how
    many bytes of the body the door has made room for.
    """

    __slots__ = (
        *("body", "chosen", "client", "encoding", "given", "headers", "held", "id", "key", "kind", "method", "path"),
        *("admitted", "query", "raw"),
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
        #: Whether it was let in before, and counted for its caller's rate.
        self.admitted = False
        self.kind: str | None = None
        self.encoding: str | None = None
        self.given: bytes | None = None
        self.chosen: ServedVersion | None = None
        for name, value in headers:
            if name == b"content-type":
                self.kind = value.decode("latin-1")
            elif name == b"content-encoding":
                self.encoding = value.decode("latin-1")
            elif name == b"x-request-id":
                self.given = value

    def header(self, name: bytes) -> str | None:
        """The first header of a name (in lower case), as text; None where there is none."""
        for found, value in self.headers:
            if found == name:
                return value.decode("latin-1")
        return None


class Response:
    """What is answered.

    Parameters
    ----------
    media_type : for the header ``Content-Type``; None for none.
    headers : further ones, names in lower case.
    kind : what a browser may do with it, of ``guard.headers.standing``: ``api``, ``page``, ``docs`` or ``file``.
    model, version : which answered, for metrics and log; empty where none did.
    rows : how many were answered.
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
