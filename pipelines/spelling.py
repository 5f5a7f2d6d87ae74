"""Recognise numbers that are not parsed, such as 12 %, 5 kg, or numbers beside a word, to name them in messages."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import marks
from pipelines.marks import ENGLISH, EUROPEAN, PLAIN
from registry.cli.text import argument, listed, one_line

_SHOWN = 20
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
_PART = r"\d+([.,]\d+)?\s?(?i:d|days?|h|hrs?|hours?|min|mins?|minutes?|m|s|secs?|seconds?)\.?"
_DURATION = rf"[+-]?{_PART}([\s,]*{_PART})*|-?P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"
_MEASURED = r"^[+-]?\d+(?:[.,]\d+)?\s?(?P<unit>\p{L}[\p{L}/²³]{0,9}|°\p{L}?)$"


#: With more different words than this beside its numbers a column of text is no column of numbers.
_FEW_WORDS = 2


@dataclass(frozen=True)
class Spelling:
    """What nearly all text of a column is, with an example, and what to do to have it read as numbers."""

    what: str
    remedy: str = "write them as 1234.5 to have numbers"


def described(known: pd.Series) -> Spelling | None:
    """What text is, where nearly all of it is numbers to a person; None where it is not.

    Parameters
    ----------
    known : shape (n_known,): text, none of it missing.
    """
    counts = known.value_counts(sort=False)
    distinct = pa.array(counts.index.tolist(), pa.large_string())
    if what := _spelt_as(distinct):
        return Spelling(what)
    numbers = pc.match_substring_regex(distinct, "|".join(map(marks.pattern, (PLAIN, EUROPEAN, ENGLISH))))
    words = {word: int(counts[word]) for word in distinct.filter(pc.invert(numbers)).to_pylist()}
    if len(words) < len(distinct) - len(words) and (remedy := missing_option(words)):
        return Spelling(f"numbers but for {listed(words)} ({100 * sum(words.values()) / len(known):.0f} %)", remedy)
    return None


def missing_option(words: Mapping[str, int]) -> str:
    """The option that reads the words beside a column's numbers as missing; empty where they are no such words."""
    # Excel's errors begin with #; any other word with a digit is a number that is misspelt.
    if not 0 < len(words) <= _FEW_WORDS or any(word[0] != "#" and any(map(str.isdigit, word)) for word in words):
        return ""
    return f"--missing {argument(words)} reads {'it' if len(words) == 1 else 'them'} as missing"


def _spelt_as(distinct: pa.Array) -> str:
    """The spelling that nearly all of the different texts have, with an example; empty where they have none."""
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
    like = pc.match_substring_regex(spelt, f"^({_DURATION})$")
    if len(like) > 1 and _spelt(like, plain):
        return _example("durations", spelt.filter(like))
    return ""


def _spelt(like: pa.Array, plain: int) -> bool:
    """Whether as many values as count are like it, or among the plain ones that are not asked."""
    count = pc.sum(like).as_py() or 0
    return bool(count) and count + plain >= _SPELT * (len(like) + plain)


def _example(what: str, texts: pa.Array) -> str:
    return f"{what} ({one_line(texts[0].as_py(), _SHOWN)!r})"
