"""Edges of bins in the units a column had before the function it last went through.

Libraries round a logarithm or a power differently, and an edge that was drawn through the training data is the image
of a row: the last digit would decide on which side of the edge each row like it lies. In the units before the function
nothing is rounded.
"""

import math
import struct
from dataclasses import replace

import numpy as np

from .. import arraysteps, steps
from .trace import Column, Trace

_LARGEST = 1.7976931348623157e308
#: Functions that rise, and round as their library does; and those of them that give a number for every number.
_RISING = frozenset({"log", "log2", "log10", "log1p", "exp", "expm1", "cbrt", "arcsinh", "tanh"})
_TOTAL = frozenset({"cbrt", "arcsinh", "tanh"})


def before_function(column: Column, edges: list[float], trace: Trace) -> tuple[Column, list[float]]:
    """The column before its last function, and the edges there; both as they are where there is no such function.

    Parameters
    ----------
    edges : rising. An edge that the function never reaches is left out: it would be among the last.
    """
    start = len(column.steps)
    while start and _rises(column.steps[start - 1]):
        start -= 1
    if not start or not _inexact(column.steps[start - 1]):
        return column, edges
    after = list(column.steps[start - 1 :])
    value = _computed(after)

    def reaches(x: float, edge: float) -> bool:
        found = value(x)
        # What is not finite is refused, and lies below the function's domain or beyond what it can say.
        return found >= edge if math.isfinite(found) else x > 0.0

    found = [_smallest(lambda x, edge=edge: reaches(x, edge)) for edge in edges]
    if next(iter(after[0].values())) not in _TOTAL:
        trace.check(column)
    return replace(column, steps=column.steps[: start - 1]), [edge for edge in found if edge is not None]


def _computed(after: list[dict]):
    """Steps on one number as scikit-learn does them: a Box-Cox transform by SciPy in C, and all others by NumPy."""
    if "box_cox" in after[0]:
        return steps.chain(after, "")
    run = arraysteps.chain(after)

    def value(x: float) -> float:
        with np.errstate(all="ignore"):
            return float(run(np.array([x]), np.empty(1), lambda rows, reason: None)[0])

    return value


def _inexact(step: dict) -> bool:
    ((name, value),) = step.items()
    return name in ("box_cox", "yeo_johnson") or (name == "function" and value in _RISING)


def _rises(step: dict) -> bool:
    """Whether a step is arithmetic that keeps the order, which every library does alike."""
    ((name, value),) = step.items()
    return name in ("add", "subtract", "clip") or (name in ("multiply", "divide") and value > 0.0)


def _smallest(holds) -> float | None:
    """The smallest finite float64 at which a condition holds that holds from somewhere on; None where it never does."""
    low, high = _place(-_LARGEST), _place(_LARGEST)
    if not holds(_LARGEST):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(_number(middle)):
            high = middle
        else:
            low = middle + 1
    return _number(low)


def _place(x: float) -> int:
    """The place of a float64 among all of them, in order."""
    (bits,) = struct.unpack("<q", struct.pack("<d", x))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _number(place: int) -> float:
    bits = abs(place)
    (x,) = struct.unpack("<d", struct.pack("<q", bits))
    return x if place >= 0 else -x
