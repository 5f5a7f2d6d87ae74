"""Fitted scikit-learn transformers as steps of a scorecard's columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import decomposition, discriminant_analysis, kernel_approximation, neighbors, random_projection
from sklearn import preprocessing as pp
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from .. import steps as kinds
from . import bins, encoders, functions, imputers, matrices, pieces, scalers
from .trace import Trace, TracedColumn, finite, unsupported

Convert = Callable[[Any, list[TracedColumn], Trace, str], list[TracedColumn]]


def transform(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The columns a fitted transformer makes of columns.

    Raises
    ------
    Unsupported
        where it does what no scorecard can say exactly.
    """
    if step is None or isinstance(step, str):
        if step in (None, "passthrough"):
            return columns
        raise unsupported(path, step, "it is no transformer")
    convert = _TRANSFORMERS.get(type(step))
    if convert is None and isinstance(step, SelectorMixin) and type(step).__module__.startswith("sklearn."):
        convert = _selector
    if convert is None:
        raise unsupported(path, step, "it is not among the steps that a scorecard knows")
    expected = getattr(step, "n_features_in_", None)
    if expected is not None and expected != len(columns):
        raise unsupported(path, step, f"it was fitted on {expected} columns and gets {len(columns)}")
    return convert(step, columns, trace, path)


def below(path: str, name: str) -> str:
    """The path of a step inside another."""
    return f"{path} / {name}" if path else name


def _pipeline(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    for name, inner in step.steps:
        columns = transform(inner, columns, trace, below(path, name))
    return columns


def _column_transformer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    names = getattr(step, "feature_names_in_", None)
    weights = step.transformer_weights or {}
    found = []
    for name, inner, selected in step.transformers_:
        if isinstance(inner, str) and inner == "drop":
            continue
        places = _places(selected, names, len(columns), below(path, name), step)
        if places:
            made = transform(inner, [columns[place] for place in places], trace, below(path, name))
            found += _weighted(made, weights.get(name), trace, below(path, name), step)
    return found


def _places(selected: Any, names: Any, width: int, path: str, step: object) -> list[int]:
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            known = list(names)
            start = None if selected.start is None else known.index(selected.start)
            stop = None if selected.stop is None else known.index(selected.stop) + 1
            selected = slice(start, stop, selected.step)
        return list(range(width))[selected]
    if isinstance(selected, (str, int, np.integer)) and not isinstance(selected, bool):
        raise unsupported(path, step, "it takes one column as a flat list of values")
    selected = list(selected)
    if selected and all(isinstance(item, (bool, np.bool_)) for item in selected):
        return [place for place, chosen in enumerate(selected) if chosen]
    if any(isinstance(item, str) for item in selected):
        place_of = {name: place for place, name in enumerate(names)}
        return [place_of[item] for item in selected]
    return [int(item) % width for item in selected]


def _weighted(columns: list[TracedColumn], weight: object, trace: Trace, path: str, step: object) -> list[TracedColumn]:
    if weight is None:
        return columns
    factor = kinds.Multiply(finite(weight, path, step, "transformer weight"))
    return [trace.then(trace.numeric(column, path, step), factor) for column in columns]


def _union(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    weights = step.transformer_weights or {}
    found = []
    for name, inner in step.transformer_list:
        if inner != "drop":
            made = transform(inner, columns, trace, below(path, name))
            found += _weighted(made, weights.get(name), trace, below(path, name), step)
    return found


def _selector(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    missing = get_tags(step).input_tags.allow_nan
    columns = [trace.numeric(column, path, step) for column in columns]
    columns = columns if missing else [trace.require(column) for column in columns]
    for column, chosen in zip(columns, step.get_support(), strict=True):
        if not chosen:
            trace.check(column, missing=missing)
    return [column for column, chosen in zip(columns, step.get_support(), strict=True) if chosen]


def _polynomial(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    columns = [trace.require(trace.numeric(column, path, step)) for column in columns]
    found = []
    for powers in step.powers_:
        # The last feature first: scikit-learn multiplies the columns of the degree below by each feature in turn.
        factors = [column for column, power in reversed(list(zip(columns, powers, strict=True))) for _ in range(power)]
        if len(factors) == 1:
            found.append(factors[0])
            continue
        parts = [
            column.label if power == 1 else f"{column.label}^{power}"
            for column, power in zip(columns, powers, strict=True)
            if power
        ]
        found.append(trace.product(factors, " × ".join(parts) or "1"))
    return found


_TRANSFORMERS: dict[type, Convert] = {
    Pipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    FeatureUnion: _union,
    pp.FunctionTransformer: functions.function_transformer,
    SimpleImputer: imputers.simple_imputer,
    MissingIndicator: imputers.missing_indicator,
    pp.StandardScaler: scalers.STANDARD,
    pp.RobustScaler: scalers.ROBUST,
    pp.MinMaxScaler: scalers.MIN_MAX,
    pp.MaxAbsScaler: scalers.MAX_ABS,
    pp.PowerTransformer: scalers.power_transformer,
    pp.Normalizer: matrices.normalizer,
    pp.OneHotEncoder: encoders.one_hot_encoder,
    pp.OrdinalEncoder: encoders.ordinal_encoder,
    pp.TargetEncoder: encoders.target_encoder,
    pp.Binarizer: bins.binarizer,
    pp.KBinsDiscretizer: bins.discretizer,
    pp.SplineTransformer: pieces.spline_transformer,
    pp.QuantileTransformer: pieces.quantile_transformer,
    pp.PolynomialFeatures: _polynomial,
    decomposition.PCA: matrices.principal_components,
    decomposition.IncrementalPCA: matrices.principal_components,
    decomposition.TruncatedSVD: matrices.projection,
    decomposition.FastICA: matrices.independent_components,
    decomposition.FactorAnalysis: matrices.factor_analysis,
    discriminant_analysis.LinearDiscriminantAnalysis: matrices.discriminants,
    random_projection.GaussianRandomProjection: matrices.projection,
    random_projection.SparseRandomProjection: matrices.projection,
    neighbors.NeighborhoodComponentsAnalysis: matrices.projection,
    kernel_approximation.RBFSampler: matrices.fourier_features,
    FeatureAgglomeration: matrices.agglomeration,
}
