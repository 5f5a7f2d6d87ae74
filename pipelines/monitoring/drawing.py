"""The pictures of a report: reference beside live, and what it does to the score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.formatting import readable
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.counts import CategoryCounts, ColumnComparison, NumberCounts
from pipelines.monitoring.report import MonitorReport, WindowReport
from pipelines.pictures.look import BLUE, DASHED, GREY, PALE, RED, blank, plain, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The most alerts and inputs that are drawn.
MOST, _INPUTS = 24, 8


def alerts(report: MonitorReport) -> list[tuple[WindowCheck, "Figure"]]:
    """A picture for each comparison that alerts, of the last window where it does."""
    # A rule has failed or not: there is nothing to draw.
    drawn = [alert.last for alert in report.alerting if alert.last.tested]
    windows = {window.name: window for window in report.windows}
    with style():
        return [(check, _alert(check, windows.get(check.window, report.windows[-1]), report)) for check in drawn[:MOST]]


def _alert(check: WindowCheck, window: WindowReport, report: MonitorReport) -> "Figure":
    column = window.columns.get(check.subject)
    if check.kind == "distribution":
        column = column or window.answers.numbers
        if check.subject == "prediction" and window.answers.classes is not None:
            column = window.answers.classes
    if check.kind in ("distribution", "outside") and column is not None:
        shifts = [one for one in window.shifts if check.subject in window.columns]
        figure = blank(10.5 if shifts else 6.4, 3.6)
        if shifts:
            left, right = figure.subplots(1, 2, width_ratios=(3, 2))
            _shifts(right, window, check.subject)
        else:
            left = figure.subplots()
        _histogram(left, column, ends=check.kind == "outside")
        left.set_title(plain(check.subject))
        return figure
    return _gap(check, report) if check.kind == "gap" else _values(check, report)


def _histogram(axes: "Axes", column: ColumnComparison, *, ends: bool) -> None:
    """The reference beside the live rows.

    Parameters
    ----------
    ends : whether what is beyond the reference has bars of its own, at both ends.
    """
    before, now, places = column.merged()
    labels = _labels(column, places)
    if ends and isinstance(column.live, NumberCounts) and isinstance(column.reference, NumberCounts):
        inside = _without(_without(now, column.live.below)[::-1], column.live.above)[::-1]
        before = np.array([0, *before, 0])
        now = np.array([column.live.below, *inside, column.live.above])
        labels = [f"below {readable(column.reference.least)}", *labels, f"above {readable(column.reference.most)}"]
    middle = np.arange(len(before))
    axes.bar(middle - 0.2, 100 * before / max(before.sum(), 1), 0.4, color=PALE, edgecolor=GREY, label="reference")
    axes.bar(middle + 0.2, 100 * now / max(now.sum(), 1), 0.4, color=RED, label="live")
    axes.set_xticks(middle, labels, rotation=35 if len(labels) > 4 else 0, ha="right" if len(labels) > 4 else "center")
    axes.set_ylabel("Rows, %")
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.2)  # room for the legend
    axes.legend(ncols=2)


def _without(counts: np.ndarray, first: int) -> np.ndarray:
    """Counts of values in order without so many of the first."""
    left = np.maximum(np.cumsum(counts) - first, 0)
    return np.diff(left, prepend=0)


def _labels(column: ColumnComparison, places: np.ndarray) -> list[str]:
    counts = column.live
    if isinstance(counts, CategoryCounts):
        names: dict[int, list[str]] = {}
        for label, place in zip(counts.labels, places.tolist(), strict=True):
            names.setdefault(place, []).append(label)
        return [plain(one[0], 14) if len(one) == 1 else f"{len(one)} others" for _, one in sorted(names.items())]
    assert isinstance(counts, NumberCounts)
    found = []
    for place in range(int(places.max()) + 1):
        mine = np.flatnonzero(places == place)
        low = counts.edges[mine[0] - 1] if mine[0] else None
        high = counts.edges[mine[-1]] if mine[-1] < len(counts.edges) else None
        found.append(_between(low, high))
    return found


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return f"< {readable(high)}" if high is not None else "all"
    if high is None:
        return f"≥ {readable(low)}"
    return readable(low) if np.nextafter(low, np.inf) == high else f"{readable(low)} to {readable(high)}"


def _shifts(axes: "Axes", window: WindowReport, subject: str) -> None:
    label = window.shifts[0].label
    shown = [one for one in window.shifts if one.label == label][:_INPUTS]
    mine = [one for one in window.shifts if one.label == label and subject in one.inputs and one not in shown]
    shown = [*shown, *mine][::-1]
    colours = [RED if subject in one.inputs else BLUE for one in shown]
    axes.barh(range(len(shown)), [one.shift for one in shown], color=colours)
    axes.set_yticks(range(len(shown)), [plain(" and ".join(one.inputs), 22) for one in shown])
    axes.axvline(0, color=GREY, linewidth=0.8)
    scale = window.scores[0].scale if window.scores else "score"
    axes.set_xlabel(f"Change of the mean score ({scale})")
    axes.set_title("Shift of the score")


def _gap(check: WindowCheck, report: MonitorReport) -> "Figure":
    """The metric of each group of a column, with its interval."""
    mine = [one for one in report.groups if check.subject == f"{report.metric} by {one.column}"]
    figure = blank(6.4, 1.2 + 0.35 * len(mine))
    axes = figure.subplots()
    values = np.array([np.nan if one.value.value is None else one.value.value for one in mine])
    ends = np.array([[end if end is not None else np.nan for end in (one.value.low, one.value.high)] for one in mine])
    away = np.maximum(np.abs(ends.T - values), 0.0)
    axes.errorbar(values, range(len(mine)), xerr=away, fmt="o", color=RED, capsize=3)
    axes.set_yticks(range(len(mine)), [plain(one.group, 22) for one in mine])
    axes.set_ylim(-0.6, len(mine) - 0.4)
    axes.set_xlabel(report.metric)
    axes.set_title(plain(check.subject))
    return figure


def _values(check: WindowCheck, report: MonitorReport) -> "Figure":
    """A share or a metric: over the windows if there are several, else beside the reference."""
    same: Sequence[WindowCheck] = [
        one for one in report.checks if (one.kind, one.subject) == (check.kind, check.subject)
    ]
    scale = 1.0 if check.kind == "metric" else 100.0
    unit = plain(check.subject) if check.kind == "metric" else "%"
    figure = blank(6.4, 3.2)
    axes = figure.subplots()
    reference = scale * (check.reference or 0.0)
    if len(same) > 1:
        values = [np.nan if one.live is None else scale * one.live for one in same]
        axes.plot([one.window for one in same], values, "o-", color=RED, label="live")
        before = [np.nan if one.reference is None else scale * one.reference for one in same]
        axes.plot([one.window for one in same], before, color=GREY, linestyle=DASHED, label="reference")
        axes.tick_params(axis="x", rotation=35)
        if len(same) > 12:
            axes.set_xticks(axes.get_xticks()[:: len(same) // 8])
        axes.legend()
    else:
        axes.bar(["reference", "live"], [reference, scale * (check.live or 0.0)], 0.5, color=[PALE, RED])
        axes.grid(axis="x", visible=False)
    axes.set_ylabel(unit)
    axes.set_title(plain(f"{check.kind.capitalize()}: {check.subject}"))
    return figure
