"""The steps of a column on blocks of float64 numbers with NumPy: the same operations as ``steps``, in the same order.

Each step is a function of (block, target, refuse): it may write its answer to the target, which may be the block
itself, and gives back the array that holds the answer. It calls ``refuse(rows, reason)`` with the places of numbers it
does not take. A missing number is NaN.
"""

import math

import numpy as np

from . import steps
from .inputs import InputError

_UFUNCS = {name: getattr(np, name) for name in steps.FUNCTIONS}


#: Places in a one-hot group that stand for a refusal.
UNKNOWN, UNUSABLE = -2, -3
#: Functions that IEEE 754 leaves no choice in; the others differ in their last digits from library to library.
EXACT = frozenset({"sqrt", "square", "abs", "sign", "negative"})


def inexact(name: str, value) -> bool:
    """Whether NumPy and ``math`` may round a step differently."""
    return name in ("box_cox", "yeo_johnson") or (name == "function" and value not in EXACT)


def chain(items: list, *, change: float = 0.0):
    """One function (block, target, refuse) -> array for the steps of a column.

    The array may be the block itself where the steps leave it as it is: it is not to be written to. ``change`` is by
    how much, relatively, to move the answers of inexact functions: to learn what their rounding does to a score.
    """
    functions = []
    for step in items:
        for name, value in step.items():
            functions.append(_STEPS[name](value))
            if change and inexact(name, value):
                functions.append(_with(np.multiply)(1.0 + change))

    def run(block, target, refuse):
        current = block
        for function in functions:
            current = function(current, target, refuse)
        return current

    return run


def two_valued(items: list):
    """For steps that begin by asking ``is``: (what is asked for, answer where it is not, answer where it is).

    None for other steps, and where they refuse one of the two answers.
    """
    if not items or "is" not in items[0]:
        return None
    rest = steps.chain(items[1:], "")
    try:
        no, yes = (0.0, 1.0) if rest is None else (rest(0.0), rest(1.0))
    except InputError:  # a lookup that knows one of the two only
        return None
    return items[0]["is"], no, yes


def codes(item: dict):
    """The function from a block of numbers to their places in a one-hot group.

    A place is -1 where all of the group's columns are zero, ``UNKNOWN`` and ``UNUSABLE`` where a number is refused.
    """
    table: dict = {}
    for place, group in enumerate(item["one_hot"]):
        table.update(dict.fromkeys(group["of"], place))
    table.update(dict.fromkeys(item["zero"], -1))
    otherwise = item["otherwise"]
    other = UNKNOWN if otherwise.get("do") == "refuse" else -1
    if "is" in otherwise:
        other = next(place for place, group in enumerate(item["one_hot"]) if group["name"] == otherwise["is"])
    find = _find(table, other, np.intp)

    def places(block):
        found = find(block)
        found[np.isinf(block)] = UNUSABLE
        return found

    return places


def _find(table: dict, other, dtype):
    """Looks numbers up in a table with None for missing; ``other`` where they are not in it."""
    keys = np.array(sorted(float(key) for key in table if key is not None), dtype=np.float64)
    values = np.array([table[key] for key in keys.tolist()] + [other], dtype=dtype)
    missing = table.get(None, other)

    def find(block):
        places = np.searchsorted(keys, block)
        places[places == len(keys)] = len(keys) - 1 if len(keys) else 0
        known = keys[places] == block if len(keys) else np.zeros(len(block), dtype=bool)
        places[~known] = len(keys)
        found = values[places]
        found[block != block] = missing
        return found

    return find


def _impute(value):
    value = float(value) if not isinstance(value, str) else value

    def impute(block, target, refuse):
        mask = block != block
        if not mask.any():
            return block
        if target is not block:
            np.copyto(target, block)
        np.copyto(target, value, where=mask)
        return target

    return impute


def _replace(value):
    old, new = float(value["value"]), float(value["by"])

    def replace(block, target, refuse):
        mask = block == old
        if target is not block:
            np.copyto(target, block)
        np.copyto(target, new, where=mask)
        return target

    return replace


