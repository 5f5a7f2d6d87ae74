"""The raw table that every source gives, its checks and its digest."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from serving.scorecard.inputs import NUMBER, Cleaning, Input
from serving.text_files import header
from serving.text_files.errors import TextFileError

#: How text is read where nothing more is said of it, and always where its values name a row.
USUAL = Cleaning()


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
    marks : column -> the decimal and thousands marks of its text, where they are not the usual ones.
    notes : what was found or assumed while it was read, a sentence each.
    scalars : the columns of text that held numbers or booleans, too.
    cleaning : how text is read: which words mean a missing value.
    class_names : label, as text -> what it means, where the labels of the target are codes of known meaning.
    total_rows : how many rows the table has of which these are a sample; None where these are all.
    aliases : further name of a column -> the name that the table has for it.
    types : columns that are read by these types, whatever the rows that are here tell.
    """

    columns: pa.Table
    name: str
    source: str
    digest: str
    target: str | None = None
    task: str | None = None
    marks: Mapping[str, Marks] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scalars: frozenset[str] = frozenset()
    cleaning: Cleaning = USUAL
    class_names: Mapping[str, str] = field(default_factory=dict)
    total_rows: int | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Input] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """How many rows the whole table has."""
        return self.columns.num_rows if self.total_rows is None else self.total_rows

    def marks_of(self, name: str) -> Marks:
        """The marks of the numbers in a column of text."""
        return self.marks.get(name, PLAIN)

    def known_as(self, name: str) -> str | None:
        """The column that a model knows by a name: of this very name, else of the trimmed one; None without one."""
        names = self.columns.column_names
        return next((each for each in (name, name.strip()) if each in names), None)

    def written_as(self, inputs: Sequence[Input], cleaning: Cleaning) -> "Table":
        """The table read as a model reads its own: with its words for a missing value, too, and with the marks that its
        numbers have for columns of text that show none themselves.
        """
        words = self.cleaning.missing | cleaning.missing
        table = replace(self, cleaning=Cleaning(missing=words))
        known = {Marks(one.decimal, one.thousands) for one in inputs if one.type == NUMBER}
        if self.marks or len(known) != 1 or known == {PLAIN}:
            return table
        return replace(table, marks=dict.fromkeys(self.columns.column_names, *known))

    def rows(self, positions: np.ndarray) -> "Table":
        """The table of these rows alone, in this order."""
        return replace(self, columns=self.columns.take(positions))

    def of(self, columns: pa.Table) -> "Table":
        """Other rows of the same table, and no others of its columns."""
        for alias, name in self.aliases.items():
            if name in columns.column_names and alias not in columns.column_names:
                columns = columns.append_column(alias, columns[name])
        return replace(self, columns=columns)

    def also_named(self, aliases: Mapping[str, str]) -> "Table":
        """The table with some of its columns under further names, too."""
        marks = {alias: self.marks[name] for alias, name in aliases.items() if name in self.marks}
        named = replace(self, marks={**self.marks, **marks}, aliases={**self.aliases, **aliases})
        return named.of(self.columns)

    @property
    def origin(self) -> "Origin":
        """What is worth keeping of the table when its values are no longer."""
        width = self.columns.num_columns - len(self.aliases)
        return Origin(self.name, self.source, self.digest, self.height, width, class_names=self.class_names)


@dataclass(frozen=True)
class Origin:
    """Where a table came from, without its values.

    Parameters
    ----------
    rows, columns : how many there were.
    class_names : as the table's.
    """

    name: str
    source: str
    digest: str
    rows: int
    columns: int
    class_names: Mapping[str, str] = field(default_factory=dict)


def checked(table: Table) -> Table:
    """The table with a trimmed name for every column.

    Raises
    ------
    PipelineError
        where two columns have one name, or there is no row or no column.
    """
    columns = named(table.columns, table.source)
    if not columns.num_columns or not columns.num_rows:
        raise PipelineError(f"expected rows, found an empty table: {table.source}")
    renamed = dict(zip(table.columns.column_names, columns.column_names, strict=True))
    return replace(table, columns=columns, scalars=frozenset(renamed.get(name, name) for name in table.scalars))


def named(columns: pa.Table, source: str, *, delimited: bool = False) -> pa.Table:
    """Columns with the names that scoring knows them by: trimmed, and ``Unnamed: 3`` where there is none.

    Parameters
    ----------
    delimited : whether the names are the first line of a delimited file, which may hold values.

    Raises
    ------
    PipelineError
        where two have one name.
    """
    try:
        names = header.distinct(columns.column_names, source, delimited=delimited)
    except TextFileError as error:
        raise PipelineError(str(error)) from None
    return columns.rename_columns(names).replace_schema_metadata(None)


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
