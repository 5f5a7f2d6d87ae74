"""Over all thresholds: ROC and precision-recall curves, with the decision that the model makes marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from pipelines.pictures import square
from pipelines.pictures.labels import OneVsRest
from pipelines.pictures.look import DASHED, GREY, PALE, PALETTE, RED, blank, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Longer curves are thinned out to so many of their points.
_MOST_POINTS = 2_000


@dataclass(frozen=True)
class Decision:
    """What a model of two classes answers.

    Parameters
    ----------
    threshold : from which probability it answers with the class that the curve is about.
    answered : (n,) to which rows it did.
    """

    threshold: float
    answered: np.ndarray


@dataclass(frozen=True)
class _Curve:
    label: object
    x: np.ndarray
    y: np.ndarray
    area: float


def roc(scored: Sequence[OneVsRest], decision: Decision | None) -> "Figure":
    """True against false positive rate, a curve a class; a decision is a dot on the curve of its class."""
    drawn = []
    for one in scored:
        if 0 < one.hits.sum() < len(one.hits):
            false, true, _ = roc_curve(one.hits, one.scores)
            drawn.append(_Curve(one.label, false, true, float(auc(false, true))))
    figure = blank(square.width(scored), 5.6)
    axes = figure.add_subplot(aspect="equal")
    square.reference(axes, "chance (AUC 0.5)")
    _draw(axes, drawn, "AUC", drawstyle="default")
    title = "ROC, one class against the rest"
    if decision:
        title = f"ROC: {plain(scored[0].label)}"
    if decision and drawn:
        hits = scored[0].hits
        alarms, recall = float(decision.answered[~hits].mean()), float(decision.answered[hits].mean())
        text = f"threshold {decision.threshold:.3g}: {recall:.0%} found,\n{alarms:.1%} false alarms"
        _mark(axes, alarms, recall, text)
    y = "True positive rate (recall)"
    square.finish(axes, x="False positive rate", y=y, title=title, legend="lower right")
    if not drawn:
        _say(axes, "one class only: no curve")
    return figure


def precision_recall(scored: Sequence[OneVsRest], decision: Decision | None) -> "Figure":
    """Precision against recall, a curve a class; a decision is a dot on the curve of its class."""
    drawn = []
    for one in scored:
        if one.hits.any():
            precision, recall, _ = precision_recall_curve(one.hits, one.scores)
            area = float(average_precision_score(one.hits, one.scores))
            drawn.append(_Curve(one.label, recall[::-1], precision[::-1], area))
    figure = blank(square.width(scored), 5.6)
    axes = figure.add_subplot(aspect="equal")
    # Steps: between two thresholds there is no precision, and their area is the average precision.
    _draw(axes, drawn, "AP", drawstyle="steps-pre")
    title = "Precision and recall"
    if decision:
        title += f": {plain(scored[0].label, 30)}"
    if decision and drawn:
        hits, answered = scored[0].hits, decision.answered
        share = float(hits.mean())
        axes.axhline(share, color=GREY, linewidth=1, linestyle=DASHED, label=f"share of the class: {share:.1%}")
        text = f"threshold {decision.threshold:.3g}: "
        if answered.any():
            found, right = float(answered[hits].mean()), float(hits[answered].mean())
            _mark(axes, found, right, text + f"precision {right:.3f}, recall {found:.3f}")
        else:
            axes.plot([], [], " ", label=text + "never answered")
    square.finish(axes, x="Recall", y="Precision", title=title, legend="lower left")
    if not drawn:
        _say(axes, "no row of the class: no curve")
    return figure


def _draw(axes: "Axes", drawn: list[_Curve], measure: str, *, drawstyle: str) -> None:
    """Curves in colours; of more than there are colours, the weakest, and the others in grey."""
    if len(drawn) > len(PALETTE):
        drawn = sorted(drawn, key=lambda curve: curve.area)
    for curve, colour in zip(drawn, square.colours(len(drawn)), strict=True):
        x, y = _thin(curve.x, curve.y)
        beyond = colour == PALE
        name = None if beyond else f"{plain(curve.label, 24)} ({measure} {curve.area:.3f})"
        axes.plot(x, y, color=colour, linewidth=2, label=name, zorder=2 if beyond else 3, drawstyle=drawstyle)
    if others := drawn[len(PALETTE) :]:
        label = f"{len(others)} more ({measure} {others[0].area:.3f} to {others[-1].area:.3f})"
        axes.plot([], [], color=PALE, linewidth=2, label=label)


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A long curve on some of its points, its ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(int))
    return x[kept], y[kept]


def _mark(axes: "Axes", x: float, y: float, label: str) -> None:
    """The decision, as a dot that may lie on the edge of the axes."""
    axes.plot(x, y, "o", markersize=9, color=RED, markeredgecolor="white", label=label, clip_on=False, zorder=5)


def _say(axes: "Axes", text: str) -> None:
    """Why there is nothing to see."""
    around = {"facecolor": "white", "edgecolor": "none"}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, bbox=around)
