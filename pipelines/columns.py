"""A raw column -> a typed column, by the rules that serving applies too (``serving.scorecard.inputs``)."""

import datetime
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import dates, marks
from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from registry.cli.text import one_line
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError, number, scalar_text

#: Types beside those of an input: left out of the features.
DATE = "date"
NESTED = "nested"

#: What the words of a truth are as numbers, in small letters.
TRUTH = {"true": 1.0, "false": 0.0}
#: From here on float64 does not tell all whole numbers apart.
EXACT = 2**53

_WHOLE = re.compile(r"[+-]?[0-9]+")
_LIKE_A_NUMBER = r"^[+-]?\.?[0-9]"
# A column of this many different numbers is a measurement, and text in it a mistake rather than a category.
_MEASUREMENT = 20
_MOSTLY = 0.8
_EXAMPLE = 20
_PROBE = 1000


# Three capitals before digits are an article's code far more often than money: only the much used ones are money.
_CURRENCY = r"([$€£¥₹]|USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|SGD|HKD|KRW|ILS)"
# A number with any marks.
_DIGITS = r"(\d{1,3}([,. _'’\x{a0}\x{2009}\x{202f}]\d{2,3})*|\d+)([.,]\d+)?"
_OTHER_DIGITS = "[０-９٠-٩۰-۹०-९০-৯๐-๙]"  # full-width, Arabic, Persian, Devanagari, Bengali, Thai
_AMOUNT = rf"({_CURRENCY}\s?)?{_DIGITS}(\s?{_CURRENCY})?"
# How people write numbers that are not read, and what to call it; the first that most values have.
_MARKED = {
    "numbers with thousands separators": r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?",
    "numbers with a decimal comma": r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+",
    "numbers with dots between their digits": r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}",
    "numbers grouped as in India": r"[+-]?[1-9]\d?(,\d\d)*,\d{3}(\.\d+)?",
    "percentages with their sign": r"[+-]?\d+([.,]\d+)?\s?%",
    "amounts with their currency": rf"[+-]?{_CURRENCY}\s?[+-]?\d[\d.,]*|[+-]?\d[\d.,]*\s?{_CURRENCY}",
    "numbers with their digits grouped": r"[+-]?\d{1,3}([ _'’\x{a0}\x{2009}\x{202f}]\d{3})+([.,]\d+)?",
}
# The same of what may stand among numbers with any marks.
_DECORATED = {
    "percentages with their sign": rf"[+-]?{_DIGITS}\s?[%‰]|%\s?{_DIGITS}",
    "negative numbers in brackets": rf"{_CURRENCY}?\s?\(\s?{_AMOUNT}\s?%?\s?\)",
    "numbers with K, M or B for thousands, millions or billions": (
        rf"[+-]?({_CURRENCY}\s?)?{_DIGITS}\s?(?i:k|m|mm|mn|mio|mrd|b|bn|tsd|lakh|crore)\.?(\s?{_CURRENCY})?"
    ),
    "numbers with their minus behind": rf"{_AMOUNT}\s?[-−]",
    "numbers with a plus behind them": r"\d{1,3}([,. ]\d{3})+\+|\d{3,}\+",
    "numbers with a typographic minus": rf"[−–‒﹣－]\s?{_AMOUNT}",
    "numbers with a blank behind their sign": rf"[+-]\s+{_AMOUNT}",
    "numbers with a comparison before them": rf"([<>≤≥~≈±]|<=|>=)\s?[+-]?{_DIGITS}",
    "fractions": r"[+-]?(\d+ )?\d+/\d+",
    "numbers in hexadecimal digits": r"0[xX][0-9a-fA-F]+",
    "numbers in digits that are not 0 to 9": rf"[+−–－-]?{_OTHER_DIGITS}+([.,．，٫٬]?{_OTHER_DIGITS}+)*",
}
_SPELT = 0.9
_MEASURED = r"^[+-]?\d+(?:[.,]\d+)?\s?(?P<unit>\p{L}[\p{L}/²³]{0,9}|°\p{L}?)$"


@dataclass(frozen=True)
class Column:
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


