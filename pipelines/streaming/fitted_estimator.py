"""An exact fit as a fitted scikit-learn estimator."""

import warnings
from typing import Any

import numpy as np

from pipelines.coefficients.linear import linear_estimator
from pipelines.solving import Fit


def fitted(estimator: Any, fit: Fit, target: np.ndarray) -> Any:
    """The estimator, fitted: as if scikit-learn had found these coefficients.

    Parameters
    ----------
    estimator : unfitted; it may be inside a threshold.
    target : a few values of the training rows' target, all classes among them; shape (n,).
    """
    width = fit.coefficients.shape[1]
    # A fit to nothing has all that a fitted estimator has.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(np.zeros((len(target), width)), target)
    inner = linear_estimator(estimator)
    assert inner is not None
    flat = inner.coef_.ndim == 1
    inner.coef_ = fit.coefficients[0].copy() if flat else fit.coefficients.copy()
    inner.intercept_ = float(fit.intercepts[0]) if flat else fit.intercepts.copy()
    if hasattr(inner, "n_iter_"):
        inner.n_iter_ = np.array([fit.passes], dtype="int32") if isinstance(inner.n_iter_, np.ndarray) else fit.passes
    if hasattr(inner, "rank_"):
        inner.rank_ = fit.rank
        del inner.singular_
    return estimator
