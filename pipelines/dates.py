"""Dates written as text: what looks like one, and the moments that a column of them names."""

import re

import numpy as np
import pandas as pd

from pipelines.errors import PipelineError

_CLOCK = r"([T ]\s?\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?([AaPp][Mm])?\s?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?)?"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
#: A date, with or without a time of day: 2020-12-31, 31.12.2020, 12/31/20 1:05 PM, 31 Dec 2020, Dec 31, 2020.
PATTERN = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}/\d{1,2}/\d{2}"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}){_CLOCK}$"
)
_DATED = re.compile(rf"{PATTERN}|(?<!\d)\d{{4}}(?!\d)")
_PARTS = re.compile(r"\s*(\d{1,2})([-/.])(\d{1,2})\2\d{2,4}")


def moments(values: pd.Series, name: str) -> np.ndarray:
    """What can be put in order of time: numbers as they are, dates as datetime64 in UTC, shape (n_rows,).

    A date without a zone is taken as UTC. Whether 01/02/2020 begins with the day, the column's other dates tell.

    Raises
    ------
    PipelineError
        where a row has no time, a value is no date, or the dates can be read in two ways.
    """
    if absent := int(values.isna().sum()):
        raise PipelineError(f"--time {name}: {absent} rows have no time; drop or complete them")
    if values.dtype.kind == "f":
        return values.to_numpy()
    codes, distinct = pd.factorize(values)
    try:
        if isinstance(distinct.dtype, np.dtype) and distinct.dtype.kind == "M" or hasattr(distinct.dtype, "tz"):
            read = pd.to_datetime(pd.Series(distinct), utc=True)
        else:
            texts = [str(value) for value in distinct]
            if not all(map(_DATED.search, texts)):  # a time of day alone would be taken as today's
                raise ValueError
            read = pd.to_datetime(pd.Series(texts), format="mixed", dayfirst=_day_first(texts, name), utc=True)
    except (ValueError, TypeError, OverflowError):
        raise PipelineError(f"--time {name}: expected dates or numbers, found text; name another column") from None
    return read.dt.tz_localize(None).to_numpy().astype("datetime64[us]")[codes]


def _day_first(texts: list[str], name: str) -> bool:
    parts = [found.groups() for found in map(_PARTS.match, texts) if found]
    day_first = any(int(first) > 12 for first, _, _ in parts)
    month_first = any(int(second) > 12 for _, _, second in parts)
    dotted = any(mark == "." for _, mark, _ in parts)
    if day_first and month_first or (parts and not (day_first or month_first or dotted)):
        raise PipelineError(
            f"--time {name}: dates like {texts[0]} can be read in two ways; write them as 2020-12-31 (year-month-day)"
        )
    return day_first or (dotted and not month_first)


def shown(moment: np.generic) -> str:
    """A moment as text: a number, a date, or a date and time (UTC)."""
    if isinstance(moment, np.datetime64):
        text = str(moment.astype("datetime64[us]"))
        return text.removesuffix("T00:00:00.000000").removesuffix(".000000")
    return f"{float(moment):.17g}"
