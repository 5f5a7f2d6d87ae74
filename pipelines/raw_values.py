"""Convert raw Arrow columns to NumPy and pandas: decoded, by type, or by distinct value."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def decoded(raw: pa.ChunkedArray) -> pa.ChunkedArray:
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


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of text, decoded."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def floats(raw: pa.ChunkedArray) -> pd.Series:
    """Numbers or booleans as float64, each the nearest; null as NaN. No copy where there is nothing to change."""
    if pa.types.is_decimal(raw.type):
        raw = raw.cast(pa.string())  # Arrow's own way from decimal to float64 is not always the nearest
    if not pa.types.is_float64(raw.type):
        raw = raw.cast(pa.float64(), safe=False)
    return pd.Series(raw.to_numpy(), copy=False)


def moments(raw: pa.ChunkedArray) -> pd.Series:
    """Dates and times as datetime64; as text where pandas has no such type."""
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        try:
            return raw.to_pandas(date_as_object=False)
        except (pa.ArrowException, ValueError, OverflowError):
            pass
    return pd.Series([None if value is None else str(value) for value in raw.to_pylist()], dtype="str")


def strings(raw: pa.ChunkedArray) -> pd.Series:
    """Text as pandas' ``str``; null as missing."""
    return raw.to_pandas().astype("str")


def distinct(raw: pa.ChunkedArray) -> tuple[np.ndarray, list]:
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


def numbers_of(codes: np.ndarray, read: list[float | None]) -> pd.Series:
    """What the distinct values were read as, by row: float64, shape (n_rows,); None and the code -1 give NaN."""
    known = np.array([*(math.nan if value is None else value for value in read), math.nan], dtype="float64")
    return pd.Series(known[codes], copy=False)


def strings_of(codes: np.ndarray, read: list[str | None]) -> pd.Series:
    """What the distinct values were read as, by row: ``str``, shape (n_rows,); None and the code -1 are missing."""
    known = pa.array([*read, None], pa.large_string())
    return strings(pa.chunked_array([known.take(pa.array(np.where(codes < 0, len(read), codes)))]))
