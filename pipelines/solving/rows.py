"""The rows that one fit is made of, all or all but a fold's: their moments, penalty and scale of the gradient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.solving import algebra
from pipelines.solving.families import Family
from pipelines.solving.moments import Moments, merge
from pipelines.solving.problem import Objective, SolvingError

#: A target that varies by less than this beside its size is judged by its size: it is not known better.
_FLOOR = 2e-6


@dataclass(frozen=True)
class FitRows:
    """The rows of one fit.

    Parameters
    ----------
    without : the fold that is left out; None for all rows.
    others : the folds that are in.
    moments : of the rows.
    l1, l2 : penalties beside the sum of the losses.
    penalty : shape (q,), l2 for each parameter, 0 for the intercept.
    space : what the centred columns determine.
    scale : shape (q,), what a gradient is relative to: by Cauchy and Schwarz no gradient of the null model, which has
        the intercept alone, is larger: the norm of the centred column times the norm of the null model's residuals.
        Rounding stays below 1e-12 of it, however many rows there are, and it does not vanish where a fit is perfect.
    unit : shape (q,), the standard deviation of each parameter's column.
    """

    without: int | None
    others: list[int]
    moments: Moments
    l1: float
    l2: float
    penalty: np.ndarray
    space: algebra.RowSpace
    scale: np.ndarray
    unit: np.ndarray

    def relative(self, gradient: np.ndarray) -> float:
        """The largest relative gradient, of one of shape (q,)."""
        known = self.scale > 0
        return float((np.abs(gradient[known]) / self.scale[known]).max(initial=0.0))

    def solve(self, hessian: np.ndarray, right: np.ndarray, *, ones: bool) -> np.ndarray:
        """The step, of least norm where there is no penalty; the Hessian has the penalty in it."""
        basis = self.space.basis
        if basis is None:
            return algebra.solve(hessian, right)
        if self.l2:
            step = algebra.solve(hessian, right)
            step.reshape(-1, len(basis) + ones)[:, [place + ones for place in self.space.constant]] = 0
            return step
        whole = expanded(basis, len(right), ones=ones)
        return whole @ algebra.solve(whole.T @ hessian @ whole, whole.T @ right)


def expanded(basis: np.ndarray, parameters: int, *, ones: bool) -> np.ndarray:
    """The basis of the parameters, of a basis of the columns; again for each set of coefficients."""
    columns = len(basis) + ones
    one = np.zeros((columns, basis.shape[1] + ones))
    one[ones:, ones:] = basis
    if ones:
        one[0, 0] = 1.0
    return np.kron(np.eye(parameters // columns), one)


def choose(
    parts: Sequence[Moments], objective: Objective, family: Family, *, without: int | None, ones: bool
) -> FitRows:
    """The rows of all folds, or of all but one."""
    others = [place for place in range(len(parts)) if place != without]
    moments = merge([parts[place] for place in others])
    if not moments.weight:
        raise SolvingError(f"expected rows in two folds or more, found them all in fold {without}")
    columns = len(moments.mean) - family.columns
    total = moments.weight if objective.average else 1.0
    products = moments.products if ones else moments.about(np.zeros_like(moments.mean))
    diagonal = np.maximum(np.diag(products), 0)
    space = algebra.row_space(products[:columns, :columns], moments if ones else _uncentred(moments))
    norms = np.sqrt(diagonal[:columns])
    norms[list(space.constant)] = 0
    if ones:
        norms = np.concatenate([[np.sqrt(moments.weight)], norms])
    size = np.sqrt(moments.weight) * np.abs(moments.mean[columns:])
    spread = np.linalg.norm(np.maximum(np.sqrt(diagonal[columns:]), _FLOOR * size))
    try:
        slope = (family.null(moments.mean[columns:]) if ones else family.origin()).slope
    except SolvingError as error:
        raise error if without is None else SolvingError(f"without fold {without}: {error}") from None
    one = np.concatenate([np.zeros(int(ones)), np.ones(columns)]) * objective.l2 * total
    sets = family.contrasts.shape[1]
    return FitRows(
        without=without,
        others=others,
        moments=moments,
        l1=objective.l1 * total,
        l2=objective.l2 * total,
        penalty=np.tile(one, sets),
        space=space,
        scale=np.tile(norms * spread * slope, sets),
        unit=np.tile(norms / np.sqrt(moments.weight), sets),
    )


def _uncentred(moments: Moments) -> Moments:
    """Without an intercept a column is constant where it is zero: nothing is rounding beside its mean."""
    return Moments(moments.rows, moments.weight, np.zeros_like(moments.mean), moments.products)
