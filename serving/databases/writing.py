"""Tables of a database that are written together: all of them, or none.

PostgreSQL and SQLite make, fill and rename tables in one transaction. MySQL and MariaDB end a transaction at each
CREATE TABLE: there, tables are made and filled under other names, and all take their places in one RENAME, which is
atomic. What a process that was killed leaves under such a name is removed by the next.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from registry.cli.text import listed
from serving.databases import columns
from serving.databases.address import MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseAddress, DatabaseError
from serving.databases.query import table_name

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

#: The databases that tables are written to.
WRITTEN = (POSTGRESQL, MYSQL, MARIADB, SQLITE)
# In one snapshot: what is counted is what was scored. Without the strict mode of MySQL a cast that truncates a number
# is a warning in an INSERT, too, as in a SELECT.
_BEGIN = {
    POSTGRESQL: ("BEGIN ISOLATION LEVEL REPEATABLE READ",),
    SQLITE: ("BEGIN IMMEDIATE",),
    MYSQL: (
        "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION",
    ),
}
_BEGIN[MARIADB] = _BEGIN[MYSQL]
_HOUR = 3600


@dataclass(frozen=True)
class Name:
    """A table's name.

    Parameters
    ----------
    schema : None for the usual one.
    """

    schema: str | None
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table

    def other(self, ending: str) -> "Name":
        """A name for the time of writing, the same in each job."""
        digest = hashlib.sha256(self.table.encode()).hexdigest()[:8]
        return Name(self.schema, f"{self.table.encode()[:32].decode(errors='ignore')}_{digest}_{ending}")


@dataclass
class Writing:
    """A transaction that writes tables.

    Parameters
    ----------
    append : whether rows are added to tables that are there; otherwise they are replaced.
    """

    address: DatabaseAddress
    connection: "Connection" = field(repr=False)
    append: bool
    moves: list[tuple[Name, Name]] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        """The database's kind, one of ``WRITTEN``: MariaDB is ``mariadb`` under both of its names."""
        return dialect(self.connection)

    def run(self, statement: str) -> int:
        """Run a statement as it is; the number of rows that it wrote."""
        return self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).rowcount

    def scalar(self, statement: str) -> int:
        """The one number that a statement gives."""
        found = self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).scalar()
        return int(found or 0)

    def quoted(self, name: Name | str) -> str:
        """A name in the database's quotes; SQLAlchemy would double per cent signs, too."""
        if isinstance(name, Name):
            return ".".join(self.quoted(part) for part in (name.schema, name.table) if part)
        mark = "`" if self.dialect in (MYSQL, MARIADB) else '"'
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"

    def probe(self, name: Name) -> None:
        """Make a table beside another, and remove it: what refuses that refuses before anything is scored."""
        aside = self.quoted(name.other("new"))
        for statement in (f"DROP TABLE IF EXISTS {aside}", f"CREATE TABLE {aside} (x INTEGER)", f"DROP TABLE {aside}"):
            self.run(statement)

    def create(self, name: Name, kinds: "dict[str, TypeEngine]", *, like: str = "", kept: Sequence[str] = ()) -> Name:
        """The table to write rows of these columns to: one that is there if rows are added, else a new one.

        Parameters
        ----------
        kinds : types of the columns.
        like : a SELECT whose columns are the first ones, with the types that they have there.
        kept : their names.

        Raises
        ------
        DatabaseError
            if the table that is there lacks a column.
        """
        if self.append and self.is_there(name):
            self._check_columns(name, [*kept, *kinds])
            return name
        aside = name if self.append else name.other("new")
        if not self.append:
            self.run(f"DROP TABLE IF EXISTS {self.quoted(aside)}")
            self.moves.append((aside, name))
        listed_kinds = [f"{self.quoted(column)} {self._compiled(kind)}" for column, kind in kinds.items()]
        engine = " ENGINE=InnoDB" if self.dialect in (MYSQL, MARIADB) else ""
        if like:
            self.run(f"CREATE TABLE {self.quoted(aside)}{engine} AS {like}")
            for column in listed_kinds:
                self.run(f"ALTER TABLE {self.quoted(aside)} ADD COLUMN {column}")
        else:
            charset = " DEFAULT CHARSET=utf8mb4" if engine else ""
            self.run(f"CREATE TABLE {self.quoted(aside)} ({', '.join(listed_kinds)}){engine}{charset}")
        return aside

    def begin(self) -> None:
        """Begin the transaction where making tables would have ended it."""
        if self.dialect in (MYSQL, MARIADB):
            for statement in _BEGIN[self.dialect]:
                self.run(statement)

    def insert(self, name: Name, tables: "Iterable[pa.Table]") -> None:
        """Write rows.

        Raises
        ------
        DatabaseError
            if a value cannot be held.
        """
        for table in tables:
            if not len(table):
                continue
            table = columns.plain(table)
            names = ", ".join(self.quoted(column) for column in table.column_names)
            if self.connection.dialect.driver in ("psycopg", "psycopg2"):
                self._copy(f"COPY {self.quoted(name)} ({names}) FROM STDIN (FORMAT csv)", columns.as_csv(table))
                continue
            self._insert(name, table)

    def finish(self) -> None:
        """Commit, and give the tables their names."""
        if self.dialect in (MYSQL, MARIADB):
            self.run("COMMIT")
            olds = [(name, name.other("old")) for _, name in self.moves if self.is_there(name)]
            for _, old in olds:
                self.run(f"DROP TABLE IF EXISTS {self.quoted(old)}")
            renames = [f"{self.quoted(before)} TO {self.quoted(after)}" for before, after in [*olds, *self.moves]]
            if renames:
                self.run(f"RENAME TABLE {', '.join(renames)}")
            for _, old in olds:
                self.run(f"DROP TABLE {self.quoted(old)}")
            return
        for aside, name in self.moves:
            self.run(f"DROP TABLE IF EXISTS {self.quoted(name)}")
            self.run(f"ALTER TABLE {self.quoted(aside)} RENAME TO {self.quoted(name.table)}")
        self.run("COMMIT")

    def is_there(self, name: Name) -> bool:
        """Whether there is a table or a view of a name."""
        import sqlalchemy

        return sqlalchemy.inspect(self.connection).has_table(name.table, schema=name.schema)

    def _check_columns(self, name: Name, wanted: Sequence[str]) -> None:
        import sqlalchemy

        found = sqlalchemy.inspect(self.connection).get_columns(name.table, schema=name.schema)
        there = {column["name"] for column in found}
        if absent := [column for column in wanted if column not in there]:
            raise DatabaseError(
                f"the table {name} lacks the column {absent[0]!r}; it has {listed(sorted(there))}: give --overwrite to "
                "replace it, or another --output-table"
            )
        if self.dialect in (MYSQL, MARIADB):
            query = "SELECT engine FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
            schema = name.schema or self.address.url.database
            engine = self.connection.exec_driver_sql(query, (schema, name.table)).scalar()
            if str(engine).lower() != "innodb":
                raise DatabaseError(
                    f"the table {name} has the engine {engine}, which has no transactions: alter it to InnoDB"
                )

    def _compiled(self, kind: "TypeEngine") -> str:
        return kind.compile(dialect=self.connection.dialect)

    def _copy(self, statement: str, data: bytes) -> None:
        """Run PostgreSQL's COPY; its errors quote values, and are told without."""
        raw = self.connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            try:
                if self.connection.dialect.driver == "psycopg":
                    with cursor.copy(statement) as copy:
                        copy.write(data)
                else:
                    import io

                    cursor.copy_expert(statement, io.BytesIO(data))
            except Exception as error:
                state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
                if state is None:
                    raise
                kind = type(error).__name__
                told = "" if state[:2] in ("22", "23") else getattr(error.diag, "message_primary", "") or ""  # type: ignore[attr-defined]
                raise DatabaseError(f"{self.address.safe} refused a row: {told or kind}") from None

    def _insert(self, name: Name, table: "pa.Table") -> None:
        import sqlalchemy

        names = table.column_names
        kinds = [sqlalchemy.Column(field.name, columns.sql_type(field.type)) for field in table.schema]
        target = sqlalchemy.Table(name.table, sqlalchemy.MetaData(), *kinds, schema=name.schema)
        rows = [dict(zip(names, row, strict=True)) for row in columns.as_rows(table, self.dialect)]
        self.connection.execute(target.insert(), rows)


