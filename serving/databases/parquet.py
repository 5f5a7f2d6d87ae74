"""The rows of a query as a Parquet file, in bounded memory."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.cli.text import listed
from serving.databases import values
from serving.databases.address import DatabaseError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import CursorResult

#: Rows that are fetched, and written, at once.
ROWS = 20_000


def write(result: "CursorResult", path: Path) -> int:
    """Write the rows of a result; how many there were.

    A column has one type, as in training: the types of its batches are brought together at the end, numbers as float64,
    and anything else that has several types as text. Lists and objects are written as JSON text.

    Parameters
    ----------
    path : of the file; parts are written beside it while the rows come.

    Raises
    ------
    DatabaseError
        if two columns have one name.
    """
    names = [str(name) for name in tuple(result.keys())]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DatabaseError(f"--query: column names must differ, found {listed(twice[:1])} more than once; rename one")
    parts = _Parts(path)
    rows = 0
    try:
        for batch in result.partitions(ROWS):
            parts.add(_table(names, list(zip(*batch, strict=True))))
            rows += len(batch)
        if not rows:
            parts.add(_table(names, [()] * len(names)))
    finally:
        parts.close()
    parts.join()
    return rows


def _table(names: Sequence[str], columns: Sequence[Sequence]) -> "pa.Table":
    import pyarrow as pa

    return pa.table([_column(each) for each in columns], names=list(names))


def _column(found: Sequence) -> "pa.Array":
    """A column that a Parquet file can hold, and DuckDB reads as what it is."""
    import pyarrow as pa

    if any(isinstance(value, (dict, list, tuple)) for value in found):
        return pa.array([None if one is None else json.dumps(one, default=str) for one in found], pa.string())
    array, _ = values.column(found)
    if isinstance(array.type, pa.BaseExtensionType) or pa.types.is_duration(array.type):
        return pa.array([None if one is None else str(one) for one in found], pa.string())
    return array


class _Parts:
    """Files of rows, each of one schema; a column without a value yet has the type of the others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._paths: list[Path] = []
        self._schemas: list[pa.Schema] = []

    def add(self, table: "pa.Table") -> None:
        """Write rows, into a new part where their schema is another."""
        import pyarrow.parquet as pq

        if self._writer is not None:
            table = _like(table, self._schemas[-1])
        if self._writer is None or table.schema != self._schemas[-1]:
            self.close()
            self._paths.append(self._path.with_name(f"{self._path.name}.{len(self._paths)}"))
            self._schemas.append(table.schema)
            self._writer = pq.ParquetWriter(self._paths[-1], table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write what is left of the last part."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def join(self) -> None:
        """One file of all parts."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if len(self._paths) == 1:
            self._paths[0].replace(self._path)
            return
        first = self._schemas[0]
        kinds = [self._kind(place) for place in range(len(first))]
        schema = pa.schema([pa.field(name, kind) for name, kind in zip(first.names, kinds, strict=True)])
        with pq.ParquetWriter(self._path, schema) as writer:
            for table in self._tables():
                arrays = [_as(column, kind) for column, kind in zip(table.columns, kinds, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
        for path in self._paths:
            path.unlink()

    def _tables(self) -> Iterator["pa.Table"]:
        import pyarrow.parquet as pq

        for path in self._paths:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group)

    def _kind(self, place: int) -> "pa.DataType":
        """The type of a column in all parts."""
        import pyarrow as pa

        kinds = {schema.field(place).type for schema in self._schemas} - {pa.null()}
        if len(kinds) <= 1:
            return next(iter(kinds), pa.null())
        if kinds == {pa.int64(), pa.float64()} and self._casts(place):
            return pa.float64()
        return pa.string()

    def _casts(self, place: int) -> bool:
        """Whether float64 holds all whole numbers of a column."""
        import pyarrow as pa

        try:
            for table in self._tables():
                table.column(place).cast(pa.float64())
        except pa.ArrowInvalid:
            return False
        return True


def _like(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """A table whose columns without any value have the types of a schema."""
    import pyarrow as pa

    arrays = [
        column.cast(field.type) if pa.types.is_null(column.type) else column
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.table(arrays, names=table.column_names)


def _as(column: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.Array | pa.ChunkedArray":
    """A column as another type: as text by the rule of scoring."""
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_string(kind) and not pa.types.is_null(column.type):
        return values.as_texts(column.to_pylist())[0]
    return column.cast(kind)
