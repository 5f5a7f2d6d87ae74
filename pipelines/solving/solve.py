"""Fit an objective, or a path of them, to blocks of rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipelines.solving import algebra, families, newton, orthogonal, squared
from pipelines.solving.algebra import NearlyDependent
from pipelines.solving.moments import collect, merge
from pipelines.solving.newton import Solution
from pipelines.solving.problem import (
    MOST_COLUMNS,
    MOST_PARAMETERS,
    Blocks,
    Fit,
    Objective,
    Progress,
    Remember,
    SolvingError,
    forget,
)
from pipelines.solving.rows import FitRows, choose, expanded
from pipelines.solving.sweeps import Sweeper


def fit(
    blocks: Blocks,
    objective: Objective,
    *,
    folds: int = 0,
    progress: Progress | None = None,
    start: Fit | None = None,
    remember: Remember = forget,
) -> Fit:
    """The minimum of an objective over all rows, and without each fold's rows.

    It has converged where every component of the gradient is at most 1e-10 (for folds 1e-9) of the norm of its
    (centred) column times the norm of the residuals of the model with the intercept alone, and the next step would be
    as small.

    Parameters
    ----------
    folds : how many the rows' ``folds`` name, 0 to ``folds - 1``; 0 is none.
    progress : called after each pass.
    start : a fit to begin with, of another penalty say.
    remember : is asked for what each pass finds, so that a fit which was stopped can go on where it was.

    Raises
    ------
    SolvingError
        where blocks are not what the objective needs, or the minimum does not exist: its message says what to do.
    """
    return fit_path(blocks, [objective], folds=folds, progress=progress, start=start, remember=remember)[0]


def fit_path(
    blocks: Blocks,
    objectives: Sequence[Objective],
    *,
    folds: int = 0,
    progress: Progress | None = None,
    start: Fit | None = None,
    remember: Remember = forget,
) -> tuple[Fit, ...]:
    """The fits of objectives that differ in their penalties alone, best from the largest to the smallest.

    The first pass is made once, and each fit begins at the one before. Parameters and errors as of :func:`fit`.
    """
    first = objectives[0]
    if any(replace(one, l1=0, l2=0) != replace(first, l1=0, l2=0) for one in objectives):
        raise SolvingError("objectives of a path must differ in their penalties alone, found others")
    if folds == 1:
        raise SolvingError("expected 0 folds, or 2 and more, found 1")
    family, ones = families.family(first), first.fit_intercept
    parts = remember(("moments", replace(first, l1=0, l2=0), folds), lambda: collect(blocks, family, folds))
    whole = merge(parts)
    columns = len(whole.mean) - family.columns
    centre = whole.mean[:columns] if ones else np.zeros(columns)
    sweeper = Sweeper(blocks, family, centre, ones=ones, progress=progress, remember=remember)
    most = MOST_COLUMNS if first.loss == "squared" else MOST_PARAMETERS
    if sweeper.parameters > most:
        raise SolvingError(
            f"expected {most} parameters at most, found {sweeper.parameters}: a step needs a matrix of their square; "
            "leave columns out, or fit a sample in memory"
        )
    sweeper.made(float("nan"))
    found: list[Fit] = []
    for objective in objectives:
        begin = found[-1] if found else start
        without = [None, *range(folds)]
        every = [choose(parts, objective, family, without=place, ones=ones) for place in without]
        try:
            orthogonal.check(every[0], sweeper)
            theta = None if begin is None else _point(begin, sweeper)
            pairs = list(zip(_solutions(every, sweeper, folds, theta), every, strict=True))
        except NearlyDependent:
            turned = orthogonal.turn(every[0], sweeper, objective, folds)
            solved = _solutions(turned.fits, turned.sweeper, folds, None)
            pairs = [turned.back(*one, sweeper) for one in zip(solved, turned.fits, every, strict=True)]
        fits = [_fit(rows, one, sweeper) for one, rows in pairs]
        found.append(replace(fits[0], folds=tuple(fits[1:])))
    return tuple(found)


def _solutions(every: Sequence[FitRows], sweeper: Sweeper, folds: int, start: np.ndarray | None) -> list[Solution]:
    """The minima over all rows, and over all but each fold's."""
    if isinstance(sweeper.family, families.Squared):
        return squared.solutions(every, sweeper, folds, None if start is None else start[sweeper.ones :])
    solved = [newton.minimise(every[0], sweeper, folds=folds, start=start)]
    if folds:
        solved += newton.fold_solutions(solved[0], every[1:], sweeper, folds)
    return solved


