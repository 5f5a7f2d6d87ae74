"""Rejected rows for a table of a database: with the columns that are kept, for a row of a table has no number."""

from pathlib import Path
from typing import TYPE_CHECKING

from serving.batch.answers import SCORED_AT, VERSION
from serving.batch.duckdb_session import RAW, identifier, text
from serving.batch.table_output import REJECTED_COLUMN, REJECTED_REASON, REJECTED_ROW

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from serving.batch.answers import AnswerPlan

_PLACE = "place_of_row"


def write(
    database: "DuckDBPyConnection", plan: "AnswerPlan", rejects: Path, path: Path, *, row: str | None = None
) -> None:
    """Write a Parquet file of rejected rows.

    Parameters
    ----------
    rejects : the CSV file of them, as ``Rejects`` writes it; the rows are those of the view of raw rows.
    row : the column with the number of a row; None if it is the place in the view.
    """
    kept = [f"raw.{identifier(name)}" for name in plan.keep]
    number = f"raw.{identifier(row)}" if row else f"raw.{_PLACE}"
    columns = [
        *kept,
        f"CAST({number} AS BIGINT) AS {REJECTED_ROW}",
        f'found."column" AS {REJECTED_COLUMN}',
        f"found.reason AS {REJECTED_REASON}",
        f"{text(plan.version)} AS {VERSION}",
        f"TIMESTAMPTZ {text(plan.scored_at.isoformat())} AS {SCORED_AT}",
    ]
    database.execute(f"COPY ({_joined(columns, rejects)}) TO {text(str(path))} (FORMAT parquet)")


def write_csv(database: "DuckDBPyConnection", rejects: Path, path: Path, *, row: str) -> None:
    """Write a CSV file of rejected rows whose numbers are in a column; see ``write``."""
    columns = [f'raw.{identifier(row)} AS "row"', 'found."column"', "found.reason"]
    database.execute(f"COPY ({_joined(columns, rejects)}) TO {text(str(path))} (FORMAT csv, HEADER true)")


def _joined(columns: list[str], rejects: Path) -> str:
    """A SELECT of the rejected rows, as ``raw``, and of where and why each was rejected, as ``found``."""
    kinds = "{'row': 'BIGINT', 'column': 'VARCHAR', 'reason': 'VARCHAR'}"
    options = f"""header = true, delim = ',', quote = '"', escape = '"', columns = {kinds}"""
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT *, row_number() OVER () - 1 AS {_PLACE} FROM {RAW}) AS raw "
        f"JOIN read_csv({text(str(rejects))}, {options}) AS found ON raw.{_PLACE} = found.row ORDER BY found.row"
    )
