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
from collections.abc import Callable
from dataclasses import asdict
from types import MappingProxyType
from typing import BinaryIO

from serving.contract import Limits, Question
from serving.scorecard import Scorecard
from serving.server.log import say
from serving.server.messages import Request
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.state import ServedVersion
from serving.server.traffic import ShadowComparison, compare

#: Seconds between two reports.
EVERY = 0.5
#: Niceness relative to the workers.
NICE = 10


class Comparisons:
    """Comparisons since the last report, by pair of versions."""

    def __init__(self, out: BinaryIO):
        self._out, self._lock = out, threading.Lock()
        self._pairs: dict[int, ShadowComparison] = {}

    def add(self, pair: int, comparison: ShadowComparison) -> None:
        """Add a comparison."""
        with self._lock:
            self._pairs.setdefault(pair, ShadowComparison()).add(comparison)

    def report(self) -> None:
        """Write the comparisons, and start again from zero."""
        with self._lock:
            found, self._pairs = self._pairs, {}
        for pair, comparison in found.items():
            self._out.write(json.dumps({"pair": pair, **asdict(comparison)}).encode() + b"\n")
        self._out.flush()


def run(source: BinaryIO, out: BinaryIO) -> None:
    """Compare until the input ends."""
    comparisons = Comparisons(out)
    over = threading.Event()

    def reporting() -> None:
        while not over.wait(EVERY):
            try:
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
            number, protocol, request = content
            champion, challenger = pairs[number]
            try:
                comparison = compare(asking(protocol(), request, limits), champion, challenger, few=FEW)
            except Exception:
                if not troubled:
                    say(f"shadow of {challenger.label}: {traceback.format_exc()}")
                troubled = True
                comparison = ShadowComparison(requests=1, failed=1)
            comparisons.add(number, comparison)
    over.set()
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


def _version(model: str, version: str, stage: str, card: str) -> ServedVersion:
    return ServedVersion(model, version, stage, Scorecard.loads(card), MappingProxyType({}))


def main() -> None:
    """Run the process."""
    os.nice(NICE)
    # The supervisor handles Ctrl-C of the terminal; this process ends with its worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        run(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
