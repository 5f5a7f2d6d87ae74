"""Keeps the lanes of all versions running that the state document names; part of the supervisor."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.troubles import Troubles
from registry.waiting import how_ended
from serving.server.cache import Cache, CachedVersion, CacheError, StateDocument
from serving.server.files import replace
from serving.server.log import say
from serving.server.pyfunc.lane import NO_MEMORY, UNLOADABLE
from serving.server.pyfunc.places import FOLDER, LanePlaces
from serving.server.settings import ServerSettings

# Seconds: pauses before a lane is started again double from the first to the last; a lane that has run this long starts
# at the first again.
_PAUSE, _LONGEST, _STEADY = 0.5, 60.0, 30.0
# Seconds for which a lane stays that is not wanted any more: workers leave it, and a rollback finds it.
_LINGER = 10.0
#: How variables begin that are none of a model's business: keys, and the way to the registry and the ledger.
_SECRETS = ("SERVING_", "LEDGER_", "MLFLOW_TRACKING_", "MLFLOW_REGISTRY_")
#: Loads this module's packages from here, and everything else from the environment of the interpreter.
_BOOT = """\
import sys, types
package = types.ModuleType("serving")
package.__path__ = [{root!r}]
sys.modules["serving"] = package
from serving.server.pyfunc.lane import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class LaneProcess:
    """One lane, and its restarts.

    Parameters
    ----------
    since : since when the state document does not name its version; None if it does.
    next : when it may be started again, by the monotonic clock; after ``pause`` seconds the next time.
    ready : whether it answers.
    starts : how often it was started.
    """

    model: str
    version: CachedVersion
    places: LanePlaces
    number: int
    process: subprocess.Popen | None = None
    began: float = 0.0
    next: float = 0.0
    pause: float = _PAUSE
    since: float | None = None
    ready: bool = False
    starts: int = 0

    @property
    def label(self) -> str:
        """``forest/3``."""
        return f"{self.model}/{self.version.version}"


