"""Forest plots of coefficients and of importances."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.coefficients import Coefficient
from pipelines.formatting import readable
from pipelines.pictures.look import BLUE, GREY, INK, RED, blank, magnitude, plain, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS, _MOST_FEATURES = 9, 25
#: With more panels than this there is room for fewer features.
_FEW_PANELS, _FEW_FEATURES = 3, 12


def coefficients(
    rows: Sequence[Coefficient], *, score: str = "the score", importance: bool = False
) -> "dict[str, Figure]":
    """Forest plot of the strongest coefficients, or of importances.

    Coefficients in raw units differ by magnitudes (per gram, per year), so that the axis shows the change of the
    score per standard deviation of the feature, by which they are ordered; the raw-unit value and its interval
    stand beside each. Importances (in the metric's own units) are drawn as they are.

    Parameters
    ----------
    rows : what `pipelines.coefficients.table` or `importances` gave.
    score : what it is that changes: ``log-odds``, the target's name (`pipelines.coefficients.score_name`).
    importance : whether the rows are importances.

    Returns
    -------
    dict with ``coefficients`` (or ``importances``), a panel a class; empty where there is nothing to show.
    """
    drawable = [row for row in rows if row.column is not None and math.isfinite(row.effect)]
    if not drawable:
        return {}
    with style():
        return {"importances" if importance else "coefficients": _forest(drawable, score, importance)}


def _forest(rows: Sequence[Coefficient], score: str, importance: bool) -> "Figure":
    by_class: dict[object, dict[str, Coefficient]] = {}
    by_feature: dict[str, list[Coefficient]] = {}
    for row in rows:
        by_class.setdefault(row.class_label, {})[row.feature] = row
        by_feature.setdefault(row.feature, []).append(row)
    strongest = _strongest({label: list(found.values()) for label, found in by_class.items()}, _MOST_PANELS)
    panels = {label: found for label, found in by_class.items() if label in strongest}
    features = _strongest(by_feature, _FEW_FEATURES if len(panels) > _FEW_PANELS else _MOST_FEATURES)

    figure, grid = _grid(panels, features)
    for axes, (label, found) in zip(grid, panels.items(), strict=True):
        _panel(axes, features, found, importance)
        if label is not None and len(by_class) > 1:
            axes.set_title(plain(label, 36), fontsize=11)
    what = plain(score, 40)
    if len(by_class) == 1 and (label := next(iter(by_class))) is not None:
        what += f" of {plain(label, 30)}"
    change = f"Rise of {what} when shuffled" if importance else f"Change of {what} per standard deviation"
    figure.supxlabel(change, size=10)
    title = "Permutation importance" if importance else "Coefficients"
    if len(features) < len(by_feature):
        title += f": strongest {len(features)} of {len(by_feature)}"
    if len(panels) < len(by_class):
        title += f", {len(panels)} of {len(by_class)} classes"
    figure.suptitle(title, size=12, weight="bold", x=0.01, ha="left")
    return figure


def _strongest(groups: Mapping, most: int) -> list:
    """The keys of the groups with the largest effects, largest first."""
    return sorted(groups, key=lambda key: -max(abs(row.effect) for row in groups[key]))[:most]


def _grid(panels: Mapping[object, Mapping[str, Coefficient]], features: Sequence[str]) -> "tuple[Figure, list[Axes]]":
    """A figure with room for all its text, and its axes: two panels a row, which share the features' names."""
    names = [plain(feature) for feature in features]
    across = min(len(panels), 2)
    down = math.ceil(len(panels) / across)
    longest = max(
        len(_in_raw_units(found[feature])) for found in panels.values() for feature in features if feature in found
    )
    width = 0.4 + 0.095 * max(map(len, names)) + across * (2.9 + 0.07 * longest)
    height = down * (0.3 * len(features) + 1.3) + 0.8
    figure = blank(max(width, 6), max(height, 2.6))
    grid = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    grid[0].set_yticks(range(len(features)), names)
    grid[0].set_ylim(len(features) - 0.4, -0.6)
    return figure, list(grid[: len(panels)])


def _panel(axes: "Axes", features: Sequence[str], rows: Mapping[str, Coefficient], importance: bool) -> None:
    """One class's features as points with intervals, and their values in raw units at the right."""
    factor = magnitude(max(abs(row.effect) for row in rows.values()))
    axes.axvline(0, color=INK, linewidth=1)
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "annotation_clip": False, "fontsize": 8}
    for place, feature in enumerate(features):
        if (row := rows.get(feature)) is None:
            continue
        x, colour = row.effect / factor, _colour(row)
        if row.low is not None and row.high is not None:
            ends = np.array([row.low, row.high]) * row.deviation / factor
            axes.plot(ends, [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(x, place, "o", color=colour, markersize=6.5, markeredgecolor="white")
        ink = INK if colour == GREY else colour
        axes.annotate(_in_raw_units(row), (1.02, place), va="center", ha="left", color=ink, **beside)
    heading = "rise [95 %]" if importance else "per raw unit [95 %]"
    axes.annotate(heading, (1.02, -0.75), va="bottom", color=GREY, **beside)
    axes.grid(axis="y", color="#f1f3f5")
    axes.spines.left.set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    if factor != 1:
        axes.set_xlabel(f"× {factor:.0e}", loc="right", fontsize=8)


def _colour(row: Coefficient) -> str:
    """Grey where the interval holds zero; else, and where there is none, by the sign."""
    if row.low is not None and row.high is not None and row.low <= 0 <= row.high:
        return GREY
    return BLUE if row.effect >= 0 else RED


def _in_raw_units(row: Coefficient) -> str:
    interval = "" if row.low is None or row.high is None else f"  [{readable(row.low)}, {readable(row.high)}]"
    return readable(row.value) + interval
