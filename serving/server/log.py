"""What the processes of a server say on standard error: one line at a time, each whole, with the time."""

import contextlib
import os
import sys
from datetime import UTC, datetime


def say(text: str) -> None:
    """Write a line, without secrets; a standard error that is gone is no reason to stop serving."""
    # Late: a worker imports nothing of the registry before it has something to say.
    from registry.redaction import explained

    line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {' '.join(explained(text).split())}\n"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # One write of one line: those of several processes do not mix.
        os.write(sys.stderr.fileno(), line.encode("utf-8", "replace"))


class Troubles:
    """Says what fails once, not each time that it is tried, and that it is over."""

    def __init__(self, speak=say):
        self._said: dict[str, str] = {}
        self._say = speak

    def has(self, what: str, text: str, *, after: str = "") -> None:
        """Something fails; ``after`` is what is done about it."""
        if self._said.get(what) != text:
            self._say(text + after)
        self._said[what] = text

    def over(self, what: str, text: str) -> None:
        """It does not any more; ``text`` is said where it did."""
        if self._said.pop(what, None) is not None:
            self._say(text)
