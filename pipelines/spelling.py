"""Recognise numbers in notations that are not parsed, such as 12 %, (12) and 5 kg, to name them in messages."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from registry.cli.text import one_line

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
_MEASURED = r"^[+-]?\d+(?:[.,]\d+)?\s?(?P<unit>\p{L}[\p{L}/²³]{0,9}|°\p{L}?)$"


def described(known: pd.Series) -> str:
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
    count = pc.sum(like).as_py() or 0
    return bool(count) and count + plain >= _SPELT * (len(like) + plain)


def _example(what: str, texts: pa.Array) -> str:
    return f"{what} ({one_line(texts[0].as_py(), _SHOWN)!r})"
