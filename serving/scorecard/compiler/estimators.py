"""Fitted scikit-learn estimators as a scorecard's model and decision."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn import linear_model as lm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.model_selection._search_successive_halving import HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR

from ..nodes import Layer, Threshold
from . import ensembles
from .compiled import CompiledEstimator, Convert, labels, linear_scores, matrix
from .isotonic import isotonic
from .target import inverse
from .trace import Trace, TracedColumn, finite, unsupported
from .transformers import below, transform


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


def _regressor(link_of: Callable[[Any], str] = lambda step: "identity") -> Convert:
    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        scores = linear_scores(step, path)
        if len(scores["weights"]) != 1:
            raise unsupported(path, step, f"it predicts {len(scores['weights'])} targets at once")
        return CompiledEstimator("regression", matrix(columns, trace, path, step), link_of(step), **scores)

    return convert


def _tweedie_link(step: Any) -> str:
    return step.link if step.link != "auto" else "identity" if step.power <= 0 else "log"


def _classifier(link_of: Callable[[Any], str] = lambda step: "none") -> Convert:
    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        classes, scores = labels(step, path), linear_scores(step, path)
        if len(scores["weights"]) != (1 if len(classes) == 2 else len(classes)):
            raise unsupported(path, step, "it predicts several labels at once")
        return CompiledEstimator(
            "classification", matrix(columns, trace, path, step), link_of(step), classes=classes, **scores
        )

    return convert


def _linear_kernel(convert: Convert) -> Convert:
    """A support vector machine of libsvm, which has weights of columns where its kernel is linear."""

    def checked(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
        if step.kernel != "linear":
            raise unsupported(path, step, f"its kernel is {step.kernel!r}, not linear")
        if getattr(step, "probability", False) is True:
            raise unsupported(path, step, "its probabilities disagree with its labels: fit it with probability=False")
        if len(getattr(step, "classes_", ())) > 2:
            raise unsupported(path, step, "it votes among pairs of classes")
        return convert(step, columns, trace, path)

    return checked


def _logistic(step: Any) -> str:
    if len(step.classes_) == 2:
        return "logistic"
    return "one-vs-rest" if getattr(step, "multi_class", None) == "ovr" else "softmax"


def _sgd(step: Any) -> str:
    if step.loss == "log_loss":
        return "logistic" if len(step.classes_) == 2 else "one-vs-rest"
    return "clipped" if step.loss == "modified_huber" else "none"


def _one_vs_rest(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    classes = labels(step, path)
    if step.multilabel_:
        raise unsupported(path, step, "it predicts several labels at once")
    parts = [
        estimate(inner, columns, trace, below(path, f"estimators_[{place}]"))
        for place, inner in enumerate(step.estimators_)
    ]
    links = {part.link for part in parts}
    if (
        any(part.task != "classification" or not part.scored or len(part.weights) != 1 for part in parts)
        or len(links) != 1
    ):
        raise unsupported(path, step, "its parts are not all linear models of one kind")
    (link,) = links
    if link == "clipped" and len(parts) > 1:
        raise unsupported(path, step, "its probabilities are 0 for all classes where those of its parts are")
    return CompiledEstimator(
        "classification",
        parts[0].columns,
        "one-vs-rest" if link == "logistic" and len(parts) > 1 else link,
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
        matrix(columns, trace, path, step),
        {"logistic": "logistic", "softmax": "softmax"}[step.out_activation_],
        classes=labels(step, path),
        **_layers(step, path),
    )


def _mlp_regressor(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    if step.n_outputs_ != 1:
        raise unsupported(path, step, f"it predicts {step.n_outputs_} targets at once")
    link = {"identity": "identity", "exp": "log"}[step.out_activation_]
    return CompiledEstimator("regression", matrix(columns, trace, path, step), link, **_layers(step, path))


def _threshold(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    inner = estimate(getattr(step, "estimator_", None) or step.estimator, columns, trace, below(path, "estimator"))
    if inner.threshold or inner.task != "classification":
        raise unsupported(path, step, "it puts a threshold on a model that has one already")
    if type(step) is TunedThresholdClassifierCV:
        value, positive = step.best_threshold_, step._curve_scorer._get_pos_label()
    else:
        value, positive = step.threshold, step.pos_label
    response = step.response_method
    if response == "decision_function" and (inner.members or inner.calibration or inner.layers):
        raise unsupported(path, step, "it asks for a decision function, and its model has none")
    if response == "auto":
        response = "predict_proba" if inner.link != "none" else "decision_function"
    if isinstance(value, str):
        value = 0.5 if response == "predict_proba" else 0.0
    classes = labels(step, path)
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
        inner = getattr(step, attribute, None)
        if inner is None:
            raise unsupported(path, step, f"it has no {attribute}: fit it with refit=True")
        return estimate(inner, columns, trace, below(path, attribute.rstrip("_")))

    return convert


def _of_several(convert: Callable[..., CompiledEstimator]) -> Convert:
    """A converter that asks for what is inside of an estimator."""
    return lambda step, columns, trace, path: convert(step, columns, trace, path, estimate)


_IDENTITY = (
    *(lm.LinearRegression, lm.Ridge, lm.RidgeCV, lm.Lasso, lm.LassoCV, lm.ElasticNet, lm.ElasticNetCV),
    *(lm.Lars, lm.LarsCV, lm.LassoLars, lm.LassoLarsCV, lm.LassoLarsIC, lm.BayesianRidge, lm.ARDRegression),
    *(lm.OrthogonalMatchingPursuit, lm.OrthogonalMatchingPursuitCV, lm.HuberRegressor, lm.TheilSenRegressor),
    *(lm.SGDRegressor, lm.PassiveAggressiveRegressor, lm.QuantileRegressor, LinearSVR),
)
_MARGIN = (LinearSVC, lm.RidgeClassifier, lm.RidgeClassifierCV, lm.Perceptron, lm.PassiveAggressiveClassifier)
_SEARCHES = (GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV)

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
    **dict.fromkeys(_MARGIN, _classifier()),
    **dict.fromkeys((SVC, NuSVC), _linear_kernel(_classifier())),
    **dict.fromkeys((SVR, NuSVR), _linear_kernel(_regressor())),
    OneVsRestClassifier: _one_vs_rest,
    MLPClassifier: _mlp_classifier,
    MLPRegressor: _mlp_regressor,
    IsotonicRegression: isotonic,
    CalibratedClassifierCV: _of_several(ensembles.calibrated),
    VotingClassifier: _of_several(ensembles.voting_classifier),
    VotingRegressor: _of_several(ensembles.voting_regressor),
    FixedThresholdClassifier: _threshold,
    TunedThresholdClassifierCV: _threshold,
    TransformedTargetRegressor: _transformed_target,
    FrozenEstimator: _inside("estimator"),
    **dict.fromkeys(_SEARCHES, _inside("best_estimator_")),
}
