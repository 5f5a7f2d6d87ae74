"""What a classifier takes for what: the confusion matrix."""

import math
from typing import TYPE_CHECKING

import numpy as np

from pipelines.pictures.labels import places
from pipelines.pictures.look import GREY, INK, blank, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: With more classes than this there is no room for numbers in the cells, or for every name.
_MOST_NUMBERED, _MOST_NAMED = 15, 40
#: With so few classes there is room for whole counts, and for shares that are zero.
_FEW = 3


def confusion(actual: list, predicted: list, classes: list) -> "Figure":
    """Rows by actual and answered class, coloured by the share of the actual class.

    Parameters
    ----------
    actual, predicted : (n,) labels.
    classes : the known labels in order; others that occur come after them.
    """
    others = sorted({*actual, *predicted} - {*classes}, key=str)
    labels = list(dict.fromkeys([*classes, *others]))
    k = len(labels)
    counts = np.bincount(places(actual, labels) * k + places(predicted, labels), minlength=k * k).reshape(k, k)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    names = [plain(label, 24 if k <= 12 else 14) for label in labels]
    size = min(max(3.4 + 0.62 * k, 4.8), 11)
    longest = max(map(len, names))
    figure = blank(size + 0.8 + 0.06 * max(longest - 8, 0), size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    if k <= _MOST_NUMBERED:
        _numbers(axes, counts, shares)
    every = math.ceil(k / _MOST_NAMED)
    axes.set_xticks(range(0, k, every), names[::every])
    axes.set_yticks(range(0, k, every), names[::every])
    if longest > 12 * (size - 1.5) / min(k, _MOST_NAMED):
        axes.tick_params(axis="x", labelrotation=40)
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="Predicted class", ylabel="Actual class")
    right = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(f"Confusion matrix: {right:.1%} of {counts.sum():,} right")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.03, format=lambda share, _: f"{share:.0%}")
    bar.set_label("Share of the actual class")
    bar.outline.set_visible(False)
    return figure


def _numbers(axes: "Axes", counts: np.ndarray, shares: np.ndarray) -> None:
    """Each cell's count, and its share where there is one."""
    k = len(counts)
    font = 12 if k <= _FEW else max(7, 11 - 0.25 * k)
    for i, j in np.ndindex(k, k):
        count, share = int(counts[i, j]), float(shares[i, j])
        has_share = count > 0 or (k <= _FEW and counts[i].any())
        text = f"{count:,}" if k <= _FEW else _short(count)
        if has_share:
            text += f"\n{share:.1%}"
        colour = "white" if share > 0.55 else INK if has_share else GREY
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=font)


def _short(count: int) -> str:
    """A count in few characters: 950, 12k, 3.4M."""
    if count < 10_000:
        return str(count)
    if count < 1_000_000:
        return f"{count / 1_000:.0f}k"
    return f"{count / 1_000_000:,.1f}M"
