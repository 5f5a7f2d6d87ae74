"""The pictures of a judged model: arrays in, matplotlib figures out, without pyplot and its global state."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.coefficients import Coefficient

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with every common colour blindness; the yellow, too pale on white, is left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, RED, GREEN = PALETTE[:3]
INK, GREY, PALE = "#1f2933", "#6b7785", "#d9dee4"

#: More points than this are drawn as hexagons coloured by their count, and longer curves are thinned out.
MOST_POINTS = 5_000
#: More rows than this are sampled for curves of many classes, which need a sort a class.
MOST_SCORES = 1_500_000

_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Emoji")
_STYLE = {
    **{"font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left"},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.labelcolor": INK},
    **{"axes.titlepad": 10, "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e8ecf0", "grid.linewidth": 0.8},
    **{"text.color": INK, "xtick.color": GREY, "ytick.color": GREY, "xtick.labelcolor": INK, "ytick.labelcolor": INK},
    **{"legend.frameon": False, "legend.fontsize": 9, "figure.facecolor": "white", "axes.facecolor": "white"},
    **{"text.usetex": False, "text.parse_math": True, "axes.formatter.useoffset": False, "axes.unicode_minus": True},
    **{"axes.formatter.limits": (-4, 6), "savefig.bbox": None, "svg.fonttype": "path", "svg.hashsalt": "pictures"},
}


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
    import numpy as np

    actual, predicted = _numbers(actual), _numbers(predicted)
    kept = np.isfinite(actual) & np.isfinite(predicted)
    actual, predicted = actual[kept], predicted[kept]
    factor, unit = _magnitude(actual, predicted)
    name = plain(target, 34) + unit
    with _style():
        return {
            "predicted_vs_actual": _predicted(actual / factor, predicted / factor, name),
            "residuals": _residuals(actual / factor, predicted / factor, name),
        }


def classification(
    actual, probabilities, predicted, classes: Sequence, positive=None, threshold: float | None = None
) -> "dict[str, Figure]":
    """How well a classifier ranks, how honest its probabilities are, and what it confuses with what.

    Parameters
    ----------
    actual, predicted : (n,) labels.
    probabilities : (n, k) probabilities in the order of `classes`; None where the model gives none.
    classes : the k labels.
    positive : of two, the one the curves are about; the second where it is None.
    threshold : from which probability of `positive` it is answered; 0.5 where it is None.

    Returns
    -------
    dict with ``roc``, ``precision_recall`` and ``calibration`` (where there are probabilities) and
    ``confusion_matrix``. With more than two classes the curves are one-vs-rest.
    """
    import numpy as np

    actual, predicted, classes = _labels(actual), _labels(predicted), _labels(classes)
    with _style():
        figures = {}
        if probabilities is not None and len(actual):
            scores = np.asarray(probabilities, dtype=float)
            curves = _one_vs_rest(actual, scores, classes, positive)
            binary = len(classes) == 2
            cut = (0.5 if threshold is None else float(threshold)) if binary else None
            answered = _codes(predicted, [curves[0][0]]) == 0 if binary else None
            figures["roc"] = _roc(curves, cut, answered)
            figures["precision_recall"] = _precision_recall(curves, cut, answered)
            figures["calibration"] = _calibration(curves)
        figures["confusion_matrix"] = _confusion(actual, predicted, classes)
        return figures


def coefficients(
    rows: Sequence[Coefficient], *, score: str = "the score", importance: bool = False, limit: int = 25
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
    limit : how many features are shown at most.

    Returns
    -------
    dict with ``coefficients`` (or ``importances``), a panel a class; empty where there is nothing to show.
    """
    shown = [row for row in rows if row.column is not None and math.isfinite(row.effect)]
    if not shown:
        return {}
    with _style():
        return {"importances" if importance else "coefficients": _forest(shown, score, importance, limit)}