def dialect(connection: "Connection") -> str:
    """The kind of a database: ``mariadb`` for MariaDB, whatever its URL calls it."""
    if getattr(connection.dialect, "is_mariadb", False):
        return MARIADB
    return connection.dialect.name


@contextmanager
def writing(address: DatabaseAddress, name: str, *, append: bool, overwrite: bool) -> Iterator[tuple[Writing, Name]]:
    """A transaction that writes a table, and those beside it; what is not finished in the block is undone.

    Parameters
    ----------
    append : whether rows are added to a table that is there.
    overwrite : whether a table that is there is replaced.

    Raises
    ------
    DatabaseError
        if the database refuses, the table is there and neither is asked for, or another job writes to it.
    """
    new = address.is_file and not Path(address.url.database or "").exists()
    try:
        with address.connected() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            found = Writing(address, connection, append)
            target = Name(*table_name(connection, name))
            if found.dialect in (POSTGRESQL, SQLITE):
                for statement in _BEGIN[found.dialect]:
                    found.run(statement)
            try:
                _lock(found, target)
                if found.is_there(target) and not (append or overwrite):
                    raise DatabaseError(
                        f"{address.safe} has a table {target} already; give --append, --overwrite, or another "
                        "--output-table"
                    )
                yield found, target
            except BaseException:
                _undo(found, target)
                raise
    finally:
        path = Path(address.url.database or "")
        if new and path.is_file() and not path.stat().st_size:
            path.unlink()


