"""Scores inside DuckDB by the exported SELECT: no row reaches Python but those that are rejected."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serving.batch import csv_text
from serving.batch.answers import PREDICTION, SCORED_AT, VERSION, AnswerPlan, has_whole_labels
from serving.batch.by_batches import ROWS
from serving.batch.duckdb_session import RAW, columns, count
from serving.batch.queries import Bar, run
from serving.batch.quoting import identifier, text
from serving.batch.rejects import Rejects
from serving.errors import Unsupported
from serving.scorecard import Scorecard
from serving.scorecard.exports import sql
from serving.scorecard.inputs import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: The most values of a dictionary of a Parquet file without texts, and what is in the names of types that hold texts.
_DICTIONARY, _TEXTS = 256, ("VARCHAR", "ENUM", "JSON", "BLOB")
_NUMBERED, _REJECTED, _ROW = "numbered_rows", "rejected_rows", "row_number_of_file"


def select(card: Scorecard, keep: tuple[str, ...], table: str = RAW, *, types: Mapping[str, str] | None = None) -> str:
    """The SELECT of the answers beside columns that are kept.

    Parameters
    ----------
    types : of the table's columns, if they are known.

    Raises
    ------
    Unsupported
        if SQL cannot say the model.
    """
    return sql.write(card, dialect="duckdb", table=table, keep=keep, types=types)


def why_not(card: Scorecard) -> str:
    """Why SQL cannot say the model; empty if it can."""
    try:
        select(card, ())
    except Unsupported as error:
        return str(error)
    return ""


def score(
    database: "DuckDBPyConnection",
    card: Scorecard,
    plan: AnswerPlan,
    target: Path,
    *,
    csv: bool,
    rejects: Rejects,
    bar: Bar | None = None,
) -> int:
    """Score the raw rows, and write their answers; the number of rows that were answered."""
    types = columns(database, RAW)
    # A small whole number would have 32 bits.
    prediction = f"CAST({PREDICTION} AS BIGINT) AS {PREDICTION}" if has_whole_labels(card) else PREDICTION
    kept = [csv_text.column(name, types.get(name, "")) if csv else identifier(name) for name in plan.keep]
    names = [*kept, prediction, *map(identifier, plan.probabilities)]
    # As an enumeration, a constant text is written ten times as fast; files hold texts all the same.
    names.append(f"{text(plan.version)}::ENUM({text(plan.version)}) AS {VERSION}")
    moment = text(plan.scored_at.isoformat())
    names.append(f"{moment} AS {SCORED_AT}" if csv else f"TIMESTAMPTZ {moment} AS {SCORED_AT}")
    query = select(card, plan.keep, types=types)
    answers = f"SELECT {', '.join(names)} FROM (\n{query}) WHERE {PREDICTION} IS NOT NULL"
    form = "FORMAT csv, HEADER true" if csv else f"FORMAT parquet{_dictionaries(types, card, plan)}"
    ((answered,),) = run(database, f"COPY ({answers}) TO {text(str(target))} ({form})", bar)
    if answered < count(database, RAW):
        _reject(database, card, rejects)
    return int(answered)


def _dictionaries(types: Mapping[str, str], card: Scorecard, plan: AnswerPlan) -> str:
    """How large the dictionaries of a Parquet file may grow, as an option of COPY.

    The writer tries one for every column, up to thousands of values, before it gives up: for numbers, in vain, and it
    takes more time than all else that it does. Texts are smaller by it however many they are.
    """
    texts = any(word in types.get(name, _TEXTS[0]) for name in plan.keep for word in _TEXTS)
    return "" if texts or len(card.classes or ()) > _DICTIONARY else f", DICTIONARY_SIZE_LIMIT {_DICTIONARY}"


def _reject(database: "DuckDBPyConnection", card: Scorecard, rejects: Rejects) -> None:
    """Find the rows without an answer, and ask the scorecard for the reason."""
    import pyarrow as pa

    types = columns(database, RAW)
    inputs = tuple(item.name for item in card.inputs if item.name in types)
    row = _ROW
    while row.lower() in {name.lower() for name in types}:
        row += "_"
    database.execute(f"CREATE OR REPLACE VIEW {_NUMBERED} AS SELECT *, row_number() OVER () - 1 AS {row} FROM {RAW}")
    query = f"SELECT * FROM (\n{select(card, (row, *inputs), _NUMBERED, types=types)}) WHERE {PREDICTION} IS NULL"
    run(database, f"CREATE OR REPLACE TEMP TABLE {_REJECTED} AS {query}")
    for batch in database.sql(f"SELECT * FROM {_REJECTED}").to_arrow_reader(ROWS):
        table = pa.table(batch)
        _, refusals = card.tables.scores(table.select(inputs))
        errors = refusals.by_row()
        for place, number in enumerate(table[row].to_pylist()):
            rejects.add(number, errors.get(place) or InputError("", "DuckDB could not score it; --engine numpy may"))
