"""The steps of a document on tensors (rows, columns), several columns at once where they go through the same steps."""

import math

import numpy as np
from onnx import TensorProto

from ... import steps
from .graph import FUNCTIONS, Graph, expm1, log1p

#: Steps whose parameter may be another in each column.
_BY_COLUMN = ("impute", "replace", "is", "clip", "add", "subtract", "multiply", "divide")
#: Steps that leave no infinity.
_BOUNDED = frozenset({"is", "clip", "bin", "lookup"})


def signature(items) -> str:
    """Columns with the same one can go through their steps together."""
    parts = []
    for step in items:
        for name, value in step.items():
            if name == "lookup":  # a table is for one column
                parts.append(f"lookup {id(value)}")
            else:
                parts.append(name if name in _BY_COLUMN and value is not None else f"{name} {value!r}")
    return "\n".join(parts)


def chain(graph: Graph, items: list, x: str, *, bounded: bool, fine: list[str]) -> str:
    """Columns after their steps.

    Parameters
    ----------
    items : for each column of ``x`` its steps; all of one signature.
    x : tensor (rows, columns); a missing number is NaN.
    bounded : whether nothing in ``x`` is infinite.
    fine : conditions a row has to meet; those of the steps are added.
    """
    for steps_of_columns in zip(*items, strict=True):
        (name,) = steps_of_columns[0]
        values = [step[name] for step in steps_of_columns]
        if name in ("is", "clip", "lookup") and not bounded:
            fine.append(graph.put("Not", graph.put("IsInf", x)))
        x = _STEPS[name](graph, x, values, fine)
        bounded = name in _BOUNDED or (bounded and name in ("impute", "replace"))
    return x


def find(graph: Graph, x: str, table: dict, other) -> tuple[str, list]:
    """Looks numbers up: the places (rows, 1) of what was found, and what stands at each place.

    Parameters
    ----------
    table : what to find by number, None for a missing one.
    other : what is found for any other number.
    """
    keys = [key for key in table if key is not None]
    found = [other, *(table[key] for key in keys), table.get(None, other)]
    if keys:
        equal = graph.cast(graph.put("Equal", x, graph.constant([keys])))
        place = graph.put("MatMul", equal, graph.constant([[k + 1.0] for k in range(len(keys))]))
    else:
        place = graph.constant([[0.0]])
    place = graph.where(graph.put("IsNaN", x), graph.constant(float(len(found) - 1)), place)
    return graph.cast(place, TensorProto.INT64), found


def pick(graph: Graph, places: str, values: list) -> str:
    """The numbers, or the rows of numbers, at these places."""
    return graph.put("Gather", graph.constant(values), places, axis=0)


def allow(graph: Graph, places: str, allowed: list[bool], fine: list[str]) -> None:
    """Adds the condition that what was found may be taken."""
    if not all(allowed):
        fine.append(graph.put("Gather", graph.constant(allowed, bool), places, axis=0))


def _row(graph: Graph, values) -> str:
    return graph.constant([[float(value) for value in values]])


def _impute(graph, x, values, fine):
    return graph.where(graph.put("IsNaN", x), _row(graph, values), x)


def _replace(graph, x, values, fine):
    old = _row(graph, [value["value"] for value in values])
    return graph.where(graph.put("Equal", x, old), _row(graph, [value["by"] for value in values]), x)


def _is(graph, x, values, fine):
    found = graph.put("IsNaN", x) if values[0] is None else graph.put("Equal", x, _row(graph, values))
    return graph.cast(found)


def _arithmetic(operator):
    return lambda graph, x, values, fine: graph.put(operator, x, _row(graph, values))


def _clip(graph, x, values, fine):
    low, high = (_row(graph, [value[place] for value in values]) for place in (0, 1))
    x = graph.where(graph.put("Less", x, low), low, x)
    return graph.where(graph.put("Greater", x, high), high, x)


def _function(graph, x, values, fine):
    return FUNCTIONS[values[0]](graph, x)


