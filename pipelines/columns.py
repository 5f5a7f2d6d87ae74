"""A raw column -> a typed column, by the rules that serving applies too (``serving.scorecard.inputs``)."""

import datetime
import math
import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import dates, numerals, raw_values, spelling
from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from registry.cli.text import one_line
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError
from serving.scorecard.scalars import scalar_text

#: Types beside those of an input: left out of the features.
DATE = "date"
NESTED = "nested"

#: What the words of a truth are as numbers, in small letters.
TRUTH = {"true": 1.0, "false": 0.0}
#: From here on float64 does not tell all whole numbers apart.
EXACT = 2**53

#: A whole number, as it is written.
WHOLE = re.compile(r"[+-]?[0-9]+")
# A column of this many different numbers is a measurement, and text in it a mistake rather than a category.
_MEASUREMENT = 20
_MOSTLY = 0.8
_EXAMPLE = 20


@dataclass(frozen=True)
class TypedColumn:
    """A typed column.

    Parameters
    ----------
    name : the column's name.
    type : ``"number"``, ``"boolean"``, ``"category"``, ``"date"`` or ``"nested"``.
    values : pandas Series: float64 (number, boolean; NaN missing), ``str`` (category, dates written as text; NaN
        missing), datetime64 (dates), all missing (nested).
    integer : every number is written as a whole number.
    marks : how text of numbers is written.
    """

    name: str
    type: str
    values: pd.Series
    integer: bool = False
    marks: Marks = PLAIN

    def as_input(self) -> Input:
        return Input(self.name, self.type, self.integer, decimal=self.marks.decimal, thousands=self.marks.thousands)


def infer(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks = PLAIN) -> TypedColumn:
    """Type a column by its values.

    Parameters
    ----------
    raw : shape (n_rows,), of any Arrow type.
    written : the marks of numbers in text.

    Raises
    ------
    PipelineError
        where most of the values are numbers and others are text.
    """
    raw = raw_values.decoded(raw)
    kind = raw.type
    if pa.types.is_null(kind):
        return TypedColumn(name, CATEGORY, raw_values.strings(raw.cast(pa.string())))
    if pa.types.is_boolean(kind):
        return TypedColumn(name, BOOLEAN, raw_values.floats(raw))
    if raw_values.is_number(kind):
        return TypedColumn(name, NUMBER, raw_values.floats(raw), integer=pa.types.is_integer(kind))
    if pa.types.is_temporal(kind):
        return TypedColumn(name, DATE, raw_values.moments(raw))
    if raw_values.is_text(kind):
        return _infer_text(name, raw, cleaning, written)
    return TypedColumn(name, NESTED, pd.Series(np.full(len(raw), np.nan)))


def infer_key(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks = PLAIN) -> TypedColumn:
    """Type a column that names rows: as :func:`infer` does, but as text where float64 would not tell all apart."""
    try:
        column = infer(name, raw, cleaning, written)
    except PipelineError:
        return text(name, raw, cleaning)
    if column.integer and np.nanmax(np.abs(column.values.to_numpy()), initial=0) >= EXACT:
        return text(name, raw, cleaning)
    return column


def text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> TypedColumn:
    """A column of values that are names, whatever they look like: each as its trimmed text."""
    raw = raw_values.decoded(raw)
    codes, distinct = raw_values.distinct(raw)
    try:
        read = [None if value is None or value != value else cleaning.text(_as_text(value)) for value in distinct]
    except TypeError:
        return TypedColumn(name, NESTED, pd.Series(np.full(len(raw), np.nan)))
    return TypedColumn(name, CATEGORY, raw_values.strings_of(codes, read))


def _as_text(value: object) -> str:
    """A scalar as text, by the rule of scoring; a moment, which no model takes, as Python writes it."""
    return str(value) if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)) else scalar_text(value)


def missing_words(raw: pa.ChunkedArray, cleaning: Cleaning) -> list[str]:
    """The words of a column that are read as missing values, in order; an empty text is none."""
    raw = raw_values.decoded(raw)
    if not raw_values.is_text(raw.type):
        return []
    written = [value for value in raw_values.distinct(raw)[1] if value is not None and cleaning.text(value) is None]
    return sorted({value.strip() for value in written} - {""})


def coded(column: TypedColumn, raw: pa.ChunkedArray) -> str:
    """What tells that a column's numbers are codes rather than amounts, with an example; "" where nothing does.

    Parameters
    ----------
    raw : the column as it was read; only its text can tell.
    """
    raw = raw_values.decoded(raw)
    if column.type != NUMBER or not raw_values.is_text(raw.type):
        return ""
    if column.integer:
        what, pattern = "leading zeros", r"^\s*0\d+\s*$"
    elif _are_whole(column.values) and not pc.any(pc.match_substring_regex(raw, r"[.,]|[eE][+-]")).as_py():
        what, pattern = "an E among their digits", r"^\s*\d+[eE]\d+\s*$"
    else:
        return ""
    codes = raw.filter(pc.match_substring_regex(raw, pattern))
    return f"codes with {what} ({codes[0].as_py().strip()!r})" if len(codes) else ""


def _are_whole(values: pd.Series) -> bool:
    known = values.to_numpy()
    return bool((np.isnan(known) | (known == np.floor(known))).all())


