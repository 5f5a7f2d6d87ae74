"""Lasso and elastic net on a Gram matrix: coordinate descent, and the exact solution for the signs that it finds.

Source: Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via coordinate
descent; section 2.2 on covariance updates.
"""

import numpy as np

from pipelines.solving import algebra

_MOST_SWEEPS = 5_000


def descend(
    gram: np.ndarray, cross: np.ndarray, l1: float, l2: float, start: np.ndarray, tolerance: np.ndarray
) -> np.ndarray:
    """The minimum of ``w'Gw / 2 - c'w + l1 |w|_1 + l2/2 |w|^2``, shape (d,).

    Parameters
    ----------
    gram : G, shape (d, d), positive semi-definite. cross : c, shape (d,).
    start : shape (d,).
    tolerance : shape (d,), how far each coordinate may be from the conditions of Karush, Kuhn and Tucker.
    """
    weights = start.copy()
    diagonal = np.diag(gram) + l2
    movable = np.flatnonzero(np.diag(gram) > 0).tolist()
    weights[np.diag(gram) <= 0] = 0
    gradient = gram @ weights - cross
    signs = None
    for sweep in range(_MOST_SWEEPS):
        for place in movable:
            old = weights[place]
            rest = gram[place, place] * old - gradient[place]
            new = (rest - l1 if rest > l1 else rest + l1 if rest < -l1 else 0.0) / diagonal[place]
            if new != old:
                weights[place] = new
                gradient += gram[place] * (new - old)
        latest = np.sign(weights)
        if signs is not None and (latest == signs).all() or sweep % 50 == 49:
            exact = _with_signs(gram, cross, l1, l2, latest)
            if (violation(gram @ exact - cross, exact, l1, l2) <= tolerance + _rounding(gram, exact)).all():
                return exact
            gradient = gram @ weights - cross
            if (violation(gradient, weights, l1, l2) <= tolerance + _rounding(gram, weights)).all():
                return weights
        signs = latest
    return weights


def violation(gradient: np.ndarray, weights: np.ndarray, l1: float, l2: float) -> np.ndarray:
    """How far each coordinate is from optimal, shape (d,); the gradient is of the losses alone."""
    slope = gradient + l2 * weights
    return np.where(weights != 0, np.abs(slope + l1 * np.sign(weights)), np.maximum(np.abs(slope) - l1, 0))


def _rounding(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a gradient, shape (d,), may be off by, where large terms of it cancel."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0))
    return 8 * np.finfo(np.float64).eps * norms * float(norms @ np.abs(weights))


def _with_signs(gram: np.ndarray, cross: np.ndarray, l1: float, l2: float, signs: np.ndarray) -> np.ndarray:
    """The minimum where the signs of the coefficients are these; zeros where one would change."""
    inner = np.flatnonzero(signs)
    found = np.zeros(len(signs))
    matrix = gram[np.ix_(inner, inner)] + l2 * np.eye(len(inner))
    found[inner] = algebra.solve(matrix, cross[inner] - l1 * signs[inner])
    found[found * signs < 0] = 0
    return found
