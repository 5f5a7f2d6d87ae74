"""A table from a SQL database, by SQLAlchemy: a table's name, or a query."""

from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.sources import scalars
from pipelines.sources.table import Table, rows_digest
from registry import redaction
from serving import databases
from serving.databases import values
from serving.databases.query import clean

if TYPE_CHECKING:
    from sqlalchemy import CursorResult

_ROWS_AT_ONCE = 10_000


def read(url: str, query: str | None) -> Table:
    """A table from a database; no secret of the URL is in what is returned or raised.

    Parameters
    ----------
    query : the name of a table or view (``name`` or ``schema.name``), or a SELECT, which is passed on as it is.

    Raises
    ------
    PipelineError
        where the database cannot be reached, or refuses.
    """
    try:
        query = clean(query)
        address = databases.find(url, "--data")
        with address.connected() as connection:
            found = databases.resolve(connection, query)
            result = found.run(connection)
            names = list(result.keys())
            columns = _columns(result, len(names))
    except databases.DatabaseError as error:
        raise PipelineError(str(error)) from None
    arrays = [values.column(each) for each in columns]
    rows = pa.Table.from_arrays([array for array, _ in arrays], names=[str(name) for name in names])
    mixed = {str(name): kinds for name, (_, kinds) in zip(names, arrays, strict=True) if kinds}
    source = f"{address.safe}#{redaction.redacted(query)}"
    notes = scalars.told(mixed)
    return Table(rows, found.name(address), source, rows_digest(rows), notes=notes, scalars=frozenset(mixed))


def _columns(result: "CursorResult", width: int) -> list[list]:
    """The values of each column."""
    columns: list[list] = [[] for _ in range(width)]
    for rows in result.partitions(_ROWS_AT_ONCE):
        for column, found in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(found)
    return columns