def write(figures: "Mapping[str, Figure]", folder: Path, formats: Iterable[str] = ("png",)) -> list[Path]:
    """Write each figure as ``<folder>/<name>.<format>`` and return the paths; the same figure gives the same bytes."""
    import warnings

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with _style(), warnings.catch_warnings():
        # A script no font here has is drawn as boxes, which is seen; a warning a character helps nobody.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for name, figure in figures.items():
            for form in formats:
                path = folder / f"{name}.{form}"
                undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
                figure.savefig(path, format=form, dpi=144, metadata=undated.get(form))
                paths.append(path)
    return paths


def plain(text, longest: int = 40) -> str:
    """Any name as one short line that matplotlib draws as it stands: no mathematics, no control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > longest:
        tail = longest // 3
        line = f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return line.replace("$", r"\$")


def _predicted(actual, predicted, name: str) -> "Figure":
    import numpy as np

    figure = _figure(6.0 + (0.8 if len(actual) > MOST_POINTS else 0), 5.4)
    axes = figure.add_subplot()
    _points(figure, axes, actual, predicted)
    if len(actual):
        low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
        pad = 0.04 * (high - low) or max(abs(high) * 0.1, 1)
        ends = (low - pad, high + pad)
        axes.plot(ends, ends, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label="perfect prediction")
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        error = float(np.sqrt(np.mean((actual - predicted) ** 2)))
        spread = float(np.sum((actual - actual.mean()) ** 2))
        r2 = f"\nR² {_minus(f'{1 - np.sum((actual - predicted) ** 2) / spread:.3f}')}" if spread > 0 else ""
        _note(axes, f"RMSE {readable(error)}{r2}\n{len(actual):,} rows")
        axes.legend(loc="lower right")
    axes.set(xlabel=f"Actual {name}", ylabel=f"Predicted {name}", title="Predicted against actual")
    return figure


def _residuals(actual, predicted, name: str) -> "Figure":
    import numpy as np

    residuals = actual - predicted
    figure = _figure(7.6, 5.4)
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    _points(figure, axes, predicted, residuals, bar=side)
    axes.axhline(0, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    if len(residuals) >= 75 and np.ptp(predicted) > 0:
        # Equally full bins: a median off zero is bias, a band that widens is unequal variance.
        bins = np.array_split(np.argsort(predicted, kind="stable"), min(10, len(residuals) // 25))
        middle = [float(np.median(predicted[b])) for b in bins]
        quartiles = np.array([np.quantile(residuals[b], [0.1, 0.5, 0.9]) for b in bins]).T
        axes.plot(middle, quartiles[1], color=RED, linewidth=2, label=f"median in {len(bins)} equal groups")
        axes.plot(middle, quartiles[0], color=RED, linewidth=1, linestyle=":", label="10th and 90th percentile")
        axes.plot(middle, quartiles[2], color=RED, linewidth=1, linestyle=":")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0)
    if len(residuals):
        side.hist(residuals, bins=_bins(residuals), orientation="horizontal", color=BLUE, alpha=0.85)
        side.axhline(residuals.mean(), color=RED, linewidth=1.5)
        facts = f"mean {readable(residuals.mean())}\nSD {readable(residuals.std())}"
        side.set_title(facts, fontsize=9, fontweight="normal", pad=6)
    axes.set(xlabel=f"Predicted {name}", ylabel="Residual: actual − predicted")
    axes.set_title("Residuals", pad=26)
    side.set(xlabel="Rows")
    side.xaxis.set_major_formatter("{x:,.0f}")
    side.xaxis.get_major_locator().set_params(nbins=3, integer=True)
    side.tick_params(labelleft=False)
    return figure


def _one_vs_rest(actual, scores, classes: list, positive) -> list[tuple]:
    """``(label, hits (n,) bool, scores (n,), rows of all)`` for each class a curve is about."""
    import numpy as np

    n, k = scores.shape
    if k == 2:
        wanted = [classes.index(positive) if positive in classes else 1]
    else:
        wanted = list(range(k))
    if k > 2 and n * k > MOST_SCORES:
        chosen = np.random.default_rng(0).choice(n, MOST_SCORES // k, replace=False)
        actual, scores = [actual[i] for i in chosen], scores[chosen]
    codes = _codes(actual, classes)
    return [(classes[i], codes == i, np.nan_to_num(scores[:, i])) for i in wanted]


def _roc(curves, cut, answered) -> "Figure":
    from sklearn.metrics import auc, roc_curve

    drawn = []
    for label, hits, scores in curves:
        if 0 < hits.sum() < len(hits):
            false, true, _ = roc_curve(hits, scores)
            drawn.append((label, false, true, float(auc(false, true))))
    figure = _figure(5.8 + _aside(curves), 5.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (5, 3)), label="chance (AUC 0.5)")
    _curves(axes, drawn, "AUC", step=False)
    if answered is not None and drawn:
        hits = curves[0][1]
        x, y = float(answered[~hits].mean()), float(answered[hits].mean())
        label = f"threshold {cut:.3g}: {y:.0%} found,\n{x:.1%} false alarms"
        axes.plot(x, y, "o", markersize=9, color=RED, markeredgecolor="white", label=label, clip_on=False, zorder=5)
    title = f"ROC: {plain(curves[0][0])}" if answered is not None else "ROC, one class against the rest"
    _unit_square(axes, "False positive rate", "True positive rate (recall)", title, "lower right")
    if not drawn:
        _empty(axes, "one class only: no curve")
    return figure


def _precision_recall(curves, cut, answered) -> "Figure":
    from sklearn.metrics import average_precision_score, precision_recall_curve

    drawn = []
    for label, hits, scores in curves:
        if hits.any():
            precision, recall, _ = precision_recall_curve(hits, scores)
            drawn.append((label, recall[::-1], precision[::-1], float(average_precision_score(hits, scores))))
    figure = _figure(5.8 + _aside(curves), 5.6)
    axes = figure.add_subplot()
    _curves(axes, drawn, "AP", step=True)
    if answered is not None and drawn:
        hits = curves[0][1]
        share = float(hits.mean())
        axes.axhline(share, color=GREY, linewidth=1, linestyle=(0, (5, 3)), label=f"share of the class: {share:.1%}")
        if answered.any():
            x, y = float(answered[hits].mean()), float(hits[answered].mean())
            label = f"threshold {cut:.3g}: precision {y:.3f}, recall {x:.3f}"
            axes.plot(x, y, "o", markersize=9, color=RED, markeredgecolor="white", label=label, clip_on=False, zorder=5)
        else:
            axes.plot([], [], " ", label=f"threshold {cut:.3g}: never answered")
    title = f"Precision and recall: {plain(curves[0][0], 30)}" if answered is not None else "Precision and recall"
    _unit_square(axes, "Recall", "Precision", title, "lower left")
    if not drawn:
        _empty(axes, "no row of the class: no curve")
    return figure


def _calibration(curves) -> "Figure":
    import numpy as np

    figure = _figure(5.8 + _aside(curves), 6.2)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (5, 3)), label="perfectly calibrated")
    edges = np.linspace(0, 1, 21)
    drawn = []
    for label, hits, scores in curves:
        scores = np.clip(scores, 0, 1)
        drawn.append((label, hits, scores, float(np.mean((scores - hits) ** 2))))
    if len(drawn) > len(PALETTE):
        drawn = sorted(drawn, key=lambda curve: -curve[3])
    colours = _colours(len(drawn))
    for (label, hits, scores, brier), colour in zip(drawn, colours, strict=True):
        # Equally full bins; rows of one probability stay in one bin.
        inner = np.unique(np.quantile(scores, np.linspace(0, 1, 11)[1:-1]))
        place = np.searchsorted(inner, scores, side="right")
        count = np.bincount(place)
        used = count > 0
        mean = np.bincount(place, scores)[used] / count[used]
        share = np.bincount(place, hits)[used] / count[used]
        low, high = _wilson(share, count[used])
        named = f"{plain(label, 24)} (Brier {readable(brier)})" if colour != PALE else None
        bars = None if len(curves) > 3 else np.abs([share - low, high - share])
        style = {"color": colour, "linewidth": 1.6, "elinewidth": 1, "capsize": 2, "markersize": 5}
        axes.errorbar(mean, share, bars, fmt="o-", label=named, zorder=1 if colour == PALE else 3, **style)
        counts, _ = np.histogram(scores, edges)
        below.stairs(counts, edges, color=colour, fill=len(curves) == 1, alpha=0.85, linewidth=1.4)
    if len(drawn) > len(PALETTE):
        axes.plot([], [], color=PALE, linewidth=1.6, label=f"{len(drawn) - len(PALETTE)} more")
    _unit_square(axes, "", "Observed share", "Calibration", "upper left", equal=False)
    kind = " (bars: 95 % interval)" if len(curves) <= 3 else ""
    below.set(xlabel=f"Predicted probability{kind}", ylabel="Rows")
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.yaxis.get_major_locator().set_params(nbins=3, integer=True)
    return figure


def _confusion(actual: list, predicted: list, classes: list) -> "Figure":
    import numpy as np

    labels = list(dict.fromkeys([*classes, *sorted({*actual, *predicted} - {*classes}, key=str)]))
    k = len(labels)
    row, column = _codes(actual, labels), _codes(predicted, labels)
    counts = np.bincount(row * k + column, minlength=k * k).reshape(k, k)
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    names = [plain(label, 24 if k <= 12 else 14) for label in labels]
    size = min(max(3.4 + 0.62 * k, 4.8), 11)
    figure = _figure(size + 0.8 + 0.06 * max(max(map(len, names)) - 8, 0), size)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    if k <= 15:
        font = 12 if k <= 3 else max(7, 11 - 0.25 * k)
        for i in range(k):
            for j in range(k):
                percent = f"\n{share[i, j]:.1%}" if counts[i, j] or (k <= 3 and totals[i, 0]) else ""
                colour = "white" if share[i, j] > 0.55 else INK if percent else GREY
                text = f"{_short(counts[i, j]) if k > 3 else f'{counts[i, j]:,}'}{percent}"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=font)
    every = max(1, math.ceil(k / 40))
    axes.set_xticks(range(0, k, every), names[::every])
    axes.set_yticks(range(0, k, every), names[::every])
    if max(map(len, names)) > 12 * (size - 1.5) / min(k, 40):
        axes.tick_params(axis="x", labelrotation=40)
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="Predicted class", ylabel="Actual class")
    right = float(np.trace(counts) / max(counts.sum(), 1))
    axes.set_title(f"Confusion matrix: {right:.1%} of {counts.sum():,} right")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.03, format=_percent)
    bar.set_label("Share of the actual class")
    bar.outline.set_visible(False)
    return figure


def _forest(rows: list[Coefficient], score: str, importance: bool, limit: int) -> "Figure":
    strongest: dict[str, float] = {}
    for row in rows:
        strongest[row.feature] = max(strongest.get(row.feature, 0.0), abs(row.effect))
    groups: dict = {}
    for row in rows:
        groups.setdefault(row.class_label, {})[row.feature] = row
    panels = sorted(groups, key=lambda c: -max(abs(r.effect) for r in groups[c].values()))[:9]
    panels = [label for label in groups if label in panels]
    if len(panels) > 3:
        limit = min(limit, 12)
    features = sorted(strongest, key=lambda f: -strongest[f])[:limit]

    names = [plain(feature) for feature in features]
    across = min(len(panels), 2)
    down = math.ceil(len(panels) / across)
    height = 0.3 * len(features) + 0.4
    longest = max(len(_in_raw_units(groups[label][f])) for label in panels for f in features if f in groups[label])
    width = 0.4 + 0.095 * max(map(len, names)) + across * (2.9 + 0.07 * longest)
    figure = _figure(max(width, 6), max(down * (height + 0.9) + 0.8, 2.6))
    grid = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, label in zip(grid, panels, strict=False):
        _panel(axes, features, groups[label], importance)
        if label is not None and len(groups) > 1:
            axes.set_title(plain(label, 36), fontsize=11)
    grid[0].set_yticks(range(len(features)), names)
    grid[0].set_ylim(len(features) - 0.4, -0.6)

    what = plain(score, 40)
    classes = [label for label in groups if label is not None]
    if len(classes) == 1:
        what += f" of {plain(classes[0], 30)}"
    figure.supxlabel(
        f"Rise of {what} when shuffled" if importance else f"Change of {what} per standard deviation", size=10
    )
    title = "Permutation importance" if importance else "Coefficients"
    if (more := len(strongest) - len(features)) > 0:
        title += f": strongest {len(features)} of {len(features) + more}"
    if len(panels) < len(groups):
        title += f", {len(panels)} of {len(groups)} classes"
    figure.suptitle(title, size=12, weight="bold", x=0.01, ha="left")
    return figure


def _panel(axes: "Axes", features: list[str], rows: dict, importance: bool) -> None:
    """One class's features as points with intervals, and their values in raw units at the right."""
    import numpy as np

    largest = max(max(abs(r.effect) for r in rows.values()), 1e-300)
    factor = 10.0 ** math.floor(math.log10(largest)) if not 1e-15 < largest < 1e15 else 1.0
    axes.axvline(0, color=INK, linewidth=1)
    for place, feature in enumerate(features):
        if (row := rows.get(feature)) is None:
            continue
        x = row.effect / factor
        sure = row.low is not None and row.high is not None and (row.low > 0 or row.high < 0)
        colour = GREY if row.low is not None and not sure else (BLUE if x >= 0 else RED)
        if row.low is not None and row.high is not None:
            ends = np.array([row.low, row.high]) * row.deviation / factor
            axes.plot(ends, [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(x, place, "o", color=colour, markersize=6.5, markeredgecolor="white")
        style: dict[str, Any] = {
            "va": "center",
            "ha": "left",
            "fontsize": 8,
            "color": colour if colour != GREY else INK,
        }
        axes.annotate(
            _in_raw_units(row), (1.02, place), xycoords=("axes fraction", "data"), annotation_clip=False, **style
        )
    heading = "rise [95 %]" if importance else "per raw unit [95 %]"
    axes.annotate(heading, (1.02, -0.75), xycoords=("axes fraction", "data"), fontsize=8, color=GREY, va="bottom")
    axes.grid(axis="y", color="#f1f3f5")
    axes.spines.left.set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    if factor != 1.0:
        axes.set_xlabel(f"× {factor:.0e}", loc="right", fontsize=8)


def _in_raw_units(row: Coefficient) -> str:
    interval = "" if row.low is None or row.high is None else f"  [{readable(row.low)}, {readable(row.high)}]"
    return readable(row.value) + interval


def _points(figure: "Figure", axes: "Axes", x, y, bar: "Axes | None" = None) -> None:
    """Points where there are few, hexagons coloured by their count where there are many."""
    if len(x) <= MOST_POINTS:
        size, alpha = (26, 0.6) if len(x) <= 500 else (10, 0.35)
        axes.scatter(x, y, s=size, alpha=alpha, color=BLUE, edgecolors="white", linewidths=0.3)
        return
    hexagons = axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap="viridis_r", linewidths=0.1)
    colours = figure.colorbar(hexagons, ax=bar or axes, shrink=0.75, pad=0.03)
    colours.set_label("Rows in a cell")
    colours.outline.set_visible(False)


def _curves(axes: "Axes", drawn: list[tuple], measure: str, *, step: bool) -> None:
    """Curves of up to seven classes in colours, the weakest where there are more, and the others in grey."""
    if len(drawn) > len(PALETTE):
        drawn = sorted(drawn, key=lambda curve: curve[3])
    colours = _colours(len(drawn))
    others = [curve[3] for curve, colour in zip(drawn, colours, strict=True) if colour == PALE]
    for (label, x, y, value), colour in zip(drawn, colours, strict=True):
        x, y = _thin(x, y)
        name = f"{plain(label, 24)} ({measure} {value:.3f})" if colour != PALE else None
        style: dict[str, Any] = {"drawstyle": "steps-pre"} if step else {}
        axes.plot(x, y, color=colour, linewidth=2, label=name, zorder=2 if colour == PALE else 3, **style)
    if others:
        label = f"{len(others)} more ({measure} {min(others):.3f} to {max(others):.3f})"
        axes.plot([], [], color=PALE, linewidth=2, label=label)


def _colours(count: int) -> list[str]:
    return [PALETTE[i] if i < len(PALETTE) else PALE for i in range(count)]


def _thin(x, y):
    """A long curve on at most 2,000 of its points, its ends included."""
    import numpy as np

    if len(x) <= 2_000:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, 2_000).astype(int))
    return x[kept], y[kept]


