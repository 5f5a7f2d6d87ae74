"""How a transformed target is turned back: the inverse of a fitted transformer as steps of one number."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from .. import steps as kinds
from .functions import FUNCTIONS
from .trace import finite, unsupported
from .transformers import below


def inverse(step: Any, path: str) -> list[kinds.Step]:
    """The steps that undo a fitted transformer of the target.

    Raises
    ------
    Unsupported
        where its inverse is none that a scorecard knows.
    """
    convert = _INVERSES.get(type(step))
    if convert is None:
        raise unsupported(path, step, "it is not among the target transforms that a scorecard knows")
    return convert(step, path)


def _pipeline(step: Any, path: str) -> list[kinds.Step]:
    steps: list[kinds.Step] = []
    for name, inner in reversed(step.steps):
        if inner is not None and inner != "passthrough":
            steps += inverse(inner, below(path, name))
    return steps


def _function(step: Any, path: str) -> list[kinds.Step]:
    if step.inv_kw_args:
        raise unsupported(path, step, "it passes arguments to its inverse function")
    if step.inverse_func is None:
        return []
    try:
        name = FUNCTIONS[step.inverse_func]
    except (KeyError, TypeError):
        name = getattr(step.inverse_func, "__name__", "is unnamed")
        raise unsupported(path, step, f"its inverse function {name!r} is its own") from None
    return [] if name is None else [kinds.NumpyFunction(name)]


def _arithmetic(
    *parts: tuple[type[kinds.Arithmetic], str, Callable[[Any], bool]],
) -> Callable[[Any, str], list[kinds.Step]]:
    def convert(step: Any, path: str) -> list[kinds.Step]:
        return [kind(finite(getattr(step, a)[0], path, step, a)) for kind, a, used in parts if used(step)]

    return convert


def _power(step: Any, path: str) -> list[kinds.Step]:
    steps = inverse(step._scaler, path) if step.standardize else []
    kind = {"yeo-johnson": kinds.InverseYeoJohnson, "box-cox": kinds.InverseBoxCox}[step.method]
    if np.asarray(step.lambdas_).dtype != np.float64:
        raise unsupported(path, step, "fitted on single precision, it computes in it: cast the target to float64")
    return [*steps, kind(finite(step.lambdas_[0], path, step, "lambda"))]


_INVERSES: dict[type, Callable[[Any, str], list[kinds.Step]]] = {
    Pipeline: _pipeline,
    FunctionTransformer: _function,
    StandardScaler: _arithmetic(
        (kinds.Multiply, "scale_", lambda s: s.with_std), (kinds.Add, "mean_", lambda s: s.with_mean)
    ),
    RobustScaler: _arithmetic(
        (kinds.Multiply, "scale_", lambda s: s.with_scaling), (kinds.Add, "center_", lambda s: s.with_centering)
    ),
    MinMaxScaler: _arithmetic((kinds.Subtract, "min_", lambda s: True), (kinds.Divide, "scale_", lambda s: True)),
    MaxAbsScaler: _arithmetic((kinds.Multiply, "scale_", lambda s: True)),
    PowerTransformer: _power,
}
