"""The platform's log, for tests that read it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def logged(package: str = "") -> Iterator[list[str]]:
    """The steps that the platform, or one package of it, logs in the block."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger(f"model_lifecycle.{package}".rstrip("."))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        yield messages
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextmanager
def before_writes(observe: Callable[[str], object]) -> Iterator[None]:
    """Call ``observe`` with the name of each write of a transition, as it is logged: just before it is made."""
    logger = logging.getLogger("model_lifecycle.registry.transitions")
    level = logger.level

    def watch(record: logging.LogRecord) -> bool:
        assert isinstance(record.args, tuple)
        observe(str(record.args[1]))
        return True

    logger.addFilter(watch)
    logger.setLevel("DEBUG")
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeFilter(watch)