class LaneKeeper:
    """Starts, restarts and ends lanes.

    Parameters
    ----------
    life : the pipe that closes when this process ends.
    """

    def __init__(self, settings: ServerSettings, cache: Cache, life: int):
        self._settings, self._cache, self._life = settings, cache, life
        self._lanes: dict[tuple[str, int], LaneProcess] = {}
        # Lanes that end as soon as all workers have left.
        self._leaving: list[LaneProcess] = []
        self._mark: tuple | None = None
        self._troubles = Troubles(say)
        self._folder = Path(settings.metrics_folder) / FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def tend(self) -> None:
        """Start what is wanted, and see what has ended; to be called several times a second."""
        mark = self._cache.mark()
        if mark != self._mark:
            with contextlib.suppress(CacheError):
                self._follow(self._cache.read())
                self._mark = mark
        now = time.monotonic()
        self._dismiss(now)
        for key, lane in list(self._lanes.items()):
            if lane.process is None:
                if lane.since is not None:
                    del self._lanes[key]
                elif now >= lane.next:
                    self._start(lane)
            elif (code := lane.process.poll()) is not None:
                self._ended(lane, code, now)
            elif not lane.ready and lane.places.socket(lane.number).exists():
                self._started(lane, now)

    def stop(self) -> None:
        """Kill all lanes: no worker asks them any more."""
        for lane in (*self._lanes.values(), *self._leaving):
            _kill(lane)

    def _follow(self, document: StateDocument) -> None:
        wanted = dict(self._named(document))
        now = time.monotonic()
        for key, lane in self._lanes.items():
            if key in wanted:
                lane.since = None
            elif lane.since is None:
                lane.since = now
        for key, lane in wanted.items():
            self._lanes.setdefault(key, lane)

    def _dismiss(self, now: float) -> None:
        """Let lanes go that are not named any more, once those that are named for the model answer."""
        awaited = {lane.model for lane in self._lanes.values() if lane.since is None and not lane.ready}
        for key, lane in list(self._lanes.items()):
            lingers = lane.since is None or now - lane.since <= _LINGER or lane.model in awaited
            if lane.process is not None and not lingers:
                lane.places.socket(lane.number).unlink(missing_ok=True)
                lane.process.terminate()  # it ends once all workers have left
                self._leaving.append(lane)
                del self._lanes[key]
        for lane in self._leaving:
            if lane.process is not None and lane.process.poll() is not None:
                _kill(lane)  # the processes that the model has started
                lane.process = None
        self._leaving = [lane for lane in self._leaving if lane.process is not None]

    def _named(self, document: StateDocument) -> Iterator[tuple[tuple[str, int], LaneProcess]]:
        for model in document.models:
            for version in model.versions:
                if version.pyfunc is not None:
                    places = version.pyfunc.places(self._settings.metrics_folder, self._settings.pyfunc_processes)
                    for number in range(places.processes):
                        yield (places.key, number), LaneProcess(model.name, version, places, number)

    def _start(self, lane: LaneProcess) -> None:
        assert lane.version.pyfunc is not None
        python = lane.version.pyfunc.python
        socket = lane.places.socket(lane.number)
        command = [python or sys.executable, "-c", _BOOT.format(root=str(Path(__file__).parents[2]))]
        command += [str(self._cache.model(lane.version.pyfunc.digest)), str(socket), str(lane.places.reason)]
        command += [str(self._settings.pyfunc_memory), str(self._life)]
        lane.began = time.monotonic()
        try:
            lane.process = subprocess.Popen(
                command,
                env=_environment(os.environ, own=bool(python), lanes=lane.places.processes),
                stdin=subprocess.DEVNULL,
                pass_fds=(self._life,),
                process_group=0,
            )
        except OSError as error:
            lane.places.reason.write_text(f"its process cannot be started: {error.strerror}", encoding="utf-8")
            lane.next, lane.pause = lane.began + lane.pause, min(_LONGEST, 2 * lane.pause)
            return
        lane.starts += 1
        replace(lane.places.record(lane.number), f"{lane.process.pid} {lane.starts}".encode())

    def _started(self, lane: LaneProcess, now: float) -> None:
        lane.ready = True
        lane.places.reason.unlink(missing_ok=True)
        self._troubles.over(lane.label, f"{lane.label}: it can be loaded again")
        say(f"{lane.label}: loaded by MLflow in {now - lane.began:.1f} s (lane {lane.number})")

    def _ended(self, lane: LaneProcess, code: int, now: float) -> None:
        _kill(lane)  # the processes that the model has started
        lane.process = None
        # A lane that was killed could not remove them.
        lane.places.socket(lane.number).unlink(missing_ok=True)
        steady = lane.ready and now - lane.began >= _STEADY
        lane.ready = False
        if lane.since is not None:
            return
        if code != UNLOADABLE:
            lane.places.reason.write_text(f"its process ended {_how(code, self._settings)}", encoding="utf-8")
        lane.pause = _PAUSE if steady else lane.pause
        lane.next = now + lane.pause
        with contextlib.suppress(OSError):
            text = lane.places.reason.read_text(encoding="utf-8")
            self._troubles.has(
                lane.label, f"{lane.label}: {text}", after="; it is started again, and less often while it fails"
            )
        lane.pause = min(_LONGEST, 2 * lane.pause)


def _environment(given: Mapping[str, str], *, own: bool, lanes: int) -> dict[str, str]:
    """The environment of a lane.

    Parameters
    ----------
    own : whether its interpreter is not the server's.
    lanes : how many share the processors.
    """
    threads = str(max(1, (os.cpu_count() or 1) // lanes))
    found = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "MLFLOW_DISABLE_TELEMETRY": "true", **given}
    hidden = (*_SECRETS, *(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV") if own else ()))
    return {name: value for name, value in found.items() if not name.startswith(hidden)}


def _how(code: int, settings: ServerSettings) -> str:
    if code == NO_MEMORY:
        return f"as it needed more than the {settings.pyfunc_memory / 2**20:,.0f} MiB of --pyfunc-memory"
    if code == -signal.SIGALRM:
        return f"as the model took longer than the {settings.time_limit:g} s of --time-limit"
    return how_ended(code)


def _kill(lane: LaneProcess) -> None:
    """Kill a lane with all processes of its group."""
    if lane.process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(lane.process.pid, signal.SIGKILL)
        lane.process.wait()