def _is(value):
    def ask(block, target, refuse):
        refuse(np.flatnonzero(np.isinf(block)), steps.UNUSABLE)
        mask = block != block if value is None else block == float(value)
        np.copyto(target, mask)
        return target

    return ask


def _with(ufunc):
    def make(value):
        value = float(value)
        return lambda block, target, refuse: ufunc(block, value, out=target)

    return make


def _clip(value):
    low, high = map(float, value)

    def clip(block, target, refuse):
        refuse(np.flatnonzero(np.isinf(block)), steps.UNUSABLE)
        return np.clip(block, low, high, out=target)

    return clip


def _function(value):
    ufunc = _UFUNCS[value]
    return lambda block, target, refuse: ufunc(block, out=target)


def _bin(value):
    edges = np.array(value, dtype=np.float64)

    def find(block, target, refuse):
        refuse(np.flatnonzero(~np.isfinite(block)), steps.UNUSABLE)
        np.copyto(target, np.searchsorted(edges, block, side="right"))
        return target

    return find


def _lookup(value):
    values = [math.nan if item is None else float(item) for item in value["values"]]
    other = value["otherwise"]
    # An infinity stands for a refusal: nothing else in a lookup is infinite.
    other = math.inf if other == "refuse" else math.nan if other is None else float(other)
    find = _find(dict(zip(value["keys"], values, strict=True)), other, np.float64)

    def look(block, target, refuse):
        refuse(np.flatnonzero(np.isinf(block)), steps.UNUSABLE)
        np.copyto(target, find(block))
        refuse(np.flatnonzero(np.isinf(target)), steps.UNKNOWN)
        return target

    return look


def _power(scalar):
    """A power transform; its formula has cases by sign, and is done one number at a time only at its edges."""

    def make(value):
        return lambda block, target, refuse: scalar(block, float(value), target)

    return make


def _yeo_johnson(block, lmbda, target):
    spacing = np.finfo(np.float64).eps
    positive = block >= 0.0
    up, down = block[positive], block[~positive]
    up = np.log1p(up) if abs(lmbda) < spacing else np.expm1(lmbda * np.log1p(up)) / lmbda
    if abs(lmbda - 2.0) > spacing:
        down = -np.expm1((2.0 - lmbda) * np.log1p(-down)) / (2.0 - lmbda)
    else:
        down = -np.log1p(-down)
    infinite = np.isinf(block)
    target[positive], target[~positive] = up, down
    np.copyto(target, np.inf, where=infinite)
    return target


def _inverse_yeo_johnson(block, lmbda, target):
    spacing = np.finfo(np.float64).eps
    positive = block >= 0.0
    up, down = block[positive], block[~positive]
    up = np.exp(up) - 1.0 if abs(lmbda) < spacing else np.power(up * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > spacing:
        down = 1.0 - np.power(-(2.0 - lmbda) * down + 1.0, 1.0 / (2.0 - lmbda))
    else:
        down = 1.0 - np.exp(-down)
    target[positive], target[~positive] = up, down
    return target


def _box_cox(block, lmbda, target):
    bad = (block <= 0.0) | np.isinf(block)
    logarithm = np.log(np.where(bad, 1.0, block))
    if abs(lmbda) < steps.SMALLEST_LAMBDA:
        np.copyto(target, logarithm)
    else:
        np.copyto(target, np.expm1(lmbda * logarithm) / lmbda)
    np.copyto(target, np.inf, where=bad)
    return target


def _inverse_box_cox(block, lmbda, target):
    if lmbda == 0.0:
        return np.exp(block, out=target)
    np.copyto(target, np.exp(np.log1p(lmbda * block) / lmbda))
    return target


_STEPS = {
    "impute": _impute,
    "replace": _replace,
    "is": _is,
    "add": _with(np.add),
    "subtract": _with(np.subtract),
    "multiply": _with(np.multiply),
    "divide": _with(np.divide),
    "clip": _clip,
    "function": _function,
    "bin": _bin,
    "lookup": _lookup,
    "box_cox": _power(_box_cox),
    "yeo_johnson": _power(_yeo_johnson),
    "inverse_box_cox": _power(_inverse_box_cox),
    "inverse_yeo_johnson": _power(_inverse_yeo_johnson),
}
