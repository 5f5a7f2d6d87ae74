"""The decimal and thousands marks that the numbers of a table are written with, and how text with them is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from registry.cli.text import listed
from serving.scorecard.inputs import Cleaning


class Marks(NamedTuple):
    """The mark before a number's fraction, and the one between its groups of digits ("" for none)."""

    decimal: str = "."
    thousands: str = ""

    def __str__(self) -> str:
        grouped = f", thousands {self.thousands!r}" if self.thousands else ""
        return f"decimal {self.decimal!r}{grouped}"


#: How programs write numbers.
PLAIN = Marks()
#: How most of Europe writes them, and how English is written.
EUROPEAN, ENGLISH = Marks(",", "."), Marks(".", ",")
# Marks between groups of digits that neither of the two has; an underscore joins the parts of codes too often.
_BETWEEN = (" ", "'", "\u2019", "\u00a0", "\u2009", "\u202f")

# A column is numbers by some marks where as many of its different values are; the others are told as mistakes.
_MOSTLY = 0.8
_PROBE = 1000
_EITHER = frozenset({EUROPEAN, ENGLISH})
_OVERRULE = "--decimal and --thousands overrule"


@cache
def pattern(marks: Marks) -> str:
    """The finite numbers that ``scalars.number`` takes with these marks, as a regular expression of RE2."""
    decimal, between = (f"[{mark}]" if mark else "" for mark in marks)
    plain = rf"(\d+({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?"
    if not between:
        return f"^[+-]?{plain}$"
    groups = rf"([1-9]\d{{0,2}}({between}\d{{3}})+|[1-9]\d?({between}\d\d)+{between}\d{{3}})({decimal}\d*)?"
    return f"^[+-]?({plain}|{groups})$"


def usual(written: pa.ChunkedArray, marks: Marks) -> pa.ChunkedArray:
    """Numbers with these marks, each of them such a number or null, with a decimal point and no groups."""
    if marks.thousands:
        written = pc.replace_substring(written, marks.thousands, "")
    return pc.replace_substring(written, marks.decimal, ".") if marks.decimal != "." else written


@dataclass(frozen=True)
class FoundMarks:
    """The marks of a table's columns.

    Parameters
    ----------
    by_column : column -> its marks, where they are not ``PLAIN``.
    notes : what was found, and what was assumed, a sentence each.
    """

    by_column: Mapping[str, Marks]
    notes: tuple[str, ...] = ()


def given(columns: pa.Table, decimal: str | None, thousands: str | None, cleaning: Cleaning) -> FoundMarks:
    """The marks where a user says one or both; the other one is what goes with it. Those of no text where none is."""
    if decimal is None and thousands is None:
        return FoundMarks({})
    names = _texts(columns)
    if decimal is None:
        ways = tuple(Marks(mark, thousands or "") for mark in (".", ",") if mark != thousands)
        shown = [_best(_distinct(columns[name], cleaning), ways) for name in names] if len(ways) > 1 else []
        decimal = "," if thousands == "." or any(len(one) == 1 and min(one).decimal == "," for one in shown) else "."
    marks = Marks(decimal, (EUROPEAN if decimal == "," else ENGLISH).thousands if thousands is None else thousands)
    return FoundMarks(dict.fromkeys(names, marks), (f"numbers in text are read with {marks}",))


def find(columns: pa.Table, separator: str, cleaning: Cleaning, *, commas: bool = True) -> FoundMarks:
    """The marks of the columns of a delimited file.

    Where one column shows decimal commas (or dots between three groups of digits: 1.234.567), the whole file is taken
    to be written so: a column whose dots all have three digits behind them holds thousands, not fractions, and the
    whole numbers of the rows to come may be grouped by dots. A column that is written otherwise keeps its own marks.

    Parameters
    ----------
    columns : of text; others have no marks.
    separator : what is between two values. It decides where nothing else tells whether 1,234 is grouped: who writes
        decimal commas does not put commas between values, and many put semicolons there.
    cleaning : which words are missing values.
    commas : whether a value may hold a comma at all.
    """
    names = _texts(columns)
    commas_in = {name for name in names if commas and _has(columns[name], ",")}
    ways = {
        name: _ways(columns[name], cleaning)
        for name in names
        if name in commas_in or not _begins_plainly(columns[name])
    }
    if not any(ways.values()):
        return FoundMarks({}, _thousandths(columns, names, separator, cleaning))
    ways |= {name: _ways(columns[name], cleaning) for name in names if name not in ways}
    european = any(len(found) == 1 and min(found).decimal == "," for found in ways.values())
    english = any(found == {ENGLISH} for found in ways.values())
    doubtful = [name for name in names if ways[name] == _EITHER and name in commas_in]
    assumed, why = _assumed(european, english, separator)

    by_column: dict[str, Marks] = {}
    notes = []
    for name in names:
        if not ways[name]:
            continue
        if len(ways[name]) == 1:
            (marks,) = ways[name]
            if marks == ENGLISH and name not in commas_in:
                marks = PLAIN
                if european:
                    notes.append(f"{name!r} is read with decimal '.', unlike other columns; {_OVERRULE}")
        elif ways[name] != _EITHER:  # 1 234 or 1'234: any mark may be before a fraction
            marks = next(one for one in ways[name] if (one.decimal == ",") == european)
        elif name in commas_in:
            marks = assumed or PLAIN
        else:
            marks = EUROPEAN if european else PLAIN
        if marks != PLAIN:
            by_column[name] = marks
    if doubtful and why:
        notes.append(f"{listed(doubtful)}: {why}")
    return FoundMarks(by_column, (*_told(by_column), *notes))


