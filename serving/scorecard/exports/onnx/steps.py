"""The steps of a document on tensors (rows, columns), several columns at once where they go through the same steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from ... import steps
from ...handlers import handler
from ...numeric import SMALLEST_LAMBDA, SPACING
from ...steps import Step
from .graph import FUNCTIONS, Graph, expm1, log1p

#: Steps whose arguments may differ from column to column.
_BY_COLUMN = (steps.Impute, steps.Replace, steps.Is, steps.Clip, steps.Arithmetic)
#: Steps that leave no infinity.
_BOUNDED = (steps.Is, steps.Clip, steps.Bin, steps.Lookup)


#: (graph, tensor, steps of one signature, one a column, conditions) to a tensor.
StepFunction = Callable[[Graph, str, Any, list[str]], str]


def signature(items: Sequence[Step]) -> str:
    """Columns with the same one can go through their steps together."""
    parts = []
    for step in items:
        if isinstance(step, steps.Lookup):  # a table is for one column
            parts.append(f"lookup {id(step)}")
        elif isinstance(step, _BY_COLUMN) and step != steps.Is(None):
            parts.append(step.name)
        else:
            parts.append(repr(step))
    return "\n".join(parts)


def chain(graph: Graph, items: Sequence[Sequence[Step]], x: str, *, bounded: bool, fine: list[str]) -> str:
    """Columns after their steps.

    Parameters
    ----------
    items : for each column of ``x`` its steps; all of one signature.
    x : tensor (rows, columns); a missing number is NaN.
    bounded : whether nothing in ``x`` is infinite.
    fine : conditions a row has to meet; those of the steps are added.
    """
    for alike in zip(*items, strict=True):
        kind = type(alike[0])
        if issubclass(kind, (steps.Is, steps.Clip, steps.Lookup, steps.Piecewise)) and not bounded:
            fine.append(graph.put("Not", graph.put("IsInf", x)))
        x = handler(_STEPS, alike[0], "ONNX")(graph, x, alike, fine)
        bounded = issubclass(kind, _BOUNDED) or (bounded and issubclass(kind, (steps.Impute, steps.Replace)))
    return x


def find(graph: Graph, x: str, table: Mapping[Any, float], other: float | None) -> tuple[str, list[float | None]]:
    """Looks numbers up: the places (rows, 1) of what was found, and what stands at each place.

    Parameters
    ----------
    table : what to find by number, None for a missing one.
    other : what is found for any other number.
    """
    keys = [key for key in table if key is not None]
    found: list[float | None] = [other, *(table[key] for key in keys), table.get(None, other)]
    if keys:
        equal = graph.cast(graph.put("Equal", x, graph.constant([keys])))
        place = graph.put("MatMul", equal, graph.constant([[k + 1.0] for k in range(len(keys))]))
    else:
        place = graph.constant([[0.0]])
    place = graph.where(graph.put("IsNaN", x), graph.constant(float(len(found) - 1)), place)
    return graph.cast(place, TensorProto.INT64), found


def pick(graph: Graph, places: str, values: Sequence[Any]) -> str:
    """The numbers, or the rows of numbers, at these places."""
    return graph.put("Gather", graph.constant(values), places, axis=0)


def allow(graph: Graph, places: str, allowed: Sequence[bool], fine: list[str]) -> None:
    """Adds the condition that what was found may be taken."""
    if not all(allowed):
        fine.append(graph.put("Gather", graph.constant(list(allowed), bool), places, axis=0))


def _row(graph: Graph, values: Sequence[Any]) -> str:
    return graph.constant([list(values)])


def _impute(graph: Graph, x: str, alike: Sequence[steps.Impute], fine: list[str]) -> str:
    return graph.where(graph.put("IsNaN", x), _row(graph, [step.fill for step in alike]), x)


def _replace(graph: Graph, x: str, alike: Sequence[steps.Replace], fine: list[str]) -> str:
    old = _row(graph, [step.value for step in alike])
    return graph.where(graph.put("Equal", x, old), _row(graph, [step.by for step in alike]), x)


def _is(graph: Graph, x: str, alike: Sequence[steps.Is], fine: list[str]) -> str:
    if alike[0].value is None:
        return graph.cast(graph.put("IsNaN", x))
    return graph.cast(graph.put("Equal", x, _row(graph, [step.value for step in alike])))


def _arithmetic(operator: str) -> StepFunction:
    def put(graph: Graph, x: str, alike: Sequence[steps.Arithmetic], fine: list[str]) -> str:
        return graph.put(operator, x, _row(graph, [step.operand for step in alike]))

    return put


def _clip(graph: Graph, x: str, alike: Sequence[steps.Clip], fine: list[str]) -> str:
    low, high = (_row(graph, [step.limits[place] for step in alike]) for place in (0, 1))
    x = graph.where(graph.put("Less", x, low), low, x)
    return graph.where(graph.put("Greater", x, high), high, x)


def _function(graph: Graph, x: str, alike: Sequence[steps.NumpyFunction], fine: list[str]) -> str:
    return FUNCTIONS[alike[0].function](graph, x)


def _bin(graph: Graph, x: str, alike: Sequence[steps.Bin], fine: list[str]) -> str:
    fine.append(graph.finite(x))
    return _places(graph, x, alike[0].edges)


def _places(graph: Graph, x: str, edges: Sequence[float]) -> str:
    """How many of the edges are at or below each number; 0 for a missing one."""
    known = [[[edge] for edge in edges] or [[math.nan]]]  # (1, edges, 1): nothing, infinity neither, is beyond NaN
    above = graph.cast(graph.put("GreaterOrEqual", graph.put("Unsqueeze", x, _axis(graph)), graph.constant(known)))
    return graph.put("ReduceSum", above, _axis(graph), keepdims=0)


def _piecewise(graph: Graph, x: str, alike: Sequence[steps.Piecewise], fine: list[str]) -> str:
    step = alike[0]
    places = graph.cast(_places(graph, x, step.edges), TensorProto.INT64)
    if not all(step.coefficients):
        known = graph.constant([bool(row) for row in step.coefficients], bool)
        allowed = graph.put("Gather", known, places, axis=0)
        fine.append(graph.put("Or", allowed, graph.put("IsNaN", x)))
    width = max(1, *map(len, step.coefficients))
    powers = [[row[power] if power < len(row) else 0.0 for row in step.coefficients] for power in range(width)]
    total = pick(graph, places, powers.pop())
    distance = graph.put("Sub", x, pick(graph, places, step.origins)) if powers else ""
    while powers:
        total = graph.put("Add", graph.put("Mul", total, distance), pick(graph, places, powers.pop()))
    return graph.where(graph.put("IsNaN", x), x, total)


def _axis(graph: Graph) -> str:
    return graph.constant([1], np.int64)


def _lookup(graph: Graph, x: str, alike: Sequence[steps.Lookup], fine: list[str]) -> str:
    places, found = find(graph, x, alike[0].table(), alike[0].other())
    allow(graph, places, [item is not None for item in found], fine)
    return pick(graph, places, [math.nan if item is None else item for item in found])


def _box_cox(graph: Graph, x: str, alike: Sequence[steps.Power], fine: list[str]) -> str:
    lmbda = alike[0].lmbda
    logarithm = graph.put("Log", x)
    found = logarithm
    if abs(lmbda) >= SMALLEST_LAMBDA:
        found = _scaled(graph, expm1(graph, graph.put("Mul", logarithm, graph.constant(lmbda))), lmbda)
    outside = graph.put("LessOrEqual", x, graph.constant(0.0))
    return _but_infinity(graph, x, graph.where(outside, graph.constant(math.inf), found))


def _yeo_johnson(graph: Graph, x: str, alike: Sequence[steps.Power], fine: list[str]) -> str:
    lmbda, up, down = alike[0].lmbda, log1p(graph, x), log1p(graph, graph.put("Neg", x))
    if abs(lmbda) >= SPACING:
        up = _scaled(graph, expm1(graph, graph.put("Mul", up, graph.constant(lmbda))), lmbda)
    if abs(lmbda - 2.0) > SPACING:
        down = _scaled(graph, expm1(graph, graph.put("Mul", down, graph.constant(2.0 - lmbda))), 2.0 - lmbda)
    positive = graph.put("GreaterOrEqual", x, graph.constant(0.0))
    return _but_infinity(graph, x, graph.where(positive, up, graph.put("Neg", down)))


def _inverse_box_cox(graph: Graph, x: str, alike: Sequence[steps.Power], fine: list[str]) -> str:
    lmbda = alike[0].lmbda
    if lmbda == 0.0:
        return graph.put("Exp", x)
    return graph.put("Exp", _scaled(graph, log1p(graph, graph.put("Mul", x, graph.constant(lmbda))), lmbda))


def _inverse_yeo_johnson(graph: Graph, x: str, alike: Sequence[steps.Power], fine: list[str]) -> str:
    lmbda, one = alike[0].lmbda, graph.constant(1.0)
    if abs(lmbda) < SPACING:
        up = graph.put("Exp", x)
    else:
        base = graph.put("Add", graph.put("Mul", x, graph.constant(lmbda)), one)
        up = graph.put("Pow", base, graph.constant(1.0 / lmbda))
    if abs(lmbda - 2.0) > SPACING:
        base = graph.put("Add", graph.put("Mul", x, graph.constant(-(2.0 - lmbda))), one)
        down = graph.put("Pow", base, graph.constant(1.0 / (2.0 - lmbda)))
    else:
        down = graph.put("Exp", graph.put("Neg", x))
    positive = graph.put("GreaterOrEqual", x, graph.constant(0.0))
    return graph.where(positive, graph.put("Sub", up, one), graph.put("Sub", one, down))


def _scaled(graph: Graph, x: str, by: float) -> str:
    return graph.put("Div", x, graph.constant(by))


def _but_infinity(graph: Graph, x: str, found: str) -> str:
    """What was found, but for an infinity, which stays what it is."""
    return graph.where(graph.put("IsInf", x), x, found)


_STEPS: dict[type[Step], StepFunction] = {
    steps.Impute: _impute,
    steps.Replace: _replace,
    steps.Is: _is,
    steps.Add: _arithmetic("Add"),
    steps.Subtract: _arithmetic("Sub"),
    steps.Multiply: _arithmetic("Mul"),
    steps.Divide: _arithmetic("Div"),
    steps.Clip: _clip,
    steps.NumpyFunction: _function,
    steps.BoxCox: _box_cox,
    steps.YeoJohnson: _yeo_johnson,
    steps.InverseBoxCox: _inverse_box_cox,
    steps.InverseYeoJohnson: _inverse_yeo_johnson,
    steps.Bin: _bin,
    steps.Lookup: _lookup,
    steps.Piecewise: _piecewise,
}
