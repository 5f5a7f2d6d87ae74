"""The columns of a table by their values: their types, for models that tell none, and why all were rejected."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.batch.duckdb_session import RAW, columns, identifier, text
from serving.batch.rejects import Rejects
from serving.scorecard.inputs import BOOLEAN, CATEGORY, MISSING_TEXT, NUMBER, Input, InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: A number with a decimal comma.
_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"
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


def why_rejected(
    database: "DuckDBPyConnection", rejects: Rejects, inputs: Sequence[Input], *, is_all: bool
) -> str | None:
    """Why most of the rejected rows were; None if there are none.

    Parameters
    ----------
    inputs : the columns of the model.
    is_all : whether all rows were rejected: then their values are looked at for a hint.
    """
    if (usual := rejects.usual) is None:
        return None
    told = str(usual) if usual.column else usual.reason
    return told + (_hint(database, usual, inputs) if is_all else "")


def _hint(database: "DuckDBPyConnection", error: InputError, inputs: Sequence[Input]) -> str:
    """What may be wrong with a column of which all rows were rejected; empty if its values do not tell."""
    found = next((item for item in inputs if item.name == error.column and item.type == NUMBER), None)
    if found is None or found.decimal == "," or columns(database, RAW).get(found.name) != "VARCHAR":
        return ""
    value = f"trim({identifier(found.name)}, {text(_BLANKS)})"
    query = f"SELECT count(*) FROM {RAW} WHERE regexp_full_match({value}, {text(_COMMA)})"
    ((count,),) = database.execute(query).fetchall()
    return "; its numbers seem to have a decimal comma, and the model reads a decimal point: convert them" * bool(count)


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