def infer(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks = PLAIN) -> Column:
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
    raw = _plain(raw)
    kind = raw.type
    if pa.types.is_null(kind):
        return Column(name, CATEGORY, _texts(raw.cast(pa.string())))
    if pa.types.is_boolean(kind):
        return Column(name, BOOLEAN, _floats(raw))
    if _is_number(kind):
        return Column(name, NUMBER, _floats(raw), integer=pa.types.is_integer(kind))
    if pa.types.is_temporal(kind):
        return Column(name, DATE, _moments(raw))
    if _is_text(kind):
        return _infer_text(name, raw, cleaning, written)
    return Column(name, NESTED, pd.Series(np.full(len(raw), np.nan)))


def infer_key(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks = PLAIN) -> Column:
    """Type a column that names rows: as :func:`infer` does, but as text where float64 would not tell all apart."""
    try:
        column = infer(name, raw, cleaning, written)
    except PipelineError:
        return text(name, raw, cleaning)
    if column.integer and np.nanmax(np.abs(column.values.to_numpy()), initial=0) >= EXACT:
        return text(name, raw, cleaning)
    return column


def text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    """A column of values that are names, whatever they look like: each as its trimmed text."""
    raw = _plain(raw)
    codes, distinct = _distinct(raw)
    try:
        read = [None if value is None or value != value else cleaning.text(_as_text(value)) for value in distinct]
    except TypeError:
        return Column(name, NESTED, pd.Series(np.full(len(raw), np.nan)))
    return Column(name, CATEGORY, _laid_out(codes, read))


def _as_text(value: object) -> str:
    """A scalar as text, by the rule of scoring; a moment, which no model takes, as Python writes it."""
    return str(value) if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)) else scalar_text(value)


def missing_words(raw: pa.ChunkedArray, cleaning: Cleaning) -> list[str]:
    """The words of a column that are read as missing values, in order; an empty text is none."""
    raw = _plain(raw)
    if not _is_text(raw.type):
        return []
    written = [value for value in _distinct(raw)[1] if value is not None and cleaning.text(value) is None]
    return sorted({value.strip() for value in written} - {""})


def coded(column: Column, raw: pa.ChunkedArray) -> str:
    """What tells that a column's numbers are codes rather than amounts, with an example; "" where nothing does.

    Parameters
    ----------
    raw : the column as it was read; only its text can tell.
    """
    raw = _plain(raw)
    if column.type != NUMBER or not _is_text(raw.type):
        return ""
    if column.integer:
        what, pattern = "leading zeros", r"^\s*0\d+\s*$"
    elif _are_whole(column.values) and not pc.any(pc.match_substring_regex(raw, r"[.,]|[eE][+-]")).as_py():
        what, pattern = "an E among their digits", r"^\s*\d+[eE]\d+\s*$"
    else:
        return ""
    found = raw.filter(pc.match_substring_regex(raw, pattern))
    return f"codes with {what} ({found[0].as_py().strip()!r})" if len(found) else ""


def _are_whole(values: pd.Series) -> bool:
    known = values.to_numpy()
    return bool((np.isnan(known) | (known == np.floor(known))).all())


def is_declared(raw: pa.ChunkedArray) -> bool:
    """Whether a raw column of numbers is declared as categories by the program that wrote it."""
    return pa.types.is_dictionary(raw.type) and _is_number(raw.type.value_type)


def is_text(raw: pa.ChunkedArray) -> bool:
    """Whether a raw column holds text, of whatever encoding."""
    return _is_text(_plain(raw.slice(0, 1)).type)


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
    raw = _plain(raw)
    if wanted.type == NUMBER:
        if _is_number(raw.type):
            return _checked(_floats(raw), wanted)
        written = Marks(wanted.decimal, wanted.thousands)
        if _is_text(raw.type) and (found := _numbers(raw, cleaning, written)) is not None:
            return _checked(pd.Series(found[0], copy=False), wanted)
    codes, distinct = _distinct(raw)
    read: list = []
    refused: dict[int, InputError] = {}
    for place, value in enumerate([*distinct, None]):
        try:
            read.append(wanted.read(float(value) if isinstance(value, Decimal) else value, cleaning))
        except InputError as error:
            refused[place] = error
            read.append(None)
    places = np.where(codes < 0, len(distinct), codes)
    if refused and (bad := np.isin(places, list(refused))).any():
        row = int(np.argmax(bad))
        raise refused[int(places[row])].at(row)
    return _laid_out(codes, read[:-1]) if wanted.type == CATEGORY else _numbers_laid_out(codes, read[:-1])


