"""A worker process: an HTTP server on an inherited socket, which serves models from the cache and imports no MLflow.

``python -m serving.server.worker SOCKET LIFE``: the file descriptors of the listening socket, and of a pipe that closes
when the supervisor ends. The settings are in the environment.
"""

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading

import uvloop

import serving.scorecard.tables  # noqa: F401  # imported before the worker measures its own memory
from registry.troubles import Troubles
from serving.errors import ServingError
from serving.server import page
from serving.server.app import App
from serving.server.cache import Cache
from serving.server.cache_reader import CacheReader
from serving.server.guard import certificate
from serving.server.guard.admission import Admission
from serving.server.http.limits import Timeouts
from serving.server.http.listener import Listener
from serving.server.log import say
from serving.server.memory import KEPT, Shares, confine, give_back, taken
from serving.server.pyfunc.model import CachedPyfunc, PyfuncModel
from serving.server.recording.channel import RecordChannel
from serving.server.routes import router
from serving.server.settings import CUT, SETTINGS, ServerSettings, cache_folder
from serving.server.shadow import Shadow
from serving.server.source import source
from serving.server.state import NOTHING
from serving.server.telemetry.recorder import Recorder

#: Seconds between two checks for a new state, each one system call.
LOOK = 0.1
#: Seconds between two checks of the files of keys and certificate.
REFRESH = 1.0


class Worker:
    """One worker.

    Raises
    ------
    ServingError
        if the keys cannot be read.
    """

    def __init__(self, settings: ServerSettings):
        self.settings = settings
        self._own = self._tidied = confine(settings.max_memory)
        shares = self._shares()
        cache = Cache(cache_folder(settings), source(settings))
        lanes = self._pyfunc if settings.pyfunc else None
        self._reader = CacheReader(cache, settings.default, most=shares.models, pyfunc=lanes)
        self._troubles = Troubles(say)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading = threading.Lock()
        self._read()
        shares = self._shares(self._reader.taken)
        limits = settings.limits(shares)
        if limits.body < settings.max_body:
            say(
                f"--max-memory leaves room for bodies of {limits.body:,} bytes; larger ones are refused, although "
                f"--max-body is {settings.max_body:,}"
            )
        age = cache.age if settings.follows else lambda: None
        self._recorder = Recorder(settings, served=lambda: self.app.served, age=age)
        self._admission = Admission.of(settings, shares, self._recorder.metrics.refused)
        routes = router(settings)
        if settings.metrics:
            self._recorder.add(routes)
        page.add(routes, self._recorder.live, keyed=settings.keyed, tls=settings.tls)
        self._channel = None if settings.record is None else RecordChannel(settings, self._recorder.metrics.unrecorded)
        self._shadow = Shadow(
            limits, count=self._recorder.metrics.compared, unrecorded=self._recorder.metrics.unrecorded
        )
        self.app = App(
            settings,
            self._reader.served,
            limits=limits,
            router=routes,
            admission=self._admission,
            observe=self._recorder.observe,
            new_id=self._recorder.new_id,
            shadow=self._shadow.ask,
            record=None if self._channel is None else self._channel.record,
            look=self._look,
        )
        self.connections = Listener(
            self.app,
            timeouts=Timeouts(idle=settings.keep_alive, request=settings.read_limit),
            count=self._recorder.metrics.closed,
            max_connections=shares.connections,
            max_heads=shares.heads,
        )
        self._recorder.metrics.swapped(NOTHING, self.app.served)

    def run(self, listener: socket.socket, life: int) -> int:
        """Serve until a signal or the end of the supervisor; return the exit code."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._serve(listener, life))

    async def _serve(self, listener: socket.socket, life: int) -> int:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop = loop

        def orphaned() -> None:
            loop.remove_reader(life)
            stop.set()

        loop.add_reader(life, orphaned)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        settings, tls = self.settings, None
        if settings.tls_cert and settings.tls_key:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.load(tls, settings.tls_cert, settings.tls_key)
        self._admission.start(loop)
        self._recorder.start(lambda: self._admission.inside, lambda: len(self.connections.connections))
        if self._channel is not None:
            self._channel.start()
        aside = [loop.create_task(task) for task in (self._follow(), self._refresh(tls))]
        try:
            finished = await self.connections.serve(listener, stop, grace=settings.grace, tls=tls)
            return 0 if finished else CUT
        finally:
            for task in aside:
                task.cancel()
            self._admission.stop()
            await self._shadow.stop()
            if self._channel is not None:
                await self._channel.close()
            self._recorder.close()

    async def _follow(self) -> None:
        """Load new states from the cache."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK)
            if self._reader.changed():
                await loop.run_in_executor(None, self._look)

    async def _refresh(self, tls: ssl.SSLContext | None) -> None:
        """Load keys and a certificate that were replaced."""
        shown = None
        if tls is not None and self.settings.tls_cert and self.settings.tls_key:
            shown = certificate.Certificate(tls, self.settings.tls_cert, self.settings.tls_key)
        while True:
            await asyncio.sleep(REFRESH)
            self._admission.refresh()
            if shown is not None:
                shown.refresh()
            if not self._admission.inside:
                self._tidy()

    def _tidy(self) -> None:
        """Return freed memory to the system if there is much of it."""
        now = taken()
        if now > max(self._tidied, self._own + self._reader.taken) + KEPT:
            give_back()
            self._tidied = taken()
        else:
            self._tidied = min(self._tidied, now)

    def _look(self) -> None:
        """Load the state from the cache if it has changed; from any thread."""
        with self._reading:
            if self._reader.changed():
                self._read()
                before, self.app.served = self.app.served, self._reader.served
                shares = self._shares(self._reader.taken)
                self._admission.resize(shares.bodies, shares.work)
                self.app.limit(self.settings.limits(shares))
                self._recorder.metrics.swapped(before, self.app.served)
                for model in self._reader.dropped:
                    if self._loop is not None:
                        self._loop.call_soon_threadsafe(model.lanes.close)

    def _pyfunc(self, cached: CachedPyfunc) -> PyfuncModel:
        settings = self.settings
        places = cached.places(settings.metrics_folder, settings.pyfunc_processes)
        return PyfuncModel(cached, places, pending=settings.pyfunc_pending)

    def _shares(self, models: int = 0) -> Shares:
        return Shares.of(self.settings.max_memory, own=self._own, models=models)

    def _read(self) -> None:
        try:
            self._reader.read()
        except ServingError as error:
            self._troubles.has("state", str(error), after="; the previous models stay in service")
        else:
            self._troubles.over("state", "the cache can be read again")
        for name, reason in self._reader.broken.items():
            self._troubles.has(f"model {name}", f"{name}: {reason}", after="; it is fetched again")


def main() -> int:
    """Run the worker process."""
    settings = ServerSettings.loads(os.environ[SETTINGS])
    listener = socket.socket(fileno=int(sys.argv[1]))
    try:
        worker = Worker(settings)
    except ServingError as error:
        say(f"error: {error}")
        return 2
    return worker.run(listener, int(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
