"""Parse columns of text as numbers, exactly as scoring parses a single value (``scalars.number``)."""

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import marks
from pipelines.marks import ENGLISH, EUROPEAN, PLAIN, Marks
from serving.models.native.reading import floats
from serving.scorecard.inputs import Cleaning, InputError
from serving.scorecard.scalars import number

_LIKE_A_NUMBER = r"^[+-]?\.?[0-9]"
_PROBE = 1000


def parse(raw: pa.ChunkedArray, cleaning: Cleaning, written: Marks) -> tuple[np.ndarray, pa.ChunkedArray] | None:
    """Text that is finite numbers but for what is missing: as float64, and as plain text with nulls.

    None where anything else is among it.
    """
    if _missing_numbers(cleaning, written):
        return None
    # A cast that fails takes a second for a million rows: the first rows tell whether it is worth it.
    head = raw.slice(0, _PROBE)
    if len(raw) > _PROBE and parse(head, cleaning, written) is None:
        return None
    if written != PLAIN:
        raw = pc.utf8_trim_whitespace(raw) if cleaning.trim else raw
        return _numbers_like(marks.pattern(written), raw, cleaning, written)
    if floats(head) is not None and (values := floats(raw)) is not None:
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
    values = floats(plain)
    return None if values is None else (values, plain)


@cache
def _missing_numbers(cleaning: Cleaning, written: Marks) -> bool:
    """Whether a word that stands for a missing value is a number (-999)."""
    return any(parse_one(word, written) is not None for word in cleaning.missing)


def parse_one(value: str, written: Marks = PLAIN) -> float | None:
    """A single trimmed text as a number; None where it is none."""
    try:
        return number(value, "", *written)
    except InputError:
        return None


def is_number(text: str) -> bool:
    """Whether a trimmed text is a number as programs, most of Europe, or English write one."""
    return any(parse_one(text, written) is not None for written in (PLAIN, EUROPEAN, ENGLISH))
