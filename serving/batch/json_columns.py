"""The columns of JSON lines: those of the model as text, all others as they were written."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.batch import texts
from serving.batch.queries import run
from serving.batch.quoting import identifier, path_of, text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_TEXT, _BOOLEAN, _WHOLE, _NUMBER, _NESTED = "VARCHAR", "BOOLEAN", "whole", "DOUBLE", "nested"
_KINDS = {
    "VARCHAR": _TEXT,
    "BOOLEAN": _BOOLEAN,
    "BIGINT": _WHOLE,
    "UBIGINT": _WHOLE,
    "HUGEINT": _WHOLE,
    "DOUBLE": _NUMBER,
    "ARRAY": _NESTED,
    "OBJECT": _NESTED,
}
# The whole numbers that a float64 can tell apart.
_EXACT = 2**53
# Stands for whole numbers that no type of DuckDB holds.
_LONGEST = 2**127 - 1


@dataclass(frozen=True)
class _Seen:
    """What a column holds.

    Parameters
    ----------
    kinds : of its values, without nulls.
    least, most : of its whole numbers, and 0.
    """

    kinds: frozenset[str]
    least: int
    most: int

    @property
    def is_loose(self) -> bool:
        """Whether each value has to be looked at: lists, objects, or scalars of several types."""
        return _NESTED in self.kinds or len({_NUMBER if kind == _WHOLE else kind for kind in self.kinds}) > 1

    @property
    def type(self) -> str:
        """The type of DuckDB that holds every value as it was written; text if none does."""
        if self.kinds == {_BOOLEAN}:
            return _BOOLEAN
        if not self.kinds or not self.kinds <= {_WHOLE, _NUMBER}:
            return _TEXT
        if _NUMBER in self.kinds:
            return _NUMBER if self.least >= -_EXACT and self.most <= _EXACT else _TEXT
        if self.most < 2**63:
            return "BIGINT"
        return "UBIGINT" if self.least >= 0 else _TEXT


def reader(database: "DuckDBPyConnection", file: texts.ReadableFile, partitions: str, inputs: Collection[str]) -> str:
    """The subquery that reads a file.

    Parameters
    ----------
    partitions : DuckDB's option of columns that folders tell.
    inputs : names of the model's columns.
    """
    call = (
        f"read_json({path_of(file.path)}, format = 'newline_delimited', records = true, "
        f"compression = {text(file.compression)}, {partitions}"
    )
    found = run(
        database, f"DESCRIBE SELECT * FROM {call}, sample_size = -1, maximum_depth = 1, map_inference_threshold = -1)"
    )
    names = [name for name, *_ in found if name not in file.partitions]
    kinds = ", ".join(f"{text(name)}: 'JSON'" for name in names)
    raw = f"{call}, columns = {{{kinds}}})"
    items = []
    known, is_blank = _seen(database, raw, names)
    if is_blank:  # a line with null, which DuckDB takes for an object, is none
        texts.check_lines(file)
    for name, seen in zip(names, known, strict=True):
        column = identifier(name)
        value = f"{column} ->> '$'"
        if name.strip() in inputs or name in inputs:
            items.append(
                f"{identifier(name)} AS {identifier(name)}" if seen.is_loose else f"{value} AS {identifier(name)}"
            )
        else:
            items.append(f"CAST({value} AS {seen.type}) AS {column}")
    items += [identifier(name) for name, *_ in found if name in file.partitions]
    return f"(SELECT {', '.join(items)} FROM {raw})"


def _seen(database: "DuckDBPyConnection", raw: str, names: Sequence[str]) -> tuple[list[_Seen], bool]:
    """What the columns hold, and whether a row holds nothing, in one pass."""
    known = f"[{', '.join(map(text, _KINDS))}]"
    values, items = [], []
    for place, name in enumerate(names):
        column = identifier(name)
        value = f"{column} ->> '$'"
        whole = f"coalesce(TRY_CAST({value} AS HUGEINT), {_LONGEST})"
        values.append(f"list_position({known}, json_type({column})) AS k{place}")
        values.append(f"CASE WHEN regexp_full_match({value}, '-?[0-9]+') THEN {whole} END AS w{place}")
        items.append(f"bit_or(1 << k{place}), min(w{place}), max(w{place})")
    empty = f"count(*) FILTER ({' AND '.join(f'{identifier(name)} IS NULL' for name in names)})"
    (row,) = run(database, f"SELECT {', '.join([*items, empty])} FROM (SELECT *, {', '.join(values)} FROM {raw})")
    *found, blanks = row
    seen = []
    for place in range(0, len(found), 3):
        bits, least, most = found[place : place + 3]
        kinds = frozenset(kind for bit, kind in enumerate(_KINDS.values(), start=1) if (bits or 0) >> bit & 1)
        seen.append(_Seen(kinds, min(least or 0, 0), max(most or 0, 0)))
    return seen, blanks > 0
