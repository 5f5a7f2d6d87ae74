"""Counts and logs each request of a worker, and shows the counts of all workers."""

from collections.abc import Callable
from pathlib import Path

from serving.server.guard.admission import OPEN, WATCH
from serving.server.messages import Request, Response
from serving.server.page.figures import Live, live_figures
from serving.server.router import GET, Route, Router
from serving.server.settings import ServerSettings
from serving.server.state import Served
from serving.server.telemetry.access_log import AccessLog, Ids
from serving.server.telemetry.flusher import Flusher
from serving.server.telemetry.metrics import Metrics


class Recorder:
    """Telemetry of a worker: metrics and access log.

    Parameters
    ----------
    served : returns what is served now.
    age : returns the seconds since the registry was last reached; None if the server follows none.
    out : file descriptor of the access log.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        served: Callable[[], Served],
        age: Callable[[], float | None] = lambda: None,
        out: int = 1,
    ):
        folder = Path(settings.metrics_folder) if settings.metrics_folder else None
        self.metrics = Metrics(folder)
        self.new_id = Ids().id
        self._log = AccessLog(out, folder / "log" if folder else None) if settings.log else None
        self._served, self._age = served, age
        self._flusher: Flusher | None = None

    def start(self, inside: Callable[[], int], connections: Callable[[], int] = lambda: 0) -> None:
        """Start the threads that write; see ``Flusher`` for the parameters."""
        self._flusher = Flusher(self.metrics, self._log, inside, connections)

    def write(self) -> None:
        """Write all counts and log lines now."""
        self.metrics.publish()
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """Write the rest, and stop."""
        if self._flusher is not None:
            self._flusher.close()

    def observe(self, request: Request, route: Route | None, response: Response, seconds: float, error: str) -> None:
        """Count and log an answered request."""
        protocol, model, path = "", response.model, request.path
        quiet = False
        if route is not None:
            if route.protocol is not None:
                protocol = route.protocol.name
            if not model:
                model = self._named(route)
            quiet = route.access is OPEN and response.status < 400
        self.metrics.counts.observe(protocol, model, response.version, response.status, seconds, response.rows)
        # Health probes come every second and tell nothing new.
        if self._log is not None and not quiet:
            self._log.write(
                method=request.method,
                path=path,
                seconds=seconds,
                id=request.id,
                status=response.status,
                client=request.client,
                key=request.key or "",
                protocol=protocol,
                model=model,
                version=response.version,
                rows=response.rows,
                error=error,
            )

    def live(self, served: Served) -> Live:
        """The counts of all workers, for the page."""
        return live_figures(self.metrics.counts.all(), served, since=self.metrics.counts.since, age=self._age())

    def add(self, router: Router) -> None:
        """Register ``/metrics``."""

        def metrics(request: Request, served: Served, route: Route) -> Response:
            body, kind = self.metrics.exposition(self._served(), age=self._age(), accept=request.header(b"accept"))
            return Response(200, body, media_type=kind)

        router.add("/metrics", Route(GET, answer=metrics, access=WATCH, aside=True))

    def _named(self, route: Route) -> str:
        """The model that a request was for, if it is served: never a name that a client made up."""
        served = self._served()
        name = route.model if route.model is not None else served.default if route.protocol is not None else None
        return name if name is not None and name in served.models else ""
