"""Squared residuals of a linear model from the sums of the first pass, where rounding leaves them exact."""

from dataclasses import dataclass

import numpy as np

from pipelines.solving.moments import Moments
from pipelines.solving.problem import Fit

#: Sums that are known to less than this share of themselves are not told.
_EXACT = 1e-10
#: How much the additions of a sum of products lose, beside the product of the norms.
_ROUNDING = 8 * np.finfo("float64").eps


@dataclass(frozen=True)
class Squares:
    """Of some rows.

    Parameters
    ----------
    rows : how many there are.
    residual : the sum of squared residuals.
    total : the sum of squared distances of the target from its mean.
    """

    rows: int
    residual: float
    total: float


def squares(moments: Moments, fit: Fit) -> Squares | None:
    """The squares of a fit's residuals on rows of which the moments are known; None where rounding hides them.

    Parameters
    ----------
    moments : with the target of a regression behind the columns.
    """
    weights = np.append(-fit.coefficients[0], 1.0)
    intercept = float(fit.intercepts[0])
    away = float(weights @ moments.mean) - intercept
    around, total = float(weights @ moments.products @ weights), float(moments.products[-1, -1])
    sizes = np.sqrt(np.maximum(np.diag(moments.products), 0))
    lost = _ROUNDING * float(np.abs(weights) @ sizes) ** 2
    off = _ROUNDING * (float(np.abs(weights) @ np.abs(moments.mean)) + abs(intercept))
    lost += moments.weight * (2 * abs(away) * off + off**2)
    residual = around + moments.weight * away**2
    rounded = moments.weight * (_ROUNDING * float(moments.mean[-1])) ** 2
    if not (lost <= _EXACT * residual and rounded <= _EXACT * total):
        return None
    return Squares(moments.rows, residual, total)
