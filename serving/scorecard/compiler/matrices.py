"""Fitted decompositions and projections: columns that are weighted sums of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import steps as kinds
from .trace import Trace, TracedColumn, finite, unsupported


def projection(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The product with ``components_``, which may be sparse."""
    components = step.components_
    components = components.toarray() if hasattr(components, "toarray") else components
    return _combined(step, _numbers(step, columns, trace, path), components, trace, path)


def principal_components(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The components of a fitted ``PCA`` or ``IncrementalPCA``; centred after the product, as scikit-learn does."""
    columns = _numbers(step, columns, trace, path)
    offsets = -(np.reshape(step.mean_, (1, -1)) @ step.components_.T)[0]
    found = _combined(step, columns, step.components_, trace, path, offsets=offsets)
    if not step.whiten:
        return found
    scales = np.sqrt(step.explained_variance_)
    scales[scales < np.finfo(scales.dtype).eps] = np.finfo(scales.dtype).eps
    return _each(kinds.Divide, step, found, scales, "scale", trace, path)


def independent_components(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The sources that a fitted ``FastICA`` unmixes."""
    columns = _numbers(step, columns, trace, path)
    columns = _each(kinds.Subtract, step, columns, step.mean_, "mean", trace, path) if step.whiten else columns
    return _combined(step, columns, step.components_, trace, path)


def factor_analysis(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The expected factors of a fitted ``FactorAnalysis`` (Barber, Bayesian Reasoning, 21.2.33): two products."""
    columns = _each(kinds.Subtract, step, _numbers(step, columns, trace, path), step.mean_, "mean", trace, path)
    weights = step.components_ / step.noise_variance_
    covariance = np.linalg.inv(np.eye(len(step.components_)) + weights @ step.components_.T)
    inner = _combined(step, columns, weights, trace, path, labels=[f"part of {name}" for name in _labels(step)])
    return _combined(step, inner, covariance.T, trace, path)


def discriminants(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The directions in which a fitted ``LinearDiscriminantAnalysis`` tells classes apart."""
    if step.solver == "lsqr":
        raise unsupported(path, step, "its solver 'lsqr' transforms nothing")
    columns = _numbers(step, columns, trace, path)
    if step.solver == "svd":
        columns = _each(kinds.Subtract, step, columns, step.xbar_, "mean", trace, path)
    return _combined(step, columns, step.scalings_.T[: step._max_components], trace, path)


def fourier_features(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The random Fourier features of a fitted ``RBFSampler``: cosines of weighted sums."""
    columns = _numbers(step, columns, trace, path)
    offsets = step.random_offset_
    found = _combined(step, columns, step.random_weights_.T, trace, path, offsets=offsets)
    scale = kinds.Multiply(float((2.0 / step.n_components) ** 0.5))
    return [trace.then(column, kinds.NumpyFunction("cos"), scale) for column in found]


def agglomeration(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The means of the columns that a fitted ``FeatureAgglomeration`` put together."""
    if step.pooling_func is not np.mean:
        raise unsupported(path, step, "it pools by a function other than numpy.mean")
    columns = _numbers(step, columns, trace, path)
    members = [np.flatnonzero(step.labels_ == label) for label in np.unique(step.labels_)]
    found = []
    for places in members:
        chosen = [columns[place] for place in places]
        total = trace.combination(chosen, [1.0] * len(chosen), 0.0, "sum of " + " + ".join(c.label for c in chosen))
        label = "mean of " + ", ".join(column.label for column in chosen)
        found.append(trace.then(total, kinds.Divide(float(len(chosen))), label=label))
    return found


def normalizer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The columns of a ``Normalizer``, each divided by the norm of the row; one next to zero counts as 1."""
    if step.norm == "max":
        raise unsupported(path, step, "its norm is the largest value of a row")
    columns = _numbers(step, columns, trace, path)
    if step.norm == "l1":
        parts = [trace.then(column, kinds.NumpyFunction("abs"), label=f"|{column.label}|") for column in columns]
    else:
        parts = [trace.product([column, column], f"{column.label}^2") for column in columns]
    total = trace.combination(parts, [1.0] * len(parts), 0.0, "sum of " + ", ".join(part.label for part in parts))
    root = [] if step.norm == "l1" else [kinds.NumpyFunction("sqrt")]
    smallest = 10.0 * float(np.finfo(np.float64).eps)
    enough = kinds.Piecewise([smallest], [0.0, 0.0], [[1.0], [0.0, 1.0]])
    inverse = trace.then(total, *root, enough, kinds.NumpyFunction("reciprocal"), label="1 / norm")
    return [trace.product([column, inverse], f"{column.label} / norm") for column in columns]


def _numbers(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    return [trace.require(trace.numeric(column, path, step)) for column in columns]


def _labels(step: Any) -> list[str]:
    return [str(name) for name in step.get_feature_names_out()]


def _combined(
    step: Any,
    columns: list[TracedColumn],
    weights: Any,
    trace: Trace,
    path: str,
    *,
    offsets: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
) -> list[TracedColumn]:
    """One combination of the columns for each row of ``weights``, shape (n_combinations, n_columns)."""
    rows = [[finite(weight, path, step, "weight") for weight in row] for row in np.asarray(weights)]
    added = [0.0] * len(rows) if offsets is None else [finite(one, path, step, "offset") for one in offsets]
    names = labels or _labels(step)
    return [trace.combination(columns, row, offset, name) for row, offset, name in zip(rows, added, names, strict=True)]


def _each(
    operation: type[kinds.Arithmetic],
    step: Any,
    columns: list[TracedColumn],
    numbers: Sequence[float],
    what: str,
    trace: Trace,
    path: str,
) -> list[TracedColumn]:
    """Each column after arithmetic with a fitted number of its own; an error calls the numbers ``what``."""
    return [
        trace.then(column, operation(finite(number, path, step, what)))
        for column, number in zip(columns, numbers, strict=True)
    ]
