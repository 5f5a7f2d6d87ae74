"""Log lines of a server's processes on standard error, with the time and without secrets."""

import contextlib
import logging
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


class LogLines(logging.Handler):
    """Writes what the platform's loggers tell as lines of the server's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        say(record.getMessage())
