"""The lock that a transition is made under: whoever dies lets go of it, for it is the database's or the system's.

PostgreSQL: an advisory lock of a transaction that stays open meanwhile. SQLite: a file has one writer at a time, and
the intent must be in the ledger before the stage is moved; so the lock is the write lock of a second file beside it.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, func, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from registry import filelock
from registry.errors import RegistryError

#: How long a lock that another process holds is waited for, in seconds.
WAIT = 60.0

#: libpq's: a database's machine that is gone is noticed within seconds, also while nothing is said.
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}

# A database may end transactions in which nothing is said, and it finds out about a client's machine that is gone
# only if it asks.
_LOCAL = {
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True)
class Lock:
    """A lock that is held.

    Parameters
    ----------
    check : raises RegistryError where it was lost.
    free : lets go of it.
    """

    check: Callable[[], None]
    free: Callable[[], None]


def in_file(ledger: Path, name: str, wait: float) -> Lock:
    """Take the lock beside a ledger that is a file: the operating system frees it when the process ends.

    Raises
    ------
    RegistryError
        where another process holds it for longer than ``wait`` seconds, or the folder cannot be written.
    """
    try:
        connection = filelock.take(ledger, wait)
    except filelock.Held:
        raise _held(name, wait) from None
    except sqlite3.Error as error:
        raise _untaken(filelock.path_of(ledger), error) from None
    return Lock(check=lambda: None, free=connection.close)


def in_postgresql(url: URL, name: str, wait: float) -> Lock:
    """Take the lock in a PostgreSQL database: it frees it when the connection ends, or its machine falls silent.

    Raises
    ------
    RegistryError
        where another process holds it for longer than ``wait`` seconds.
    SQLAlchemyError
        where the database does not answer.
    """
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 4, **KEEPALIVE}
    )
    connection = engine.connect()
    try:
        connection.exec_driver_sql("BEGIN")
        for setting, value in {**_LOCAL, "lock_timeout": f"{int(wait * 1000)}ms"}.items():
            connection.execute(select(func.set_config(setting, value, True)))
        connection.execute(select(func.pg_advisory_xact_lock(key(f"model {name}"))))
    except BaseException as error:
        connection.invalidate()
        connection.close()
        if isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") == "55P03":
            raise _held(name, wait) from None
        raise

    def check() -> None:
        try:
            connection.exec_driver_sql("SELECT 1")
        except SQLAlchemyError:
            raise RegistryError(
                f"the lock of model {name!r} was lost with the connection to the ledger; "
                "the next command finishes what was begun"
            ) from None

    def free() -> None:
        # The lock ends with the connection, also where that is gone already.
        connection.invalidate()
        connection.close()

    return Lock(check=check, free=free)


def key(name: str) -> int:
    """The number by which PostgreSQL knows an advisory lock of a ledger: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"lifecycle ledger {name}".encode()).digest()[:8], "big", signed=True)


def _held(name: str, wait: float) -> RegistryError:
    return RegistryError(
        f"another process has been moving versions of {name!r} for over {wait:g} s; wait for it to end, then try again"
    )


def _untaken(path: Path, error: sqlite3.Error) -> RegistryError:
    return RegistryError(f"the ledger's lock {path} cannot be taken: {error}; see that its folder may be written")
