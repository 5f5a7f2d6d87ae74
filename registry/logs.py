"""The platform's loggers: ``logging`` under ``model_lifecycle``, whose records never hold a secret."""

import logging
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from registry.cli.text import escaped
from registry.redaction import redacted

T = TypeVar("T")

#: The parent of all our loggers. ``logging.getLogger("model_lifecycle").setLevel("INFO")`` shows every step.
ROOT = "model_lifecycle"


class Progress(NamedTuple):
    """How far a piece of work is; a record carries it as its attribute ``progress``.

    Parameters
    ----------
    what : the work, in a word or two.
    done, total : how many parts of it are done, and how many there are.
    note : what is known so far.
    """

    what: str
    done: int
    total: int
    note: str = ""

    def extra(self) -> dict[str, Any]:
        """The ``extra`` of the logger's call."""
        return {"progress": self}

    @staticmethod
    def of(record: logging.LogRecord) -> "Progress | None":
        """The progress that a record carries."""
        return getattr(record, "progress", None)


def get_logger(module: str) -> logging.Logger:
    """The logger of a module: ``model_lifecycle.pipelines.training`` of ``pipelines.training``."""
    logger = logging.getLogger(f"{ROOT}.{module}")
    logger.addFilter(_redact)
    return logger


def counted(logger: logging.Logger, what: str, items: Sequence[T]) -> Iterator[T]:
    """The items one by one; before each, and after the last, how many are done is logged at DEBUG."""

    def tell(done: int) -> None:
        logger.debug("%s: %d of %d", what, done, len(items), extra=Progress(what, done, len(items)).extra())

    for done, item in enumerate(items):
        tell(done)
        yield item
    tell(len(items))


def line(record: logging.LogRecord) -> str:
    """A record as commands print it; names of columns and the like may hold control characters, which are escaped."""
    return f"  {escaped(record.getMessage())}"


def timed_line(record: logging.LogRecord) -> str:
    """A record as a command that runs on prints it: with the time (UTC)."""
    time = datetime.fromtimestamp(record.created, UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}  {escaped(record.getMessage())}"


def _redact(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if (shown := redacted(message)) != message:
        record.msg, record.args = shown, None
    return True


class _LastResort(logging.Handler):
    """Writes records that no other handler would see to standard error.

    Python's own last resort takes warnings alone, so that setting a level would show nothing in a notebook.
    """

    def emit(self, record: logging.LogRecord) -> None:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        print(line(record), file=sys.stderr)


if not logging.getLogger(ROOT).handlers:
    logging.getLogger(ROOT).addHandler(_LastResort())
