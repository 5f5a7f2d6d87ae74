"""Creates and migrates MLflow's SQLite store under a lock, so that any number of first commands may run at once.

MLflow itself makes and migrates its tables without a lock, statement by statement: two processes that come first break
each other, and one that is killed leaves a store that no command can use. Here a new store is made in a file of its own
and appears whole, and an older one is migrated in transactions.

``connect()`` prepares the store for every command. Where this project is installed, MLflow does so too, whoever asks it
(``mlflow run``, ``mlflow ui``, ``mlflow server``, a notebook): the two functions at the end are entry points of its
groups ``mlflow.tracking_store`` and ``mlflow.model_registry_store`` for the scheme ``sqlite``.
"""

import contextlib
import os
import shlex
import sqlite3
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from registry import filelock
from registry.errors import RegistryError

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: How long another process may take to make or migrate a store, in seconds.
PATIENCE = 120.0

# How long a locked database is waited for, in seconds.
_BUSY = 20.0
# MLflow in another environment, without this module, takes no lock: a store that is not whole is another's work in
# progress until it has stayed the same for so many seconds.
_STILL, _TURN = 3.0, 0.1
# What a batch migration of Alembic copies a table into, and leaves behind where it is cut short.
_COPY = "_alembic_tmp_"


def path_of(uri: str) -> Path | None:
    """The file of a tracking URI; None where it is no SQLite, or one in memory."""
    scheme, colon, rest = uri.partition("://")
    if not colon or scheme.partition("+")[0].lower() != "sqlite":
        return None
    path = rest.removeprefix("/").partition("?")[0]
    # As SQLAlchemy reads it: MLflow writes a blank in the path of the working folder as %20.
    return None if path in ("", ":memory:") or path.startswith("file:") else Path(unquote(path))


def prepare(uri: str) -> None:
    """Make the SQLite store of a tracking URI, or migrate it, where MLflow would; any other URI is left alone.

    Raises
    ------
    RegistryError
        where it was left half-migrated by a process without this lock: the message says how to repair it. Where it
        cannot be written, or another process takes too long.
    """
    path = path_of(uri)
    if path is None:
        return
    try:
        if _whole(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.held(path, PATIENCE):
            if not _whole(path):
                _make(path) if _empty(path) else _migrate(path, uri)
    except filelock.Held:
        raise RegistryError(
            f"another process has been preparing the tracking database {path} for over {PATIENCE:g} s; "
            "wait for it to end, then try again"
        ) from None
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        busy = "another process is writing to it: wait for that to end"
        advice = busy if "locked" in str(error) else "see that it is a database, and may be written with its folder"
        raise RegistryError(f"the tracking database {path} cannot be used: {reason}; {advice}") from None


def _whole(path: Path) -> bool:
    """Whether MLflow would change nothing of the tables, and no migration was cut short."""
    from mlflow.store.db.utils import Base

    found = _tables(path)
    return found >= set(Base.metadata.tables) and not any(name.startswith(_COPY) for name in found)


def _tables(path: Path) -> set[str]:
    if _empty(path):
        return set()
    with closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _make(path: Path) -> None:
    """Make a store aside, and put it in its place whole."""
    from mlflow.store.db import utils

    for left in path.parent.glob(f".{path.name}.*.new"):
        left.unlink(missing_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        # Until it is in its place nobody misses it: no journal, and one wait for the disk at the end.
        with _engine(aside, "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF") as engine:
            utils._initialize_tables(engine)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        _put(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _put(aside: Path, path: Path) -> None:
    try:
        # Never over another's file, which may have come meanwhile.
        os.link(aside, path)
    except OSError:
        # An empty file is there, or the file system knows no links: this is one transaction in the place itself.
        if not _empty(path):
            return
        with closing(sqlite3.connect(aside)) as made, closing(sqlite3.connect(path, timeout=_BUSY)) as there:
            made.backup(there)


def _migrate(path: Path, uri: str) -> None:
    """Migrate a store that lacks tables: each migration is whole or was not."""
    from alembic.util.exc import CommandError
    from mlflow.store.db import utils
    from sqlalchemy.exc import SQLAlchemyError

    _wait_until_still(path)
    if _whole(path):
        return
    if any(name.startswith(_COPY) for name in _tables(path)):
        raise _half_migrated(path, uri)
    try:
        with _engine(path) as engine:
            utils._initialize_tables(engine)
    except (SQLAlchemyError, CommandError) as error:
        raise _half_migrated(path, uri) from error


def _wait_until_still(path: Path) -> None:
    seen, since = None, time.monotonic()
    while not _whole(path) and time.monotonic() - since < _STILL:
        with closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
            now = connection.execute("PRAGMA schema_version").fetchone()
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(_TURN)


@contextlib.contextmanager
def _engine(path: Path, *pragmas: str) -> "Iterator[Engine]":
    """An engine whose transactions hold statements that change tables, too; Python's driver would leave those out."""
    from mlflow.store.db import utils
    from sqlalchemy import event

    engine = utils.create_sqlalchemy_engine(f"sqlite:///{path.absolute()}")

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        with warnings.catch_warnings():
            # What Alembic says of tables as old migrations made them.
            warnings.simplefilter("ignore")
            yield engine
    finally:
        engine.dispose()


def _half_migrated(path: Path, uri: str) -> RegistryError:
    """What is wrong with a store that a process without the lock left, and the way to repair it."""
    what = f"the tracking database {path} was left half-migrated by a process that was cut short"
    if _unused(path):
        return RegistryError(f"{what}, and holds no runs or models: delete it, and run the command again")
    statements = []
    tables = _tables(path)
    for name in sorted(name for name in tables if name.startswith(_COPY)):
        original = name.removeprefix(_COPY)
        # The copy is the table itself from the moment on that the original is dropped.
        there = original in tables
        statements.append(f"DROP TABLE {name}" if there else f"ALTER TABLE {name} RENAME TO {original}")
    upgrade = f"`mlflow db upgrade {shlex.quote(uri)}`"
    if not statements:
        return RegistryError(f"{what}: keep a copy of it, then run {upgrade}; where that fails, restore a backup")
    script = f"import sqlite3; sqlite3.connect({str(path)!r}).executescript({'; '.join(statements)!r})"
    return RegistryError(
        f"{what}: keep a copy of it, then run `python -c {shlex.quote(script)}` and {upgrade}; "
        "where that fails, restore a backup"
    )


def _unused(path: Path) -> bool:
    """Whether a store holds nothing that anybody would miss."""
    with closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
        tables = _tables(path)
        used = (
            connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for table in ("experiments", "runs", "registered_models")
            for name in (table, f"{_COPY}{table}")
            if name in tables
        )
        # MLflow makes the default experiment itself.
        return sum(used) <= 1


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """MLflow's own tracking store of an SQLite database, which is prepared before."""
    from mlflow.tracking._tracking_service import utils

    prepare(store_uri)
    server = sys.modules.get("mlflow.server.handlers")
    if server is not None and artifact_uri is not None:
        return server.TrackingStoreRegistryWrapper._get_sqlalchemy_store(store_uri, artifact_uri)
    return utils._get_sqlalchemy_store(store_uri, artifact_uri)


def registry_store(store_uri: str) -> Any:
    """MLflow's own model registry of an SQLite database, which is prepared before."""
    from mlflow.tracking._model_registry import utils

    prepare(store_uri)
    server = sys.modules.get("mlflow.server.handlers")
    if server is not None:
        return server.ModelRegistryStoreRegistryWrapper._get_sqlalchemy_store(store_uri)
    return utils._get_sqlalchemy_store(store_uri)
