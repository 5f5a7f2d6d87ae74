"""Fitted scikit-learn estimators as a scorecard's model and decision."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn import linear_model as lm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC, LinearSVR

from ..nodes import Label, Layer, Platt, Threshold
from ..steps import Step
from .target import inverse
from .trace import Trace, TracedColumn, finite, unsupported
from .transformers import below, transform


@dataclass(frozen=True)
class CompiledEstimator:
    """What an estimator computes: scores of columns, and what becomes of them.

    ``weights`` has one list a score, each with a weight a column; ``layers`` takes its place for an MLP.
    """

    task: str
    columns: list[TracedColumn]
    link: str
    weights: list[list[float]] = field(default_factory=list)
    intercepts: list[float] = field(default_factory=list)
    layers: list[Layer] | None = None
    activation: str | None = None
    calibration: tuple[Platt, ...] | None = None
    target: tuple[Step, ...] = ()
    classes: list[Label] | None = None
    threshold: Threshold | None = None


Convert = Callable[[Any, list[TracedColumn], Trace, str], CompiledEstimator]


def estimate(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    """What a fitted estimator computes from columns.

    Raises
    ------
    Unsupported
        where no scorecard can say it exactly.
    """
    convert = _ESTIMATORS.get(type(step))
    if convert is None:
        raise unsupported(path, step, "it is not among the estimators that a scorecard knows")
    return convert(step, columns, trace, path)


def _pipeline(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    for name, inner in step.steps[:-1]:
        columns = transform(inner, columns, trace, below(path, name))
    name, last = step.steps[-1]
    if last is None or isinstance(last, str):
        raise unsupported(below(path, name), str(last), "the pipeline has no estimator at its end")
    return estimate(last, columns, trace, below(path, name))


def _matrix(columns: list[TracedColumn], trace: Trace, path: str, step: object) -> list[TracedColumn]:
    """The columns of an estimator: numbers, none of them missing."""
    expected = getattr(step, "n_features_in_", len(columns))
    if expected != len(columns):
        raise unsupported(path, step, f"it was fitted on {expected} columns and gets {len(columns)}")
    return [trace.require(trace.numeric(column, path, step)) for column in columns]


def _scores(step: Any, path: str) -> dict[str, Any]:
    """Weights and intercepts of a fitted linear model, one score a row of ``coef_``."""
    coefficients = np.atleast_2d(np.asarray(step.coef_, dtype=np.float64))
    intercepts = np.broadcast_to(np.ravel(np.asarray(step.intercept_, dtype=np.float64)), len(coefficients))
    if not (np.isfinite(coefficients).all() and np.isfinite(intercepts).all()):
        raise unsupported(path, step, "its fitted coefficients are not all finite")
    return {"weights": coefficients.tolist(), "intercepts": intercepts.tolist()}


def _regressor(link_of: Callable[[Any], str] = lambda step: "identity") -> Convert:
    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        scores = _scores(step, path)
        if len(scores["weights"]) != 1:
            raise unsupported(path, step, f"it predicts {len(scores['weights'])} targets at once")
        return CompiledEstimator("regression", _matrix(columns, trace, path, step), link_of(step), **scores)

    return convert


def _tweedie_link(step: Any) -> str:
    return step.link if step.link != "auto" else "identity" if step.power <= 0 else "log"


def _classifier(link_of: Callable[[Any], str | None]) -> Convert:
    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        link = link_of(step)
        if link is None:
            raise unsupported(path, step, "its probabilities are not those of a logistic model")
        classes = _labels(step, path)
        return CompiledEstimator(
            "classification", _matrix(columns, trace, path, step), link, classes=classes, **_scores(step, path)
        )

    return convert


def _labels(step: Any, path: str) -> list[Label]:
    classes = step.classes_
    if isinstance(classes, list) or np.ndim(classes) != 1:
        raise unsupported(path, step, "it predicts several labels at once")
    found = [str(label) if isinstance(label, str) else label for label in np.asarray(classes).tolist()]
    if len(found) < 2:
        raise unsupported(path, step, "it knows one class only")
    if len({type(label) for label in found}) != 1 or type(found[0]) not in (str, int, float, bool):
        raise unsupported(
            path, step, f"its labels are {type(found[0]).__name__}, not text, numbers or booleans of one type"
        )
    return found


def _logistic(step: Any) -> str:
    if len(step.classes_) == 2:
        return "logistic"
    return "one-vs-rest" if getattr(step, "multi_class", None) == "ovr" else "softmax"


def _sgd(step: Any) -> str | None:
    if step.loss == "log_loss":
        return "logistic" if len(step.classes_) == 2 else "one-vs-rest"
    return None if step.loss == "modified_huber" else "none"


def _one_vs_rest(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    classes = _labels(step, path)
    if step.multilabel_:
        raise unsupported(path, step, "it predicts several labels at once")
    parts = [
        estimate(inner, columns, trace, below(path, f"estimators_[{place}]"))
        for place, inner in enumerate(step.estimators_)
    ]
    links = {part.link for part in parts}
    if (
        any(part.layers or part.calibration or part.threshold or len(part.weights) != 1 for part in parts)
        or len(links) != 1
    ):
        raise unsupported(path, step, "its parts are not all linear models of one kind")
    (link,) = links
    return CompiledEstimator(
        "classification",
        parts[0].columns,
        link if link == "none" or len(parts) == 1 else "one-vs-rest",
        weights=[part.weights[0] for part in parts],
        intercepts=[part.intercepts[0] for part in parts],
        classes=classes,
    )


def _layers(step: Any, path: str) -> dict[str, Any]:
    if any(not np.isfinite(part).all() for part in (*step.coefs_, *step.intercepts_)):
        raise unsupported(path, step, "its fitted coefficients are not all finite")
    layers = [
        Layer(np.asarray(w, dtype=np.float64).T.tolist(), np.asarray(b, dtype=np.float64).tolist())
        for w, b in zip(step.coefs_, step.intercepts_, strict=True)
    ]
    return {"layers": layers, "activation": step.activation}


def _mlp_classifier(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    if step.out_activation_ == "logistic" and step.n_outputs_ != 1:
        raise unsupported(path, step, "it predicts several labels at once")
    return CompiledEstimator(
        "classification",
        _matrix(columns, trace, path, step),
        {"logistic": "logistic", "softmax": "softmax"}[step.out_activation_],
        classes=_labels(step, path),
        **_layers(step, path),
    )


def _mlp_regressor(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    if step.n_outputs_ != 1:
        raise unsupported(path, step, f"it predicts {step.n_outputs_} targets at once")
    link = {"identity": "identity", "exp": "log"}[step.out_activation_]
    return CompiledEstimator("regression", _matrix(columns, trace, path, step), link, **_layers(step, path))


def _calibrated(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    if len(step.calibrated_classifiers_) != 1:
        models = len(step.calibrated_classifiers_)
        raise unsupported(path, step, f"it averages {models} models: fit it with ensemble=False")
    (pair,) = step.calibrated_classifiers_
    if pair.method != "sigmoid":
        raise unsupported(path, step, f"it calibrates by {pair.method}: fit it with method='sigmoid'")
    inner = estimate(pair.estimator, columns, trace, below(path, "estimator"))
    if inner.layers or inner.calibration or inner.threshold or not hasattr(pair.estimator, "decision_function"):
        raise unsupported(path, step, "it calibrates a model without a decision function of its own")
    classes = _labels(step, path)
    if inner.classes != classes:
        raise unsupported(path, step, "the model that it calibrates knows other classes")
    calibration = tuple(
        Platt(-finite(c.a_, path, step, "slope"), -finite(c.b_, path, step, "offset")) for c in pair.calibrators
    )
    link = "logistic" if len(inner.weights) == 1 else "one-vs-rest"
    return replace(inner, link=link, calibration=calibration, classes=classes)


def _threshold(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    inner = estimate(getattr(step, "estimator_", None) or step.estimator, columns, trace, below(path, "estimator"))
    if inner.threshold:
        raise unsupported(path, step, "it puts a threshold on a model that has one already")
    if type(step) is TunedThresholdClassifierCV:
        value, positive = step.best_threshold_, step._curve_scorer._get_pos_label()
    else:
        value, positive = step.threshold, step.pos_label
    response = step.response_method
    if response == "auto":
        response = "predict_proba" if inner.link != "none" else "decision_function"
    if isinstance(value, str):
        value = 0.5 if response == "predict_proba" else 0.0
    classes = _labels(step, path)
    label = classes[1] if positive is None else next((known for known in classes if known == positive), None)
    if label is None:
        raise unsupported(path, step, "its positive label is none of the classes")
    on = "probability" if response == "predict_proba" else "score"
    return replace(inner, threshold=Threshold(on, finite(value, path, step, "threshold"), label))


def _transformed_target(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    inner = estimate(step.regressor_, columns, trace, below(path, "regressor"))
    steps = inverse(step.transformer_, below(path, "transformer"))
    return replace(inner, target=(*inner.target, *steps))


def _inside(attribute: str) -> Convert:
    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        return estimate(getattr(step, attribute), columns, trace, below(path, attribute.rstrip("_")))

    return convert


_IDENTITY = (
    *(lm.LinearRegression, lm.Ridge, lm.RidgeCV, lm.Lasso, lm.LassoCV, lm.ElasticNet, lm.ElasticNetCV),
    *(lm.Lars, lm.LarsCV, lm.LassoLars, lm.LassoLarsCV, lm.LassoLarsIC, lm.BayesianRidge, lm.ARDRegression),
    *(lm.OrthogonalMatchingPursuit, lm.OrthogonalMatchingPursuitCV, lm.HuberRegressor, lm.TheilSenRegressor),
    *(lm.SGDRegressor, lm.QuantileRegressor, LinearSVR),
)

_ESTIMATORS: dict[type, Convert] = {
    Pipeline: _pipeline,
    **dict.fromkeys(_IDENTITY, _regressor()),
    lm.PoissonRegressor: _regressor(lambda step: "log"),
    lm.GammaRegressor: _regressor(lambda step: "log"),
    lm.TweedieRegressor: _regressor(_tweedie_link),
    lm.RANSACRegressor: _inside("estimator_"),
    lm.LogisticRegression: _classifier(_logistic),
    lm.LogisticRegressionCV: _classifier(_logistic),
    lm.SGDClassifier: _classifier(_sgd),
    LinearDiscriminantAnalysis: _classifier(_logistic),
    **dict.fromkeys(
        (LinearSVC, lm.RidgeClassifier, lm.RidgeClassifierCV, lm.Perceptron), _classifier(lambda s: "none")
    ),
    OneVsRestClassifier: _one_vs_rest,
    MLPClassifier: _mlp_classifier,
    MLPRegressor: _mlp_regressor,
    CalibratedClassifierCV: _calibrated,
    FixedThresholdClassifier: _threshold,
    TunedThresholdClassifierCV: _threshold,
    TransformedTargetRegressor: _transformed_target,
    FrozenEstimator: _inside("estimator"),
    GridSearchCV: _inside("best_estimator_"),
    RandomizedSearchCV: _inside("best_estimator_"),
}
