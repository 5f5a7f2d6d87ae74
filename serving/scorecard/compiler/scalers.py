"""Fitted scalers: arithmetic with one or two numbers a column."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import steps as kinds
from .trace import Trace, TracedColumn, finite, unsupported

Convert = Callable[[Any, list[TracedColumn], Trace, str], list[TracedColumn]]


def arithmetic(*parts: tuple[type[kinds.Arithmetic], str, Callable[[Any], bool]]) -> Convert:
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


def clipped_to(convert: Convert, limits: Callable[[Any], tuple[float, float]]) -> Convert:
    def clipped(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
        found = convert(step, columns, trace, path)
        if not getattr(step, "clip", False):
            return found
        low, high = limits(step)
        return [trace.then(column, kinds.Clip([float(low), float(high)])) for column in found]

    return clipped


STANDARD = arithmetic(
    (kinds.Subtract, "mean_", lambda step: step.with_mean), (kinds.Divide, "scale_", lambda step: step.with_std)
)
ROBUST = arithmetic(
    (kinds.Subtract, "center_", lambda step: step.with_centering),
    (kinds.Divide, "scale_", lambda step: step.with_scaling),
)
MIN_MAX = clipped_to(
    arithmetic((kinds.Multiply, "scale_", lambda step: True), (kinds.Add, "min_", lambda step: True)),
    lambda step: step.feature_range,
)
MAX_ABS = clipped_to(arithmetic((kinds.Divide, "scale_", lambda step: True)), lambda step: (-1.0, 1.0))


def power_transformer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    kind = {"yeo-johnson": kinds.YeoJohnson, "box-cox": kinds.BoxCox}[step.method]
    if np.asarray(step.lambdas_).dtype != np.float64:
        raise unsupported(path, step, "fitted on single precision, it computes in it: cast its input to float64")
    found = [
        trace.then(trace.numeric(column, path, step), kind(finite(lmbda, path, step, "lambda")))
        for column, lmbda in zip(columns, step.lambdas_, strict=True)
    ]
    return STANDARD(step._scaler, found, trace, path) if step.standardize else found