def is_declared(raw: pa.ChunkedArray) -> bool:
    """Whether a raw column of numbers is declared as categories by the program that wrote it."""
    return pa.types.is_dictionary(raw.type) and raw_values.is_number(raw.type.value_type)


def is_text(raw: pa.ChunkedArray) -> bool:
    """Whether a raw column holds text, of whatever encoding."""
    return raw_values.is_text(raw_values.decoded(raw.slice(0, 1)).type)


def convert(raw: pa.ChunkedArray, wanted: Input, cleaning: Cleaning) -> pd.Series:
    """A raw column as the input of a trained model, by the model's own rules.

    Returns
    -------
    Series, shape (n_rows,) : float64, or ``str`` for a category; NaN is missing.

    Raises
    ------
    InputError
        where a value is not of the input's type, naming the first such row.
    """
    raw = raw_values.decoded(raw)
    if wanted.type == NUMBER:
        if raw_values.is_number(raw.type):
            return _checked(raw_values.floats(raw), wanted)
        written = Marks(wanted.decimal, wanted.thousands)
        if raw_values.is_text(raw.type) and (parsed := numerals.parse(raw, cleaning, written)) is not None:
            return _checked(pd.Series(parsed[0], copy=False), wanted)
    codes, distinct = raw_values.distinct(raw)
    read: list = []
    refused: dict[int, InputError] = {}
    for code, value in enumerate([*distinct, None]):
        try:
            read.append(wanted.read(float(value) if isinstance(value, Decimal) else value, cleaning))
        except InputError as error:
            refused[code] = error
            read.append(None)
    places = np.where(codes < 0, len(distinct), codes)
    if refused and (bad := np.isin(places, list(refused))).any():
        row = int(np.argmax(bad))
        raise refused[int(places[row])].at(row)
    if wanted.type == CATEGORY:
        return raw_values.strings_of(codes, read[:-1])
    return raw_values.numbers_of(codes, read[:-1])


def _checked(values: pd.Series, wanted: Input) -> pd.Series:
    """The values where the input takes them all; else it says itself what it does not take, of the first such row."""
    numbers = values.to_numpy()
    bad = np.isinf(numbers)
    if not wanted.null:
        bad |= np.isnan(numbers)
    if wanted.integer:
        bad |= ~np.isnan(numbers) & (numbers != np.floor(numbers))
    if bad.any():
        row = int(np.argmax(bad))
        try:
            wanted.read(float(numbers[row]))
        except InputError as error:
            raise error.at(row) from None
    return values


def _infer_text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks) -> TypedColumn:
    if (parsed := numerals.parse(raw, cleaning, written)) is not None and not np.isnan(parsed[0]).all():
        values, plain = parsed
        whole = bool((np.floor(values) == values).sum() == len(values) - plain.null_count)
        whole = whole and pc.all(pc.match_substring_regex(plain, f"^{WHOLE.pattern}$")).as_py()
        return TypedColumn(name, NUMBER, pd.Series(values, copy=False), integer=whole, marks=written)
    codes, distinct = raw_values.distinct(raw)
    trimmed = [cleaning.text(value) for value in distinct]
    present = {value for value in trimmed if value is not None}
    numbers = {value: read for value in present if (read := numerals.parse_one(value, written)) is not None}
    if present and len(numbers) == len(present):
        found_numbers = [None if value is None else numbers[value] for value in trimmed]
        whole = all(math.isfinite(value) for value in numbers.values())
        whole = whole and all(WHOLE.fullmatch(value.replace(written.thousands, "")) for value in present)
        return TypedColumn(name, NUMBER, raw_values.numbers_of(codes, found_numbers), integer=whole, marks=written)
    if present and {value.lower() for value in present} <= TRUTH.keys():
        truths = [None if value is None else TRUTH[value.lower()] for value in trimmed]
        return TypedColumn(name, BOOLEAN, raw_values.numbers_of(codes, truths))
    _refuse_mixture(name, codes, trimmed, numbers.keys())
    dated = dates.are_texts(pa.array(sorted(present), pa.large_string()))
    return TypedColumn(name, DATE if dated else CATEGORY, raw_values.strings_of(codes, trimmed))


def _refuse_mixture(name: str, codes: np.ndarray, trimmed: list, numbers) -> None:
    if len(numbers) <= _MEASUREMENT:
        return
    counts = np.bincount(codes[codes >= 0], minlength=len(trimmed)).tolist()
    measured = sum(count for count, value in zip(counts, trimmed, strict=True) if value in numbers)
    texts: dict[str, int] = {}
    for count, value in zip(counts, trimmed, strict=True):
        if value is not None and value not in numbers:
            texts[value] = texts.get(value, 0) + count
    words = sum(texts.values())
    if measured >= _MOSTLY * (measured + words):
        examples = ", ".join(repr(one_line(each, _EXAMPLE)) for each in sorted(texts, key=texts.__getitem__)[-3:][::-1])
        spelt, missing = spelling.described(pd.Series(list(texts))), spelling.missing_option(texts)
        known = f"NA or nothing is a missing value{'; ' if missing else ''}{missing}"
        remedy = f"write {spelt.what} as 1234.5" if spelt else f"correct those ({known})"
        raise PipelineError(
            f"column {name!r} cannot be read as one type: {measured} values are numbers and {words} "
            f"{'is' if words == 1 else 'are'} text ({examples}); {remedy}, or leave the column out with --drop"
        )
