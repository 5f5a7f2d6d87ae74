"""Newton's method with step halving, one pass a step, and the fits of all folds from the full one's neighbourhood."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.solving.algebra import NearlyDependent
from pipelines.solving.families import Family
from pipelines.solving.problem import SolvingError
from pipelines.solving.rows import FitRows
from pipelines.solving.sweeps import Sums, Sweeper

#: The relative gradient of a fit, and of a fold's.
TOLERANCE, FOLD_TOLERANCE = 1e-10, 1e-9

#: A step that is no step any more: see :func:`_length`.
_STILL = 1e-8

_MOST_PASSES = 100
#: A change of the objective, as a share of it, that may be the rounding of predictors whose terms cancel.
_NOISE = 1e-10
#: Of a step's promise, how much must be kept (Armijo).
_ARMIJO = 1e-4
_LENGTHS = 0.5 ** np.arange(1, 13)


@dataclass(frozen=True)
class Solution:
    """Where a fit ended.

    Parameters
    ----------
    theta : shape (q,), about the sweeper's centre.
    hessian : shape (q, q), of the losses, without the penalty.
    gradient : relative.
    pearson : the sum of squared Pearson residuals.
    sums : of the last pass, by fold; None where it was made without folds.
    inverse : shape (q, q), of the second derivatives, where it is known better than from them.
    """

    theta: np.ndarray
    hessian: np.ndarray
    gradient: float
    converged: bool
    pearson: float
    notes: tuple[str, ...] = ()
    sums: Sums | None = None
    inverse: np.ndarray | None = None


def null_start(rows: FitRows, sweeper: Sweeper) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The null model, the first Newton step from it, the loss there, and the slope along the step.

    The loss's derivatives at a constant predictor are known from the moments: the first step, weighted least squares,
    needs no pass.
    """
    family, moments, ones = sweeper.family, rows.moments, sweeper.ones
    contrasts = family.contrasts
    columns, sets = len(moments.mean) - family.columns, contrasts.shape[1]
    mean, target = moments.mean[:columns], moments.mean[columns:]
    if ones:
        constant, products = family.null(target), moments.products
        cross = products[:columns, columns:]
    else:
        constant, products = family.origin(), moments.about(np.zeros_like(moments.mean))
        cross = products[:columns, columns:] - moments.weight * np.outer(mean, constant.mean)
    down = constant.slope * (cross @ contrasts).T.ravel()
    hessian = np.kron(contrasts.T @ constant.curvature @ contrasts, products[:columns, :columns])
    penalty = rows.penalty.reshape(sets, -1)[:, ones:].ravel()
    weights = rows.solve(hessian + np.diag(penalty), down, ones=False)
    loss = moments.weight * family.constant_loss(constant, target)
    slope = -float(down @ weights)
    if not ones:
        return np.zeros(len(weights)), weights, loss, slope
    by_set = weights.reshape(sets, columns)
    intercepts = (contrasts.T @ constant.eta)[:, None]
    start = np.concatenate([intercepts, np.zeros_like(by_set)], axis=1).ravel()
    step = np.concatenate([-(by_set @ (mean - sweeper.centre))[:, None], by_set], axis=1).ravel()
    return start, step, loss, slope


