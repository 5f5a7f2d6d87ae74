"""Dates and times: which text and which numbers are moments, and what can be put in order of them."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import PipelineError
from serving.text_files.date_text import MONTH, MONTHS, PATTERN

# What is a date rather than a time of day, which would be taken as today's, or a day without its year.
_DATED = re.compile(r"(?<!\d)\d{4}(?!\d)|^\d{8}(?!\d)|^\d{1,2}([-/.])\d{1,2}\1\d{2}(?!\d)|[^\W\d].*\d{1,2}.*\d{2}")
_PARTS = re.compile(r"\s*(\d{1,2})([-/.])(\d{1,2})\2\d{2,4}")
_QUARTER = re.compile(r"(\d{4})[- /]?[Qq]([1-4])|[Qq]([1-4])[- /]?(\d{4})")
_WEEK = re.compile(r"(\d{4})-?[Ww](\d{2})(?:-?([1-7]))?")
_MONTH_FIRST = re.compile(r"(\d{1,2})[-/](\d{4})")
_MONTH_OF_TWO_DIGITS = re.compile(rf"{MONTH}[- /']{{1,2}}(\d\d)")
_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORD = re.compile(r"[^\W\d_]{3,}\.?")
_CHINESE = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")

# Names of columns that hold moments as numbers, and of those that hold Excel's, whose range many amounts share.
_NAMED = re.compile(
    r"(?i:time|epoch|unix|stamp|(^|[\s_.\-])(ts|dt|day|tag|when|created|updated|modified|seen|opened|closed|at|on|ms"
    r"|millis|ym|ymd|yyyymm|yyyymmdd|month|monat|mois|period)($|[\s_.\-\d]))|[a-z](At|On|Ts|Ms|Day|Month)$"
)
_NAMED_DATE = re.compile(
    r"(?i:(?<!up)(?<!candi)(?<!man)(date|datum|fecha)($|[\s_.\-\d])|(^|[\s_.\-])(date|datum|fecha))"
    r"|(?i:excel|(^|[\s_.\-])serial$)|[a-z]Dat(e|um)"
)
_SHARE = 0.9
# So many different values are all dates, or months, by chance in less than one column of a million.
_DAYS_BY_CHANCE = 5
_MONTHS_BY_CHANCE = 10
_DAYS, _MONTHLY, _EXCEL = "dates written as 20231231", "months written as 202312", "days as Excel counts them"
# From and below which number each is a moment: of the years 1800 to 2200, of 2000 to 2100, and of 1954 to 2119.
_RANGES = {
    _DAYS: (18_000_101, 22_000_101),
    _MONTHLY: (180_001, 220_001),
    "seconds since 1970": (946_684_800, 4_102_444_800),
    "milliseconds since 1970": (946_684_800_000, 4_102_444_800_000),
    "microseconds since 1970": (946_684_800_000_000, 4_102_444_800_000_000),
    _EXCEL: (20_000, 80_000),
}


def are_texts(values: pa.Array) -> bool:
    """Whether text, shape (n_distinct,), is moments but for a few."""
    if not len(values):
        return False
    like = pc.match_substring_regex(values, PATTERN)
    return pc.mean(like.cast(pa.float64())).as_py() >= _SHARE


def as_numbers(name: str, numbers: np.ndarray) -> tuple[str, bool]:
    """What moments are written as numbers, and whether that is sure; "" where they are none.

    Eight digits that are all dates, and six that are all months, are told by themselves; other numbers by their range
    and their column's name, and by their range alone they are doubtful.

    Parameters
    ----------
    numbers : shape (n_rows,), NaN missing.
    """
    low, high = np.fmin.reduce(numbers, initial=np.inf), np.fmax.reduce(numbers, initial=-np.inf)
    within = [(what, first <= low and high < last) for what, (first, last) in _RANGES.items()]
    if not any(one for _, one in within):
        return "", False
    dated = bool(_NAMED_DATE.search(name))
    named = dated or bool(_NAMED.search(name))
    known = np.unique(numbers[~np.isnan(numbers)])
    whole = bool((known == np.floor(known)).all())
    for what, fits in within:
        if not fits:
            continue
        if what == _DAYS:
            if whole and (named or len(known) >= _DAYS_BY_CHANCE) and _are_days(known):
                return what, True
        elif what == _MONTHLY:
            valid = whole and np.isin(known % 100, np.arange(1, 13)).all()
            if valid and (named or len(known) >= _MONTHS_BY_CHANCE):
                return what, True
        elif what == _EXCEL:
            if dated:
                return what, True
        elif named or len(known) >= _DAYS_BY_CHANCE:
            return what, named
    return "", False


def _are_days(known: np.ndarray) -> bool:
    texts = pd.Series(known.astype("int64").astype(str))
    return bool(pd.to_datetime(texts, format="%Y%m%d", errors="coerce").notna().all())


def moments(values: pd.Series, name: str) -> np.ndarray:
    """What can be put in order of time: numbers as they are, dates as datetime64 in UTC, shape (n_rows,).

    A date without a zone is taken as UTC, and a month, a quarter or a week as its first day. Whether 01/02/2020 begins
    with the day, the column's other dates tell.

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
            texts = [_first_day(str(value)) for value in distinct]
            if not all(map(_DATED.search, texts)):
                raise ValueError
            read = pd.to_datetime(pd.Series(texts), format="mixed", dayfirst=_day_first(texts, name), utc=True)
    except (ValueError, TypeError, OverflowError):
        raise PipelineError(f"--time {name}: expected dates or numbers, found text; name another column") from None
    return read.dt.tz_localize(None).to_numpy().astype("datetime64[us]")[codes]


def _first_day(text: str) -> str:
    """The first day of a month, a quarter or an ISO week in a spelling that pandas reads; other text as it is."""
    if match := _QUARTER.fullmatch(text):
        year, quarter, quarter_first, year_last = match.groups()
        return f"{year or year_last}-{3 * int(quarter or quarter_first) - 2:02}-01"
    if match := _WEEK.fullmatch(text):
        return str(np.datetime64(pd.Timestamp.fromisocalendar(int(match[1]), int(match[2]), int(match[3] or 1)), "D"))
    if match := _MONTH_FIRST.fullmatch(text):
        return f"{match[2]}-{int(match[1]):02}-01"
    if match := _CHINESE.fullmatch(text):
        return f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}"
    text = _WORD.sub(lambda word: _english(word[0]), text)
    if match := _MONTH_OF_TWO_DIGITS.fullmatch(text):
        year = int(match[match.re.groups])
        return f"{match[1]} {year + (2000 if year < 69 else 1900)}"  # as POSIX reads two digits
    return text


def _english(word: str) -> str:
    """A month's name as English shortens it; another word as it is."""
    for month, names in zip(_ENGLISH, MONTHS, strict=True):
        if re.fullmatch(rf"({names})\.?", word, re.IGNORECASE):
            return month
    return word


def _day_first(texts: list[str], name: str) -> bool:
    parts = [match.groups() for match in map(_PARTS.match, texts) if match]
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
