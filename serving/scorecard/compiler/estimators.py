"""Fitted scikit-learn estimators as a scorecard's model and decision."""

from dataclasses import dataclass, field, replace

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

from .target import inverse
from .trace import Column, Trace, finite, unsupported
from .transformers import below, transform


@dataclass(frozen=True)
class Fitted:
    """What an estimator computes: scores of columns, and what becomes of them.

    ``weights`` has one list a score, each with a weight a column; ``layers`` takes its place for an MLP.
    """

    task: str
    columns: list[Column]
    link: str
    weights: list[list[float]] = field(default_factory=list)
    intercepts: list[float] = field(default_factory=list)
    layers: list[dict] | None = None
    activation: str | None = None
    calibration: list[dict] | None = None
    target: list[dict] = field(default_factory=list)
    classes: list | None = None
    threshold: dict | None = None
    decides: bool = True


def estimate(step, columns: list[Column], trace: Trace, path: str) -> Fitted:
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


def _pipeline(step, columns, trace, path):
    for name, inner in step.steps[:-1]:
        columns = transform(inner, columns, trace, below(path, name))
    name, last = step.steps[-1]
    if last is None or isinstance(last, str):
        raise unsupported(below(path, name), str(last), "the pipeline has no estimator at its end")
    return estimate(last, columns, trace, below(path, name))


def _matrix(columns, trace, path, step):
    """The columns of an estimator: numbers, none of them missing."""
    expected = getattr(step, "n_features_in_", len(columns))
    if expected != len(columns):
        raise unsupported(path, step, f"it was fitted on {expected} columns and gets {len(columns)}")
    return [trace.require(trace.numeric(column, path, step)) for column in columns]


def _scores(step, path) -> dict:
    """Weights and intercepts of a fitted linear model, one score a row of ``coef_``."""
    coefficients = np.atleast_2d(np.asarray(step.coef_, dtype=np.float64))
    intercepts = np.broadcast_to(np.ravel(np.asarray(step.intercept_, dtype=np.float64)), len(coefficients))
    if not (np.isfinite(coefficients).all() and np.isfinite(intercepts).all()):
        raise unsupported(path, step, "its fitted coefficients are not all finite")
    return {"weights": coefficients.tolist(), "intercepts": intercepts.tolist()}


def _regressor(link_of=lambda step: "identity"):
    def convert(step, columns, trace, path):
        scores = _scores(step, path)
        if len(scores["weights"]) != 1:
            raise unsupported(path, step, f"it predicts {len(scores['weights'])} targets at once")
        return Fitted("regression", _matrix(columns, trace, path, step), link_of(step), **scores)

    return convert


def _tweedie_link(step) -> str:
    return step.link if step.link != "auto" else "identity" if step.power <= 0 else "log"


def _classifier(link_of):
    def convert(step, columns, trace, path):
        link = link_of(step)
        if link is None:
            raise unsupported(path, step, "its probabilities are not those of a logistic model")
        classes = _labels(step, path)
        return Fitted(
            "classification", _matrix(columns, trace, path, step), link, classes=classes, **_scores(step, path)
        )

    return convert


def _labels(step, path) -> list:
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


def _logistic(step):
    if len(step.classes_) == 2:
        return "logistic"
    return "one-vs-rest" if getattr(step, "multi_class", None) == "ovr" else "softmax"


def _sgd(step):
    if step.loss == "log_loss":
        return "logistic" if len(step.classes_) == 2 else "one-vs-rest"
    return None if step.loss == "modified_huber" else "none"


def _one_vs_rest(step, columns, trace, path):
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
    return Fitted(
        "classification",
        parts[0].columns,
        link if link == "none" or len(parts) == 1 else "one-vs-rest",
        weights=[part.weights[0] for part in parts],
        intercepts=[part.intercepts[0] for part in parts],
        classes=classes,
    )


def _layers(step, path) -> dict:
    if any(not np.isfinite(part).all() for part in (*step.coefs_, *step.intercepts_)):
        raise unsupported(path, step, "its fitted coefficients are not all finite")
    layers = [
        {"weights": np.asarray(w, dtype=np.float64).T.tolist(), "intercepts": np.asarray(b, dtype=np.float64).tolist()}
        for w, b in zip(step.coefs_, step.intercepts_, strict=True)
    ]
    return {"layers": layers, "activation": step.activation, "decides": False}


def _mlp_classifier(step, columns, trace, path):
    if step.out_activation_ == "logistic" and step.n_outputs_ != 1:
        raise unsupported(path, step, "it predicts several labels at once")
    return Fitted(
        "classification",
        _matrix(columns, trace, path, step),
        {"logistic": "logistic", "softmax": "softmax"}[step.out_activation_],
        classes=_labels(step, path),
        **_layers(step, path),
    )


def _mlp_regressor(step, columns, trace, path):
    if step.n_outputs_ != 1:
        raise unsupported(path, step, f"it predicts {step.n_outputs_} targets at once")
    link = {"identity": "identity", "exp": "log"}[step.out_activation_]
    return Fitted("regression", _matrix(columns, trace, path, step), link, **_layers(step, path))


def _calibrated(step, columns, trace, path):
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
    calibration = [
        {"slope": -finite(c.a_, path, step, "slope"), "offset": -finite(c.b_, path, step, "offset")}
        for c in pair.calibrators
    ]
    link = "logistic" if len(inner.weights) == 1 else "one-vs-rest"
    return replace(inner, link=link, calibration=calibration, classes=classes, decides=False)


def _threshold(step, columns, trace, path):
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
    label = classes[1]
    if positive is not None:
        label = next((known for known in classes if known == positive), None)
        if label is None:
            raise unsupported(path, step, "its positive label is none of the classes")
    on = "probability" if response == "predict_proba" else "score"
    threshold = {"on": on, "value": finite(value, path, step, "threshold"), "positive": label}
    return replace(inner, threshold=threshold)


def _transformed_target(step, columns, trace, path):
    inner = estimate(step.regressor_, columns, trace, below(path, "regressor"))
    steps = inverse(step.transformer_, below(path, "transformer"))
    return replace(inner, target=[*inner.target, *steps])


def _inside(attribute):
    def convert(step, columns, trace, path):
        return estimate(getattr(step, attribute), columns, trace, below(path, attribute.rstrip("_")))

    return convert


_IDENTITY = (
    *(lm.LinearRegression, lm.Ridge, lm.RidgeCV, lm.Lasso, lm.LassoCV, lm.ElasticNet, lm.ElasticNetCV),
    *(lm.Lars, lm.LarsCV, lm.LassoLars, lm.LassoLarsCV, lm.LassoLarsIC, lm.BayesianRidge, lm.ARDRegression),
    *(lm.OrthogonalMatchingPursuit, lm.OrthogonalMatchingPursuitCV, lm.HuberRegressor, lm.TheilSenRegressor),
    *(lm.SGDRegressor, lm.QuantileRegressor, LinearSVR),
)

_ESTIMATORS = {
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
