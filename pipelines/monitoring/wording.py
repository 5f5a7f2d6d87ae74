"""Checks in words, for the terminal and for the page."""

from pipelines.formatting import percent, readable
from pipelines.monitoring.checks import HARMLESS, SMALL, WindowCheck

_KINDS = {
    "distribution": "distribution of",
    "missing": "missing values of",
    "unknown": "unknown categories of",
    "unreadable": "unreadable values of",
    "expected accuracy": "expected accuracy of",
    "metric": "metric",
    "calibration": "calibration of the",
}


def what(check: WindowCheck) -> str:
    """What a check compares: ``missing values of age``."""
    return f"{_KINDS.get(check.kind, check.kind)} {check.subject}"


def found(check: WindowCheck) -> str:
    """What it found: ``0 % to 12.3 %``, ``PSI 0.31``."""
    if check.reference is None or check.live is None:
        return f"PSI {readable(check.effect)}"
    if check.kind in ("metric",):
        return f"{readable(check.reference)} to {readable(check.live)}"
    return f"{percent(check.reference)} to {percent(check.live)}"


def needed(check: WindowCheck) -> str:
    """From which effect on it alerts."""
    if check.unit == "PSI":
        return f"PSI {readable(check.least)}"
    if check.kind == "metric" and check.unit == "share":
        return percent(check.least)
    return f"{readable(check.least * 100)} points"


def chance(check: WindowCheck) -> str:
    """How probable such a change is by chance."""
    return "< 1e−15" if check.probability < 1e-15 else readable(check.probability)


def moved(check: WindowCheck) -> str:
    """How far the column moves the score; empty if that was not asked."""
    return "" if check.moved is None else f"{readable(check.moved, 1)} sd"


def quiet(check: WindowCheck) -> str:
    """Why a change that is certain is no alert; empty for other checks."""
    if check.verdict == SMALL:
        return f"certain, but smaller than {needed(check)}"
    if check.verdict == HARMLESS and check.least_moved is not None:
        return f"certain and large, but it moves the score by less than {readable(check.least_moved)} sd"
    return ""
