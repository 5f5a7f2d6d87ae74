"""The types of a table's columns by their values, for models that do not tell theirs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.batch.duckdb_session import RAW, columns, identifier, text
from serving.scorecard.inputs import BOOLEAN, CATEGORY, MISSING_TEXT, NUMBER

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BLANKS = " \t\r\n"
# A column of so many different numbers is one of numbers if that share of its values are, as training sees it.
_DIFFERENT, _SHARE = 20, 0.8


def find(database: "DuckDBPyConnection", names: Sequence[str]) -> dict[str, str | None]:
    """The type of each column of the raw rows: one of a scorecard's inputs, or None for dates and times.

    Text is numbers, or booleans, if all of it is but for missing values; so is a column of many different numbers with
    a few other texts, whose rows are rejected then. The whole table is read for that.
    """
    found = {name: _of(kind) for name, kind in columns(database, RAW).items() if name in names}
    written = [name for name, kind in found.items() if kind == CATEGORY]
    if not written:
        return found
    (row,) = database.execute(f"SELECT {', '.join(map(_counts, written))} FROM {RAW}").fetchall()
    for name, (present, numbers, different, booleans) in zip(written, row, strict=True):
        if present and (numbers == present or (different > _DIFFERENT and numbers >= _SHARE * present)):
            found[name] = NUMBER
        elif present and booleans == present:
            found[name] = BOOLEAN
    return found


def _counts(name: str) -> str:
    """How many values of a column are not missing, numbers, different numbers, and booleans."""
    trimmed = f"trim({identifier(name)}::VARCHAR, {text(_BLANKS)})"
    present = f"{trimmed} NOT IN ({', '.join(map(text, sorted(MISSING_TEXT)))})"
    # DuckDB takes 1_000, too.
    number = f"CASE WHEN {present} AND NOT contains({trimmed}, '_') THEN TRY_CAST({trimmed} AS DOUBLE) END"
    counts = (
        f"count(*) FILTER ({present})",
        f"count({number})",
        f"approx_count_distinct({number})",
        f"count(*) FILTER (lower({trimmed}) IN ('true', 'false'))",
    )
    return f"[{', '.join(counts)}]"


def _of(kind: str) -> str | None:
    """The type of a column by its type in DuckDB."""
    if kind.endswith("]"):
        return CATEGORY
    if kind == "BOOLEAN":
        return BOOLEAN
    if kind.startswith(("DATE", "TIMESTAMP")):
        return None
    if kind.startswith(("DOUBLE", "FLOAT", "DECIMAL")) or kind.endswith(("INT", "INTEGER")):
        return NUMBER
    return CATEGORY
