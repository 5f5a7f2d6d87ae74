"""A raw column -> a typed column, by the rules that serving applies too (``serving.scorecard.inputs``)."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import dates
from pipelines.errors import PipelineError
from registry.text import one_line
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError, number

#: Types beside those of an input: left out of the features.
DATE = "date"
NESTED = "nested"

_WHOLE = re.compile(r"[+-]?[0-9]+")
_LIKE_A_NUMBER = r"^[+-]?\.?[0-9]"
_TRUTH = {"true": 1.0, "false": 0.0}
# A column of this many different numbers is a measurement, and text in it a mistake rather than a category.
_MEASUREMENT = 20
_MOSTLY = 0.8
_DATES = 0.9
_EXAMPLE = 20
_PROBE = 1000
# From here on float64 does not tell all whole numbers apart.
_EXACT = 2**53


# Three capitals before digits are an article's code far more often than money: only the much used ones are money.
_CURRENCY = r"([$€£¥₹]|USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|SGD|HKD|KRW|ILS)"
# How people write numbers that no machine reads, and what to call it.
_SPELLINGS = {
    "numbers with thousands separators": r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?",
    "numbers with a decimal comma": r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+",
    "percentages with their sign": r"[+-]?\d+([.,]\d+)?\s?%",
    "amounts with their currency": rf"[+-]?{_CURRENCY}\s?[+-]?\d[\d.,]*|[+-]?\d[\d.,]*\s?{_CURRENCY}",
    "numbers with their digits grouped": r"[+-]?\d{1,3}([ _'’\x{a0}\x{202f}]\d{3})+([.,]\d+)?",
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
    """

    name: str
    type: str
    values: pd.Series
    integer: bool = False

    def as_input(self) -> Input:
        return Input(self.name, self.type, integer=self.integer)


