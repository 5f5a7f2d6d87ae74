"""The supervisor: binds the socket, keeps one follower and the workers running, and stops them on a signal.

It imports no MLflow and answers no requests. However it ends, its processes end too: each holds the end of a pipe that
closes with it.
"""

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from registry import redaction
from registry.waiting import how_ended
from serving.errors import ServingError
from serving.prediction_log import choice
from serving.server.cache import Cache
from serving.server.follower import direct
from serving.server.guard import certificate
from serving.server.guard.keyring import Keyring
from serving.server.guard.rates import Rate
from serving.server.log import say
from serving.server.memory import KEPT
from serving.server.pyfunc.keeper import LaneKeeper
from serving.server.recording.channel import address
from serving.server.settings import BACKLOG, CUT, SETTINGS, ServerSettings, cache_folder, reasons
from serving.server.source import source
from serving.server.telemetry.shared_folder import shared

# Seconds: a process that ends this soon is restarted after a pause, which doubles up to a maximum.
_SOON, _LATEST = 5.0, 10.0
# After so many such ends in a row, the server gives up.
_HOPELESS = 5
_FOLLOWER, _RECORDER = "follower", "recorder"
# Processes without which requests are answered all the same.
_ASIDE = (_FOLLOWER, _RECORDER)
# Seconds that a process may take to end, beyond its grace.
_MARGIN = 3.0
# Seconds that the recorder may take to write its last rows.
_RECORDING = 20.0
# Seconds between two looks at the lanes of models without a scorecard.
_TEND = 0.1


@dataclass
class Child:
    """A process of the server, and its restarts.

    Parameters
    ----------
    start : starts it.
    next : when it may be restarted, by the monotonic clock.
    short : how often in a row it ended too soon.
    """

    name: str
    start: Callable[[], subprocess.Popen]
    process: subprocess.Popen | None = None
    began: float = 0.0
    next: float = 0.0
    short: int = 0
    finished: bool = field(default=False)