def _bin(graph, x, values, fine):
    fine.append(graph.finite(x))
    edges = [[[float(edge)] for edge in values[0]] or [[math.inf]]]  # (1, edges, 1): no edge, no bin but the first
    above = graph.cast(graph.put("GreaterOrEqual", graph.put("Unsqueeze", x, _axis(graph)), graph.constant(edges)))
    return graph.put("ReduceSum", above, _axis(graph), keepdims=0)


def _axis(graph):
    return graph.constant([1], np.int64)


def _lookup(graph, x, values, fine):
    (value,) = values[:1]
    numbers = [math.nan if item is None else float(item) for item in value["values"]]
    otherwise = value["otherwise"]
    table = dict(zip(value["keys"], numbers, strict=True))
    places, found = find(graph, x, table, math.nan if otherwise is None else otherwise)
    allow(graph, places, [item != "refuse" for item in found], fine)
    return pick(graph, places, [math.nan if item == "refuse" else float(item) for item in found])


def _box_cox(graph, x, values, fine):
    lmbda = float(values[0])
    logarithm = graph.put("Log", x)
    found = logarithm
    if abs(lmbda) >= steps.SMALLEST_LAMBDA:
        found = _scaled(graph, expm1(graph, graph.put("Mul", logarithm, graph.constant(lmbda))), lmbda)
    outside = graph.put("LessOrEqual", x, graph.constant(0.0))
    return _but_infinity(graph, x, graph.where(outside, graph.constant(math.inf), found))


def _yeo_johnson(graph, x, values, fine):
    lmbda, up, down = float(values[0]), log1p(graph, x), log1p(graph, graph.put("Neg", x))
    if abs(lmbda) >= _SPACING:
        up = _scaled(graph, expm1(graph, graph.put("Mul", up, graph.constant(lmbda))), lmbda)
    if abs(lmbda - 2.0) > _SPACING:
        down = _scaled(graph, expm1(graph, graph.put("Mul", down, graph.constant(2.0 - lmbda))), 2.0 - lmbda)
    positive = graph.put("GreaterOrEqual", x, graph.constant(0.0))
    return _but_infinity(graph, x, graph.where(positive, up, graph.put("Neg", down)))


def _inverse_box_cox(graph, x, values, fine):
    lmbda = float(values[0])
    if lmbda == 0.0:
        return graph.put("Exp", x)
    return graph.put("Exp", _scaled(graph, log1p(graph, graph.put("Mul", x, graph.constant(lmbda))), lmbda))


def _inverse_yeo_johnson(graph, x, values, fine):
    lmbda, one = float(values[0]), graph.constant(1.0)
    if abs(lmbda) < _SPACING:
        up = graph.put("Exp", x)
    else:
        base = graph.put("Add", graph.put("Mul", x, graph.constant(lmbda)), one)
        up = graph.put("Pow", base, graph.constant(1.0 / lmbda))
    if abs(lmbda - 2.0) > _SPACING:
        base = graph.put("Add", graph.put("Mul", x, graph.constant(-(2.0 - lmbda))), one)
        down = graph.put("Pow", base, graph.constant(1.0 / (2.0 - lmbda)))
    else:
        down = graph.put("Exp", graph.put("Neg", x))
    positive = graph.put("GreaterOrEqual", x, graph.constant(0.0))
    return graph.where(positive, graph.put("Sub", up, one), graph.put("Sub", one, down))


def _scaled(graph, x, by):
    return graph.put("Div", x, graph.constant(by))


def _but_infinity(graph, x, found):
    """What was found, but for an infinity, which stays what it is."""
    return graph.where(graph.put("IsInf", x), x, found)


_SPACING = 2.220446049250313e-16

_STEPS = {
    "impute": _impute,
    "replace": _replace,
    "is": _is,
    "add": _arithmetic("Add"),
    "subtract": _arithmetic("Sub"),
    "multiply": _arithmetic("Mul"),
    "divide": _arithmetic("Div"),
    "clip": _clip,
    "function": _function,
    "box_cox": _box_cox,
    "yeo_johnson": _yeo_johnson,
    "inverse_box_cox": _inverse_box_cox,
    "inverse_yeo_johnson": _inverse_yeo_johnson,
    "bin": _bin,
    "lookup": _lookup,
}
