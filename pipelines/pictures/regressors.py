"""How a regressor's predictions stand against the truth, and what is left over."""

import math
from typing import TYPE_CHECKING

import numpy as np

from pipelines.formatting import minus, readable
from pipelines.pictures.look import BLUE, DASHED, INK, RED, blank, magnitude, plain, style, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More points than this are drawn as hexagons coloured by their count.
_MOST_POINTS = 5_000
#: Residuals are summed up in groups of at least this many rows, and only where there are three such groups.
_GROUP = 25


def regression(actual, predicted, *, target: str = "target") -> "dict[str, Figure]":
    """How a regressor's predictions stand against the truth.

    Parameters
    ----------
    actual, predicted : (n,) numbers in the target's units.
    target : its name, for the axes.

    Returns
    -------
    dict with ``predicted_vs_actual`` and ``residuals`` (actual minus predicted, with their distribution).
    """
    actual, predicted = (np.asarray(values, dtype=float).ravel() for values in (actual, predicted))
    kept = np.isfinite(actual) & np.isfinite(predicted)
    actual, predicted = actual[kept], predicted[kept]
    name = plain(target, 34)
    factor = magnitude(max(np.abs(actual).max(initial=0), np.abs(predicted).max(initial=0)))
    actual, predicted = actual / factor, predicted / factor
    if factor != 1:
        name += f" (× {factor:.0e})"
    with style():
        return {
            "predicted_vs_actual": _predicted(actual, predicted, name),
            "residuals": _residuals(actual, predicted, name),
        }


def _predicted(actual: np.ndarray, predicted: np.ndarray, name: str) -> "Figure":
    figure = blank(6.0 + (0.8 if len(actual) > _MOST_POINTS else 0), 5.4)
    axes = figure.add_subplot()
    _points(figure, axes, actual, predicted, scale_beside=axes)
    if len(actual):
        low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
        pad = 0.04 * (high - low) or max(abs(high) * 0.1, 1)
        ends = (low - pad, high + pad)
        axes.plot(ends, ends, color=INK, linewidth=1.2, linestyle=DASHED, label="perfect prediction")
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        _note(axes, _facts(actual, predicted))
        axes.legend(loc="lower right")
    axes.set(xlabel=f"Actual {name}", ylabel=f"Predicted {name}", title="Predicted against actual")
    return figure


def _facts(actual: np.ndarray, predicted: np.ndarray) -> str:
    errors = (actual - predicted) ** 2
    facts = [f"RMSE {readable(float(np.sqrt(np.mean(errors))))}"]
    spread = float(np.sum((actual - actual.mean()) ** 2))
    if spread > 0:
        facts.append(f"R² {minus(f'{1 - np.sum(errors) / spread:.3f}')}")
    facts.append(f"{len(actual):,} rows")
    return "\n".join(facts)


def _residuals(actual: np.ndarray, predicted: np.ndarray, name: str) -> "Figure":
    residuals = actual - predicted
    figure = blank(7.6, 5.4)
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    _points(figure, axes, predicted, residuals, scale_beside=side)
    axes.axhline(0, color=INK, linewidth=1.2, linestyle=DASHED)
    if len(residuals) >= 3 * _GROUP and np.ptp(predicted) > 0:
        _trend(axes, predicted, residuals)
    if len(residuals):
        side.hist(residuals, bins=_bins(residuals), orientation="horizontal", color=BLUE, alpha=0.85)
        side.axhline(residuals.mean(), color=RED, linewidth=1.5)
        facts = f"mean {readable(residuals.mean())}\nSD {readable(residuals.std())}"
        side.set_title(facts, fontsize=9, fontweight="normal", pad=6)
    axes.set(xlabel=f"Predicted {name}", ylabel="Residual: actual − predicted")
    axes.set_title("Residuals", pad=26)
    side.set(xlabel="Rows")
    whole_numbers(side.xaxis)
    side.tick_params(labelleft=False)
    return figure


def _trend(axes: "Axes", predicted: np.ndarray, residuals: np.ndarray) -> None:
    """Residuals in equally full groups: a median off zero is bias, a band that widens is unequal variance."""
    groups = np.array_split(np.argsort(predicted, kind="stable"), min(10, len(residuals) // _GROUP))
    middle = [float(np.median(predicted[group])) for group in groups]
    low, median, high = np.array([np.quantile(residuals[group], [0.1, 0.5, 0.9]) for group in groups]).T
    axes.plot(middle, median, color=RED, linewidth=2, label=f"median in {len(groups)} equal groups")
    axes.plot(middle, low, color=RED, linewidth=1, linestyle=":", label="10th and 90th percentile")
    axes.plot(middle, high, color=RED, linewidth=1, linestyle=":")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0)


def _points(figure: "Figure", axes: "Axes", x: np.ndarray, y: np.ndarray, *, scale_beside: "Axes") -> None:
    """Points where there are few, hexagons coloured by their count, with its scale, where there are many."""
    if len(x) <= _MOST_POINTS:
        size, alpha = (26, 0.6) if len(x) <= 500 else (10, 0.35)
        axes.scatter(x, y, s=size, alpha=alpha, color=BLUE, edgecolors="white", linewidths=0.3)
        return
    hexagons = axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap="viridis_r", linewidths=0.1)
    scale = figure.colorbar(hexagons, ax=scale_beside, shrink=0.75, pad=0.03)
    scale.set_label("Rows in a cell")
    scale.outline.set_visible(False)


def _note(axes: "Axes", text: str) -> None:
    """A few figures in the upper left corner of the axes."""
    from matplotlib.offsetbox import AnchoredText

    around = {"size": 9, "linespacing": 1.5}
    box = AnchoredText(text, loc="upper left", frameon=True, borderpad=0.3, pad=0.3, prop=around)
    box.patch.set(facecolor="white", edgecolor="none", alpha=0.8)
    axes.add_artist(box)


def _bins(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram: at most 40 bins, one around values that are all alike."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        reach = max(abs(low), 1.0) * 0.05
        return np.array([low - reach, low + reach])
    return np.linspace(low, high, min(40, max(8, math.ceil(2 * len(values) ** (1 / 3)))) + 1)
