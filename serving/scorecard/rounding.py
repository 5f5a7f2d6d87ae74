"""How far rounding may move the probabilities of a row: the part of ``parity``'s law that is about links."""

from collections.abc import Sequence

import numpy as np

from .arrayresponses import margins, points
from .nodes import Ensemble, Estimator, Response
from .steps import Piecewise

UNIT = 1e-12
#: Where all of the probabilities to normalise vanish, so do their digits.
VANISHING = -600.0


def probability_tolerances(model: Estimator, classes: int, scores: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """By how much a probability of each row may differ, shape (rows,); infinity where no digit of it is sure.

    Parameters
    ----------
    classes : how many there are; 0 for a regression.
    scores, sizes : shape (scores, rows); the sizes are those of ``TableScorer.sized_scores``.
    """
    if not isinstance(model, Ensemble):
        return _of(model, scores, sizes)
    found = np.zeros(scores.shape[1])
    for member, start, stop in model.parts(classes):
        found += member.weight * _of(member, scores[start:stop], sizes[start:stop])
    return found / sum(member.weight for member in model.members)


def _of(response: Response, scores: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    curves = response.curves(len(scores))
    if curves:
        return _of_curves(curves, scores, UNIT * sizes)
    lines = response.lines()
    if lines:
        slopes, offsets = (
            np.abs(one)[:, None] for one in zip(*((line.slope, line.offset) for line in lines), strict=True)
        )
        sizes = 1.0 + slopes * sizes + offsets
    found = UNIT * sizes.max(axis=0)
    if response.link == "one-vs-rest":
        found[margins(response, scores).max(axis=0) < VANISHING] = np.inf
    return found


def _of_curves(curves: Sequence[Piecewise], scores: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """What moving the scores by tau does to points of curves, and to their shares of the total where normalised."""
    shares = points(curves, scores)
    moved = np.maximum(*(np.abs(points(curves, scores + sign * tau) - shares) for sign in (-1.0, 1.0)))
    if len(shares) == 1:
        return moved[0]
    total, all_moved = shares.sum(axis=0), moved.sum(axis=0)
    with np.errstate(all="ignore"):
        found = ((moved + shares / total * all_moved) / total).max(axis=0)
    # Without a total all classes are alike, and any share is all of it.
    return np.where(total > 0.0, found, np.where(all_moved > 0.0, np.inf, 0.0))
