"""Fitted scikit-learn transformers as steps of a scorecard's columns."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import methodcaller
from typing import Any, cast

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils import get_tags

from .. import steps as kinds
from ..fields import NUMBER
from ..steps import FUNCTIONS as FUNCTION_NAMES
from .edges import before_functions
from .encoders import one_hot_encoder, ordinal_encoder
from .trace import Trace, TracedColumn, finite, unsupported

#: NumPy's functions of one number by the name that the document gives them.
FUNCTIONS = {getattr(np, name): name for name in FUNCTION_NAMES}


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


def _function(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    func, arguments = step.func, dict(step.kw_args or {})
    name = ""
    numeric = step.validate
    if isinstance(func, methodcaller):
        if not arguments and (found := _method(func, columns, trace, path, step)) is not None:
            return found
        raise unsupported(path, step, f"its function {func!r} is its own")
    if func in (np.asarray, np.array):
        dtype = arguments.pop("dtype", None)
        if dtype is not None:
            if np.dtype(dtype) != np.float64:
                raise unsupported(path, step, f"it casts to {np.dtype(dtype)}, not float64")
            numeric = True
    elif func is not None:
        try:
            name = FUNCTIONS[func]
        except (KeyError, TypeError):
            raise unsupported(
                path, step, f"its function {getattr(func, '__name__', 'is unnamed')!r} is its own"
            ) from None
        numeric = True
    if arguments:
        raise unsupported(path, step, f"it passes {', '.join(sorted(arguments))} to its function")
    if numeric:
        columns = [trace.numeric(column, path, step) for column in columns]
    if step.validate:
        columns = [trace.require(column) for column in columns]
    if not name:
        return columns
    return [trace.then(column, kinds.NumpyFunction(name), label=f"{name}({column.label})") for column in columns]


def _method(
    caller: methodcaller, columns: list[TracedColumn], trace: Trace, path: str, step: Any
) -> list[TracedColumn] | None:
    """Columns after a method of DataFrame: a cast to objects or to float64, or a fill of what is missing; else None."""
    maker, said = cast(tuple[type, tuple[Any, ...]], caller.__reduce__())
    if maker is not methodcaller or len(said) != 2 or step.validate:
        return None
    name, value = said
    if name == "astype" and value in ("object", object):
        return columns
    if name == "astype" and value in ("float64", float, np.float64):
        return [trace.numeric(column, path, step) for column in columns]
    if name != "fillna":
        return None
    if _is_missing(value):
        return columns
    fill: str | float
    if isinstance(value, str):
        columns, fill = [trace.textual(column, path, step) for column in columns], value
    elif isinstance(value, (bool, int, float, np.number)):
        columns = [trace.numeric(column, path, step) for column in columns]
        fill = finite(value, path, step, "fill value")
    else:
        return None
    return [trace.then(column, kinds.Impute(fill), filled=True) for column in columns]


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)


def _imputer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    marker = None if _is_missing(step.missing_values) else step.missing_values
    marker = str(marker) if isinstance(marker, str) else marker
    single = getattr(step, "_fill_dtype", None) == np.float32
    ready, found = [], []
    for column, statistic in zip(columns, step.statistics_, strict=True):
        dropped = _is_missing(statistic) and not step.keep_empty_features
        fill = statistic
        if isinstance(fill, str) or isinstance(marker, str):
            column = trace.textual(column, path, step)
            fill = str(fill)
        elif dropped:
            column = trace.numeric(column, path, step) if step.strategy in ("mean", "median") else column
        else:
            column = trace.numeric(column, path, step)
            fill = finite(np.float32(fill) if single else fill, path, step, "fill value")
        old = marker if marker is None or isinstance(marker, str) else finite(marker, path, step, "missing_values")
        if old is not None:
            column = trace.require(column)
        ready.append((column, old))
        if not dropped:
            done = kinds.Impute(fill) if old is None else kinds.Replace(old, fill)
            found.append(trace.then(column, done, filled=True))
        elif trace.kind(column) == NUMBER:
            trace.check(column, missing=True)
    if step.add_indicator:
        found += _indicators(step.indicator_, ready)
    return found


def _indicators(indicator: Any, ready: Sequence[tuple[TracedColumn, kinds.Category]]) -> list[TracedColumn]:
    return [
        TracedColumn(
            ready[place][0].source,
            f"{ready[place][0].label} is missing",
            NUMBER,
            (*ready[place][0].steps, kinds.Is(ready[place][1])),
        )
        for place in indicator.features_
    ]


def _missing_indicator(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    marker = None if _is_missing(step.missing_values) else finite(step.missing_values, path, step, "missing_values")
    if marker is not None:
        columns = [trace.require(trace.numeric(column, path, step)) for column in columns]
    if step.features == "missing-only" and step.error_on_new:
        known = set(step.features_)
        columns = [c if place in known else trace.require(c) for place, c in enumerate(columns)]
    return _indicators(step, [(column, marker) for column in columns])


def _selector(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    missing = get_tags(step).input_tags.allow_nan
    columns = [trace.numeric(column, path, step) for column in columns]
    columns = columns if missing else [trace.require(column) for column in columns]
    for column, chosen in zip(columns, step.get_support(), strict=True):
        if not chosen:
            trace.check(column, missing=missing)
    return [column for column, chosen in zip(columns, step.get_support(), strict=True) if chosen]


def _arithmetic(*parts: tuple[type[kinds.Arithmetic], str, Callable[[Any], bool]]) -> Convert:
    """A transformer that does arithmetic with fitted parameters: (step, attribute, whether it is used)."""

    def convert(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
        found = []
        for place, column in enumerate(columns):
            steps = [
                kind(finite(getattr(step, attribute)[place], path, step, attribute))
                for kind, attribute, used in parts
                if used(step)
            ]
            found.append(trace.then(trace.numeric(column, path, step), *steps))
        return found

    return convert


def _clipped(convert: Convert, limits: Callable[[Any], tuple[float, float]]) -> Convert:
    def clipped(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
        found = convert(step, columns, trace, path)
        if not getattr(step, "clip", False):
            return found
        low, high = limits(step)
        return [trace.then(column, kinds.Clip([float(low), float(high)])) for column in found]

    return clipped


def _binarizer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    # x > threshold is x >= the next float64 after it, which is how an edge of a bin is read.
    edge = float(np.nextafter(finite(step.threshold, path, step, "threshold"), np.inf))
    found = []
    for column in columns:
        label = f"{column.label} > {step.threshold:g}"
        column = trace.require(trace.numeric(column, path, step))
        column, edges = before_functions(column, [edge], trace, on_edge_above=False)
        found.append(trace.then(column, kinds.Bin(edges), label=label))
    return found


def _bins(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    if step.dtype is not None and np.dtype(step.dtype) != np.float64:
        raise unsupported(path, step, f"it computes in {np.dtype(step.dtype)}, not float64")
    found = []
    for column, edges in zip(columns, step.bin_edges_, strict=True):
        column = trace.require(trace.numeric(column, path, step))
        inner = [finite(edge, path, step, "bin edge") for edge in edges[1:-1]]
        plain, edges = before_functions(column, inner, trace)
        binned = trace.then(plain, kinds.Bin(edges))
        if step.encode == "ordinal":
            found.append(trace.then(binned, label=f"bin of {column.label}"))
            continue
        limits = [None, *inner, None]
        groups: list[tuple[str, list[kinds.Category]]] = [
            (_interval(column.label, low, high), [float(place)]) for place, (low, high) in enumerate(pairwise(limits))
        ]
        found += trace.one_hot(binned, groups, [], None)
    return found


def _interval(label: str, low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return f"any {label}"
    if low is None:
        return f"{label} < {high:.6g}"
    return f"{label} >= {low:.6g}" if high is None else f"{low:.6g} <= {label} < {high:.6g}"


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


def _power(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    kind = {"yeo-johnson": kinds.YeoJohnson, "box-cox": kinds.BoxCox}[step.method]
    if np.asarray(step.lambdas_).dtype != np.float64:
        raise unsupported(path, step, "fitted on single precision, it computes in it: cast its input to float64")
    found = [
        trace.then(trace.numeric(column, path, step), kind(finite(lmbda, path, step, "lambda")))
        for column, lmbda in zip(columns, step.lambdas_, strict=True)
    ]
    return transform(step._scaler, found, trace, path) if step.standardize else found


_TRANSFORMERS: dict[type, Convert] = {
    Pipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    FeatureUnion: _union,
    FunctionTransformer: _function,
    SimpleImputer: _imputer,
    MissingIndicator: _missing_indicator,
    StandardScaler: _arithmetic(
        (kinds.Subtract, "mean_", lambda step: step.with_mean), (kinds.Divide, "scale_", lambda step: step.with_std)
    ),
    RobustScaler: _arithmetic(
        (kinds.Subtract, "center_", lambda step: step.with_centering),
        (kinds.Divide, "scale_", lambda step: step.with_scaling),
    ),
    MinMaxScaler: _clipped(
        _arithmetic((kinds.Multiply, "scale_", lambda step: True), (kinds.Add, "min_", lambda step: True)),
        lambda step: step.feature_range,
    ),
    MaxAbsScaler: _clipped(_arithmetic((kinds.Divide, "scale_", lambda step: True)), lambda step: (-1.0, 1.0)),
    OneHotEncoder: one_hot_encoder,
    OrdinalEncoder: ordinal_encoder,
    Binarizer: _binarizer,
    KBinsDiscretizer: _bins,
    PolynomialFeatures: _polynomial,
    PowerTransformer: _power,
}
