"""Asks a challenger what its champion was asked, in a process of its own: nothing that it does reaches an answer.

A worker hands requests over by a pipe, without waiting, after it has answered them itself. What does not fit is dropped
and counted. The process is started with the first request, gives way to the workers, and ends with its worker.
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
from serving.server.state import ServedVersion
from serving.server.traffic import Comparison

#: Bytes of requests that may wait for the process, beside what its pipe holds.
WAITING = 4 * 1024 * 1024
#: Seconds between two starts of a process that ended by itself.
AGAIN = 5.0
#: Seconds between two log lines about a pair of versions.
SAID = 10.0
# Seconds that the process may take to end.
_ENDING = 2.0
#: Headers by which a request is read; others, keys among them, stay behind.
READ = frozenset({b"content-type", b"content-encoding", b"inference-header-content-length"})

#: A process that nobody asks anything for so many seconds ends.
IDLE = 60.0

#: Is told of what was compared: ``tell(model, champion, challenger, tally)``, both by the number of their version.
Tell = Callable[[str, str, str, Comparison], None]


class Shadow:
    """The challenger's side of one worker.

    Parameters
    ----------
    limits : of the workers' requests.
    count : is told within a second or two; for metrics.
    report : is told every ``SAID`` seconds at most; for the log.
    """

    def __init__(self, limits: Limits, *, count: Tell, report: Tell, waiting: int = WAITING):
        self._limits, self._count, self._report, self._waiting = limits, count, report, waiting
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task | None = None
        self._due = 0.0
        self._numbers = itertools.count()
        # The pair of each model that is asked now, by its name; and what every pair was called.
        self._pairs: dict[str, tuple[int, ServedVersion, ServedVersion]] = {}
        self._labels: dict[int, tuple[str, str, str]] = {}
        self._said: dict[int, tuple[float, Comparison]] = {}
        # Requests that the process has been handed and has not told of.
        self._open: Counter[int] = Counter()

    def ask(self, champion: ServedVersion, challenger: ServedVersion, protocol: WireProtocol, request: Request) -> None:
        """Hand a request over soon, once its answer is on its way, or drop it; returns at once."""
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
        kept = Request(request.method, request.path, headers=headers, body=request.body)
        process.stdin.write(frame(("ask", pair, type(protocol), kept)))
        self._open[pair] += 1

    async def stop(self) -> None:
        """End the process, and tell the rest."""
        if self._starting is not None:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()  # it tells what it knows, and ends
            with contextlib.suppress(TimeoutError, asyncio.CancelledError, OSError):
                await asyncio.wait_for(self._starting, _ENDING)
        for pair in list(self._said):
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
            say(f"no shadow is asked, and tried again in {AGAIN:g} s: {error.strerror}")
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
                pair, tally = counts.pop("pair"), Comparison.of(counts)
                self._open[pair] -= tally.requests
                self._tell(pair, tally)
        except TimeoutError:  # nothing was asked, or it hangs
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
            tally = Comparison()
            tally.dropped = number
            self._tell(pair, tally)

    def _tell(self, pair: int, tally: Comparison) -> None:
        self._count(*self._labels[pair], tally)
        since, total = self._said.get(pair, (time.monotonic(), Comparison()))
        total.add(tally)
        self._said[pair] = since, total
        self._log(pair)

    def _log(self, pair: int, *, soon: bool = False) -> None:
        since, total = self._said[pair]
        if soon or time.monotonic() - since >= SAID:
            del self._said[pair]
            self._report(*self._labels[pair], total)


def counting(compare: Callable[[str, str, str, str, int], None]) -> Tell:
    """What tells metrics: ``compared(model, champion, challenger, outcome, rows)``, an outcome at a time."""

    def count(model: str, champion: str, challenger: str, tally: Comparison) -> None:
        for outcome, number in (
            ("same", tally.rows - tally.different),
            ("different", tally.different),
            ("failed", tally.failed),
            ("dropped", tally.dropped),
        ):
            if number:
                compare(model, champion, challenger, outcome, number)

    return count


def said(model: str, champion: str, challenger: str, tally: Comparison) -> str:
    """A tally in words, for the log."""
    mean = tally.distance / tally.rows if tally.rows else 0.0
    return (
        f"shadow of {model}: versions {champion} and {challenger} were asked {tally.requests} times for {tally.rows} "
        f"rows; {tally.different} rows differ, by {mean:.3g} on average and {tally.largest:.3g} at most; "
        f"{tally.failed} requests were answered by one of them only; {tally.dropped} were dropped"
    )


def _introduced(number: int, *pair: ServedVersion) -> bytes:
    both = [(one.model, one.version, one.stage, one.card.dumps()) for one in pair]
    return frame(("pair", number, *both))


def frame(content: tuple) -> bytes:
    """A message to the process: its length in four bytes, and the message."""
    packed = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return struct.pack("<I", len(packed)) + packed
