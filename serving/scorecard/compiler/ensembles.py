"""Fitted estimators that calibrate linear models, or take the mean of several, as a scorecard's model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..nodes import Calibrator, Member, Platt
from .compiled import CompiledEstimator, Convert, labels
from .isotonic import curve
from .trace import Trace, TracedColumn, finite, unsupported
from .transformers import below


def calibrated(step: Any, columns: list[TracedColumn], trace: Trace, path: str, estimate: Convert) -> CompiledEstimator:
    """A ``CalibratedClassifierCV``: one calibrated model, or the mean of those of its folds."""
    pairs, classes = step.calibrated_classifiers_, labels(step, path)
    codes = [*range(len(classes))]
    found = []
    for place, pair in enumerate(pairs):
        at = below(path, "estimator" if len(pairs) == 1 else f"calibrated_classifiers_[{place}]")
        inner = estimate(pair.estimator, columns, trace, at)
        if not inner.scored or not hasattr(pair.estimator, "decision_function"):
            raise unsupported(path, step, "it calibrates a model without a decision function of its own")
        # For the temperature, labels that are text are fitted by their places among all classes.
        if inner.classes != classes and not (pair.method == "temperature" and inner.classes == codes):
            raise unsupported(path, step, "the model that it calibrates knows other classes")
        found.append(_temperature(pair, inner, at) if pair.method == "temperature" else _calibrated(pair, inner, at))
    if len(found) == 1 and pairs[0].method != "temperature":
        return found[0]
    return replace(_mean(found, [1.0] * len(found)), classes=classes)


def _calibrated(pair: Any, inner: CompiledEstimator, path: str) -> CompiledEstimator:
    """A model whose scores are calibrated one by one."""
    calibrators: tuple[Calibrator, ...]
    if pair.method == "isotonic":
        link, calibrators = "isotonic", tuple(curve(one, path) for one in pair.calibrators)
    else:
        link = "logistic" if len(inner.weights) == 1 else "one-vs-rest"
        calibrators = tuple(
            Platt(-finite(one.a_, path, one, "slope"), -finite(one.b_, path, one, "offset")) for one in pair.calibrators
        )
    return replace(inner, link=link, calibration=calibrators)


def _temperature(pair: Any, inner: CompiledEstimator, path: str) -> CompiledEstimator:
    """A model whose scores, which are -s and s where there are two classes, are multiplied before the softmax."""
    beta = finite(pair.calibrators[0].beta_, path, pair.calibrators[0], "inverse temperature")
    if len(inner.weights) == 1:
        return replace(inner, link="logistic", calibration=(Platt(2.0 * beta, 0.0),))
    weights = [[weight * beta for weight in row] for row in inner.weights]
    return replace(inner, link="softmax", weights=weights, intercepts=[one * beta for one in inner.intercepts])


def voting_classifier(
    step: Any, columns: list[TracedColumn], trace: Trace, path: str, estimate: Convert
) -> CompiledEstimator:
    """A ``VotingClassifier`` that takes the mean of probabilities."""
    if step.voting != "soft":
        raise unsupported(path, step, "its models vote for labels: fit it with voting='soft'")
    classes = labels(step, path)
    found = _members(step, columns, trace, path, estimate)
    for one in found:
        if one.layers or one.threshold or one.members or one.link == "none":
            raise unsupported(path, step, "it takes the mean of models that are not linear, or have no probabilities")
        if one.classes != [*range(len(classes))]:
            raise unsupported(path, step, "its models know other classes")
    return replace(_mean(found, _weights(step, path)), classes=classes)


def voting_regressor(
    step: Any, columns: list[TracedColumn], trace: Trace, path: str, estimate: Convert
) -> CompiledEstimator:
    """A ``VotingRegressor``: a mean of linear models is a linear model."""
    found, weights = _members(step, columns, trace, path, estimate), _weights(step, path)
    if any(one.task != "regression" or not one.scored or one.link != "identity" for one in found):
        raise unsupported(path, step, "it takes the mean of models that are not linear in their columns")
    shares = [weight / sum(weights) for weight in weights]
    row = [share * weight for one, share in zip(found, shares, strict=True) for weight in one.weights[0]]
    intercept = sum(share * one.intercepts[0] for one, share in zip(found, shares, strict=True))
    return CompiledEstimator("regression", [c for one in found for c in one.columns], "identity", [row], [intercept])


def _members(
    step: Any, columns: list[TracedColumn], trace: Trace, path: str, estimate: Convert
) -> list[CompiledEstimator]:
    names = [name for name, one in step.estimators if not isinstance(one, str)]
    return [estimate(one, columns, trace, below(path, name)) for name, one in zip(names, step.estimators_, strict=True)]


def _weights(step: Any, path: str) -> list[float]:
    if step.weights is None:
        return [1.0] * len(step.estimators_)
    kept = [w for (_, one), w in zip(step.estimators, step.weights, strict=True) if not isinstance(one, str)]
    found = [finite(weight, path, step, "weight") for weight in kept]
    if min(found) < 0.0 or sum(found) == 0.0:
        raise unsupported(path, step, "its weights are not all positive")
    return found


def _mean(parts: Sequence[CompiledEstimator], weights: Sequence[float]) -> CompiledEstimator:
    """The mean of the probabilities of classifiers; equal columns of several stand there once."""
    columns, places = _shared(parts)
    table: list[list[float]] = []
    for part, mine in zip(parts, places, strict=True):
        for row in part.weights:
            by_place = dict(zip(mine, row, strict=True))
            table.append([by_place.get(place, 0.0) for place in range(len(columns))])
    intercepts = [one for part in parts for one in part.intercepts]
    members = tuple(Member(part.link, part.calibration, weight) for part, weight in zip(parts, weights, strict=True))
    return CompiledEstimator(
        "classification", columns, "mean", table, intercepts, classes=parts[0].classes, members=members
    )


def _shared(parts: Sequence[CompiledEstimator]) -> tuple[list[TracedColumn], list[list[int]]]:
    """The different columns of several models, and for each model where its columns are among them."""
    columns: list[TracedColumn] = []
    known: dict[tuple, int] = {}
    places = []
    for part in parts:
        seen: dict[tuple, int] = {}
        mine = []
        for column in part.columns:
            key = (column.source, repr(column.steps))
            seen[key] = seen.get(key, 0) + 1  # a column that one model has twice stays there twice
            if (*key, seen[key]) not in known:
                known[(*key, seen[key])] = len(columns)
                columns.append(column)
            mine.append(known[(*key, seen[key])])
        places.append(mine)
    return columns, places
