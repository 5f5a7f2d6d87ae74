"""What the curves of classes share: axes from zero to one, a colour a class, and a legend that has room."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.pictures.look import DASHED, GREY, PALE, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A legend of more entries than this stands beside the axes.
_MOST_INSIDE = 4


def width(curves: Sequence) -> float:
    """Inches across of a figure of so many curves, with the legend beside it that many of them need."""
    return 5.8 + (2.4 if len(curves) >= _MOST_INSIDE else 0)


def colours(count: int) -> list[str]:
    """A colour for each curve, the same grey for those beyond the palette."""
    return [*PALETTE, *[PALE] * count][:count]


def reference(axes: "Axes", label: str) -> None:
    """The diagonal to compare a curve with."""
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=DASHED, label=label)


def finish(axes: "Axes", *, x: str, y: str, title: str, legend: str) -> None:
    """Limits, names and legend; the last inside at a place such as ``lower right`` while it is short."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y, title=title)
    entries = len(axes.get_legend_handles_labels()[1])
    if entries > _MOST_INSIDE:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    elif entries:
        axes.legend(loc=legend, framealpha=0.85, frameon=True, edgecolor="none")