def run(settings: ServerSettings) -> int:
    """Serve until a signal; return the exit code: 1 if requests were cut off at the end, otherwise 0.

    Raises
    ------
    ServingError
        if it cannot start: an address in use, invalid keys or certificate, a cache that cannot be written.
    """
    _standard_files()
    settings.checked()
    Keyring.of(settings)
    if settings.rate:
        Rate.parse(settings.rate)
    direct.read(settings.uris)
    _see_certificate(settings)
    choice.check(settings)
    Cache(cache_folder(settings), source(settings)).make()
    with contextlib.closing(bind(settings.host, settings.port)) as listener, shared() as folder:
        _many_files()
        # Port 0 asks for any.
        port = listener.getsockname()[1]
        return _Supervisor(replace(settings, port=port, metrics_folder=str(folder)), listener).run()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    ServingError
        if the address is in use, is not this machine's, or the port needs more rights.
    """
    bare = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServingError(
            f"--host {host} is no address: {error.strerror or error}; give an address of this machine"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "another program listens there; stop it, or give another --port",
            errno.EACCES: "a port below 1024 needs more rights; give another --port",
            errno.EADDRNOTAVAIL: "it is no address of this machine; give another --host",
        }.get(error.errno or 0, "give another --host or --port")
        raise ServingError(f"{host} port {port}: {error.strerror or error}; {advice}") from None
    return listener


class _Supervisor:
    def __init__(self, settings: ServerSettings, listener: socket.socket):
        self._settings, self._listener = settings, listener
        self._life, self._end = os.pipe()
        self._woken, self._wake = os.pipe()
        for pipe in (self._woken, self._wake):
            os.set_blocking(pipe, False)
        self._asked = 0
        self._children = [Child(_FOLLOWER, self._follower)]
        self._children += [Child(f"worker {number}", self._worker) for number in range(settings.workers)]
        self._records: socket.socket | None = None
        if settings.record is not None:
            # It outlives each recorder: what workers send meanwhile waits in it.
            self._records = socket.socket(socket.AF_UNIX)
            self._records.bind(str(address(settings)))
            self._records.listen(BACKLOG)
            self._children.append(Child(_RECORDER, self._recorder))
            # Its end tells the recorder to end: a signal would kill one that is only starting.
            self._more_records, self._no_more_records = os.pipe()
        self._lanes: LaneKeeper | None = None
        if settings.pyfunc:
            cache = Cache(cache_folder(settings), source(settings))
            self._lanes = LaneKeeper(settings, cache, self._life)

    def run(self) -> int:
        """Keep all processes running until a signal, then stop them."""
        with self._signals():
            try:
                # Workers first: with a warm cache they answer while MLflow is still being imported.
                for child in reversed(self._children):
                    self._start(child)
                self._announce()
                while not self._asked:
                    self._tend()
                    self._sleep(self._pause())
            finally:
                ended = self._stop()
        return ended

    def _announce(self) -> None:
        settings = self._settings
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        what = "every model that is in Production" if settings.follows else ", ".join(settings.uris)
        workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
        say(f"serving on http{'s' if settings.tls else ''}://{shown}:{port} with {workers}: {what}")
        if settings.pyfunc:
            say("versions without a scorecard are answered by MLflow, which runs their code (--pyfunc)")
        if settings.open and not settings.keyed:
            say("it is open: anybody who reaches this address may send requests")
        if settings.record is not None:
            share = f"{settings.record_share:.4g} of the requests" if settings.record_share < 1 else "every request"
            say(f"recording {share} with its features and answers: {redaction.url(settings.record)}")

    def _tend(self) -> None:
        """Restart processes that have ended."""
        if self._lanes is not None:
            self._lanes.tend()
        now = time.monotonic()
        for child in self._children:
            if child.finished:
                continue
            if child.process is None:
                if now >= child.next:
                    self._start(child)
            elif (code := child.process.poll()) is not None:
                self._ended(child, code, now)

    def _ended(self, child: Child, code: int, now: float) -> None:
        child.process = None
        if child.name == _FOLLOWER and code == 0:
            child.finished = True  # there is nothing to follow
            return
        if child.name == _FOLLOWER and code == 2 and child.next == 0.0:
            raise ServingError(reasons(self._settings).read_text(encoding="utf-8"))
        child.short = child.short + 1 if now - child.began < _SOON else 0
        if child.name not in _ASIDE and child.short >= _HOPELESS:
            raise ServingError(f"{child.name} ends as soon as it starts; the lines above say why")
        pause = 0.0 if child.short < 2 else min(_LATEST, 0.25 * 2**child.short)
        child.next = now + pause
        if child.name == _FOLLOWER and code == 2:
            say(reasons(self._settings).read_text(encoding="utf-8"))
        say(f"{child.name} ended {how_ended(code)}; it is restarted{f' in {pause:g} s' if pause else ''}")
        if not pause:
            self._start(child)

    def _start(self, child: Child) -> None:
        child.began = time.monotonic()
        child.process = child.start()

    def _follower(self) -> subprocess.Popen:
        return self._spawn("serving.server.follower")

    def _worker(self) -> subprocess.Popen:
        return self._spawn("serving.server.worker", self._listener.fileno())

    def _recorder(self) -> subprocess.Popen:
        assert self._records is not None
        return self._spawn("serving.server.recording.process", self._records.fileno(), life=self._more_records)

    def _spawn(self, module: str, *files: int, life: int | None = None) -> subprocess.Popen:
        life = self._life if life is None else life
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        environment = {
            # Threads of BLAS gain nothing on single rows, and would take most of a worker's memory.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            # Keep the memory of a large request for the next one: getting it from the system takes as long as
            # parsing the request.
            "MALLOC_TRIM_THRESHOLD_": str(KEPT),
            "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
            # A heap for each thread would keep its peak; Arrow shares the heap.
            "MALLOC_ARENA_MAX": "2",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            **os.environ,
            "PYTHONPATH": path,
            SETTINGS: self._settings.dumps(),
        }
        return subprocess.Popen(
            [sys.executable, "-m", module, *map(str, files), str(life)],
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=(*files, life),
            # Only the supervisor gets Ctrl-C from the terminal; it stops the others.
            process_group=0,
        )

    def _pause(self) -> float:
        due = [child.next for child in self._children if child.process is None and not child.finished]
        longest = 1.0 if self._lanes is None else _TEND
        return max(0.0, min([longest, *(when - time.monotonic() for when in due)]))

    def _sleep(self, seconds: float) -> None:
        """Sleep until a signal, including the end of a child."""
        select.select([self._woken], (), (), seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def hear(number: int, frame: object) -> None:
            self._asked += 1

        handlers = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), hear)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            del handlers[signal.SIGHUP]  # nohup
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        wakeup = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> int:
        """Let the workers finish their requests; after the grace, or a second signal, kill them."""
        running = [child.process for child in self._children if child.process is not None]
        workers = [child.process for child in self._children if child.process is not None and child.name not in _ASIDE]
        recorders = [child.process for child in self._children if child.process is not None and child.name == _RECORDER]
        # No connection is accepted that would not be answered.
        self._listener.close()
        for process in running:
            if process not in recorders:
                _signal(process, signal.SIGTERM)
        say("stopping: finishing requests")
        deadline, asked = time.monotonic() + self._settings.grace + _MARGIN, max(self._asked, 1)
        while any(process.poll() is None for process in workers):
            if time.monotonic() > deadline or self._asked > asked:
                break
            self._sleep(0.2)
        cut = any(process.poll() in (None, CUT) for process in workers)
        if self._lanes is not None:
            self._lanes.stop()
        if self._records is not None and self._asked <= asked:
            running += self._finish_records(asked)
        # The follower has nothing to finish: it replaces files as a whole.
        for process in running:
            _signal(process, signal.SIGKILL)
            process.wait()
        os.close(self._end)
        os.close(self._life)
        say("stopped; unfinished requests were cut off" if cut else "stopped")
        return 1 if cut else 0

    def _finish_records(self, asked: int) -> list[subprocess.Popen]:
        """Let the recorder write the last requests of the workers, which have ended; its process."""
        assert self._records is not None
        (child,) = (child for child in self._children if child.name == _RECORDER)
        if child.process is None or child.process.poll() is not None:
            self._start(child)  # what they sent meanwhile waits in the socket
        assert child.process is not None
        self._records.close()
        os.close(self._no_more_records)
        deadline = time.monotonic() + _RECORDING
        while child.process.poll() is None and time.monotonic() < deadline and self._asked <= asked:
            self._sleep(0.1)
        return [child.process]


def _signal(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _standard_files() -> None:
    """Open /dev/null for closed standard files: a socket with such a number would be logged to."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _see_certificate(settings: ServerSettings) -> None:
    if settings.tls_cert and settings.tls_key:
        certificate.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings.tls_cert, settings.tls_key)


def _many_files() -> None:
    """Raise the limit of open files, which limits the connections of the workers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
