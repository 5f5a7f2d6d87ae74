"""Numbers in text that are written with a decimal comma, or in groups of digits."""

_DIGITS = frozenset("0123456789")


def usual(text: str, decimal: str, thousands: str) -> str:
    """A number's text with a decimal point and no grouping; "" where it is not written by these marks."""
    whole, mark, fraction = text.partition(decimal)
    if thousands and thousands in whole:
        sign = whole[0] if whole[0] in "+-" else ""
        first, *middle, last = whole[len(sign) :].split(thousands)
        digits = first + "".join(middle) + last
        alike = all(len(group) == 3 for group in middle)
        alike = alike or (len(first) < 3 and all(len(group) == 2 for group in middle))
        grouped = 0 < len(first) <= 3 and first[0] != "0" and len(last) == 3 and alike
        if not (grouped and _DIGITS.issuperset(digits) and _DIGITS.issuperset(fraction)):
            return ""
        whole = sign + digits
    if decimal != "." and ("." in whole or "." in fraction):
        return ""
    return f"{whole}.{fraction}" if mark else whole
