"""Predicted probabilities against what was observed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.formatting import readable
from pipelines.pictures import square
from pipelines.pictures.labels import OneVsRest
from pipelines.pictures.look import PALE, PALETTE, blank, plain, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of more classes than this, intervals would cover one another.
_MOST_INTERVALS = 3


def calibration(scored: Sequence[OneVsRest]) -> "Figure":
    """The observed share of a class by its predicted probability, and below how many rows have which probability."""
    figure = blank(square.width(scored), 6.2)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    square.reference(axes, "perfectly calibrated")
    edges = np.linspace(0, 1, 21)
    if len(scored) > len(PALETTE):
        scored = sorted(scored, key=_brier, reverse=True)
    for one, colour in zip(scored, square.colours(len(scored)), strict=True):
        beyond = colour == PALE
        axes.errorbar(
            *_binned(one, intervals=len(scored) <= _MOST_INTERVALS),
            fmt="o-",
            color=colour,
            linewidth=1.6,
            elinewidth=1,
            capsize=2,
            markersize=5,
            label=None if beyond else f"{plain(one.label, 24)} (Brier {readable(_brier(one))})",
            zorder=1 if beyond else 3,
        )
        counts, _ = np.histogram(np.clip(one.scores, 0, 1), edges)
        below.stairs(counts, edges, color=colour, fill=len(scored) == 1, alpha=0.85, linewidth=1.4)
    if others := scored[len(PALETTE) :]:
        axes.plot([], [], color=PALE, linewidth=1.6, label=f"{len(others)} more")
    square.finish(axes, x="", y="Observed share", title="Calibration", legend="upper left")
    bars = " (bars: 95 % interval)" if len(scored) <= _MOST_INTERVALS else ""
    below.set(xlabel=f"Predicted probability{bars}", ylabel="Rows")
    whole_numbers(below.yaxis)
    return figure


def _brier(one: OneVsRest) -> float:
    """The mean squared error of the probabilities (Brier 1950)."""
    return float(np.mean((np.clip(one.scores, 0, 1) - one.hits) ** 2))


def _binned(one: OneVsRest, *, intervals: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The mean probability, the observed share and its distances to both ends of its interval, of ten equal bins."""
    scores = np.clip(one.scores, 0, 1)
    # Equally full bins; rows of one probability stay in one bin.
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, 11)[1:-1]))
    place = np.searchsorted(inner, scores, side="right")
    count = np.bincount(place)
    used = count > 0
    mean = np.bincount(place, scores)[used] / count[used]
    share = np.bincount(place, one.hits)[used] / count[used]
    low, high = _wilson(share, count[used])
    return mean, share, np.abs([share - low, high - share]) if intervals else None


def _wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval of shares of `count` rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half
