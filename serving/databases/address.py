"""The address of a database: a SQLAlchemy URL, how it is shown, and how its errors are told."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from registry import redaction
from registry.client import BARE_AT, remedy, said_by
from serving.errors import ServingError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

POSTGRESQL, MARIADB, MYSQL, SQLITE = "postgresql", "mariadb", "mysql", "sqlite"
# A host's name may stand for two addresses, and each is tried this long.
_CONNECT_SECONDS = 6
# Steps of SQLite between two looks at Ctrl-C.
_STEPS = 100_000
_NETWORKED = (POSTGRESQL, MYSQL, MARIADB)
# Drivers that are taken where the URL names none. psycopg hears Ctrl-C while a statement runs, and psycopg2 does not.
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
# Addresses of files and objects.
_ELSEWHERE = frozenset({"", "file", "http", "https", "s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "hdfs", "dbfs"})


class DatabaseError(ServingError):
    """A database that cannot be reached, or refuses."""


@dataclass(frozen=True)
class DatabaseAddress:
    """A database.

    Parameters
    ----------
    url : as SQLAlchemy reads it, with its driver.
    given : as the user wrote it.
    option : of the command line that named it, such as ``--data``.

    Attributes
    ----------
    safe : how it is shown: without secrets.
    """

    url: "URL" = field(repr=False)
    given: str = field(repr=False)
    option: str

    @property
    def safe(self) -> str:
        """How it is shown: without secrets."""
        return redaction.url(self.given)

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite database in a file, whose path is ``url.database``."""
        path = self.url.database or ""
        return self.url.get_backend_name() == SQLITE and not path.startswith("file:") and path not in ("", ":memory:")

    def engine(self) -> "Engine":
        """Connections to it.

        Raises
        ------
        DatabaseError
            if there is no driver, or the URL's options are refused.
        """
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        patient = self.url.get_backend_name() in _NETWORKED and "connect_timeout" not in self.url.query
        arguments = {"connect_timeout": _CONNECT_SECONDS} if patient else {}
        try:
            return sqlalchemy.create_engine(self.url, connect_args=arguments, poolclass=sqlalchemy.NullPool)
        except (ImportError, SQLAlchemyError) as error:
            raise DatabaseError(
                f"{self.option} {self.safe}: no driver for {self.url.drivername}; pip install one "
                f"({said_by(error, self.given)})"
            ) from None
        except (TypeError, ValueError) as error:
            raise DatabaseError(
                f"{self.option} {self.safe}: the URL's options are refused: {said_by(error, self.given)}"
            ) from None

    @contextmanager
    def connected(self) -> Iterator["Connection"]:
        """A connection for the block, whose errors are told on one line.

        Raises
        ------
        DatabaseError
            if the database cannot be reached, or refuses.
        """
        engine = self.engine()
        try:
            with self.speaking(), engine.connect() as connection:
                if self.url.get_backend_name() == SQLITE:
                    # Python, and Ctrl-C with it, gets a turn while a statement runs.
                    connection.connection.driver_connection.set_progress_handler(lambda: 0, _STEPS)  # type: ignore[union-attr]
                yield connection
        finally:
            engine.dispose()

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Errors of SQLAlchemy and of drivers as one line, without secrets, and without values of the table.

        Raises
        ------
        DatabaseError
        """
        from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

        try:
            yield
        except (DataError, IntegrityError) as error:  # their words quote values
            kind = type(error.orig or error).__name__
            raise DatabaseError(f"{self.safe} refused a value of the table ({kind})") from None
        except (SQLAlchemyError, sqlite3.Error, sqlite3.Warning) as error:
            if "interrupted" in str(error) and self.url.get_backend_name() == SQLITE:
                raise KeyboardInterrupt from None
            said = said_by(error, self.given)
            advice = f"; {remedy(said)}" if any(word in said for word in ("locked", "full", "readonly")) else ""
            raise DatabaseError(f"{self.safe} refused: {said}{advice}") from None
        except (ValueError, OverflowError) as error:
            if type(error).__module__.startswith("pyarrow"):  # its words quote values
                raise DatabaseError(f"{self.safe}: a column cannot be read ({type(error).__name__})") from None
            raise DatabaseError(f"{self.safe} refused: {said_by(error, self.given)}") from None


def is_url(text: str) -> bool:
    """Whether an address is that of a database, and not of a file or an object."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() not in _ELSEWHERE


def find(given: str, option: str, *, new: bool = False) -> DatabaseAddress:
    """The database of a SQLAlchemy URL.

    Parameters
    ----------
    option : that named it, for the errors.
    new : whether an SQLite file may be made; otherwise it has to be there.

    Raises
    ------
    DatabaseError
        if it is no URL of a database, or the file is not there.
    """
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    try:
        url = sqlalchemy.engine.make_url(given)
    except (ArgumentError, ValueError):
        raise DatabaseError(
            f"{option} is not a SQLAlchemy URL; expected dialect://user:password@host/database"
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    found = DatabaseAddress(url, given, option)
    if "@" in (url.host or ""):
        raise DatabaseError(f"{option} {found.safe}: {BARE_AT}")
    if found.is_file and not new and not Path(url.database or "").is_file():
        raise DatabaseError(f"{option} {found.safe} is not there: no file {url.database}")
    return found
