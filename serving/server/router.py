"""Finds the route of a path: fixed paths by a table, others by their first segment.

A module with routes has a function ``add(router, ...)`` that registers them.
"""

from collections.abc import Callable, Sequence
from urllib.parse import unquote

from serving.server.guard.admission import ASK, SEE
from serving.server.messages import Request, Response
from serving.server.protocols.base import WireProtocol
from serving.server.protocols.mlflow import MLFLOW
from serving.server.state import Served

#: Answers a request other than a prediction: ``(request, served, route) -> Response``; raises RequestError.
Answer = Callable[[Request, Served, "Route"], Response]

GET = ("GET", "HEAD")
POST = ("POST",)

# Maximum number of paths whose routes are cached, and their maximum length: clients make up names.
_REMEMBERED, _LONGEST = 1024, 256


class Route:
    """What answers a path.

    Parameters
    ----------
    methods : the methods that it accepts.
    protocol : the wire format of predictions; None for other routes.
    answer : answers requests that are no predictions; None for predictions.
    model, version : that the path names, or None.
    access : what it requires, of ``guard.admission``; by default ``ASK`` for predictions, otherwise ``SEE``.
    aside : whether ``answer`` is slow and runs in a thread.
    """

    __slots__ = ("access", "answer", "aside", "methods", "model", "protocol", "version")

    def __init__(
        self,
        methods: Sequence[str],
        *,
        protocol: WireProtocol | None = None,
        answer: Answer | None = None,
        model: str | None = None,
        version: str | None = None,
        access: str | None = None,
        aside: bool = False,
    ):
        self.methods, self.protocol, self.answer = tuple(methods), protocol, answer
        self.model, self.version = model, version
        self.access, self.aside = access or (ASK if protocol else SEE), aside


#: Returns the route of the decoded segments after the first; None if there is no such path.
Find = Callable[[list[str]], Route | None]


class Router:
    """All routes of a server."""

    def __init__(self) -> None:
        self._fixed: dict[bytes, Route] = {}
        self._patterns: dict[str, Find] = {}
        self._speakers: dict[str, WireProtocol] = {}
        self._found: dict[bytes, Route] = {}

    def add(self, path: str, route: Route) -> None:
        """Register a path, with and without a slash at its end."""
        self._fixed[path.encode()] = self._fixed[path.rstrip("/").encode() + b"/"] = route

    def under(self, first: str, find: Find, *, speaker: WireProtocol = MLFLOW) -> None:
        """Let a function find the routes whose first segment is ``first``; ``speaker`` formats errors there."""
        self._patterns[first], self._speakers[first] = find, speaker

    def speaker(self, path: str, route: Route | None) -> WireProtocol:
        """The wire format for errors: of the prediction, otherwise of the path's first segment."""
        if route is not None and route.protocol is not None:
            return route.protocol
        return self._speakers.get(path.lstrip("/").partition("/")[0], MLFLOW)

    def find(self, path: bytes) -> Route | None:
        """The route of a percent-encoded path; None if there is none."""
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


def versioned(segments: list[str]) -> tuple[str, str | None, list[str]]:
    """Split ``[NAME, "versions", VERSION, ...]`` into name, version (None if there is none) and the rest."""
    name, *rest = segments
    if len(rest) >= 2 and rest[0] == "versions":
        return name, rest[1], rest[2:]
    return name, None, rest
