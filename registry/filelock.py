"""A lock beside a file, which the operating system frees when its process ends, however that happens.

It is the write lock of an SQLite database that holds nothing: it works wherever the SQLite file beside it does.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# How often the lock is asked for; waiting in SQLite itself could not be interrupted.
_TURN = 0.05


class Held(Exception):
    """Another process holds the lock, and has for as long as was waited."""


def path_of(file: Path) -> Path:
    """The lock of a file: ``ledger.lock.db`` beside ``ledger.db``."""
    return file.with_suffix(f".lock{file.suffix}")


def take(file: Path, wait: float) -> sqlite3.Connection:
    """Take the lock of a file; closing the connection frees it.

    Parameters
    ----------
    file : what is locked; it need not exist, its folder must.
    wait : how long another process that holds the lock is waited for, in seconds.

    Raises
    ------
    Held
        where it is not free in time.
    sqlite3.Error
        where the folder cannot be written.
    """
    deadline = time.monotonic() + wait
    connection = sqlite3.connect(path_of(file), timeout=_TURN, isolation_level=None, check_same_thread=False)
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return connection
        except BaseException as error:
            locked = isinstance(error, sqlite3.Error) and "locked" in str(error)
            if locked and time.monotonic() < deadline:
                continue
            connection.close()
            if locked:
                raise Held from None
            raise


@contextmanager
def held(file: Path, wait: float) -> Iterator[None]:
    """Hold the lock of a file for the block; see :func:`take` for what it raises."""
    connection = take(file, wait)
    try:
        yield
    finally:
        connection.close()