def _unit_square(axes: "Axes", x: str, y: str, title: str, legend: str, *, equal: bool = True) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y, title=title)
    if equal:
        axes.set_aspect("equal")
    entries = len(axes.get_legend_handles_labels()[1])
    if entries > 4:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    elif entries:
        axes.legend(loc=legend, framealpha=0.85, frameon=True, edgecolor="none")


def _aside(curves: list) -> float:
    """Inches that a legend of many classes takes beside the axes."""
    return 2.4 if len(curves) > 3 else 0.0


def _empty(axes: "Axes", text: str) -> None:
    around = {"facecolor": "white", "edgecolor": "none"}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, bbox=around)


def _note(axes: "Axes", text: str) -> None:
    """A few figures in the upper left corner of the axes."""
    from matplotlib.offsetbox import AnchoredText

    box = AnchoredText(
        text, loc="upper left", frameon=True, borderpad=0.3, pad=0.3, prop={"size": 9, "linespacing": 1.5}
    )
    box.patch.set(facecolor="white", edgecolor="none", alpha=0.8)
    axes.add_artist(box)


def _wilson(share, count, z: float = 1.96):
    """Wilson's 95 % interval of shares of `count` rows (Wilson 1927)."""
    import numpy as np

    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half


def _bins(values) -> "np.ndarray":
    """Edges of a histogram: at most 40 bins, one around values that are all alike."""
    import numpy as np

    low, high = float(values.min()), float(values.max())
    if not high > low or (high - low) < 1e-12 * max(abs(low), abs(high)):
        reach = max(abs(low), 1.0) * 0.05
        return np.array([low - reach, low + reach])
    return np.linspace(low, high, min(40, max(8, math.ceil(2 * len(values) ** (1 / 3)))) + 1)


