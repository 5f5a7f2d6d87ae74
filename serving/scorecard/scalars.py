"""Raw values that are no plain numbers: the numbers in texts, scalars of other libraries, and the texts of scalars."""

import math

from .errors import InputError, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DECIMAL_CHARACTERS = frozenset("0123456789+-.eE")
_INFINITE = frozenset({"inf", "infinity", "+inf", "+infinity", "-inf", "-infinity"})


def plain(raw: "Any") -> "Any":
    """A scalar of NumPy, pandas or ``decimal`` as Python's own, and anything else as it is; imports none of them."""
    name = type(raw).__name__
    if name in ("NAType", "NaTType"):
        return None
    if name == "Decimal":
        return float(raw)
    if hasattr(raw, "dtype") and getattr(raw, "shape", None) == ():
        return raw.item()
    return raw


def number(text: str, column: str, decimal: str = ".", thousands: str = "") -> float:
    """The float64 nearest to a number in trimmed text; +-inf where it says so or is too large.

    Parameters
    ----------
    decimal : the mark before the fraction; no other is taken, so that 3.14 is no number where the mark is a comma.
    thousands : the mark between groups of digits; "" for none. Digits without it are taken too. Grouped digits begin
        with one to three digits, the first not 0; the groups after that have three digits, or two and the last three
        (12,34,567, as in India). So 1.5 is no number where the mark is a dot. Grouped digits have no exponent.

    Raises
    ------
    InputError
        where the text is not such a number (``1_000``, ``1,000`` and ``0x1f`` are none by default).
    """
    if thousands or decimal != ".":
        from .marks import usual

        text = usual(text, decimal, thousands)
    if _DECIMAL_CHARACTERS.issuperset(text):
        try:
            return float(text)
        except ValueError:
            pass
    elif text.lower() in _INFINITE:
        return -math.inf if text[0] == "-" else math.inf
    raise InputError(column, "expected a number, found text")


def scalar_text(raw: object) -> str:
    """A scalar of JSON, of a database or of a table as the text of a category, the same in training and in scoring.

    A boolean is ``true`` or ``false``. A whole number of any type is its digits: 3, 3.0 and ``Decimal("3.00")`` are
    all ``3``. Any other number is the shortest decimal that is the same float64, as Python's ``repr`` writes it
    (``0.1``, ``1e-05``, ``inf``), and a text is itself, not yet trimmed. NumPy's scalars are as Python's own, and a
    ``Decimal`` is the nearest float64. A missing value has no text: look for it first.

    Raises
    ------
    TypeError
        where it is none of these: a list, an object, bytes, a date.
    ValueError
        where it is a whole number of thousands of digits, which Python does not write down.
    """
    if not isinstance(raw, (str, bool, int, float)):
        raw = plain(raw)
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float):
        return str(int(raw)) if raw.is_integer() else float.__repr__(raw)
    if isinstance(raw, int):
        return int.__repr__(raw)
    raise TypeError(f"expected a text, a number or a boolean, found {kind(raw)}")
