"""A raw column -> a typed column, by the rules that serving applies too (``serving.scorecard.inputs``)."""

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import PipelineError
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError, number

#: Types beside those of an input: left out of the features.
DATE = "date"
NESTED = "nested"

_PLAIN_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_PLAIN_WHOLE = r"^[+-]?[0-9]+$"
_DATE = (
    r"^\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$|^\d{1,2}[/.]\d{1,2}[/.]\d{4}$"
)
_TRUTH = {"true": 1.0, "false": 0.0}
# A column of this many different numbers is a measurement, and text in it a mistake rather than a category.
_MEASUREMENT = 20


@dataclass(frozen=True)
class Column:
    """A typed column.

    Parameters
    ----------
    name : the column's name.
    type : ``"number"``, ``"boolean"``, ``"category"``, ``"date"`` or ``"nested"``.
    values : pandas Series: float64 (number, boolean; NaN missing), ``str`` (category; NaN missing), else the raw values.
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
        return Column(name, CATEGORY, pd.Series([np.nan] * len(raw), dtype="str"))
    if pa.types.is_boolean(kind):
        return Column(name, BOOLEAN, _floats(raw))
    if pa.types.is_integer(kind):
        return Column(name, NUMBER, _floats(raw), integer=True)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Column(name, NUMBER, _floats(raw))
    if pa.types.is_temporal(kind):
        return Column(name, DATE, raw.to_pandas())
    if pa.types.is_string(kind):
        return _infer_text(name, raw, cleaning)
    return Column(name, NESTED, pd.Series(np.full(len(raw), np.nan)))


def convert(raw: pa.ChunkedArray, wanted: Input, cleaning: Cleaning) -> pd.Series:
    """A raw column as the input of a trained model, by the model's own rules.

    Returns
    -------
    Series, shape (n_rows,) : float64, or ``str`` for a category; NaN is missing.

    Raises
    ------
    InputError
        where a value is not of the input's type, naming its row.
    """
    raw = _plain(raw)
    if wanted.type == NUMBER and (pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type)):
        return _checked_floats(raw, wanted)
    codes, distinct = _distinct(raw)
    read = []
    for place, value in enumerate(distinct):
        try:
            read.append(wanted.read(float(value) if isinstance(value, Decimal) else value, cleaning))
        except InputError as error:
            raise error.at(int(np.argmax(codes == place))) from None
    if (codes < 0).any():
        _refuse_first(codes < 0, wanted, None)
    return _taken(codes, read, category=wanted.type == CATEGORY)


def _checked_floats(raw: pa.ChunkedArray, wanted: Input) -> pd.Series:
    values = _floats(raw)
    _refuse_first(values.isna(), wanted, None)
    _refuse_first(np.isinf(values), wanted, math.inf)
    if wanted.integer:
        _refuse_first(values.notna() & (values != np.floor(values)), wanted, 0.5)
    return values


def _refuse_first(found, wanted: Input, example) -> None:
    """Let the input itself say whether it takes values like the example, and name the first row they are found in."""
    if found.any():
        try:
            wanted.read(example)
        except InputError as error:
            raise error.at(int(np.argmax(found))) from None


def _plain(raw: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without its encoding: dictionaries decoded, every kind of string one kind."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.cast(raw.type.value_type)
    if pa.types.is_large_string(raw.type) or pa.types.is_string_view(raw.type):
        raw = raw.cast(pa.string()) if raw.nbytes < 2**31 - 1 else raw
    return raw


def _floats(raw: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_float64(raw.type) or pa.types.is_boolean(raw.type) or raw.type.bit_width <= 32:
        return pd.Series(raw.to_pandas().to_numpy(dtype="float64", na_value=np.nan))
    return pd.Series(raw.cast(pa.float64(), safe=False).to_pandas().to_numpy(dtype="float64"))


def _distinct(raw: pa.ChunkedArray) -> tuple[np.ndarray, list]:
    """The code of each row's value, shape (n_rows,), -1 where it is null, and the distinct values in order."""
    encoded = raw.combine_chunks().dictionary_encode() if not pa.types.is_null(raw.type) else None
    if encoded is None:
        return np.full(len(raw), -1), []
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _taken(codes: np.ndarray, read: list, *, category: bool) -> pd.Series:
    """The read distinct values laid out by row; None and the code -1 give a missing value."""
    if category:
        known = np.array([*read, None], dtype=object)
        return pd.Series(known[codes], dtype="str")
    known = np.array([*(math.nan if value is None else value for value in read), math.nan], dtype="float64")
    return pd.Series(known[codes])


def _infer_text(name: str, raw: pa.ChunkedArray, cleaning: Cleaning) -> Column:
    codes, distinct = _distinct(raw)
    trimmed = [cleaning.text(text) for text in distinct]
    present = pa.array([text for text in trimmed if text is not None], pa.string())
    if not len(present):
        return Column(name, CATEGORY, _taken(codes, trimmed, category=True))
    numeric, infinite = _numbers(present.to_pylist(), name)
    if len(numeric) + len(infinite) == len(present) and numeric:
        read = [None if text is None else number(text, name) for text in trimmed]
        whole = not infinite and pc.all(pc.match_substring_regex(present, _PLAIN_WHOLE)).as_py()
        return Column(name, NUMBER, _taken(codes, read, category=False), integer=whole)
    if {text.lower() for text in present.to_pylist()} <= _TRUTH.keys():
        read = [None if text is None else _TRUTH[text.lower()] for text in trimmed]
        return Column(name, BOOLEAN, _taken(codes, read, category=False))
    _refuse_mixture(name, codes, trimmed, set(numeric))
    values = _taken(codes, trimmed, category=True)
    if pc.mean(pc.match_substring_regex(present, _DATE).cast(pa.float64())).as_py() >= 0.9:
        return Column(name, DATE, values)
    return Column(name, CATEGORY, values)


def _numbers(texts: list[str], name: str) -> tuple[list[str], list[str]]:
    """The texts that are finite decimal numbers, and those that say infinite."""
    plain = pc.match_substring_regex(pa.array(texts, pa.string()), _PLAIN_NUMBER).to_numpy(zero_copy_only=False)
    numeric, infinite = [], []
    for text, is_plain in zip(texts, plain, strict=True):
        if is_plain:
            numeric.append(text)
            continue
        try:
            number(text, name)
        except InputError:
            continue
        infinite.append(text)
    return numeric, infinite


def _refuse_mixture(name: str, codes: np.ndarray, trimmed: list, numeric: set[str]) -> None:
    if len(numeric) <= _MEASUREMENT:
        return
    counts = np.bincount(codes[codes >= 0], minlength=len(trimmed))
    numbers = int(sum(count for count, text in zip(counts, trimmed, strict=True) if text in numeric))
    texts = {text: int(count) for count, text in zip(counts, trimmed, strict=True) if text and text not in numeric}
    if numbers >= 0.8 * (numbers + sum(texts.values())):
        examples = ", ".join(repr(text[:20]) for text in sorted(texts, key=texts.get, reverse=True)[:3])
        raise PipelineError(
            f"column {name!r} cannot be read as one type: {numbers} values are numbers and {sum(texts.values())} are "
            f"text ({examples}); correct those, or leave the column out with --drop"
        )