def _thousandths(columns: pa.Table, names: list[str], separator: str, cleaning: Cleaning) -> tuple[str, ...]:
    """What to say if every number with a dot has three digits behind it, in a file as those write who group by dots."""
    dotted = [name for name in names if separator == ";" and _has(columns[name], ".")]
    if not dotted or any(_ways(columns[name], cleaning) != _EITHER for name in dotted):
        return ()
    return (
        f"{listed(dotted)}: dots are taken as decimal marks, though every number with one has three digits behind it; "
        "--thousands . reads them as thousands separators",
    )


def _assumed(european: bool, english: bool, separator: str) -> tuple[Marks | None, str]:
    """How 1,234 is read where its column does not tell, and what to say of it."""
    if european != english:
        return (EUROPEAN, "") if european else (ENGLISH, "")
    if european:
        return None, f"a comma is a decimal or a thousands mark, and other columns show both; {_OVERRULE}"
    if separator == ",":
        return ENGLISH, f"commas are taken as thousands marks (assumed: the separator is one, too); {_OVERRULE}"
    if separator == ";":
        return EUROPEAN, f"commas are taken as decimal marks (assumed from the separator ';'); {_OVERRULE}"
    return None, "nothing tells whether a comma is the decimal or the thousands mark; give --decimal or --thousands"


def _told(by_column: Mapping[str, Marks]) -> list[str]:
    """What numbers are written with, a sentence for each kind."""
    return [
        f"numbers with {marks} (found): {listed([name for name, own in by_column.items() if own == marks])}"
        for marks in dict.fromkeys(by_column.values())
    ]


def _texts(columns: pa.Table) -> list[str]:
    kinds = ((field.name, field.type) for field in columns.schema)
    return [name for name, kind in kinds if pa.types.is_string(kind) or pa.types.is_large_string(kind)]


def _begins_plainly(column: pa.ChunkedArray) -> bool:
    """Whether a column's first rows are numbers as programs write them."""
    try:
        column.slice(0, _PROBE).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _has(column: pa.ChunkedArray, text: str) -> bool:
    return bool(pc.any(pc.match_substring(column, text)).as_py())


def _ways(column: pa.ChunkedArray, cleaning: Cleaning) -> frozenset[Marks]:
    """The marks by which most values of a column are numbers; several where it shows none that would tell."""
    if len(column) > _PROBE:  # most columns of text are known by their first rows
        first = _distinct(column.slice(0, _PROBE), cleaning)
        if len(first) and not _best(first):
            return frozenset()
    return _best(_distinct(column, cleaning))


def _distinct(column: pa.ChunkedArray, cleaning: Cleaning) -> pa.Array:
    """The different values, trimmed, without those that are missing."""
    values = pc.unique(pc.utf8_trim_whitespace(column).cast(pa.large_string()))
    return values.filter(pc.invert(pc.is_in(values, pa.array(sorted(cleaning.missing), values.type)))).drop_null()


def _usual_ways(values: pa.Array) -> tuple[Marks, ...]:
    between = [mark for mark in _BETWEEN if pc.any(pc.match_substring(values, mark)).as_py()]
    return (EUROPEAN, ENGLISH, *(Marks(decimal, mark) for mark in between for decimal in (".", ",")))


def _best(values: pa.Array, ways: tuple[Marks, ...] | None = None) -> frozenset[Marks]:
    ways = _usual_ways(values) if ways is None else ways
    counts = {marks: pc.sum(pc.match_substring_regex(values, pattern(marks))).as_py() or 0 for marks in ways}
    most = max(counts.values())
    if not most or most < _MOSTLY * len(values):
        return frozenset()
    return frozenset(marks for marks, count in counts.items() if count == most)
