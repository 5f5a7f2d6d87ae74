"""Row keys: a hash of a row's values, which identifies the row in any table that holds it."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from pipelines.columns import EXACT, TRUTH, WHOLE
from serving.scorecard.inputs import InputError
from serving.scorecard.scalars import number

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15))
# What a number, a moment, true or false begins with.
_BEGINNINGS = frozenset("0123456789+-.iItTfF")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d(?:\.\d+)?))?)?")


def hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """A hash of each row's values and their columns' names, shape (n_rows,), uint64; columns in any order.

    It hangs on each value alone, not on the type that its column has in this table: a number is hashed as float64
    (-0.0 as 0.0), also one that is written as text; true and false are 1 and 0; other text, trimmed, as UTF-8 by
    BLAKE2b; all missing values alike. The columns' hashes are mixed by the finaliser of SplitMix64 (Steele, Lea and
    Flood 2014) and added modulo 2**64. Whoever changes this raises ``registry.holdout.SCHEME``.
    """
    return combined({str(name): bits(frame[name]) for name in frame.columns}, len(frame))


def combined(bits_of: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """The hash of each row, shape (n_rows,), uint64, from what :func:`bits` gives of each column."""
    total = np.zeros(rows, dtype="uint64")
    for name, values in bits_of.items():
        total += mixed(mixed(values) ^ np.uint64(_text_hash(name)))
    return mixed(total)


def hash_columns(column: Callable[[str], pd.Series], names: Sequence[str]) -> np.ndarray:
    """The hash of each row's values in some columns of a table, see :func:`hash_rows`.

    Parameters
    ----------
    column : name -> that column, typed; shape (n_rows,).
    """
    return hash_rows(pd.DataFrame({name: column(name) for name in names}, copy=False))


def share(keys: np.ndarray) -> np.ndarray:
    """Hashes as numbers uniform in [0, 1)."""
    return (keys >> np.uint64(11)) * 2.0**-53


def bits(values: pd.Series) -> np.ndarray:
    """Each value as 64 bits, see :func:`hash_rows`."""
    if values.dtype.kind in "fiub":
        return _number_bits(values.to_numpy(dtype="float64"))
    codes, distinct = pd.factorize(values)
    read = [_read(value) for value in distinct]
    words = _number_bits(np.array([*(value if isinstance(value, float) else 0.0 for value in read), np.nan]))
    for code, value in enumerate(read):
        if isinstance(value, str):
            words[code] = _text_hash(value)
    return words[codes]


def _number_bits(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(numbers), np.nan, numbers + 0.0).view("uint64")


def _read(value: object) -> float | str:
    """A value that is no number by its type: what number it is, else its text."""
    text = str(value).strip()
    if text[:1] not in _BEGINNINGS:
        return text
    if moment := _MOMENT.fullmatch(text):
        # The same moment as date, timestamp and text of a file.
        day, clock, seconds = moment.groups()
        if seconds and "." in seconds:
            seconds = seconds.rstrip("0").rstrip(".")
        clock = f"{clock or '00:00'}:{seconds or '00'}"
        return day if clock == "00:00:00" else f"{day} {clock}"
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    try:
        read = number(text, "")
    except InputError:
        return text
    beyond = abs(read) >= EXACT and WHOLE.fullmatch(text) and int(text) != read
    return str(int(text)) if beyond else read


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 of each number, see :func:`hash_rows`."""
    values = values + _MIX[2]
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))