def spelling(known: pd.Series) -> str:
    """What text is, where nearly all of it is numbers in a spelling that is not read; empty where it is not.

    Parameters
    ----------
    known : shape (n_known,): text, none of it missing.
    """
    distinct = pa.array(known.unique().tolist(), pa.large_string())
    spelt = distinct.filter(pc.invert(pc.match_substring_regex(distinct, r"^[+-]?\d*\.?\d*([eE][+-]?\d+)?$")))
    plain = len(distinct) - len(spelt)
    for what, pattern in _MARKED.items():
        like = pc.match_substring_regex(spelt, f"^({pattern})$")
        if _spelt(like, plain):
            return _example(what, spelt.filter(like))
    amounts = pc.match_substring_regex(spelt, f"^[+-]?{_AMOUNT}$")
    for what, pattern in _DECORATED.items():
        like = pc.and_not(pc.match_substring_regex(spelt, f"^({pattern})$"), amounts)
        if pc.any(like).as_py() and _spelt(pc.or_(like, amounts), plain):
            return _example(what, spelt.filter(like))
    units = pc.struct_field(pc.extract_regex(spelt, _MEASURED), "unit").drop_null()
    # Codes such as 5A and 7B have letters behind their digits too, but not all the same.
    if len(units) > 1 and len(units) + plain >= _SPELT * len(distinct) and len(units.unique()) == 1:
        return _example("numbers with their unit", spelt)
    return ""


def _spelt(like: pa.Array, plain: int) -> bool:
    """Whether as many values as count are like it, or among the plain ones that are not asked."""
    found = pc.sum(like).as_py() or 0
    return bool(found) and found + plain >= _SPELT * (len(like) + plain)


def _example(what: str, found: pa.Array) -> str:
    return f"{what} ({one_line(found[0].as_py(), _EXAMPLE)!r})"


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


