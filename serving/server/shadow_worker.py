"""The process that asks challengers: reads requests from its standard input, and writes counts to its output.

``python -m serving.server.shadow_worker``, started by ``shadow``. Its input is a pipe of the worker that started it, so
it trusts what it reads, and ends with it.
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
from types import MappingProxyType
from typing import BinaryIO

from serving.contract import Limits, Question
from serving.scorecard import Scorecard
from serving.server.log import say
from serving.server.messages import Request
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.state import ServedVersion
from serving.server.traffic import Comparison, compare

#: Seconds between two reports.
EVERY = 0.5
#: How much more willingly than the workers it lets others have the processor.
NICE = 10


class Counting:
    """What was compared since the last report, by pair of versions."""

    def __init__(self, out: BinaryIO):
        self._out, self._lock = out, threading.Lock()
        self._tallies: dict[int, Comparison] = {}

    def add(self, pair: int, tally: Comparison) -> None:
        """Count in."""
        with self._lock:
            self._tallies.setdefault(pair, Comparison()).add(tally)

    def report(self) -> None:
        """Write what there is, and begin anew."""
        with self._lock:
            found, self._tallies = self._tallies, {}
        for pair, tally in found.items():
            self._out.write(json.dumps({"pair": pair, **tally.to_dict()}).encode() + b"\n")
        self._out.flush()


def run(source: BinaryIO, out: BinaryIO) -> None:
    """Compare until the input ends."""
    counting = Counting(out)
    over = threading.Event()

    def reporting() -> None:
        while not over.wait(EVERY):
            try:
                counting.report()
            except OSError:  # nobody listens any more: the worker is gone
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
                tally = compare(asking(protocol(), request, limits), champion, challenger, few=FEW)
            except Exception:
                if not troubled:
                    say(f"shadow of {challenger.label}: {traceback.format_exc()}")
                troubled = True
                tally = Comparison()
                tally.requests = tally.failed = 1
            counting.add(number, tally)
    over.set()
    counting.report()


def asking(protocol: WireProtocol, request: Request, limits: Limits) -> Callable[[ServedVersion], Question]:
    """What a request asks of a version, as ``compared`` wants it."""
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
    """The program."""
    os.nice(NICE)
    # The terminal's interrupt is for the supervisor; this ends with its worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        run(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
