"""The ledger in its database: rows are appended and read, locks and leases are held."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, Select, create_engine, extract, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from registry import redaction
from registry.client import remedy, said_by
from registry.errors import RegistryError
from registry.ledger import locks, tables
from registry.ledger.entries import (
    CLOSED,
    INTENT,
    Anchor,
    Broken,
    LedgerEntry,
    anchoring,
    entry_of,
    first_broken,
    row_of,
    unanchored,
)
from registry.ledger.tables import Damaged, Presence

#: How long a busy database, and the start of a connection, are waited for; in seconds.
_BUSY, _CONNECT = 10, 4
#: The same for a file: SQLite has no queue, and of many that wait any one may come last.
_BUSY_FILE = 30

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
        """Its address, without secrets."""
        return f"the ledger {redaction.url(self._url.render_as_string())}"

    def append(self, entry: LedgerEntry) -> int:
        """Append a row; its id."""
        return self.extend([entry])[0].id

    def extend(self, entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
        """Append rows, all or none; the entries as they are stored.

        Raises
        ------
        RegistryError
            where an intent is closed that another process has closed.
        """
        stored = []
        with self._writing() as connection:
            last, previous = self._head(connection, update=True)
            for number, entry in enumerate(entries, last + 1):
                if entry.state in CLOSED and connection.execute(_closing(entry.intent)).first():
                    raise RegistryError(
                        f"{self.title}: transition {entry.intent} was finished by another process; look at its history"
                    )
                now = datetime.now(UTC).isoformat(timespec="microseconds")
                row = row_of(entry, id=number, time=now, previous=previous)
                try:
                    connection.execute(tables.rows.insert().values(row))
                    connection.execute(tables.head.update().values(last=number, hash=row["hash"]))
                    if entry.state in CLOSED:
                        connection.execute(tables.unanchored.insert().values(id=number))
                except IntegrityError:
                    raise Damaged(
                        f"{self.title} is damaged: row {number} cannot follow row {last}; "
                        "see `python -m registry history --verify`"
                    ) from None
                last, previous = number, row["hash"]
                stored.append(entry_of(row))
        return tuple(stored)

    def entries(self, name: str | None = None, *, intent: int | None = None) -> list[LedgerEntry]:
        """The rows of a model, or of all, oldest first; where an intent is given, it and those that belong to it."""
        query = _ALL
        if name is not None:
            query = query.where(tables.rows.c.model == name)
        if intent is not None:
            query = query.where((tables.rows.c.intent == intent) | (tables.rows.c.id == intent))
        return self._read(query)

    def open_intents(self, name: str | None = None) -> list[LedgerEntry]:
        """The intents of a model, or of all, that no row closes: transitions that run now, or were cut short."""
        later = tables.rows.alias()
        closed = select(later.c.id).where(later.c.intent == tables.rows.c.id, later.c.state.in_(CLOSED)).exists()
        query = select(tables.rows).where(tables.rows.c.state == INTENT, ~closed).order_by(tables.rows.c.id)
        return self._read(query if name is None else query.where(tables.rows.c.model == name))

    def unanchored(self, name: str | None = None) -> list[LedgerEntry]:
        """The closing rows of a model, or of all, that no tag in the registry is known to name yet."""
        query = _ALL.where(tables.rows.c.id.in_(select(tables.unanchored.c.id)), tables.rows.c.state.in_(CLOSED))
        return self._read(query if name is None else query.where(tables.rows.c.model == name))

    def anchored(self, id: int) -> None:
        """Take down that a closing row is named in the registry, or cannot be: its version is gone."""
        with self._writing() as connection:
            connection.execute(tables.unanchored.delete().where(tables.unanchored.c.id == id))

    def anchoring(self, intent: LedgerEntry) -> bool:
        """Whether an intent was named in the registry before it moved anything, as this release does it.

        One that does not say so is the first release's, unless the ledger has rows of this release before it.
        """
        return anchoring(intent) or any(anchoring(one) for one in self.entries() if one.id < intent.id)

    def verify(self, anchors: Callable[[], Iterable[Anchor]] | None = None) -> Broken | None:
        """The first row that is not as it was written; None where all are.

        The chain of hashes, and the head that holds the last one, find any change that does not compute both anew; the
        anchors find a ledger, or an end of it, that was written anew as a whole. Not found are rows behind the last
        anchored one that are no closings: an open intent, which is what a crash leaves and moves nothing, notes, and
        what followers did; and closings of versions that the registry has no more.

        Parameters
        ----------
        anchors : reads the rows that the tags of all registered versions name. It is asked once.
        """
        try:
            with self._reading() as connection:
                if connection is None:
                    return _unwitnessed({}, anchors() if anchors else ())
                with _snapshot(connection):
                    until = self._head(connection)[0]
                    pending = set(connection.execute(select(tables.unanchored.c.id)).scalars())
                # Between two looks at the ledger: whatever is moved meanwhile is known to one of them.
                named = list(anchors()) if anchors else []
                with _snapshot(connection):
                    last, head = self._head(connection)
                    told = connection.execute(select(tables.head.c.schema_version)).scalar_one()
                    found = [dict(row) for row in connection.execute(_ALL).mappings()]
                    unguarded = tables.unguarded(connection)
        except Damaged as error:
            return Broken(0, str(error))
        if broken := first_broken(found, last=last, head=head):
            return broken
        if broken := _unwitnessed({row["id"]: row["hash"] for row in found}, named):
            return broken
        entries = [entry_of(row) for row in found]
        if anchors and (broken := unanchored(entries, named, until=until, pending=pending)):
            return broken
        if told != tables.HEAD_VERSION:
            return Broken(0, f"its head tells schema {told}, and no release wrote that")
        if unguarded:
            return Broken(0, f"what refuses changes of its rows is gone: the trigger {unguarded[0]}")
        return None

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
                self._url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"timeout": _BUSY_FILE}
            )
        return create_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT, "tcp_user_timeout": _BUSY * 1000, **locks.KEEPALIVE},
        )

    def _read(self, query: Select) -> list[LedgerEntry]:
        with self._reading() as connection:
            return [] if connection is None else [entry_of(dict(row)) for row in connection.execute(query).mappings()]

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """A connection that reads; None where there is no ledger yet."""
        if self._file and not self._file.exists():
            yield None
            return
        with self._telling(), self._engine.connect() as connection:
            present = self._presence(connection)
            if present is Presence.OLDER:
                with self._writing():
                    pass
                present = Presence.CURRENT
            self._ready = present is Presence.CURRENT
            yield connection if self._ready else None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A connection in a transaction of the only one who writes; the tables are there, and this release's."""
        with self._telling(), self._engine.connect() as connection:
            if self._presence(connection) is not Presence.CURRENT:
                # Alembic takes a while to import: others need not wait for it.
                tables.load_migrations()
            _begin(connection)
            try:
                # Tables that are seen in a transaction may be another's that is taken back: it is looked every time.
                if not self._ready:
                    present = tables.presence(connection, self.title)
                    if present is not Presence.CURRENT:
                        tables.migrate(connection, present)
                yield connection
            except BaseException:
                with contextlib.suppress(SQLAlchemyError):
                    connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            self._ready = True

    def _presence(self, connection: Connection) -> Presence:
        if self._ready:
            return Presence.CURRENT
        # At one moment: another process may be migrating it.
        with _snapshot(connection):
            return tables.presence(connection, self.title)

    def _head(self, connection: Connection, *, update: bool = False) -> tuple[int, str]:
        """The id and hash of the last row, as the head keeps them."""
        query = select(tables.head.c.last, tables.head.c.hash)
        try:
            found = connection.execute(query.with_for_update() if update else query).all()
        except (OperationalError, ProgrammingError) as error:
            if "no such table" not in str(error.orig) and getattr(error.orig, "sqlstate", "") != "42P01":
                raise
            found = []
        if len(found) != 1:
            raise Damaged(
                f"{self.title} was tampered with: its head, which names the last row, is gone; "
                "see `python -m registry history --verify`"
            )
        return found[0].last, found[0].hash

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = said_by(error, self._url.render_as_string(hide_password=False))
            raise RegistryError(f"{self.title} failed: {reason}; {remedy(reason)}, or correct LEDGER_URI") from error


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


def _closing(intent: int | None) -> Select:
    return select(tables.rows.c.id).where(tables.rows.c.intent == intent, tables.rows.c.state.in_(CLOSED))


def _unwitnessed(hashes: Mapping[int, str], anchors: Iterable[Anchor]) -> Broken | None:
    for one in sorted((one for one in anchors if one.row is not None), key=lambda one: one.row or 0):
        if hashes.get(one.row or 0) != one.hash:
            what = "is not the one that" if one.row in hashes else "is not there, which"
            return Broken(one.row or 0, f"row {one.row} {what} the tag of {one.model} version {one.version} names")
    return None