def _lock(job: Writing, name: Name) -> None:
    """Let no other job write the same table: jobs that add rows take turns, and any other is refused."""
    digest = hashlib.sha256(f"lifecycle score {name}".encode()).digest()
    if job.dialect == POSTGRESQL:
        key = int.from_bytes(digest[:8], "big", signed=True)
        if job.append:
            job.run(f"SELECT pg_advisory_xact_lock({key})")
            return
        free = job.scalar(f"SELECT CAST(pg_try_advisory_xact_lock({key}) AS INT)")
    elif job.dialect in (MYSQL, MARIADB):
        key_text = f"lifecycle {digest.hex()[:32]}"
        free = job.scalar(f"SELECT GET_LOCK('{key_text}', {_HOUR if job.append else 0})")
    else:
        return  # one transaction writes an SQLite database at a time
    if not free:
        raise DatabaseError(f"another job is writing the table {name}; wait for it to end, and run this again")


def _undo(job: Writing, name: Name) -> None:
    """Undo what was written, and end what the server is still doing."""
    import contextlib

    if job.dialect not in (MYSQL, MARIADB):
        return  # closing the connection rolls back
    # A statement that was left in the middle runs on, and its connection cannot be used.
    with contextlib.suppress(Exception):
        thread = job.connection.connection.driver_connection.thread_id()  # type: ignore[union-attr]
        job.connection.invalidate()
        with job.address.connected() as other:
            other = other.execution_options(isolation_level="AUTOCOMMIT")
            with contextlib.suppress(Exception):
                other.exec_driver_sql(f"KILL {int(thread)}")
            again = Writing(job.address, other, job.append)
            for aside, _ in job.moves:
                again.run(f"DROP TABLE IF EXISTS {again.quoted(aside)}")
