"""From the scores of a table to the probabilities of classes with NumPy: the same operations as ``responses``."""

from collections.abc import Sequence

import numpy as np

from . import arraysteps
from .nodes import Ensemble, Estimator, Response
from .steps import Piecewise


def probabilities(model: Estimator, classes: int, scores: np.ndarray) -> np.ndarray:
    """The probabilities (classes, rows) from scores (scores, rows).

    Parameters
    ----------
    classes : how many there are.
    """
    if not isinstance(model, Ensemble):
        return of_response(model, scores)
    found = np.zeros((classes, scores.shape[1]))
    for member, start, stop in model.parts(classes):
        found += member.weight * of_response(member, scores[start:stop])
    return found / sum(member.weight for member in model.members)


def margins(response: Response, scores: np.ndarray) -> np.ndarray:
    """The scores after their lines; themselves where there are none."""
    lines = response.lines()
    if not lines:
        return scores
    slopes, offsets = (
        np.array(one)[:, None] for one in zip(*((line.slope, line.offset) for line in lines), strict=True)
    )
    return slopes * scores + offsets


def of_response(response: Response, scores: np.ndarray) -> np.ndarray:
    """The probabilities (classes, rows) of one model."""
    curves = response.curves(len(scores))
    with np.errstate(all="ignore"):
        if curves:
            return shared(points(curves, scores))
        found = margins(response, scores)
        if response.link == "softmax":
            powers = np.exp(found - found.max(axis=0))
            return powers / powers.sum(axis=0)
        return shared(logistic(found))


def shared(shares: np.ndarray) -> np.ndarray:
    """Probabilities of classes: of two from that of the second, of several from one each, normalised."""
    if len(shares) == 1:
        return np.concatenate([1.0 - shares, shares])
    total = shares.sum(axis=0)
    return np.divide(shares, total, out=np.full_like(shares, 1.0 / len(shares)), where=total > 0.0)


def points(curves: Sequence[Piecewise], scores: np.ndarray) -> np.ndarray:
    """The value of a curve at each score."""
    found = np.empty_like(scores)
    for curve, row, target in zip(curves, scores, found, strict=True):
        arraysteps.chain([curve])(row, target, lambda rows, reason: None)
    return found


def logistic(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0 / (1.0 + e), e / (1.0 + e))
