"""What a scikit-learn estimator minimises, as an objective of the exact solvers."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from pipelines.solving import Objective


class NotCovered(ValueError):
    """An estimator, or a parameter of it, that the exact solvers do not fit; says what they do."""


def of(estimator: BaseEstimator, classes: int) -> Objective:
    """The objective of an estimator; parameters that only change how scikit-learn gets there do not count.

    Parameters
    ----------
    classes : how many there are; 0 of a regression.

    Raises
    ------
    NotCovered
    """
    name, given = type(estimator).__name__, estimator.get_params(deep=False)
    if name not in _OBJECTIVES:
        raise NotCovered(f"does not fit {name}; choose {_NEAREST.get(name, 'another estimator')}")
    if given.get("positive"):
        raise NotCovered("takes no --param positive=true; leave it out")
    return _OBJECTIVES[name](given, classes)


def _linear(given: Mapping[str, Any], classes: int) -> Objective:
    return Objective.linear(fit_intercept=given["fit_intercept"])


def _ridge(given: Mapping[str, Any], classes: int) -> Objective:
    if not isinstance(given["alpha"], (int, float)):
        raise NotCovered(f"takes one number for --param alpha, found {given['alpha']!r}")
    return Objective.ridge(float(given["alpha"]), fit_intercept=given["fit_intercept"])


def _lasso(given: Mapping[str, Any], classes: int) -> Objective:
    return Objective.lasso(given["alpha"], fit_intercept=given["fit_intercept"])


def _elastic_net(given: Mapping[str, Any], classes: int) -> Objective:
    return Objective.elastic_net(given["alpha"], given["l1_ratio"], fit_intercept=given["fit_intercept"])


def _poisson(given: Mapping[str, Any], classes: int) -> Objective:
    return Objective.poisson(given["alpha"], fit_intercept=given["fit_intercept"])


def _gamma(given: Mapping[str, Any], classes: int) -> Objective:
    return Objective.gamma(given["alpha"], fit_intercept=given["fit_intercept"])


def _tweedie(given: Mapping[str, Any], classes: int) -> Objective:
    if given["link"] not in ("log", "auto") or not 1 <= given["power"] <= 2:
        raise NotCovered("fits tweedie with a log link and a power from 1 to 2")
    return Objective.tweedie(given["power"], given["alpha"], fit_intercept=given["fit_intercept"])


def _logistic(given: Mapping[str, Any], classes: int) -> Objective:
    if given["penalty"] not in ("deprecated", "l2", None) or given["l1_ratio"]:
        raise NotCovered("fits a logistic model with an l2 penalty, or with none (C=inf); leave l1 penalties out")
    strength = math.inf if given["penalty"] is None else given["C"]
    return Objective.logistic(strength, classes=classes, fit_intercept=given["fit_intercept"])


_OBJECTIVES: Mapping[str, Callable[[Mapping[str, Any], int], Objective]] = {
    "LinearRegression": _linear,
    "Ridge": _ridge,
    "Lasso": _lasso,
    "ElasticNet": _elastic_net,
    "PoissonRegressor": _poisson,
    "GammaRegressor": _gamma,
    "TweedieRegressor": _tweedie,
    "LogisticRegression": _logistic,
}
#: The nearest that is fitted, by what is not.
_NEAREST = {
    "HuberRegressor": "ridge",
    "LinearSVR": "ridge",
    "MLPRegressor": "ridge",
    "CalibratedClassifierCV": "logistic",
    "MLPClassifier": "logistic",
}


def class_weights(asked: object, classes: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """The weight of each class as scikit-learn has it; None where all are 1.

    Parameters
    ----------
    asked : None, ``"balanced"``, or label -> weight.
    classes, counts : shape (n_classes,): the labels, and how many rows each has.
    """
    if asked is None:
        return None
    if isinstance(asked, Mapping):
        return np.array([float(asked.get(label, 1.0)) for label in classes.tolist()])
    return counts.sum() / (len(counts) * counts)
