"""The ledger in its database: rows are appended and read, locks and leases are held."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, Select, create_engine, extract, func, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from registry.client import masked, remedy, said_by
from registry.errors import RegistryError
from registry.ledger import locks, tables
from registry.ledger.entries import CLOSED, INTENT, Broken, Entry, entry_of, first_broken, row_of

#: How long a busy database, and the start of a connection, are waited for; in seconds.
_BUSY, _CONNECT = 10, 4

_ALL = select(tables.rows).order_by(tables.rows.c.id)


class Ledger:
    """A ledger; it connects when it is first used, and makes its tables when it is first written.

    Raises
    ------
    RegistryError
        by every method, where the database does not answer or holds a ledger that this release does not read.
    """

    def __init__(self, url: URL):
        self._url = url
        self._ready = False

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database's connections."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @property
    def title(self) -> str:
        """Its address, without the password."""
        return f"the ledger {masked(self._url.render_as_string())}"

    def append(self, entry: Entry) -> int:
        """Append a row; its id."""
        return self.extend([entry])[0].id

    def extend(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Append rows, all or none; the entries as they are stored.

        Raises
        ------
        RegistryError
            where an intent is closed that another process has closed.
        """
        stored = []
        with self._writing() as connection:
            last, previous = connection.execute(select(tables.head.c.last, tables.head.c.hash).with_for_update()).one()
            for number, entry in enumerate(entries, last + 1):
                now = datetime.now(UTC).isoformat(timespec="microseconds")
                row = row_of(entry, id=number, time=now, previous=previous)
                try:
                    connection.execute(tables.rows.insert().values(row))
                except IntegrityError as error:
                    raise RegistryError(self._conflict(entry, number, error)) from None
                previous = row["hash"]
                stored.append(entry_of(row))
            connection.execute(tables.head.update().values(last=last + len(stored), hash=previous))
        return tuple(stored)

    def entries(self, name: str | None = None, *, intent: int | None = None) -> list[Entry]:
        """The rows of a model, or of all, oldest first; where an intent is given, it and those that belong to it."""
        query = _ALL
        if name is not None:
            query = query.where(tables.rows.c.model == name)
        if intent is not None:
            query = query.where((tables.rows.c.intent == intent) | (tables.rows.c.id == intent))
        return self._read(query)

    def open_intents(self, name: str | None = None) -> list[Entry]:
        """The intents of a model, or of all, that no row closes: transitions that run now, or were cut short."""
        later = tables.rows.alias()
        closed = select(later.c.id).where(later.c.intent == tables.rows.c.id, later.c.state.in_(CLOSED)).exists()
        query = select(tables.rows).where(tables.rows.c.state == INTENT, ~closed).order_by(tables.rows.c.id)
        return self._read(query if name is None else query.where(tables.rows.c.model == name))

    def verify(self, witnesses: Mapping[int, str] | None = None) -> Broken | None:
        """The first row that is not as it was written; None where all are.

        Parameters
        ----------
        witnesses : hashes of rows by their id, kept elsewhere (the versions' tags): they find a ledger that was written
            anew as a whole.
        """
        with self._reading() as connection:
            if connection is None:
                return _unwitnessed({}, witnesses or {})
            with _snapshot(connection):
                last, head = connection.execute(select(tables.head.c.last, tables.head.c.hash)).one()
                found = [dict(row) for row in connection.execute(_ALL).mappings()]
        if broken := first_broken(found, last=last, head=head):
            return broken
        return _unwitnessed({row["id"]: row["hash"] for row in found}, witnesses or {})

    @contextmanager
    def lock(self, name: str, *, wait: float = locks.WAIT) -> Iterator[locks.Lock]:
        """Hold the lock of one model's transitions for the block; a process that is killed lets go of it.

        In SQLite it is one lock for all models. It cannot be taken twice by one process.

        Raises
        ------
        RegistryError
            where another process holds it for longer than ``wait`` seconds.
        """
        with self._telling():
            held = locks.in_file(self._file, name, wait) if self._file else locks.in_postgresql(self._url, name, wait)
        try:
            yield held
        finally:
            held.free()

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease for some seconds; False where another holder has it still."""
        leases = tables.leases
        with self._writing() as connection:
            now = connection.execute(select(_now(connection))).scalar_one()
            # The row is locked for the transaction, whoever asks meanwhile waits.
            held = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).first()
            values = {"holder": holder, "expires": now + seconds}
            if held is None:
                connection.execute(leases.insert().values(name=name, **values))
            elif held.holder != holder and held.expires > now:
                return False
            else:
                connection.execute(leases.update().where(leases.c.name == name).values(**values))
        return True

    def release(self, name: str, holder: str) -> None:
        """Let go of a lease; nothing where another holds it."""
        leases = tables.leases
        with self._writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.holder == holder))

    @property
    def _file(self) -> Path | None:
        return Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None

    @cached_property
    def _engine(self) -> Engine:
        if self._file:
            return create_engine(
                self._url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"timeout": _BUSY}
            )
        return create_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT, "tcp_user_timeout": _BUSY * 1000, **locks.KEEPALIVE},
        )

    def _read(self, query: Select) -> list[Entry]:
        with self._reading() as connection:
            return [] if connection is None else [entry_of(dict(row)) for row in connection.execute(query).mappings()]

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """A connection that reads; None where there is no ledger yet."""
        if self._file and not self._file.exists():
            yield None
            return
        with self._telling(), self._engine.connect() as connection:
            self._ready = self._ready or tables.present(connection, self.title)
            yield connection if self._ready else None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A connection in a transaction of the only one who writes; the tables are there."""
        with self._telling(), self._engine.connect() as connection:
            _begin(connection)
            try:
                # Tables that are seen in a transaction may be another's that is taken back: it is looked every time.
                if not self._ready and not tables.present(connection, self.title):
                    tables.make(connection)
                yield connection
            except BaseException:
                with contextlib.suppress(SQLAlchemyError):
                    connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            self._ready = True

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = said_by(error)
            raise RegistryError(f"{self.title} failed: {reason}; {remedy(reason)}, or correct LEDGER_URI") from error

    def _conflict(self, entry: Entry, number: int, error: IntegrityError) -> str:
        if entry.state in CLOSED and "closed" in str(error) + str(error.orig) or ".intent" in str(error.orig):
            return f"{self.title}: transition {entry.intent} was finished by another process; look at its history"
        return f"{self.title} is damaged: row {number} is there already; see `python -m registry history --verify`"


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    # Whatever the database's default is: who waited for a row must see what it waited for.
    connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY}s'")
    connection.execute(select(func.pg_advisory_xact_lock(locks.key("one writer"))))


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """Read head and rows as they were at one moment."""
    kind = "" if connection.dialect.name == "sqlite" else " ISOLATION LEVEL REPEATABLE READ READ ONLY"
    connection.exec_driver_sql(f"BEGIN{kind}")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")


def _now(connection: Connection):
    """The database's clock, in seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return text(repr(time.time()))
    return extract("epoch", func.clock_timestamp()).cast(tables.leases.c.expires.type)


def _unwitnessed(hashes: Mapping[int, str], witnesses: Mapping[int, str]) -> Broken | None:
    for number in sorted(witnesses):
        if hashes.get(number) != witnesses[number]:
            what = "is not the one that" if number in hashes else "is not there, which"
            return Broken(number, f"row {number} {what} a version's tag names")
    return None
