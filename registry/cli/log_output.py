"""What a command shows of the platform's log: each step as a line on standard error, and a bar while it waits."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from registry import logs
from registry.logs import Progress


class _Terminal(logging.Handler):
    """Prints records of INFO and above; where standard error is a terminal, those of progress move a bar instead."""

    def __init__(self, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._line = line
        self._bar: Any = None
        self._of: tuple[str, int] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        progress = Progress.of(record)
        if progress and sys.stderr.isatty():
            self._draw(progress)
        elif record.levelno >= logging.INFO:
            self.close_bar()
            click.echo(self._line(record), err=True)

    def _draw(self, progress: Progress) -> None:
        from tqdm import tqdm

        what, done, total, note = progress
        # A piece of work within another has a bar of its own.
        if self._of != (what, total):
            self.close_bar()
            self._of = what, total
        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, desc=f"  {what}", unit="", leave=False, file=sys.stderr)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close_bar()

    def close_bar(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def shown(line: Callable[[logging.LogRecord], str] = logs.line) -> Iterator[None]:
    """Show the platform's log at the terminal, and nowhere else, while the block runs.

    Parameters
    ----------
    line : how a record is written.
    """
    logger, handler = logging.getLogger(logs.ROOT), _Terminal(line)
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        handler.close_bar()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
