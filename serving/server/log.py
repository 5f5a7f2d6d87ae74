"""Log lines of a server's processes on standard error, with the time and without secrets."""

import contextlib
import os
import sys
from datetime import UTC, datetime


def say(text: str) -> None:
    """Write one line; a standard error that is closed does not stop the server."""
    # Imported late: a worker needs nothing of the registry until it logs.
    from registry.redaction import explained

    line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {' '.join(explained(text).split())}\n"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # A single write, so that lines of several processes do not mix.
        os.write(sys.stderr.fileno(), line.encode("utf-8", "replace"))


class Troubles:
    """Logs a repeated failure once, and its end."""

    def __init__(self, speak=say):
        self._said: dict[str, str] = {}
        self._say = speak

    def has(self, what: str, text: str, *, after: str = "") -> None:
        """Report that ``what`` fails with this text, followed by ``after``: what happens now."""
        if self._said.get(what) != text:
            self._say(text + after)
        self._said[what] = text

    def over(self, what: str, text: str) -> None:
        """Report that ``what`` works; the text is logged if it failed before."""
        if self._said.pop(what, None) is not None:
            self._say(text)
