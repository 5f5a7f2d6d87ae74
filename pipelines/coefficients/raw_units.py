"""The coefficients of a fitted linear model in the units of the raw columns, each with an interval."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipelines.coefficients import bootstrap, inference, layout
from pipelines.coefficients.coefficient import INTERCEPT, NORMAL, TAILS, Coefficient, ends, known
from pipelines.coefficients.linear import linear_estimator, score_classes, weights


def table(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    target: "Sequence | np.ndarray | pd.Series",
    *,
    seed: int,
    resamples: int = 500,
    max_rows: int = 10_000,
    positive: object = None,
    total_rows: int | None = None,
    covariance: np.ndarray | None = None,
) -> list[Coefficient]:
    """The coefficients of a fitted linear model in the units of the raw columns, each with a 95 % interval.

    The score is the model's own linear score: the prediction of a linear regressor, the log of the mean for a
    Poisson regressor, log-odds for a logistic regression, and the margin of a support vector machine before its
    calibration. With the scaler's mean m and scale s, a weight w is w / s per raw unit, and the intercept is w m / s
    less.

    Intervals are percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13): the final estimator is
    refitted on resampled rows of the transformed matrix, while imputation, scaling and encoding stay as they
    were fitted, so they say nothing about the uncertainty of those. Rows are drawn within each class, so that no class
    vanishes. Above `max_rows` rows it is an m-out-of-n bootstrap (Bickel, Gotze and van Zwet 1997): m rows are drawn,
    weighted by n / m so that a penalty keeps its strength, and the distances from the estimate to both ends are
    scaled by sqrt(m / n). Where a refit is slow there are fewer resamples (never under 100), then fewer rows, then
    no intervals; this is decided by the matrix's shape and not by a clock, so that the same seed gives the same
    intervals. An interval is widened to hold its own estimate, which a penalised fit's percentiles may miss.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline of "features" (ColumnTransformer) and an estimator, which may be wrapped by
        ``FixedThresholdClassifier`` and ``CalibratedClassifierCV(ensemble=False)``.
    frame : the (n, columns) rows the pipeline was fitted on.
    target : (n,) their targets.
    seed : decides the resamples; no global random state is read or changed.
    resamples : how many refits at most; 0 for no intervals.
    max_rows : how many rows a refit sees at most.
    positive : of two classes, the one whose score is meant; the second in ``classes_`` where it is None.
    total_rows : how many rows the pipeline was fitted on, of which `frame` is a sample; None where these are all.
    covariance : of intercept and weights, shape (1 + columns, 1 + columns), of all rows: intervals are then 1.96
        standard errors to both sides (Wald 1943). None to find it by the rows.

    Returns
    -------
    list of Coefficient, class by class: the intercept, then the features in the pipeline's order. Empty where
    the estimator is not linear in its columns (an MLP: see `importances`), or a step of the features is not one
    whose units are known here (imputation, standard scaling, one-hot encoding).
    """
    estimator = linear_estimator(pipeline[-1])
    features = layout.features(pipeline, frame)
    if estimator is None or features is None or weights(estimator)[0].shape[1] != len(features):
        return []
    matrix = pipeline[:-1].transform(frame)
    centre = np.array([feature.centre for feature in features])
    scale = np.array([feature.scale for feature in features])

    estimates = _raw(*weights(estimator), centre, scale)
    exact = covariance is not None
    if covariance is None and total_rows is None:
        covariance = inference.covariance(estimator, matrix, np.asarray(target))
    errors = np.full_like(estimates, np.nan)
    if covariance is not None and len(estimates) == 1:
        errors[0] = inference.errors(covariance, centre, scale)
    if exact:
        low, high = estimates - NORMAL * errors, estimates + NORMAL * errors
    else:
        refits = bootstrap.refit(
            estimator,
            matrix,
            np.asarray(target),
            seed=seed,
            resamples=resamples,
            max_rows=max_rows,
            total_rows=total_rows or len(frame),
        )
        if refits is None:
            low = high = np.full_like(estimates, np.nan)
        else:
            low, high = _interval(estimates, [_raw(w, b, centre, scale) for w, b in refits.fits], refits.shrink)
    labels = score_classes(estimator)
    if positive is not None and len(labels) == 1 and labels[0] != positive:
        labels, estimates, low, high = [positive], -estimates, -high, -low

    deviations = np.nan_to_num(_deviations(matrix) * scale, nan=0.0, posinf=0.0)
    names: list[tuple[str, str | None, float]] = [(INTERCEPT, None, 0.0)]
    names += [(one.label, one.column, float(spread)) for one, spread in zip(features, deviations, strict=True)]
    return [
        Coefficient(label, name, float(value), *ends(lower, upper), column, deviation, known(error))
        for label, *row in zip(labels, estimates, low, high, errors, strict=True)
        for (name, column, deviation), value, lower, upper, error in zip(names, *row, strict=True)
        if np.isfinite(value)
    ]


def _raw(weights: np.ndarray, intercepts: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weights of scaled columns in raw units, intercepts first: shape (scores, 1 + columns)."""
    with np.errstate(all="ignore"):
        per_unit = weights / scale
        return np.column_stack([intercepts - per_unit @ centre, per_unit])


def _interval(estimates: np.ndarray, draws: list[np.ndarray], shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of the draws, its ends moved towards the estimate by `shrink`, and holding it."""
    with np.errstate(all="ignore"):
        low, high = estimates + shrink * (np.quantile(np.stack(draws), TAILS, axis=0) - estimates)
        return np.minimum(low, estimates), np.maximum(high, estimates)


def _deviations(matrix) -> np.ndarray:
    """Standard deviation of each column of a dense or sparse matrix."""
    with np.errstate(all="ignore"):
        if not hasattr(matrix, "toarray"):
            return np.asarray(matrix).std(axis=0)
        mean = np.asarray(matrix.mean(axis=0)).ravel()
        return np.sqrt(np.maximum(np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel() - mean**2, 0))