def _numbers(values) -> "np.ndarray":
    import numpy as np

    return np.asarray(values, dtype=float).ravel()


def _labels(values) -> list:
    """Labels as plain Python values, so that they compare and hash alike wherever they come from."""
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _codes(values: list, labels: list) -> "np.ndarray":
    """The place of each value in `labels`, -1 where it is not there."""
    import numpy as np

    place = {label: i for i, label in enumerate(labels)}
    return np.fromiter((place.get(value, -1) for value in values), dtype=np.int64, count=len(values))


def _magnitude(*arrays) -> tuple[float, str]:
    """What to divide enormous or minute values by before drawing, as a number and as a suffix for an axis."""
    largest = max((float(abs(array).max()) for array in arrays if len(array)), default=0.0)
    if largest == 0 or 1e-12 < largest < 1e12:
        return 1.0, ""
    factor = 10.0 ** max(min(math.floor(math.log10(largest)), 307), -307)
    return factor, f" (× {factor:.0e})"


def readable(value: float) -> str:
    """A number to three significant digits: 53.1, 1,240, −0.00213, 1.2e+07."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size < 6:
        text = f"{value:.2e}"
    else:
        text = f"{round(value, 2 - size):,.{max(2 - size, 0)}f}"
    return _minus(text)


def _minus(text: str) -> str:
    """The typographer's minus, as matplotlib writes its ticks."""
    return text.replace("-", "−")


def _short(count: int) -> str:
    """A count in few characters: 950, 12k, 3.4M."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1_000_000 if unit == 'M' else 1_000):.3g}{unit}"
    return str(count)


def _percent(value: float, _place=None) -> str:
    return f"{value:.0%}"


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def _style():
    """This module's look for a while, whatever the machine's matplotlibrc says; then everything is as it was."""
    import matplotlib
    from matplotlib import font_manager

    there = set(font_manager.fontManager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in _FALLBACKS if font in there)]
    default = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    with matplotlib.rc_context(default | _STYLE | {"font.family": fonts}):
        yield