def _plain(raw: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without its encoding: dictionaries and runs decoded, bytes that are text as text."""
    kind = raw.type
    if isinstance(kind, pa.BaseExtensionType):
        raw = pa.chunked_array([chunk.storage for chunk in raw.chunks], kind.storage_type)
        kind = raw.type
    if pa.types.is_dictionary(kind):
        raw = raw.cast(kind.value_type)
    elif pa.types.is_run_end_encoded(kind):
        raw = pa.chunked_array([pc.run_end_decode(chunk) for chunk in raw.chunks], kind.value_type)
    kind = raw.type
    if pa.types.is_string_view(kind):
        return raw.cast(pa.large_string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        # Some writers of Parquet do not say that their bytes are text.
        try:
            return raw.cast(pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid:
            return raw
    return raw


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _floats(raw: pa.ChunkedArray) -> pd.Series:
    """Numbers or booleans as float64, each the nearest; null as NaN. No copy where there is nothing to change."""
    if pa.types.is_decimal(raw.type):
        raw = raw.cast(pa.string())  # Arrow's own way from decimal to float64 is not always the nearest
    if not pa.types.is_float64(raw.type):
        raw = raw.cast(pa.float64(), safe=False)
    return pd.Series(raw.to_numpy(), copy=False)


def _moments(raw: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        try:
            return raw.to_pandas(date_as_object=False)
        except (pa.ArrowException, ValueError, OverflowError):
            pass
    return pd.Series([None if value is None else str(value) for value in raw.to_pylist()], dtype="str")


def _texts(raw: pa.ChunkedArray) -> pd.Series:
    return raw.to_pandas().astype("str")


def _infer_text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks) -> Column:
    if (found := _numbers(raw, cleaning, written)) is not None and not np.isnan(found[0]).all():
        values, plain = found
        whole = bool((np.floor(values) == values).sum() == len(values) - plain.null_count)
        whole = whole and pc.all(pc.match_substring_regex(plain, f"^{_WHOLE.pattern}$")).as_py()
        return Column(name, NUMBER, pd.Series(values, copy=False), integer=whole, marks=written)
    codes, distinct = _distinct(raw)
    trimmed = [cleaning.text(value) for value in distinct]
    present = {value for value in trimmed if value is not None}
    numbers = {value: read for value in present if (read := _number(value, written)) is not None}
    if present and len(numbers) == len(present):
        found_numbers = [None if value is None else numbers[value] for value in trimmed]
        whole = all(math.isfinite(value) for value in numbers.values())
        whole = whole and all(_WHOLE.fullmatch(value.replace(written.thousands, "")) for value in present)
        return Column(name, NUMBER, _numbers_laid_out(codes, found_numbers), integer=whole, marks=written)
    if present and {value.lower() for value in present} <= TRUTH.keys():
        truths = [None if value is None else TRUTH[value.lower()] for value in trimmed]
        return Column(name, BOOLEAN, _numbers_laid_out(codes, truths))
    _refuse_mixture(name, codes, trimmed, numbers.keys())
    dated = dates.are_texts(pa.array(sorted(present), pa.large_string()))
    return Column(name, DATE if dated else CATEGORY, _laid_out(codes, trimmed))


def _numbers(raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks) -> tuple[np.ndarray, pa.ChunkedArray] | None:
    """Text that is finite numbers but for what is missing: as float64, and as plain text with nulls.

    None where anything else is among it. Arrow's cast takes exactly the finite numbers that ``inputs.number`` takes,
    and gives the same float64; its notion of white space is that of ``str.strip``.
    """
    if _missing_numbers(cleaning, written):
        return None
    # A cast that fails takes a second for a million rows: the first rows tell whether it is worth it.
    head = raw.slice(0, _PROBE)
    if len(raw) > _PROBE and _numbers(head, cleaning, written) is None:
        return None
    if written != PLAIN:
        raw = pc.utf8_trim_whitespace(raw) if cleaning.trim else raw
        return _numbers_like(marks.pattern(written), raw, cleaning, written)
    if _cast(head) is not None and (values := _cast(raw)) is not None:
        return values, raw
    for trimmed in (False, True) if cleaning.trim else (False,):
        if trimmed:
            raw = pc.utf8_trim_whitespace(raw)
        if found := _numbers_like(_LIKE_A_NUMBER, raw, cleaning):
            return found
    return None


def _numbers_like(
    pattern: str, raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks = PLAIN
) -> tuple[np.ndarray, pa.ChunkedArray] | None:
    """The numbers where all that is not like the pattern is missing."""
    like = pc.match_substring_regex(raw, pattern)
    others = pc.unique(raw.filter(pc.invert(like))).to_pylist()
    if not all(cleaning.text(value) is None for value in others):
        return None
    plain = marks.usual(pc.if_else(like, raw, pa.scalar(None, raw.type)), written)
    values = _cast(plain)
    return None if values is None else (values, plain)


def _cast(raw: pa.ChunkedArray) -> np.ndarray | None:
    try:
        values = raw.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers = values.to_numpy()
    return numbers if int(np.isfinite(numbers).sum()) == len(raw) - raw.null_count else None


@cache
def _missing_numbers(cleaning: Cleaning, written: Marks) -> bool:
    """Whether a word that stands for a missing value is a number (-999)."""
    return any(_number(word, written) is not None for word in cleaning.missing)


def _number(value: str, written: Marks = PLAIN) -> float | None:
    try:
        return number(value, "", *written)
    except InputError:
        return None


def _distinct(raw: pa.ChunkedArray) -> tuple[np.ndarray, list]:
    """The code of each row's value, shape (n_rows,), -1 where it is null, and the distinct values."""
    if pa.types.is_null(raw.type):
        return np.full(len(raw), -1), []
    try:
        encoded = raw.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, objects and the like
        return np.arange(len(raw)), raw.to_pylist()
    if not encoded.num_chunks:
        return np.array([], dtype="int64"), []
    # All chunks share one dictionary.
    codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks])
    return codes, encoded.chunk(encoded.num_chunks - 1).dictionary.to_pylist()


def _numbers_laid_out(codes: np.ndarray, read: list[float | None]) -> pd.Series:
    """The distinct values by row; None and the code -1 give NaN."""
    known = np.array([*(math.nan if value is None else value for value in read), math.nan], dtype="float64")
    return pd.Series(known[codes], copy=False)


def _laid_out(codes: np.ndarray, read: list[str | None]) -> pd.Series:
    """The distinct texts by row; None and the code -1 give a missing value."""
    known = pa.array([*read, None], pa.large_string())
    return _texts(pa.chunked_array([known.take(pa.array(np.where(codes < 0, len(read), codes)))]))


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
        hint = spelling(pd.Series(list(texts)))
        remedy = f"write {hint} as 1234.5" if hint else "correct those (NA or nothing is a missing value)"
        raise PipelineError(
            f"column {name!r} cannot be read as one type: {measured} values are numbers and {words} "
            f"{'is' if words == 1 else 'are'} text ({examples}); {remedy}, or leave the column out with --drop"
        )
