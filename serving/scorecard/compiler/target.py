"""How a transformed target is turned back: the inverse of a fitted transformer as steps of one number."""

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

from .trace import finite, unsupported
from .transformers import FUNCTIONS, below


def inverse(step, path: str) -> list[dict]:
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


def _pipeline(step, path):
    steps = []
    for name, inner in reversed(step.steps):
        if inner is not None and inner != "passthrough":
            steps += inverse(inner, below(path, name))
    return steps


def _function(step, path):
    if step.inv_kw_args:
        raise unsupported(path, step, "it passes arguments to its inverse function")
    if step.inverse_func is None:
        return []
    try:
        return [{"function": FUNCTIONS[step.inverse_func]}]
    except (KeyError, TypeError):
        name = getattr(step.inverse_func, "__name__", "is unnamed")
        raise unsupported(path, step, f"its inverse function {name!r} is its own") from None


def _arithmetic(*parts):
    def convert(step, path):
        return [{n: finite(getattr(step, a)[0], path, step, a)} for n, a, used in parts if used(step)]

    return convert


def _power(step, path):
    steps = inverse(step._scaler, path) if step.standardize else []
    name = {"yeo-johnson": "inverse_yeo_johnson", "box-cox": "inverse_box_cox"}[step.method]
    if np.asarray(step.lambdas_).dtype != np.float64:
        raise unsupported(path, step, "fitted on single precision, it computes in it: cast the target to float64")
    return [*steps, {name: finite(step.lambdas_[0], path, step, "lambda")}]


_INVERSES = {
    Pipeline: _pipeline,
    FunctionTransformer: _function,
    StandardScaler: _arithmetic(("multiply", "scale_", lambda s: s.with_std), ("add", "mean_", lambda s: s.with_mean)),
    RobustScaler: _arithmetic(
        ("multiply", "scale_", lambda s: s.with_scaling), ("add", "center_", lambda s: s.with_centering)
    ),
    MinMaxScaler: _arithmetic(("subtract", "min_", lambda s: True), ("divide", "scale_", lambda s: True)),
    MaxAbsScaler: _arithmetic(("multiply", "scale_", lambda s: True)),
    PowerTransformer: _power,
}
