"""How every picture looks: its figure, colours and fonts, and names that matplotlib draws as they stand."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with every common colour blindness; the yellow, too pale on white, is left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, RED = PALETTE[:2]
INK, GREY, PALE = "#1f2933", "#6b7785", "#d9dee4"

#: The dashes of a line to compare with: an exact prediction, chance.
DASHED = (0, (5, 3))

#: For scripts that matplotlib's own font lacks.
_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Emoji")
_STYLE = {
    "font.size": 10,
    "text.color": INK,
    "text.usetex": False,
    "text.parse_math": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.unicode_minus": True,
    "grid.color": "#e8ecf0",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.bbox": None,
    "svg.fonttype": "path",
    # Without it an SVG's identifiers differ from run to run.
    "svg.hashsalt": "pictures",
}


@contextmanager
def style() -> Iterator[None]:
    """The pictures' look for a while, whatever the machine's matplotlibrc says; then everything is as it was."""
    import matplotlib
    from matplotlib import font_manager

    there = set(font_manager.fontManager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in _FALLBACKS if font in there)]
    default = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    with matplotlib.rc_context(default | _STYLE | {"font.family": fonts}):
        yield


def blank(width: float, height: float) -> "Figure":
    """A figure without axes, in inches; without pyplot, which keeps every figure and asks for a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    return figure


def plain(text: object, longest: int = 40) -> str:
    """Any name as one short line that matplotlib draws as it stands: no mathematics, no control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > longest:
        tail = longest // 3
        line = f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return line.replace("$", r"\$")


def whole_numbers(axis: "Axis") -> None:
    """Few ticks along an axis of counts, at whole numbers, with thousands set apart."""
    axis.set_major_formatter("{x:,.0f}")
    # An axis starts with a locator that takes these; the type says only that it is one.
    locator: Any = axis.get_major_locator()
    locator.set_params(nbins=3, integer=True)


def magnitude(largest: float) -> float:
    """What to divide numbers by before drawing: one, or a power of ten where they are too large or small to draw."""
    if largest == 0 or 1e-12 < largest < 1e12:
        return 1.0
    return 10.0 ** max(min(math.floor(math.log10(largest)), 307), -307)
