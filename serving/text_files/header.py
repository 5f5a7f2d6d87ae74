"""The names of columns: whether the first row of a delimited file holds them, and that they differ."""

import re
from collections.abc import Sequence
from itertools import pairwise

from registry.cli.text import listed
from serving.scorecard.inputs import MISSING_TEXT
from serving.scorecard.names import column_name
from serving.text_files import date_text
from serving.text_files.errors import TextFileError

_NUMBER, _DATE, _TRUTH, _TEXT, _NOTHING = "number", "date", "truth", "text", "nothing"
# A number in any spelling: this is about what a person would call one.
_LIKE_NUMBER = re.compile(
    r"[(+\-−]?\s?[$€£¥]?\s?(\d[\d.,'’_ \u00a0\u2009\u202f]*|[.,]\d+)([eE][+-]?\d+)?\s?[%‰$€£KkMB]?[)\-]?"
    r"|[+-]?(?i:inf|infinity)"
)
_LIKE_DATE = re.compile(date_text.PATTERN)
_LIKE_NOTHING = re.compile(r"[?*.\-–]+|(?i:unknown|missing|n\.?a\.?)")
_MOSTLY = 0.8
# With fewer rows for each of its values a column of text does not tell whether another value would be one more.
_RECURRING = 3
_FEW_ROWS = 6
_YEARS = range(1800, 2201)
_EVEN, _RISING = 3, 8


def is_one(first: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether the first row holds names, and what to say of it where that was a decision.

    A text above a column of numbers, dates or true and false is a name; a value of the column's own kind is one more
    value. Numbers above numbers are names where they go up or down evenly (lags, years, wavelengths) as the rows
    below do not.

    Parameters
    ----------
    rows : those below, as many as were looked at; each as wide as the first, or it is not looked at.
    """
    below = [row for row in rows if len(row) == len(first)]
    names = values = likely = chance = 0
    numbers = []
    for index, cell in enumerate(map(str.strip, first)):
        kind = _kind(cell)
        column = [value for row in below if _kind(value := row[index].strip()) != _NOTHING]
        if kind == _NUMBER:
            numbers.append(index)
        if kind == _NOTHING or not column:
            continue
        usual = _usual(column)
        if usual == _TEXT:
            if len(column) >= _FEW_ROWS and len(set(column)) * _RECURRING <= len(column):
                values, likely = values + (cell in column), likely + (cell not in column)
            else:
                chance += cell in column
        elif kind == usual:
            values += 1
        elif kind == _TEXT:
            names += 1
    # Among texts that hardly recur, one of a column that equals the first may do so by chance.
    values += chance if chance > 1 else 0
    if names or not values:
        return True, ""
    if numbers and _is_scale(first, below, numbers):
        return (
            True,
            "the numbers in the first line are taken as names (assumed, they go by even steps); --header no overrules",
        )
    if likely >= values:
        return True, ""
    return False, "the first line holds values like those below it, so it is no line of names; --header yes overrules"


def distinct(given: Sequence[str], source: str, *, delimited: bool) -> list[str]:
    """The names that scoring knows columns by: trimmed, and ``Unnamed: 3`` where there is none.

    Parameters
    ----------
    given : the names as they are written, in order.
    source : what messages call the table.
    delimited : whether they are the first line of a delimited file, which may hold values.

    Raises
    ------
    TextFileError
        where two columns have one name.
    """
    names = [column_name(name, place) for place, name in enumerate(given)]
    written: dict[str, list[str]] = {}
    for name, raw in zip(names, given, strict=True):
        written.setdefault(name, []).append(raw)
    clashing = {name: raw for name, raw in written.items() if len(raw) > 1}
    if clashing:
        spellings = [raw for each in clashing.values() for raw in dict.fromkeys(each)]
        once = len(spellings) > len(clashing)
        told = f"{listed(spellings)}, one name once trimmed," if once else f"{listed(clashing)} more than once"
        hint = " (a file without a line of names is read with --header no)" if delimited else ""
        raise TextFileError(f"column names must differ, found {told} in {source}; rename all but one{hint}")
    return names


def are_numbers(cells: Sequence[str]) -> bool:
    """Whether each of some values is a number in some spelling."""
    return all(_kind(cell) == _NUMBER for cell in cells)


def _kind(cell: str) -> str:
    if cell in MISSING_TEXT or _LIKE_NOTHING.fullmatch(cell):
        return _NOTHING
    if _LIKE_NUMBER.fullmatch(cell):
        return _NUMBER
    if cell.lower() in ("true", "false"):
        return _TRUTH
    return _DATE if _LIKE_DATE.fullmatch(cell) else _TEXT


def _usual(column: Sequence[str]) -> str:
    """The kind that most values of a column have; text where none has most."""
    kinds = [_kind(value) for value in column]
    most = max(set(kinds), key=kinds.count)
    return most if kinds.count(most) >= _MOSTLY * len(kinds) else _TEXT


def _is_scale(first: Sequence[str], below: Sequence[Sequence[str]], places: Sequence[int]) -> bool:
    """Whether numbers name columns as lags, years and wavelengths do: the rows below are not alike, nor about them."""
    cells = _numbers(first, places)
    rows = [numbers for row in below if (numbers := _numbers(row, places))]
    if not cells or not _goes_evenly(cells) or sum(map(_goes_evenly, rows)) > len(rows) / 2:
        return False
    among = [min(column) <= cell <= max(column) for cell, *column in zip(cells, *rows, strict=True)]
    return len(rows) < 2 or not all(among)


def _numbers(row: Sequence[str], places: Sequence[int]) -> list[float]:
    """The numbers at these places of a row; none where one is in a spelling that Python does not read."""
    try:
        return [float(row[place]) for place in places]
    except ValueError:
        return []


def _goes_evenly(numbers: Sequence[float]) -> bool:
    """Whether numbers are years, or go up or down: by the same step, or through many."""
    if all(number in _YEARS for number in numbers) and len(set(numbers)) == len(numbers):
        return True
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or not (min(steps) > 0 or max(steps) < 0):
        return False
    even = max(steps) - min(steps) <= 1e-6 * max(map(abs, steps))
    return (even and len(numbers) >= _EVEN) or len(numbers) >= _RISING
