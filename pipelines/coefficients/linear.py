"""The linear estimator inside a fitted pipeline: its weights, the classes they are about, and what its score is."""

from typing import Any

import numpy as np
from sklearn.base import is_classifier


def linear_estimator(estimator) -> Any | None:
    """The fitted linear estimator inside a threshold and a calibration; None where there is none, or several."""
    if hasattr(estimator, "estimator_") and hasattr(estimator, "pos_label"):
        estimator = estimator.estimator_
    if hasattr(estimator, "calibrated_classifiers_"):
        if len(estimator.calibrated_classifiers_) != 1:
            return None
        estimator = estimator.calibrated_classifiers_[0].estimator
    return estimator if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_") else None


def weights(estimator) -> tuple[np.ndarray, np.ndarray]:
    """A fitted linear estimator's weights and intercepts, of shapes (scores, columns) and (scores,)."""
    by_score = np.atleast_2d(np.asarray(estimator.coef_, dtype=float))
    return by_score, np.broadcast_to(np.asarray(estimator.intercept_, dtype=float).ravel(), (len(by_score),))


def score_classes(estimator) -> list:
    """The class of each score of a linear estimator: None for a regressor, the second class where there are two."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return [None]
    labels = classes.tolist()
    return labels[1:] if len(labels) == 2 else labels


def score_name(pipeline, target: str) -> str:
    """What the coefficients of a fitted pipeline are changes of, in words for an axis: ``log-odds``, the target."""
    estimator = linear_estimator(pipeline[-1])
    if estimator is None:
        return "log loss" if is_classifier(pipeline[-1]) else f"RMSE of {target}"
    if hasattr(estimator, "predict_log_proba"):
        return "log-odds"
    if is_classifier(estimator):
        return "margin"
    return f"log of the mean of {target}" if has_log_link(estimator) else target


def has_log_link(estimator) -> bool:
    """Whether the score of a fitted linear regressor is the logarithm of what it predicts."""
    name = type(estimator).__name__
    if name == "TweedieRegressor":
        return estimator.link == "log" or (estimator.link == "auto" and estimator.power > 0)
    return name in ("PoissonRegressor", "GammaRegressor")
