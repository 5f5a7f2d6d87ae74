"""Numbers and other values as a person reads them on a model card or in a picture."""

import math
from typing import Any

#: A sum that is so small a part of its terms is zero but for rounding.
_ROUNDING = 1e-12


def readable(number: float, scale: float = 0.0) -> str:
    """A number to three significant digits: 53.1, 1,240, −0.00213, 1.20e+07.

    Parameters
    ----------
    scale : the size of the terms that the number is a sum of; it is 0 if it is nothing beside them but rounding.
    """
    if abs(number) <= _ROUNDING * scale:
        number = 0.0
    if number == 0 or not math.isfinite(number):
        return minus(f"{abs(number) if number == 0 else number:g}")
    rounded = f"{number:.2e}"
    exponent = int(rounded.partition("e")[2])
    if -4 <= exponent < 6:
        rounded = f"{float(rounded):,.{max(2 - exponent, 0)}f}"
    return minus(rounded)


def shown(value: Any) -> str:
    """A value for people: numbers to three significant digits, counts in full, – where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return minus(f"{value:,}")
    if isinstance(value, float):
        return readable(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value)
    return str(value)


def percent(share: float | None) -> str:
    """A share as a percentage to one decimal: < 0.1 %, 0.1 %, 12.3 %, 100 %; – where there is none."""
    if share is None:
        return "–"
    size = abs(share) * 100
    if 0 < size < 0.05:
        return "< 0.1 %"
    digits = 0 if size == 0 or size >= 99.95 else 1
    return minus(f"{share * 100:,.{digits}f} %")


def minus(text: str) -> str:
    """A formatted number with the typographer's minus, as matplotlib writes its ticks."""
    return text.replace("-", "−")
