"""Waiting: trying again until a deadline, and for a program to end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator


def attempts(within: float, *, every: float) -> Iterator[None]:
    """One item for each attempt; the first is made at once, whatever the deadline.

    Parameters
    ----------
    within : how long to go on, in seconds.
    every : the pause between two attempts, in seconds.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        yield
        time.sleep(every)
    yield


def how_ended(code: int) -> str:
    """How a process ended, by the return code that ``subprocess`` gives: ``by signal 9``, ``with exit code 1``."""
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"


def exit_status(process: subprocess.Popen, within: float) -> int | None:
    """The exit status of a program that leads a process group; None if it took longer.

    If it takes longer, or the wait is interrupted, the whole group is killed.

    Parameters
    ----------
    within : how long it may take, in seconds.
    """
    try:
        return process.wait(within)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise
