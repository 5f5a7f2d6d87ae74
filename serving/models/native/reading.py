"""Raw columns of a table as a model's own code gets them, with the rows that do not fit their column."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.functions.columns import moment
from serving.scorecard import frames
from serving.scorecard.frames import Refusals
from serving.scorecard.inputs import CATEGORY, NUMBER, Cleaning, Input, InputError
from serving.scorecard.scalars import number

#: Microseconds, without a zone: MLflow takes none in a column of dates and times.
MOMENT = pa.timestamp("us")
# The dates that pandas, and so MLflow, has in nanoseconds.
_FIRST, _LAST = datetime(1677, 9, 22), datetime(2262, 4, 11)
_OUT_OF_RANGE = "expected a date from 1677-09-22 to 2262-04-10, found one out of this range"


def columns(
    table: Mapping[str, Any], inputs: Iterable[Input], dated: Collection[str], cleaning: Cleaning
) -> tuple[pa.Table, Refusals]:
    """The columns of a model, typed, and the rows that are refused; their values are not to be used.

    Parameters
    ----------
    table : each raw column by its name, as Arrow or a list has it; columns that it lacks are left out.
    inputs : of the model, in order.
    dated : names of those that are dates and times.

    Returns
    -------
    Table : float64 (numbers, and booleans as 0 and 1), text, or dates and times; a missing number is NaN, any other
        missing value is null.
    """
    refusals, found = Refusals(), {}
    for item in inputs:
        if item.name in table:
            read = moments if item.name in dated else _column
            found[item.name] = read(item, table[item.name], cleaning, refusals)
    return pa.table(found), refusals


def _column(item: Input, raw: Any, cleaning: Cleaning, refusals: Refusals) -> pa.Array:
    if item.type == CATEGORY:
        raw = as_text(raw)
    elif item.type == NUMBER and (numbers := _numbers(item, raw, cleaning)) is not None:
        raw = numbers
    read = frames.read(item, raw, cleaning, refusals)
    if isinstance(read, frames.Coded):
        return pa.array(read.values, pa.string()).take(pa.array(read.codes))
    return pa.array(read)


def as_text(raw: Any) -> Any:
    """A column of dates or times as text; any other column as it is."""
    return raw.cast(pa.string()) if isinstance(raw, pa.ChunkedArray) and pa.types.is_temporal(raw.type) else raw


def floats(raw: pa.ChunkedArray) -> np.ndarray | None:
    """Text as float64 if it is finite numbers but for nulls, which are NaN; else None.

    Arrow's cast takes exactly the finite numbers that ``scalars.number`` takes, and gives the same float64; its notion
    of white space is that of ``str.strip``.
    """
    try:
        numbers = raw.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers if int(np.isfinite(numbers).sum()) == len(raw) - raw.null_count else None


def _numbers(item: Input, raw: Any, cleaning: Cleaning) -> np.ndarray | None:
    """A column of text as the numbers that it is read as one by one; None if it has to be read so."""
    plain = (item.decimal, item.thousands) == (".", "") and cleaning.trim
    if not plain or not isinstance(raw, pa.ChunkedArray) or not pa.types.is_string(raw.type):
        return None
    if any(map(_is_number, cleaning.missing)):
        return None
    trimmed = pc.utf8_trim_whitespace(raw)
    missing = pc.is_in(trimmed, pa.array(sorted(cleaning.missing), pa.string()))
    return floats(pc.if_else(missing, pa.scalar(None, pa.string()), trimmed))


def _is_number(text: str) -> bool:
    try:
        number(text, "")
    except InputError:
        return False
    return True


def moments(item: Input, raw: Any, cleaning: Cleaning, refusals: Refusals) -> pa.Array:
    """A column of dates and times: those of Arrow, and text in ISO 8601. A time with a zone is taken in UTC.

    Any other value is refused, and so is a date beyond those that pandas has in nanoseconds.
    """
    found = _temporal(raw) if isinstance(raw, pa.ChunkedArray) else None
    if found is None:
        found = _written(item, raw, cleaning, refusals)
    beyond = pc.or_(pc.less(found, pa.scalar(_FIRST, MOMENT)), pc.greater_equal(found, pa.scalar(_LAST, MOMENT)))
    refusals.add(np.flatnonzero(pc.fill_null(beyond, fill_value=False)), item.name, _OUT_OF_RANGE)
    return found


def _temporal(raw: pa.ChunkedArray) -> pa.Array | None:
    """Dates and times of Arrow; None if they are of another type."""
    if not (pa.types.is_date(raw.type) or pa.types.is_timestamp(raw.type)):
        return None
    return raw.cast(pa.timestamp("us", getattr(raw.type, "tz", None)), safe=False).cast(MOMENT).combine_chunks()


def _written(item: Input, raw: Any, cleaning: Cleaning, refusals: Refusals) -> pa.Array:
    """Dates and times in text, each distinct text read once."""
    read: dict[str, datetime | None] = {}
    found: list[datetime | None] = []
    reasons: dict[str, list[int]] = {}
    for row, value in enumerate(frames.cells(raw)):
        if isinstance(value, str) and value in read:
            found.append(read[value])
            continue
        try:
            found.append(_moment(item, value, cleaning))
        except InputError as error:
            found.append(None)
            reasons.setdefault(error.reason, []).append(row)
            continue
        if isinstance(value, str):
            read[value] = found[-1]
    for reason, rows in reasons.items():
        refusals.add(np.array(rows), item.name, reason)
    return pa.array(found, MOMENT)


def _moment(item: Input, raw: object, cleaning: Cleaning) -> datetime | None:
    written = moment(item, None if isinstance(raw, float) and raw != raw else raw, cleaning)
    if written is None:
        return None
    value = datetime.fromisoformat(written)
    try:
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    except OverflowError:  # the first or the last day that Python has
        raise InputError(item.name, _OUT_OF_RANGE) from None
