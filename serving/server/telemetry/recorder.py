"""All that watches one worker: it counts and logs each request, and tells what all workers have counted."""

from collections.abc import Callable
from pathlib import Path

from serving.server.guard.admission import OPEN, WATCH
from serving.server.messages import Request, Response
from serving.server.page.figures import Live, live
from serving.server.router import GET, Route, Router
from serving.server.settings import Settings
from serving.server.state import Served
from serving.server.telemetry.access_log import AccessLog, Ids
from serving.server.telemetry.flusher import Beat
from serving.server.telemetry.metrics import Metrics


class Watch:
    """What a worker tells of itself.

    Parameters
    ----------
    served : tells what is served now.
    age : tells how many seconds ago the registry was seen; None where none is followed.
    out : the descriptor that the access log goes to.
    """

    def __init__(
        self,
        settings: Settings,
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
        self._beat: Beat | None = None

    def start(self, inside: Callable[[], int], connections: Callable[[], int] = lambda: 0) -> None:
        """Write from now on.

        Parameters
        ----------
        inside : tells how many requests the worker has begun and not answered.
        connections : tells how many connections it has open.
        """
        self._beat = Beat(self.metrics, self._log, inside, connections)

    def write(self) -> None:
        """Write now what is kept."""
        self.metrics.publish()
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._beat is not None:
            self._beat.close()

    def observe(self, request: Request, route: Route | None, response: Response, seconds: float, error: str) -> None:
        """Count and log a request that was answered."""
        protocol, model, path = "", response.model, request.path
        quiet = False
        if route is not None:
            if route.protocol is not None:
                protocol = route.protocol.name
            if not model:
                model = self._named(route)
            quiet = route.access is OPEN and response.status < 400
        self.metrics.observe(protocol, model, response.version, response.status, seconds, response.rows)
        # What looks after the process asks every second, and says nothing new.
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

    def tell(self, served: Served) -> Live:
        """The numbers of all workers, for the page."""
        return live(self.metrics.tally.all(), served, since=self.metrics.tally.since, age=self._age())

    def add(self, router: Router) -> None:
        """Register ``/metrics``."""

        def metrics(request: Request, served: Served, route: Route) -> Response:
            body, kind = self.metrics.exposition(self._served(), age=self._age(), accept=request.header(b"accept"))
            return Response(200, body, media_type=kind)

        router.add("/metrics", Route("/metrics", GET, answer=metrics, access=WATCH, aside=True))

    def _named(self, route: Route) -> str:
        """The model that a request was for, where there is one: nothing that a client made up."""
        served = self._served()
        name = route.model if route.model is not None else served.default if route.protocol is not None else None
        return name if name is not None and name in served.models else ""