def minimise(rows: FitRows, sweeper: Sweeper, *, folds: int, start: np.ndarray | None, names: bool = True) -> Solution:
    """The minimum over some rows.

    Parameters
    ----------
    start : shape (q,), where to begin; None begins at the null model.

    Raises
    ------
    SolvingError
        where there is no minimum, because the classes (or the zeros of a target) are separated.
    """
    family, ones = sweeper.family, sweeper.ones
    separable = family.separable and not rows.l2
    if start is None:
        theta, step, value, slope = null_start(rows, sweeper)
        steepness = np.inf
    else:
        theta, step, value, slope, steepness = start, np.zeros(len(start)), np.inf, 0.0, np.inf
    relative, length, before = np.inf, np.inf, np.inf
    for place in range(_MOST_PASSES):
        point = theta + step
        by_fold = folds if rows.without is not None or relative < 1e-3 else 0
        sums = sweeper.at(point, folds=by_fold, direction=step if separable else None)
        inside = rows.others if by_fold else [0]
        gradient = sums.gradients[inside].sum(axis=0) + rows.penalty * point
        new = float(sums.losses[inside].sum() + rows.penalty @ point**2 / 2)
        now = rows.relative(gradient)
        sweeper.made(now)
        if not _better(value, new, slope, steepness, now):
            if not np.isfinite(value):
                raise SolvingError("the start is too far from the minimum: the objective is not finite; leave it out")
            factor = _shorter(rows, sweeper, theta, step, value, slope, folds)
            if factor is None:
                break
            step, slope = factor * step, factor * slope
            continue
        theta, value, relative, steepness = point, new, now, now
        losses_hessian = sums.hessians[inside].sum(axis=0)
        if separable:
            _refuse_separation(rows, sums, step, inside, place, sweeper)
        hessian = losses_hessian + np.diag(rows.penalty)
        step = -rows.solve(hessian, gradient, ones=ones)
        slope = float(step @ gradient)
        before, length = length, _length(step, theta, rows)
        pearson = float(sums.pearson[inside].sum())
        # A small gradient alone is no minimum where the objective is flat: the step from here must be small, too, or
        # shrink no more.
        if relative <= TOLERANCE and (length <= _STILL or length > before / 2) and (by_fold or not folds):
            return Solution(theta, losses_hessian, relative, True, pearson, (), sums if by_fold else None)
    if not np.isfinite(relative):
        raise SolvingError("no step from the start makes the objective smaller: the columns' values are too large")
    tolerance = TOLERANCE if rows.without is None else FOLD_TOLERANCE
    notes: tuple[str, ...] = ()
    if relative > tolerance:
        notes = (f"not converged: the relative gradient is {relative:.1e}, {tolerance:.0e} was demanded",)
    return Solution(theta, losses_hessian, relative, not notes, pearson, notes, sums if by_fold else None)


def fold_solutions(whole: Solution, every: Sequence[FitRows], sweeper: Sweeper, folds: int) -> list[Solution]:
    """The fits without each fold, by steps with the second derivatives at the full fit.

    A fold's minimum is near the full one, so that these change little in between: each step leaves a small share of
    the error (a chord method; Ortega and Rheinboldt 1970). A fold whose steps do not is fitted by itself.
    """
    sums = whole.sums
    if sums is None:
        sums = sweeper.at(whole.theta, folds=folds)
        sweeper.made(whole.gradient)
    hessians = [sums.hessians[rows.others].sum(axis=0) for rows in every]
    gradients = [sums.gradients[rows.others].sum(axis=0) + rows.penalty * whole.theta for rows in every]
    solved: list[Solution] = []
    for rows, hessian, gradient in zip(every, hessians, gradients, strict=True):
        step = -rows.solve(hessian + np.diag(rows.penalty), gradient, ones=sweeper.ones)
        begun = rows.relative(gradient)
        solved.append(Solution(whole.theta + step, hessian, begun, False, 0.0))
    return chords(solved, every, sweeper, folds, tolerance=FOLD_TOLERANCE)


def chords(
    begun: Sequence[Solution],
    every: Sequence[FitRows],
    sweeper: Sweeper,
    folds: int,
    *,
    tolerance: float,
    null: np.ndarray | None = None,
    longest: float = 0.0,
) -> list[Solution]:
    """Steps with held second derivatives, all fits in each pass, until every fit's gradient is small.

    ``gradient`` of a solution that is begun is the one before its last step.

    Parameters
    ----------
    null : shape (d, r), directions that were taken as zero.
    longest : how long they may be in the rows.

    Raises
    ------
    NearlyDependent
        where one is longer.
    """
    solved = list(begun)
    failed: set[int] = set()
    for _ in range(_MOST_PASSES):
        active = [place for place, one in enumerate(solved) if not one.converged and place not in failed]
        if not active:
            break
        points, without = [solved[place].theta for place in active], [every[place].without for place in active]
        found = sweeper.gradients(points, without, folds, null)
        worst = 0.0
        for place, sums, pearson in zip(active, found.values, found.pearson.tolist(), strict=True):
            rows, one = every[place], solved[place]
            gradient = sums + rows.penalty * one.theta
            now = rows.relative(gradient)
            worst = max(worst, now)
            step = -rows.solve(one.hessian + np.diag(rows.penalty), gradient, ones=sweeper.ones)
            length = _length(step, one.theta, rows)
            if now <= tolerance and (length <= _STILL or now > 0.3 * one.gradient):
                solved[place] = replace(one, gradient=now, converged=True, pearson=pearson)
            elif not now <= 0.3 * one.gradient:
                failed.add(place)
            else:
                solved[place] = replace(one, theta=one.theta + step, gradient=now, pearson=pearson)
        sweeper.made(worst)
        if found.lengths.max(initial=0.0) > longest:
            raise NearlyDependent
        null = None
    for place in sorted(failed):
        rows = every[place]
        try:
            solved[place] = minimise(rows, sweeper, folds=folds, start=None)
        except SolvingError as error:
            if rows.without is None:
                raise
            note = f"without fold {rows.without}: {error}"
            solved[place] = replace(solved[place], converged=False, gradient=np.inf, notes=(note,))
    return solved


