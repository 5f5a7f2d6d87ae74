"""Edges of bins in the units a column had before the functions it went through.

Libraries round a logarithm or a power differently, as one library does on different processors, and NumPy's ``cbrt`` is
not even monotone everywhere. An edge that was drawn through the training data is the image of a row: the last digit
would decide on which side of the edge each row like it lies. In the units before the function nothing is rounded.
There an edge is put so far beside the rows that it was drawn through that they keep their side whatever the last digits
are. Rows that come nearer to an edge than that are ill-conditioned, and ``parity`` counts them so.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from .. import arraysteps
from ..steps import Add, BoxCox, Clip, Divide, Multiply, NumpyFunction, Step, Subtract, YeoJohnson, chain
from .trace import Trace, TracedColumn

_LARGEST = 1.7976931348623157e308
#: Functions that rise, and round as their library does; and those of them that give a number for every number.
_RISING = frozenset({"log", "log2", "log10", "log1p", "exp", "expm1", "cbrt", "arcsinh", "tanh"})
_TOTAL = frozenset({"cbrt", "arcsinh", "tanh"})
#: How far apart two libraries' values of one function may be, relatively: 16 units in the last place.
_UNCERTAIN = 16 * 2.220446049250313e-16


def before_functions(
    column: TracedColumn, edges: list[float], trace: Trace, *, on_edge_above: bool = True
) -> tuple[TracedColumn, list[float]]:
    """The column before the functions it went through, and the edges there; both as they are where there is none.

    Parameters
    ----------
    edges : rising; a value that equals an edge is above it. One that no value reaches is left out: it would be among
        the last.
    on_edge_above : whether training rows may lie on an edge (as on those of bins), or right below it (as those that
        equal a threshold, which is exceeded only above).
    """
    if not trace.edges_moved:
        return column, edges
    start = len(column.steps)
    while start and _rises(column.steps[start - 1]):
        start -= 1
    if not start or not _inexact(column.steps[start - 1]):
        return column, edges
    function, arithmetic = column.steps[start - 1], column.steps[start:]
    values = _values(function, arithmetic)
    choose = max if on_edge_above else min

    def reaches(edge: float, x: float) -> bool:
        found = values(x)
        # What is not finite is refused, and lies below the function's domain or beyond what it can say.
        return choose(found) >= edge if all(map(math.isfinite, found)) else x > 0.0

    moved = [_smallest(partial(reaches, edge)) for edge in edges]
    if not (isinstance(function, NumpyFunction) and function.function in _TOTAL):
        trace.check(column)
    before = replace(column, steps=column.steps[: start - 1])
    return before_functions(before, [e for e in moved if e is not None], trace, on_edge_above=on_edge_above)


def _values(function: Step, arithmetic: Sequence[Step]) -> Callable[[float], tuple[float, ...]]:
    """What a function and the arithmetic after it make of one number, were the function off by ``_UNCERTAIN``.

    The function is done as scikit-learn does it: a Box-Cox transform by SciPy in C, and all others by NumPy.
    """
    after = chain(arithmetic, "") or (lambda x: x)
    if isinstance(function, BoxCox):
        compute = function.bind("")
    else:
        run = arraysteps.chain([function])

        def compute(x: float) -> float:
            with np.errstate(all="ignore"):
                return float(run(np.array([x]), np.empty(1), lambda rows, reason: None)[0])

    def values(x: float) -> tuple[float, ...]:
        found = compute(x)
        if not math.isfinite(found):
            return (found,)
        return tuple(after(found * (1.0 + change)) for change in (-_UNCERTAIN, _UNCERTAIN))

    return values


def _inexact(step: Step) -> bool:
    if isinstance(step, NumpyFunction):
        return step.function in _RISING
    return isinstance(step, (BoxCox, YeoJohnson))


def _rises(step: Step) -> bool:
    """Whether a step is arithmetic that keeps the order, which every library does alike."""
    return isinstance(step, (Add, Subtract, Clip)) or (isinstance(step, (Multiply, Divide)) and step.operand > 0.0)


def _smallest(holds: Callable[[float], bool]) -> float | None:
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
