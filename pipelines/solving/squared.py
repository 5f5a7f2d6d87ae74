"""Least squares, ridge, lasso and elastic net: solved from the first pass's products, mended by residuals."""

from collections.abc import Sequence

import numpy as np

from pipelines.solving import coordinate, newton
from pipelines.solving.newton import TOLERANCE, Solution
from pipelines.solving.rows import FitRows
from pipelines.solving.sweeps import Sweeper

#: Up to this condition number of the columns (scaled to norm 1) the products alone give coefficients to about 1e-11.
_SURE = 300.0

#: Up to this one, directions aside in which the rows do not vary, they give predictions to about 1e-11 of the target.
_SURE_OF_PREDICTIONS = 1e4

#: A residual sum of squares below this share of the target's is lost in the rounding of the products.
_PERFECT = 1e-6

_MOST_PASSES = 20


def information(rows: FitRows, sweeper: Sweeper) -> np.ndarray:
    """The second derivatives of the losses by all parameters, shape (q, q)."""
    columns, moments = len(sweeper.centre), rows.moments
    if not sweeper.ones:
        return moments.about(np.zeros_like(moments.mean))[:columns, :columns]
    shift = moments.mean[:columns] - sweeper.centre
    found = np.empty((columns + 1, columns + 1))
    found[0, 0] = moments.weight
    found[0, 1:] = found[1:, 0] = moments.weight * shift
    found[1:, 1:] = moments.products[:columns, :columns] + moments.weight * np.outer(shift, shift)
    return found


def solutions(
    every: Sequence[FitRows], sweeper: Sweeper, folds: int, start: np.ndarray | None, *, predictions: bool = False
) -> list[Solution]:
    """The minima over some sets of rows, all mended in the same passes.

    Parameters
    ----------
    start : shape (d,), coefficients for the coordinate descent to begin with.
    predictions : with a penalty the predictions alone have to be exact.

    Raises
    ------
    NearlyDependent
        where columns that seemed to depend on each other exactly do not.
    """
    whole = every[0]
    begun = [_from_products(rows, sweeper, start, predictions) for rows in every]
    if whole.l1:
        return _mended(begun, every, sweeper, folds)
    null, longest = None, 0.0
    if whole.space.collinear and not whole.l2:
        null, longest = whole.space.null, whole.space.rounding * whole.space.largest
    return newton.chords(begun, every, sweeper, folds, tolerance=TOLERANCE, null=null, longest=longest)


def _products(rows: FitRows, sweeper: Sweeper) -> tuple[np.ndarray, np.ndarray, float]:
    """Gram matrix, shape (d, d), the columns' products with the target, shape (d,), and the target's square."""
    columns, moments = len(sweeper.centre), rows.moments
    products = moments.products if sweeper.ones else moments.about(np.zeros_like(moments.mean))
    return products[:columns, :columns], products[:columns, columns], float(products[columns, columns])


def _point(weights: np.ndarray, rows: FitRows, sweeper: Sweeper) -> np.ndarray:
    """The parameters, shape (q,), of coefficients: with the intercept that is best for them."""
    if not sweeper.ones:
        return weights
    mean = rows.moments.mean
    return np.concatenate([[mean[-1] - weights @ (mean[:-1] - sweeper.centre)], weights])


def _from_products(rows: FitRows, sweeper: Sweeper, start: np.ndarray | None, predictions: bool) -> Solution:
    gram, cross, square = _products(rows, sweeper)
    scale = rows.scale[sweeper.ones :]
    if rows.l1:
        begin = np.zeros(len(cross)) if start is None else start
        weights = coordinate.descend(gram, cross, rows.l1, rows.l2, begin, TOLERANCE / 10 * scale)
        worst = coordinate.violation(gram @ weights - cross, weights, rows.l1, rows.l2)
    else:
        weights = rows.solve(gram + rows.l2 * np.eye(len(cross)), cross, ones=False)
        worst = np.abs(gram @ weights - cross + rows.l2 * weights)
    relative = float((worst[scale > 0] / scale[scale > 0]).max(initial=0.0))
    left = square - 2 * float(weights @ cross) + float(weights @ gram @ weights)
    if predictions and (rows.l1 or rows.l2):
        sure = rows.space.condition <= _SURE_OF_PREDICTIONS
    else:
        sure = _condition(gram + rows.l2 * np.eye(len(cross)), rows) <= _SURE and not rows.space.collinear
    sure = sure and left > _PERFECT * square and relative <= TOLERANCE
    begun = relative if sure else np.inf
    return Solution(_point(weights, rows, sweeper), information(rows, sweeper), begun, sure, left)


def _condition(matrix: np.ndarray, rows: FitRows) -> float:
    """Of the columns, scaled to norm 1, with the penalty."""
    if not rows.l2:
        return rows.space.condition
    unit = 1 / np.sqrt(np.diag(matrix))
    return float(np.sqrt(np.linalg.cond(matrix * np.outer(unit, unit))))


def _mended(begun: Sequence[Solution], every: Sequence[FitRows], sweeper: Sweeper, folds: int) -> list[Solution]:
    """Solutions with an l1 penalty whose gradients by the data are right: those by the products are corrected."""
    solved = list(begun)
    stuck: set[int] = set()
    for _ in range(_MOST_PASSES):
        active = [place for place, one in enumerate(solved) if not one.converged and place not in stuck]
        if not active:
            break
        found = sweeper.gradients([solved[place].theta for place in active], [every[p].without for p in active], folds)
        worst = 0.0
        for place, slopes, pearson in zip(active, found.values, found.pearson.tolist(), strict=True):
            rows, ones = every[place], sweeper.ones
            theta, scale = solved[place].theta, rows.scale[ones:]
            weights, slope = theta[ones:], slopes[ones:]
            if ones:
                # The columns are centred elsewhere than at the mean of these rows.
                slope = slope - slopes[0] * (rows.moments.mean[:-1] - sweeper.centre)
            wrong = coordinate.violation(slope, weights, rows.l1, rows.l2)
            now = float((wrong[scale > 0] / scale[scale > 0]).max(initial=0.0))
            if ones:
                now = max(now, abs(slopes[0]) / rows.scale[0])
            worst = max(worst, now)
            if now > solved[place].gradient / 2:
                stuck.add(place)
            if now <= TOLERANCE:
                solved[place] = Solution(theta, solved[place].hessian, now, True, pearson)
                continue
            gram, _, _ = _products(rows, sweeper)
            better = coordinate.descend(gram, gram @ weights - slope, rows.l1, rows.l2, weights, TOLERANCE / 10 * scale)
            moved = _point(better, rows, sweeper)
            solved[place] = Solution(moved, solved[place].hessian, now, False, pearson)
        sweeper.made(worst)
    return solved