def _better(value: float, new: float, slope: float, steepness: float, now: float) -> bool:
    """Whether a step is good enough.

    Near the minimum the objective's change is below its rounding; there the gradient decides, as in scikit-learn's
    ``NewtonSolver.line_search``.
    """
    if not (np.isfinite(new) and np.isfinite(now)):
        return False
    if new <= value + _ARMIJO * slope:
        return True
    return abs(new - value) <= _NOISE * abs(value) and now <= max(steepness, TOLERANCE)


def _shorter(
    rows: FitRows, sweeper: Sweeper, theta: np.ndarray, step: np.ndarray, value: float, slope: float, folds: int
) -> float | None:
    """The longest part of a step that is good, of halves of halves, found in one pass; None where none is."""
    by_fold = folds if rows.without is not None else 0
    found = sweeper.line(theta, step, _LENGTHS, rows.without, by_fold)
    sweeper.made(float("nan"))
    for length, loss in zip(_LENGTHS.tolist(), found.tolist(), strict=True):
        new = loss + float(rows.penalty @ (theta + length * step) ** 2) / 2
        if np.isfinite(new) and new <= value + _ARMIJO * length * slope:
            return length
    return None


def _length(step: np.ndarray, theta: np.ndarray, rows: FitRows) -> float:
    """The largest change of a parameter, a column's standard deviation as the unit, beside the largest parameter."""
    largest = float((np.abs(theta) * rows.unit).max(initial=0.0))
    return float((np.abs(step) * rows.unit).max(initial=0.0)) / max(1.0, largest)


def _refuse_separation(
    rows: FitRows, sums: Sums, step: np.ndarray, inside: Sequence[int], place: int, sweeper: Sweeper
) -> None:
    """Raise SolvingError where the loss falls without end in the direction of the last step, or of the point.

    A direction in which no row's loss rises, however far one goes, and some row's falls: Albert and Anderson (1984),
    On the existence of maximum likelihood estimates in logistic regression models. Newton's steps tend to it.
    """
    slack, reach = float(sums.slack[inside].min()), float(sums.reach[inside].max())
    complete = float(sums.margin[inside].min()) > 0
    if not complete and not (place >= 3 and reach > 0.1 and slack >= -1e-6 * reach):
        return
    moved = sweeper.moved(step * rows.unit)
    columns = tuple(np.flatnonzero(moved >= 0.05 * moved.max(initial=0.0)).tolist())
    raise SolvingError(
        f"there is no minimum without a penalty: the columns {', '.join(map(str, columns))} separate "
        f"{'all' if complete else 'some'} rows by their target; add a penalty (l2), or leave these columns out",
        columns,
    )


def parameters(theta: np.ndarray, centre: np.ndarray, family: Family, *, ones: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, shape (K, d), and intercepts, shape (K,), of a point about a centre."""
    sets = family.contrasts @ theta.reshape(-1, len(centre) + ones)
    coefficients = sets[:, ones:]
    intercepts = sets[:, 0] - coefficients @ centre if ones else np.zeros(len(sets))
    return coefficients.copy(), intercepts
