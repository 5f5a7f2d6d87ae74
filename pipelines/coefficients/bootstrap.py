"""Refits of a linear estimator on resampled rows, within a time that is known beforehand."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.coefficients.linear import weights

#: Nanoseconds that one refit takes for each cell (row x transformed column x class), measured on one core.
_NANOSECONDS = {
    "LinearRegression": 25,
    "Ridge": 15,
    "Lasso": 15,
    "ElasticNet": 15,
    "HuberRegressor": 30,
    "PoissonRegressor": 15,
    "GammaRegressor": 15,
    "TweedieRegressor": 15,
    "LogisticRegression": 20,
    "LinearSVC": 60,
    "LinearSVR": 500,
}
_UNKNOWN_NANOSECONDS = 500
#: The same for solvers of these that take longer.
_SLOW_SOLVERS = {"saga": 350, "sag": 350, "liblinear": 50, "newton-cholesky": 60}
_WITH_SOLVERS = {"LogisticRegression", "PoissonRegressor"}
#: A stored value of a sparse matrix costs this much more.
_SPARSE = 2.5
#: Solvers whose steps are single rows come this close, from the estimate, in so many passes over the rows.
_PASSES = {"saga": 100, "sag": 100, "LinearSVR": 1000}

#: In nanoseconds: what a refit costs whatever its size, the time to aim at for all, and the most that they are worth.
_OVERHEAD, _AIM, _CEILING = 1e6, 3e9, 1.2e10
_FEWEST_RESAMPLES, _FEWEST_ROWS = 100, 1_000


@dataclass(frozen=True)
class Refits:
    """Refits of an estimator.

    Parameters
    ----------
    fits : weights (scores, columns) and intercepts (scores,) of each.
    shrink : what their distances from the estimate are multiplied by.
    """

    fits: list[tuple[np.ndarray, np.ndarray]]
    shrink: float


def refit(
    estimator, matrix, target: np.ndarray, *, seed: int, resamples: int, max_rows: int, total_rows: int
) -> Refits | None:
    """Refit an estimator on resampled rows; None where that would take too long or most refits fail.

    Parameters
    ----------
    estimator : a fitted linear estimator, which is left as it is.
    matrix : (n, columns) what it was fitted on, or a sample of that, dense or sparse.
    target : (n,)
    total_rows : how many rows it was fitted on.
    """
    n = matrix.shape[0]
    wanted, rows = _plan(estimator, matrix, resamples, max_rows)
    if not wanted:
        return None
    rng = np.random.default_rng(seed)
    strata = _strata(estimator, target)
    sizes = [max(1, round(len(stratum) * rows / n)) for stratum in strata]
    model = _from_the_estimate(estimator, seed)
    # A penalty that is weighed against a sum over rows must see as much weight as all rows have.
    heavier = {"sample_weight": np.full(sum(sizes), total_rows / rows)} if rows < total_rows else {}
    matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else np.asarray(matrix)
    fits = []
    # Threads of a BLAS that spin cost up to a hundred times the work itself on matrices of this size.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(wanted):
            drawn = [rng.choice(stratum, size) for stratum, size in zip(strata, sizes, strict=True)]
            chosen = np.concatenate(drawn)
            try:
                model.fit(matrix[chosen], target[chosen], **heavier)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                continue
            by_score, intercepts = weights(model)
            fits.append((by_score.copy(), intercepts.copy()))
    return Refits(fits, float(np.sqrt(rows / total_rows))) if len(fits) > wanted / 2 else None


def _from_the_estimate(estimator, seed: int):
    """A copy that starts each fit at the last one's end: from the estimate, a refit is a few steps away."""
    model = copy.deepcopy(estimator)
    known = model.get_params()
    # liblinear draws its own numbers.
    changed: dict[str, Any] = {"warm_start": True, "random_state": seed}
    if passes := _PASSES.get(known.get("solver") or type(model).__name__):
        changed["max_iter"] = min(known["max_iter"], passes)
    if known.get("solver") == "newton-cholesky":
        # Two steps from the estimate are as near as the resampling's noise asks for.
        changed["tol"] = max(known["tol"], 1e-4)
    return model.set_params(**{name: value for name, value in changed.items() if name in known})


def _plan(estimator, matrix, resamples: int, max_rows: int) -> tuple[int, int]:
    """How many refits, on how many rows each; (0, 0) where even the fewest would take too long."""
    if resamples < 1:
        return 0, 0
    a_row = _nanoseconds_a_row(estimator, matrix)

    def cost(count: int, rows: int) -> float:
        return count * (_OVERHEAD + a_row * rows)

    n, columns = matrix.shape
    rows = min(n, max_rows)
    count = min(resamples, max(_FEWEST_RESAMPLES, int(_AIM / cost(1, rows))))
    if cost(count, rows) > _AIM:
        affordable = int((_AIM / count - _OVERHEAD) / a_row)
        rows = min(rows, max(affordable, _FEWEST_ROWS, 5 * columns))
    return (count, rows) if cost(count, rows) <= _CEILING else (0, 0)


def _nanoseconds_a_row(estimator, matrix) -> float:
    n, columns = matrix.shape
    kind = type(estimator).__name__
    a_cell: float = _NANOSECONDS.get(kind, _UNKNOWN_NANOSECONDS)
    if kind in _WITH_SOLVERS:
        a_cell = _SLOW_SOLVERS.get(estimator.solver, a_cell)
    if kind == "LinearRegression":
        a_cell += columns / 10  # its singular value decomposition is quadratic in the columns
    width = _SPARSE * matrix.nnz / n if hasattr(matrix, "nnz") else columns
    return a_cell * width * len(weights(estimator)[0])


def _strata(estimator, target: np.ndarray) -> Sequence[np.ndarray]:
    """Row numbers by class; where zeros are counts or amounts, zeros and others: it cannot be fitted to zeros
    alone.
    """
    if hasattr(estimator, "classes_"):
        groups = np.unique(target, return_inverse=True)[1]
    elif type(estimator).__name__ in ("PoissonRegressor", "TweedieRegressor"):
        groups = (target > 0).astype(int)
    else:
        groups = np.zeros(len(target), dtype=int)
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]
