"""From the path of a request to what answers it: fixed paths by a table, others by their first segment.

A module of routes offers ``add(router, ...)``, which registers its own.
"""

from collections.abc import Callable, Sequence
from urllib.parse import unquote

from serving.server.guard.admission import ASK, SEE
from serving.server.messages import Request, Response
from serving.server.protocols.base import WireProtocol
from serving.server.protocols.mlflow import MLFLOW
from serving.server.state import Served

#: Answers what is no prediction: ``(request, served, route) -> Response``; raises RequestError.
Answer = Callable[[Request, Served, "Route"], Response]

GET = ("GET", "HEAD")
POST = ("POST",)

# Routes of paths that were found are kept: so many, none of a path of more bytes, whatever names clients make up.
_REMEMBERED, _LONGEST = 1024, 256


class Route:
    """What answers a path.

    Parameters
    ----------
    name : the path with ``{name}`` for what varies; for metrics and log.
    methods : the methods that it takes.
    protocol : the wire format of predictions; None for other routes.
    answer : for what is no prediction; None for predictions.
    model, version : of the path; None where it names none.
    access : what it asks of whoever comes, of ``guard.admission``; predictions ``ASK``, others ``SEE``.
    aside : whether ``answer`` takes its time, and is to run in a thread.
    """

    __slots__ = ("access", "answer", "aside", "methods", "model", "name", "protocol", "version")

    def __init__(
        self,
        name: str,
        methods: Sequence[str],
        *,
        protocol: WireProtocol | None = None,
        answer: Answer | None = None,
        model: str | None = None,
        version: str | None = None,
        access: str | None = None,
        aside: bool = False,
    ):
        self.name, self.methods, self.protocol, self.answer = name, tuple(methods), protocol, answer
        self.model, self.version = model, version
        self.access, self.aside = access or (ASK if protocol else SEE), aside


#: From the segments after the first, decoded, to a route; None where there is no such path.
Find = Callable[[list[str]], Route | None]


class Router:
    """All routes of a server."""

    def __init__(self) -> None:
        self._fixed: dict[bytes, Route] = {}
        self._patterns: dict[str, Find] = {}
        self._speakers: dict[str, WireProtocol] = {}
        self._found: dict[bytes, Route] = {}

    def add(self, path: str, route: Route) -> None:
        """Answer one path, and the same with a slash at its end."""
        self._fixed[path.encode()] = self._fixed[path.rstrip("/").encode() + b"/"] = route

    def under(self, first: str, find: Find, *, speaker: WireProtocol = MLFLOW) -> None:
        """Let a function answer the paths whose first segment is ``first``; ``speaker`` tells errors there."""
        self._patterns[first], self._speakers[first] = find, speaker

    def speaker(self, path: str, route: Route | None) -> WireProtocol:
        """The wire format that tells an error: a prediction's own, else that of the path's first segment."""
        if route is not None and route.protocol is not None:
            return route.protocol
        return self._speakers.get(path.lstrip("/").partition("/")[0], MLFLOW)

    def find(self, path: bytes) -> Route | None:
        """The route of a path as it came, percent-encoded; None where there is none."""
        route = self._fixed.get(path) or self._found.get(path)
        if route is None:
            first, *rest = [unquote(part) for part in path.decode("latin-1").strip("/").split("/")]
            pattern = self._patterns.get(first)
            route = pattern(rest) if pattern and rest else None
            if route is not None and len(path) <= _LONGEST:
                if len(self._found) >= _REMEMBERED:
                    self._found.clear()
                self._found[path] = route
        return route
