"""Fitted isotonic regressions as lines between points: as the last step of a pipeline, and as calibration."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from ..steps import Piecewise
from .compiled import CompiledEstimator, matrix
from .pieces import Piece, refuse_rounded, step_of
from .trace import Trace, TracedColumn, finite, unsupported


def curve(step: Any, path: str) -> Piecewise:
    """The lines between the points of a fitted ``IsotonicRegression``, as NumPy's ``interp`` computes them.

    Raises
    ------
    Unsupported
        where it computes in single precision, or has a step that is too steep for a slope.
    """
    if not hasattr(step, "X_thresholds_"):
        raise unsupported(path, step, "it has kept none of its points")
    if np.asarray(step.X_thresholds_).dtype != np.float64 or np.asarray(step.y_thresholds_).dtype != np.float64:
        raise unsupported(path, step, "fitted on single precision, it computes in it: cast its input to float64")
    knots = [finite(number, path, step, "threshold") for number in step.X_thresholds_]
    values = [finite(number, path, step, "threshold") for number in step.y_thresholds_]
    pieces: list[Piece] = [
        (left, left, [low, (high - low) / (right - left)])
        for (left, low), (right, high) in pairwise(zip(knots, values, strict=True))
    ]
    if step.out_of_bounds == "clip" or len(knots) == 1:
        pieces = [(-math.inf, 0.0, values[:1]), *pieces, (knots[-1], 0.0, values[-1:])]
    else:
        beyond = math.nextafter(knots[-1], math.inf)
        pieces = [(-math.inf, 0.0, []), *pieces, (knots[-1], 0.0, values[-1:]), (beyond, 0.0, [])]
    return step_of(pieces, path, step)


def isotonic(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    """A regression by one column, whose point of the curve is the prediction."""
    if len(columns) != 1:
        raise unsupported(path, step, f"it takes one column and gets {len(columns)}")
    (column,) = matrix(columns, trace, path, step)
    found = curve(step, path)
    if not all(found.coefficients):
        refuse_rounded(column, path, step, "it refuses what is out of bounds")
    point = trace.then(column, found, label=f"curve of {column.label}")
    return CompiledEstimator("regression", [point], "identity", [[1.0]], [0.0])
