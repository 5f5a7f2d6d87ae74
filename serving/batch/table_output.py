"""A table of a database that answers are written to, and one beside it for the rows that are rejected."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy

from serving import databases
from serving.batch.answers import PREDICTION, SCORED_AT, VERSION
from serving.batch.database_input import table_key
from serving.batch.outputs import Output
from serving.batch.scratch import scratch
from serving.databases import DatabaseAddress, DatabaseError
from serving.databases.columns import sql_type
from serving.databases.query import table_name
from serving.databases.writing import WRITTEN, Name, Writing, writing

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.types import TypeEngine

REJECTED_ROW, REJECTED_COLUMN, REJECTED_REASON = "rejected_row", "rejected_column", "rejected_reason"
#: The columns of a table of rejected rows that tell where and why each was rejected, with their types.
REJECTED_COLUMNS: "dict[str, TypeEngine]" = {
    REJECTED_ROW: sqlalchemy.BigInteger(), REJECTED_COLUMN: sqlalchemy.Text(), REJECTED_REASON: sqlalchemy.Text()
}  # fmt: skip
#: What the name of the table of rejected rows ends with.
REJECTS = "_rejects"


class TableOutput:
    """A table that is filled from a Parquet file in one transaction.

    Parameters
    ----------
    table : its name, or ``schema.name``.
    append : whether rows are added to a table that is there.
    overwrite : whether a table that is there is replaced.
    with_rejects : whether the rejected rows go to a table beside it.
    """

    csv = False

    def __init__(
        self, database: DatabaseAddress, table: str, *, append: bool, overwrite: bool, with_rejects: bool
    ) -> None:
        self.database, self._table, self.append, self.overwrite = database, table, append, overwrite
        self.with_rejects = with_rejects
        self._folder: Path | None = None
        #: What the database calls the table.
        self.name: Name
        self._there, self.name = self._probe()
        self.address = f"{database.safe}#{table}"
        self.key = table_key(database, self.name.schema, self.name.table)

    def _probe(self) -> tuple[bool, Name]:
        """Whether the table is there, and its name."""
        path = Path(self.database.url.database or "")
        if self.database.is_file and not path.exists():
            return False, Name(None, self._table)
        with self.database.connected() as connection:
            name = Name(*table_name(connection, self._table))
            return Writing(self.database, connection, self.append).is_there(name), name

    def check(self, option: str = "--output") -> None:
        """Raise DatabaseError if no table can be made there, before anything is scored."""
        with self.writing_table() as (job, name):
            if not (self.append and self._there):
                job.probe(name)

    def guard(self) -> bool:
        """Whether it is there, and no rows are added to it; its transaction refuses one that was made meanwhile."""
        return self.size() is not None

    def size(self) -> int | None:
        """None if the table is not there, or rows are added to it."""
        return 0 if self._there and not self.append else None

    def read(self) -> bytes:
        """A table is no file."""
        raise OSError(f"{self.address} is no file")

    def remove(self) -> None:
        """A table is only replaced, never removed."""

    def rejects(self) -> Output:
        """The table of rejected rows beside it, which is written in the same transaction."""
        return TableRejects(self)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A file of this machine, from which the table is filled.

        Raises
        ------
        DatabaseError
            if the database refuses.
        """
        with scratch() as folder:
            self._folder = folder
            path = folder / "answers.parquet"
            yield path
            with self.writing_table() as (job, name):
                self._load(job, name, path)

    def writing_table(self) -> contextlib.AbstractContextManager[tuple[Writing, Name]]:
        """A transaction that writes the table."""
        return writing(self.database, self._table, append=self.append, overwrite=self.overwrite)

    @property
    def rejects_file(self) -> Path:
        """The Parquet file of the rejected rows, while the table is written."""
        assert self._folder is not None
        return self._folder / "rejects.parquet"

    def _load(self, job: Writing, name: Name, path: Path) -> None:
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        answers = job.create(name, {field.name: sql_type(field.type) for field in schema})
        rejects = self.create_rejects(job, name, schema) if self.with_rejects else None
        job.begin()
        job.insert(answers, row_groups(path))
        if rejects and self.rejects_file.exists():
            job.insert(rejects, row_groups(self.rejects_file))
        job.finish()

    def create_rejects(self, job: Writing, name: Name, schema: "pa.Schema") -> Name:
        """Make the table of rejected rows.

        Parameters
        ----------
        schema : of the answers.
        """
        return job.create(rejects_name(name), rejects_types(schema))


class TableRejects:
    """The table of rejected rows: the columns that are kept, and where and why each row was rejected."""

    csv = False

    def __init__(self, owner: TableOutput) -> None:
        self._owner = owner
        self.address, self.key = owner.address + REJECTS, owner.key + REJECTS

    def check(self, option: str = "--rejects") -> None:
        """It is written with the table of answers."""

    def guard(self) -> bool:
        """It is guarded by the table of answers."""
        return False

    def size(self) -> int | None:
        """It is replaced with the table of answers."""
        return None

    def read(self) -> bytes:
        """A table is no file."""
        raise OSError(f"{self.address} is no file")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A file of this machine, which is loaded with the answers."""
        yield self._owner.rejects_file

    def rejects(self) -> Output:
        """Its own rows are never rejected."""
        return self

    def remove(self) -> None:
        """Without rejected rows there is no file of them, and no row in the table."""
        self._owner.rejects_file.unlink(missing_ok=True)


def rejects_name(name: Name) -> Name:
    """The name of the table of rejected rows."""
    return Name(name.schema, name.table + REJECTS)


def rejects_types(schema: "pa.Schema") -> dict:
    """The columns of the table of rejected rows, with their types, by the schema of the answers."""
    kept = schema.names[: schema.names.index(PREDICTION)]
    kept_kinds = {name: sql_type(schema.field(name).type) for name in kept}
    constants = {name: sql_type(schema.field(name).type) for name in (VERSION, SCORED_AT)}
    return {**kept_kinds, **REJECTED_COLUMNS, **constants}


def row_groups(path: Path) -> "Iterator[pa.Table]":
    """The tables in a Parquet file, one after another."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def find(given: str, table: str | None, *, append: bool, overwrite: bool, with_rejects: bool) -> TableOutput:
    """The table of a database that a URL and a name mean; the options are those of ``TableOutput``.

    Raises
    ------
    DatabaseError
        if there is no name, the database is of a kind that is not written to, or it cannot be reached.
    """
    if not table or not table.strip():
        raise DatabaseError("--output is a database: give the name of a table by --output-table")
    database = databases.find(given, "--output", new=True)
    kind = database.url.get_backend_name()
    if kind not in WRITTEN:
        raise DatabaseError(f"--output {database.safe}: expected PostgreSQL, MySQL, MariaDB or SQLite, found {kind}")
    return TableOutput(database, table.strip(), append=append, overwrite=overwrite, with_rejects=with_rejects)
