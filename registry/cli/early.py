"""Ctrl-C while a program is still importing what it needs: one line, and no trace."""

import os
import signal
from types import FrameType


def listen() -> None:
    """End the process with one line on Ctrl-C, until ``interrupts`` listens; a signal that is ignored stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"error: interrupted by SIGINT: nothing was begun; run the command again\n")
    # Not by an exception: a module that is half imported would make another error of it.
    os._exit(2)
