"""The raw table that every source gives, its checks and its digest."""

import hashlib
import io
from dataclasses import dataclass, replace

import pyarrow as pa

from pipelines.errors import PipelineError
from registry.text import listed


@dataclass(frozen=True)
class Table:
    """A table as it was read: nothing is typed, trimmed or left out yet.

    Parameters
    ----------
    columns : the Arrow table; every column of a CSV file is text.
    name : a short name, from which a model's name is made.
    source : where it came from, without credentials.
    digest : ``sha256:`` of the file's bytes; of the rows in Arrow's stream format where there is no file.
    target, task : known for bundled tables, None otherwise.
    """

    columns: pa.Table
    name: str
    source: str
    digest: str
    target: str | None = None
    task: str | None = None

    @property
    def origin(self) -> "Origin":
        """What is worth keeping of the table when its values are no longer."""
        return Origin(self.name, self.source, self.digest, self.columns.num_rows, self.columns.num_columns)


@dataclass(frozen=True)
class Origin:
    """Where a table came from, without its values.

    Parameters
    ----------
    rows, columns : how many there were.
    """

    name: str
    source: str
    digest: str
    rows: int
    columns: int


def checked(table: Table) -> Table:
    """The table with a name for every column.

    Raises
    ------
    PipelineError
        where two columns have one name, or there is no row or no column.
    """
    names = [name or f"Unnamed: {place}" for place, name in enumerate(table.columns.column_names)]
    seen: set[str] = set()
    if twice := sorted({name for name in names if name in seen or seen.add(name)}):
        raise PipelineError(
            f"column names must differ, found {listed(twice)} more than once in {table.source}; rename all but one "
            "(a file needs a first line of names)"
        )
    if not names or not table.columns.num_rows:
        raise PipelineError(f"expected rows, found an empty table: {table.source}")
    return replace(table, columns=table.columns.rename_columns(names).replace_schema_metadata(None))


def rows_digest(columns: pa.Table) -> str:
    """The digest of a table that is no file."""
    total = hashlib.sha256()

    class Sink(io.RawIOBase):
        def writable(self):
            return True

        def write(self, chunk):
            total.update(chunk)
            return len(chunk)

    with pa.ipc.new_stream(pa.PythonFile(Sink(), mode="w"), columns.schema) as stream:
        stream.write_table(columns.combine_chunks())
    return f"sha256:{total.hexdigest()}"
