"""Formats numbers for people."""

import time


def count(number: float) -> str:
    """``12,345``."""
    return f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """``120 µs``, ``3.4 ms``, ``1.2 s``; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 0.000995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 0.995:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.1f} s"


def percent(share: float) -> str:
    """``10 %``, ``0.5 %``."""
    return f"{share * 100:.3g} %"


def moment(seconds: float) -> str:
    """A time in UTC, for ``<time>``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