def infer(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    """Type a column by its values.

    Parameters
    ----------
    raw : shape (n_rows,), of any Arrow type.

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
        return _infer_text(name, raw, cleaning)
    return Column(name, NESTED, pd.Series(np.full(len(raw), np.nan)))


def infer_key(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    """Type a column that names rows: as :func:`infer` does, but as text where float64 would not tell all apart."""
    try:
        column = infer(name, raw, cleaning)
    except PipelineError:
        return text(name, raw, cleaning)
    if column.integer and np.nanmax(np.abs(column.values.to_numpy()), initial=0) >= _EXACT:
        return text(name, raw, cleaning)
    return column


def text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    """A column of values that are names, whatever they look like: each as its trimmed text."""
    raw = _plain(raw)
    if not _is_text(raw.type):
        try:
            raw = raw.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return Column(name, NESTED, pd.Series(np.full(len(raw), np.nan)))
    codes, distinct = _distinct(raw)
    return Column(name, CATEGORY, _laid_out(codes, [cleaning.text(value) for value in distinct]))


def missing_words(raw: pa.ChunkedArray, cleaning: Cleaning) -> list[str]:
    """The words of a column that are read as missing values, in order; an empty text is none."""
    raw = _plain(raw)
    if not _is_text(raw.type):
        return []
    written = [value for value in _distinct(raw)[1] if value is not None and cleaning.text(value) is None]
    return sorted({value.strip() for value in written} - {""})


def padded(raw: pa.ChunkedArray) -> str | None:
    """A value of a column of text that has zeros before a whole number, as codes have (00501); None without one."""
    raw = _plain(raw)
    if not _is_text(raw.type):
        return None
    found = raw.filter(pc.match_substring_regex(raw, r"^\s*0\d+\s*$"))
    return found[0].as_py().strip() if len(found) else None


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
        if _is_text(raw.type) and (found := _numbers(raw, cleaning)) is not None:
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
    spelt = distinct.filter(pc.invert(pc.match_substring_regex(distinct, r"^[+-]?\d*\.?\d*$")))
    plain = len(distinct) - len(spelt)
    for what, pattern in _SPELLINGS.items():
        found = pc.sum(pc.match_substring_regex(spelt, f"^({pattern})$")).as_py() or 0
        if found and found + plain >= _SPELT * len(distinct):
            return f"{what} ({one_line(spelt[0].as_py(), _EXAMPLE)!r})"
    units = pc.struct_field(pc.extract_regex(spelt, _MEASURED), "unit").drop_null()
    # Codes such as 5A and 7B have letters behind their digits too, but not all the same.
    if len(units) > 1 and len(units) + plain >= _SPELT * len(distinct) and len(units.unique()) == 1:
        return f"numbers with their unit ({one_line(spelt[0].as_py(), _EXAMPLE)!r})"
    return ""


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


def _infer_text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    if (found := _numbers(raw, cleaning)) is not None and not np.isnan(found[0]).all():
        values, written = found
        whole = bool((np.floor(values) == values).sum() == len(values) - written.null_count)
        whole = whole and pc.all(pc.match_substring_regex(written, f"^{_WHOLE.pattern}$")).as_py()
        return Column(name, NUMBER, pd.Series(values, copy=False), integer=whole)
    codes, distinct = _distinct(raw)
    trimmed = [cleaning.text(value) for value in distinct]
    present = {value for value in trimmed if value is not None}
    numbers = {value: read for value in present if (read := _number(value)) is not None}
    if present and len(numbers) == len(present):
        found_numbers = [None if value is None else numbers[value] for value in trimmed]
        whole = all(math.isfinite(value) for value in numbers.values()) and all(map(_WHOLE.fullmatch, present))
        return Column(name, NUMBER, _numbers_laid_out(codes, found_numbers), integer=whole)
    if present and {value.lower() for value in present} <= _TRUTH.keys():
        truths = [None if value is None else _TRUTH[value.lower()] for value in trimmed]
        return Column(name, BOOLEAN, _numbers_laid_out(codes, truths))
    _refuse_mixture(name, codes, trimmed, numbers.keys())
    return Column(name, DATE if _are_dates(present) else CATEGORY, _laid_out(codes, trimmed))


def _numbers(raw: pa.ChunkedArray, cleaning: Cleaning) -> tuple[np.ndarray, pa.ChunkedArray] | None:
    """Text that is finite decimal numbers but for what is missing: as float64, and as text with nulls.

    None where anything else is among it. Arrow's cast takes exactly the finite numbers that ``inputs.number`` takes,
    and gives the same float64; its notion of white space is that of ``str.strip``.
    """
    if _missing_numbers(cleaning):
        return None
    # A cast that fails takes a second for a million rows: the first rows tell whether it is worth it.
    head = raw.slice(0, _PROBE)
    if len(raw) > _PROBE and _numbers(head, cleaning) is None:
        return None
    if _cast(head) is not None and (values := _cast(raw)) is not None:
        return values, raw
    for trimmed in (False, True) if cleaning.trim else (False,):
        if trimmed:
            raw = pc.utf8_trim_whitespace(raw)
        like = pc.match_substring_regex(raw, _LIKE_A_NUMBER)
        others = pc.unique(raw.filter(pc.invert(like))).to_pylist()
        if all(cleaning.text(value) is None for value in others):
            written = pc.if_else(like, raw, pa.scalar(None, raw.type))
            if (values := _cast(written)) is not None:
                return values, written
    return None


def _cast(raw: pa.ChunkedArray) -> np.ndarray | None:
    try:
        values = raw.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers = values.to_numpy()
    return numbers if int(np.isfinite(numbers).sum()) == len(raw) - raw.null_count else None


@cache
def _missing_numbers(cleaning: Cleaning) -> bool:
    """Whether a word that stands for a missing value is a number (-999)."""
    return any(_number(word) is not None for word in cleaning.missing)


def _number(value: str) -> float | None:
    try:
        return number(value, "")
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


def _are_dates(present: set[str]) -> bool:
    like = pc.match_substring_regex(pa.array(sorted(present), pa.string()), dates.PATTERN)
    return bool(present) and pc.mean(like.cast(pa.float64())).as_py() >= _DATES


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
        raise PipelineError(
            f"column {name!r} cannot be read as one type: {measured} values are numbers and {words} "
            f"{'is' if words == 1 else 'are'} text ({examples}); correct those (NA or nothing is a missing value), "
            "or leave the column out with --drop"
        )