def _point(begin: Fit, sweeper: Sweeper) -> np.ndarray:
    """The parameters, shape (q,), of a fit."""
    if begin.coefficients.shape[1] != len(sweeper.centre):
        raise SolvingError(
            f"expected a start of {len(sweeper.centre)} columns, found one of {begin.coefficients.shape[1]}"
        )
    sets = begin.coefficients
    if sweeper.ones:
        intercepts = begin.intercepts + begin.coefficients @ sweeper.centre
        sets = np.concatenate([intercepts[:, None], begin.coefficients], axis=1)
    return (sweeper.family.contrasts.T @ sets).ravel()


def _fit(rows: FitRows, solved: Solution, sweeper: Sweeper) -> Fit:
    ones, family, space = sweeper.ones, sweeper.family, rows.space
    coefficients, intercepts = newton.parameters(solved.theta, sweeper.centre, family, ones=ones)
    freedom = rows.moments.rows - space.rank - ones
    dispersion = 1.0
    if family.dispersed:
        dispersion = max(0.0, solved.pearson) / freedom if freedom > 0 else float("nan")
    covariance = None
    if rows.without is None and not rows.l1 and len(intercepts) == 1:
        covariance = dispersion * _covariance(rows, solved, sweeper)
    notes = list(solved.notes)
    if space.collinear and not rows.l2:
        places = ", ".join(map(str, space.collinear))
        notes.append(f"columns {places} depend on each other exactly: their coefficients are those of least norm")
    if not solved.converged and not solved.notes:
        notes.append(
            f"not converged: the relative gradient is {solved.gradient:.1e}, as columns are nearly collinear "
            f"(condition number {space.condition:.1e}); leave some out, or add a penalty"
        )
    return Fit(
        coefficients=coefficients,
        intercepts=intercepts,
        passes=sweeper.passes,
        gradient=solved.gradient,
        converged=solved.converged,
        rank=space.rank,
        condition=space.condition,
        collinear=space.collinear,
        covariance=covariance,
        dispersion=dispersion,
        rows=rows.moments.rows,
        notes=tuple(notes),
    )


def _covariance(rows: FitRows, solved: Solution, sweeper: Sweeper) -> np.ndarray:
    """``H^-1 I H^-1``, shape (1 + d, 1 + d): I of the losses, H with the penalty; zeros for no intercept."""
    ones = sweeper.ones
    if solved.inverse is not None:
        return _moved(solved.inverse, sweeper)
    information = solved.hessian
    hessian = information + np.diag(rows.penalty)
    basis = np.eye(len(hessian))
    if not rows.l2 and rows.space.basis is not None:
        basis = expanded(rows.space.basis, len(hessian), ones=ones)
    inverse = basis @ algebra.solve(basis.T @ hessian @ basis, basis.T)
    return _moved(inverse @ information @ inverse.T, sweeper)


def _moved(found: np.ndarray, sweeper: Sweeper) -> np.ndarray:
    """A covariance of the parameters, of the intercept at zero instead of at the centre."""
    ones, columns = sweeper.ones, len(sweeper.centre)
    whole = np.zeros((1 + columns, 1 + columns))
    whole[1 - ones :, 1 - ones :] = (found + found.T) / 2
    move = np.eye(1 + columns)
    move[0, 1:] = -sweeper.centre
    return move @ whole @ move.T
