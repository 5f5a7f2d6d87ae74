"""Scores a table batch by batch in Python, for whatever SQL cannot express."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.batch import csv_text
from serving.batch.answers import SCORED_AT, AnswerPlan
from serving.batch.duckdb_session import RAW
from serving.batch.queries import Bar
from serving.batch.rejects import Rejects
from serving.scorecard.inputs import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    #: The answers to the rows of a table that have one, and the errors of the others by row.
    Answer = Callable[[pa.Table], tuple[pa.Table, dict[int, InputError]]]
    Seen = Callable[[pa.Table, pa.Table, dict[int, InputError]], object]

#: Rows of a batch.
ROWS = 65_536


def score(
    database: "DuckDBPyConnection",
    answer: "Answer",
    plan: AnswerPlan,
    target: Path,
    *,
    csv: bool,
    rejects: Rejects,
    seen: "Seen | None" = None,
    bar: Bar | None = None,
) -> int:
    """Score the raw rows, and write their answers; the number of rows that were answered.

    Parameters
    ----------
    seen : is shown each batch with its answers and errors.
    """
    reader = database.sql(f"SELECT * FROM {RAW}").to_arrow_reader(ROWS)
    start = answered = 0
    with _writing(target, csv=csv) as write:
        for table in _tables(reader):
            found, errors = answer(table)
            for row, error in sorted(errors.items()):
                rejects.add(start + row, InputError(error.column, error.reason))
            if seen is not None:
                seen(table, found, errors)
            if len(found):
                write(_as_text(database, plan, found) if csv else found)
            start += len(table)
            answered += len(found)
            if bar is not None:
                bar.look(database)
        if not answered:  # a table without rows, or of rejected ones, has a file, too
            nothing, _ = answer(reader.schema.empty_table())
            write(_as_text(database, plan, nothing) if csv else nothing)
    return answered


def _tables(reader: "pa.RecordBatchReader") -> "Iterator[pa.Table]":
    """The batches of a reader, whose errors are DuckDB's own."""
    import duckdb
    import pyarrow as pa

    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (OSError, pa.ArrowException) as error:
            raise duckdb.InvalidInputException(str(error)) from None
        if len(batch):
            yield pa.table(batch)


def _as_text(database: "DuckDBPyConnection", plan: AnswerPlan, table: "pa.Table") -> "pa.Table":
    """Answers as CSV has them, the time in ISO 8601."""
    import pyarrow as pa

    place = table.column_names.index(SCORED_AT)
    table = table.set_column(place, SCORED_AT, pa.repeat(pa.scalar(plan.scored_at.isoformat()), len(table)))
    return csv_text.table(database.cursor(), table)


@contextmanager
def _writing(target: Path, *, csv: bool) -> "Iterator[Callable[[pa.Table], object]]":
    """A function that writes tables of one schema into a file one after another."""
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    writer: Any = None
    options = pc.WriteOptions(quoting_style="needed", quoting_header="needed")

    def write(table: "pa.Table") -> None:
        nonlocal writer
        if writer is None:
            writer = (
                pc.CSVWriter(target, table.schema, write_options=options)
                if csv
                else pq.ParquetWriter(target, table.schema)
            )
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
