"""A lock beside a file, which the operating system frees when its process ends, however that happens.

It is the write lock of an SQLite database that holds nothing: it works wherever the SQLite file beside it does.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.waiting import attempts

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
    connection = sqlite3.connect(path_of(file), timeout=_TURN, isolation_level=None, check_same_thread=False)
    try:
        for _ in attempts(wait, every=0):
            try:
                connection.execute("BEGIN IMMEDIATE")
                return connection
            except sqlite3.Error as error:
                if "locked" not in str(error):
                    raise
        raise Held
    except BaseException:
        connection.close()
        raise


@contextmanager
def held(file: Path, wait: float) -> Iterator[None]:
    """Hold the lock of a file for the block; see :func:`take` for what it raises."""
    connection = take(file, wait)
    try:
        yield
    finally:
        connection.close()
