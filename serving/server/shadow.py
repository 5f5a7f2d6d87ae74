"""Sends requests to a challenger in a separate process, which cannot affect any answer.

A worker passes requests through a pipe after it has answered them, without waiting; those that do not fit are dropped
and counted. The process starts with the first request, has a lower priority than the workers, and ends with its worker.
"""

import asyncio
import contextlib
import itertools
import json
import pickle
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

from serving.contract import Limits
from serving.server.log import say
from serving.server.messages import Request
from serving.server.protocols.base import WireProtocol
from serving.server.pyfunc.model import CachedPyfunc, PyfuncModel
from serving.server.pyfunc.places import LanePlaces
from serving.server.state import ServedVersion
from serving.server.traffic import ShadowComparison

#: Maximum size of the requests that wait for the process, in bytes, beyond the buffer of its pipe.
WAITING = 4 * 1024 * 1024
#: Seconds between two starts of the process.
AGAIN = 5.0
#: Seconds between two log lines about a pair of versions.
LOG_INTERVAL = 10.0
# Seconds that the process may take to end.
_ENDING = 2.0
#: Headers that affect how a request is parsed; others, such as keys, are not passed on.
READ = frozenset({b"content-type", b"content-encoding", b"inference-header-content-length"})

#: The process ends after so many seconds without a request.
IDLE = 60.0

#: Counts a comparison: ``count(model, champion, challenger, comparison)``, the versions by their numbers.
Count = Callable[[str, str, str, ShadowComparison], None]


class Shadow:
    """The challengers of one worker.

    Parameters
    ----------
    limits : of the workers' requests.
    count : called within a second or two, for the metrics.
    unrecorded : counts rows of challengers that are missing in the prediction log: ``unrecorded(reason, rows)``.
    waiting : maximum size of the requests that wait for the process, in bytes.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        count: Count,
        unrecorded: Callable[[str, int], None] = lambda reason, rows: None,
        waiting: int = WAITING,
    ):
        self._limits, self._count, self._waiting = limits, count, waiting
        self._unrecorded = unrecorded
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task | None = None
        self._due = 0.0
        self._numbers = itertools.count()
        # The present pair of versions of each model, and the names of all pairs so far.
        self._pairs: dict[str, tuple[int, ServedVersion, ServedVersion]] = {}
        self._labels: dict[int, tuple[str, str, str]] = {}
        self._logged: dict[int, tuple[float, ShadowComparison]] = {}
        # Number of requests of each pair that the process has not reported yet.
        self._open: Counter[int] = Counter()

    def ask(self, champion: ServedVersion, challenger: ServedVersion, protocol: WireProtocol, request: Request) -> None:
        """Pass a request on, or drop it, once its answer was sent; returns at once."""
        asyncio.get_running_loop().call_soon(self._ask, champion, challenger, protocol, request)

    def _ask(
        self, champion: ServedVersion, challenger: ServedVersion, protocol: WireProtocol, request: Request
    ) -> None:
        pair = self._pair(champion, challenger)
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            self._start()
            self._drop(pair)
            return
        if process.stdin.transport.get_write_buffer_size() + len(request.body) > self._waiting:
            self._drop(pair)
            return
        headers = [header for header in request.headers if header[0] in READ]
        kept = Request(request.method, request.path, raw=b"", headers=headers, body=request.body, id=request.id)
        process.stdin.write(frame(("ask", pair, type(protocol), kept)))
        self._open[pair] += 1

    async def stop(self) -> None:
        """End the process, and report the rest."""
        if self._starting is not None:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()  # it reports the rest, and ends
            with contextlib.suppress(TimeoutError, asyncio.CancelledError, OSError):
                await asyncio.wait_for(self._starting, _ENDING)
        for pair in list(self._logged):
            self._log(pair, soon=True)

    def _pair(self, champion: ServedVersion, challenger: ServedVersion) -> int:
        number, *both = self._pairs.get(champion.model, (-1, None, None))
        if both[0] is champion and both[1] is challenger:
            return number
        old, number = number, next(self._numbers)
        self._pairs[champion.model] = number, champion, challenger
        self._labels[number] = champion.model, champion.version, challenger.version
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(frame(("forget", old)) + _introduced(number, champion, challenger))
        return number

    def _start(self) -> None:
        now = time.monotonic()
        if now < self._due or (self._starting is not None and not self._starting.done()):
            return
        self._due = now + AGAIN
        self._starting = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serving.server.shadow_worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:  # no memory, or no processes left
            say(f"the shadow process cannot be started: {error.strerror}; next attempt in {AGAIN:g} s")
            return
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(frame(("limits", self._limits.body, self._limits.rows, self._limits.memory)))
            for introduced in self._pairs.values():
                process.stdin.write(_introduced(*introduced))
            self._process = process
            while line := await asyncio.wait_for(process.stdout.readline(), IDLE):
                counts = json.loads(line)
                if "unrecorded" in counts:
                    self._unrecorded(*counts["unrecorded"])
                    continue
                pair, comparison = counts.pop("pair"), ShadowComparison(**counts)
                self._open[pair] -= comparison.requests
                self._record(pair, comparison)
        except TimeoutError:  # no requests, or it hangs
            self._due = 0.0
        finally:
            self._process = None
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            lost, self._open = self._open, Counter()
            for pair, missed in lost.items():
                self._drop(pair, missed)

    def _drop(self, pair: int, number: int = 1) -> None:
        if number > 0:
            self._record(pair, ShadowComparison(dropped=number))

    def _record(self, pair: int, comparison: ShadowComparison) -> None:
        self._count(*self._labels[pair], comparison)
        since, total = self._logged.get(pair, (time.monotonic(), ShadowComparison()))
        total.add(comparison)
        self._logged[pair] = since, total
        self._log(pair)

    def _log(self, pair: int, *, soon: bool = False) -> None:
        since, total = self._logged[pair]
        if soon or time.monotonic() - since >= LOG_INTERVAL:
            del self._logged[pair]
            say(summary(*self._labels[pair], total))


def summary(model: str, champion: str, challenger: str, comparison: ShadowComparison) -> str:
    """A comparison as a log line."""
    rows = comparison.rows
    mean = comparison.distance / rows if rows else 0.0
    return (
        f"shadow of {model}: versions {champion} and {challenger} were asked {comparison.requests} times for "
        f"{rows} rows; {comparison.different} rows differ, by {mean:.3g} on average and {comparison.largest:.3g} at "
        f"most; {comparison.failed} requests were answered by one of them only; {comparison.dropped} were dropped"
    )


def _introduced(number: int, *pair: ServedVersion) -> bytes:
    both = [(one.model, one.version, one.stage, _described(one)) for one in pair]
    return frame(("pair", number, *both))


def _described(version: ServedVersion) -> str | tuple[CachedPyfunc, LanePlaces]:
    """A scorecard's document, or what is needed to ask the lanes of a model without one."""
    card = version.card
    return (card.cached, card.places) if isinstance(card, PyfuncModel) else card.dumps()


def frame(content: tuple) -> bytes:
    """A message to the process: its length in four bytes, then its content."""
    packed = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return struct.pack("<I", len(packed)) + packed
