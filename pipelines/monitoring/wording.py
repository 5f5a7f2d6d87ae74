"""Checks in words, for the terminal and for the page."""

from collections.abc import Mapping

from pipelines.formatting import minus, percent, readable
from pipelines.monitoring.challengers import Challenger, FormerChampion
from pipelines.monitoring.checks import HARMLESS, SMALL, Alert, WindowCheck
from pipelines.monitoring.known import AgeMetric
from pipelines.monitoring.report import MonitorReport
from pipelines.monitoring.windows import moment
from registry.cli.text import figure

_KINDS = {
    "distribution": "distribution of",
    "missing": "missing values of",
    "outside": "values outside the range of",
    "unknown": "unknown categories of",
    "unreadable": "unreadable values of",
    "expected accuracy": "expected accuracy of",
    "metric": "metric",
    "calibration": "calibration of the",
    "gap": "largest gap of",
    "expectation": "expectation of",
}


def what(check: WindowCheck) -> str:
    """What a check compares: ``missing values of age``."""
    return f"{_KINDS.get(check.kind, check.kind)} {check.subject}"


def when(alert: Alert, windows: int) -> str:
    """In which of so many windows it alerts: ``2025-04``, ``3 of 12, last in 2025-12``."""
    if len(alert.checks) == 1:
        return alert.last.window
    return f"{len(alert.checks)} of {windows}, last in {alert.last.window}, worst in {alert.worst.window}"


def found(check: WindowCheck) -> str:
    """What it found: ``0 % to 12.3 %``, ``PSI 0.31``."""
    if check.kind == "expectation":
        return "met" if not check.effect else "failed" if check.live == 1 else f"failed: {percent(check.live)}"
    if check.kind == "gap" and check.reference is not None and check.live is not None:
        return f"{readable(check.reference)} to {readable(check.live)} ({check.remark})"
    if check.kind == "outside" and check.live is not None:
        return percent(check.live) + (f" ({check.remark})" if check.remark else "")
    if check.reference is None or check.live is None:
        return f"PSI {readable(check.effect)}"
    if check.kind in ("metric",):
        return f"{readable(check.reference)} to {readable(check.live)}"
    return f"{percent(check.reference)} to {percent(check.live)}"


def short(check: WindowCheck) -> str:
    """What it found, for a narrow cell: the PSI, or the live value."""
    if check.kind == "expectation" or check.live is None:
        return f"{check.effect:.2f}" if check.unit == "PSI" else found(check)
    return readable(check.live) if check.kind in ("metric", "gap") else percent(check.live)


def service(found: Mapping[str, float]) -> str:
    """What a log tells of the service: ``2,300, refused 250, failed 50, latency ms p50 1.2``."""
    told = [f"{found.get('requests', 0):,.0f}"]
    for name, value in found.items():
        if name != "requests":
            shown = f"{value:,}" if isinstance(value, int) else readable(value)
            told.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(told)


def needed(check: WindowCheck) -> str:
    """From which effect on it alerts."""
    if check.kind == "expectation":
        return "any"
    if check.unit == "PSI":
        return f"PSI {readable(check.least)}"
    if check.kind in ("metric", "gap") and check.unit == "share":
        return percent(check.least)
    return f"{readable(check.least * 100)} points"


def chance(check: WindowCheck) -> str:
    """How probable such a change is by chance."""
    return "–" if check.probability is None else probability(check.probability)


def probability(value: float) -> str:
    """A probability of chance."""
    return "< 1e−15" if value < 1e-15 else readable(value)


def moved(check: WindowCheck) -> str:
    """How far the column moves the score; empty if that was not asked."""
    return "" if check.moved is None else f"{readable(check.moved, 1)} sd"


def quiet(check: WindowCheck) -> str:
    """Why a change that is certain is no alert; empty for other checks."""
    if check.verdict == SMALL and check.probability is None:
        return f"a {check.remark} of the suite"
    if check.verdict == SMALL:
        score = ", and the score hardly moves" if check.either and check.moves is False else ""
        return f"certain, but smaller than {needed(check)}{score}"
    if check.verdict == HARMLESS and check.least_moved is not None:
        return f"certain and large, but it moves the score by less than {readable(check.least_moved)} sd"
    return ""


def age(one: AgeMetric) -> str:
    """What was known at an age: ``82 %: 0.91``; – where the window is not that old."""
    if not one.reached:
        return "–"
    return percent(one.share) + (f": {figure(one.value.value)}" if one.value is not None else "")


def others(report: MonitorReport) -> list[str]:
    """The other versions of a log, a sentence each."""
    found = [_challenger(one, len(report.challengers), report.rules.rate) for one in report.challengers]
    return found + ([_former(report.former, report.metric)] if report.former else [])


def _challenger(one: Challenger, of: int, rate: float) -> str:
    told = f"version {one.version} ({one.role}) answered {one.rows:,} of the same rows"
    if one.disagree is not None:
        told += f": {percent(one.disagree)} of its labels are others"
    elif one.difference is not None and one.distance is not None and one.spread is not None:
        told += (
            f": its answers are {readable(one.distance, one.spread)} away and {readable(one.difference, one.spread)} "
            f"higher on average; this version's have a standard deviation of {readable(one.spread)}"
        )
    if (measured := one.outcomes) is None:
        return told
    certain = measured.probability <= rate / of  # a test for each version
    difference, low, high = (minus(figure(value)) for value in (measured.difference, measured.low, measured.high))
    return (
        f"{told}. Its {measured.metric} is {figure(measured.other)}, this version's {figure(measured.here)}, on "
        f"{measured.rows:,} rows with an outcome: {'' if certain else 'no certain difference, '}{difference} "
        f"({low} to {high}; by chance {probability(measured.probability)}, {measured.test})"
    )


def _former(one: FormerChampion, metric: str) -> str:
    value = one.metrics[metric]
    ends = "" if value.low is None else f" ({figure(value.low)} to {figure(value.high)})"
    days = " to ".join(dict.fromkeys(f"{moment(at):%Y-%m-%d}" for at in (one.first, one.last)))
    told = f"The champion before, version {one.version}: {metric} {figure(value.value)}{ends}"
    return f"{told} on {one.rows:,} rows of {days}"
