"""The process that asks challengers: reads requests from standard input, writes comparisons to standard output.

``python -m serving.server.shadow_worker``, started by ``shadow``. Its input is a pipe from its worker, so it trusts
what it reads, and ends with the worker.
"""

import contextlib
import json
import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from types import MappingProxyType
from typing import BinaryIO

from serving.contract import Limits, Question
from serving.prediction_log.schema import SHADOW
from serving.scorecard import Scorecard
from serving.server.log import say
from serving.server.messages import Request
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.pyfunc.model import CachedPyfunc, PyfuncModel
from serving.server.pyfunc.places import LanePlaces
from serving.server.recording.channel import BlockingChannel
from serving.server.settings import SETTINGS, ServerSettings
from serving.server.state import ServedVersion
from serving.server.traffic import ShadowAnswer, ShadowComparison, answer_of, compare_answers

#: Seconds between two reports.
EVERY = 0.5
#: Niceness relative to the workers.
NICE = 10


class Comparisons:
    """Comparisons since the last report, by pair of versions, and rows that are missing in the prediction log."""

    def __init__(self, out: BinaryIO):
        self._out, self._lock = out, threading.Lock()
        self._pairs: dict[int, ShadowComparison] = {}
        self._unrecorded: Counter[str] = Counter()

    def add(self, pair: int, comparison: ShadowComparison) -> None:
        """Add a comparison."""
        with self._lock:
            self._pairs.setdefault(pair, ShadowComparison()).add(comparison)

    def drop(self, reason: str, rows: int) -> None:
        """Add rows that are not recorded."""
        with self._lock:
            self._unrecorded[reason] += rows

    def report(self) -> None:
        """Write the comparisons, and start again from zero."""
        with self._lock:
            found, self._pairs = self._pairs, {}
            unrecorded, self._unrecorded = self._unrecorded, Counter()
        for dropped in unrecorded.items():
            self._out.write(json.dumps({"unrecorded": dropped}).encode() + b"\n")
        for pair, comparison in found.items():
            self._out.write(json.dumps({"pair": pair, **asdict(comparison)}).encode() + b"\n")
        self._out.flush()


def run(source: BinaryIO, out: BinaryIO, settings: ServerSettings | None = None) -> None:
    """Compare until the input ends.

    Parameters
    ----------
    settings : of a server that may record what the challengers answer; None for one that does not.
    """
    comparisons = Comparisons(out)
    over = threading.Event()
    channel = None
    if settings is not None and settings.record is not None:
        channel = BlockingChannel(settings, comparisons.drop, role=SHADOW)

    def reporting() -> None:
        while not over.wait(EVERY):
            try:
                if channel is not None:
                    channel.send()
                comparisons.report()
            except OSError:  # the worker has ended
                os._exit(0)

    threading.Thread(target=reporting, daemon=True).start()
    limits, pairs = Limits(), {}
    troubled = False
    while (message := _read(source)) is not None:
        kind, *content = message
        if kind == "limits":
            limits = Limits(*content)
        elif kind == "pair":
            number, *both = content
            pairs[number] = tuple(_version(*one) for one in both)
        elif kind == "forget":
            pairs.pop(content[0], None)
        else:
            number, kind, request = content
            champion, challenger = pairs[number]
            protocol = kind()
            ask = asking(protocol, request, limits)
            try:
                answer = answer_of(ask, challenger, few=FEW)
                comparison = compare_answers(answer_of(ask, champion, few=FEW), answer, champion)
            except Exception:
                if not troubled:
                    say(f"shadow of {challenger.label}: {traceback.format_exc()}")
                troubled = True
                answer, comparison = ShadowAnswer(500), ShadowComparison(requests=1, failed=1)
            comparisons.add(number, comparison)
            if channel is not None:
                channel.record(challenger, request, protocol, answer)
    over.set()
    if channel is not None:
        channel.send()
    comparisons.report()


def asking(protocol: WireProtocol, request: Request, limits: Limits) -> Callable[[ServedVersion], Question]:
    """Return a function that parses a request for a version, as ``compared`` wants it."""
    return lambda version: protocol.ask(request, version, limits)


def _read(source: BinaryIO):
    head = source.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack("<I", head)
    packed = source.read(length)
    return pickle.loads(packed) if len(packed) == length else None


def _version(model: str, version: str, stage: str, card: str | tuple[CachedPyfunc, LanePlaces]) -> ServedVersion:
    asked = Scorecard.loads(card) if isinstance(card, str) else PyfuncModel(*card, pending=1)
    return ServedVersion(model, version, stage, asked, MappingProxyType({}))


def main() -> None:
    """Run the process."""
    os.nice(NICE)
    # The supervisor handles Ctrl-C of the terminal; this process ends with its worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    said = os.environ.get(SETTINGS)
    with contextlib.suppress(OSError):
        run(sys.stdin.buffer, sys.stdout.buffer, ServerSettings.loads(said) if said else None)


if __name__ == "__main__":
    main()
