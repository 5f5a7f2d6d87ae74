"""The steps of a column on blocks of float64 numbers with NumPy: the same operations as ``steps``, in the same order.

Each step is a function of (block, target, refuse): it may write its answer to the target, which may be the block
itself, and returns the array that holds the answer. It calls ``refuse(rows, reason)`` with the places of numbers it
does not take. A missing number is NaN.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import steps
from .handlers import handler
from .inputs import InputError
from .nodes import OneHot
from .numeric import SMALLEST_LAMBDA, SPACING
from .steps import UNKNOWN, UNUSABLE, Step

Refuse = Callable[[np.ndarray, str], object]
BlockFunction = Callable[[np.ndarray, np.ndarray, Refuse], np.ndarray]

_UFUNCS: dict[str, np.ufunc] = {name: getattr(np, name) for name in steps.FUNCTIONS}

#: Places in a one-hot group that stand for a refusal: of an unknown category, and of an infinite number.
UNKNOWN_PLACE, UNUSABLE_PLACE = -2, -3


def chain(items: Sequence[Step], *, change: float = 0.0) -> BlockFunction:
    """One function (block, target, refuse) -> array for the steps of a column.

    Parameters
    ----------
    change : by how much, relatively, to move the answers of inexact functions: to learn what their rounding does to a
        score.

    Returns
    -------
    function
        Its array may be the block itself where the steps leave it as it is: it is not to be written to.
    """
    functions: list[BlockFunction] = []
    for step in items:
        functions.append(handler(_STEPS, step, "a table of rows")(step))
        if change and step.inexact:
            functions.append(_with(np.multiply)(steps.Multiply(1.0 + change)))

    def run(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        current = block
        for function in functions:
            current = function(current, target, refuse)
        return current

    return run


def two_valued(items: Sequence[Step]) -> tuple[steps.Category, float, float] | None:
    """For steps that begin with ``Is``: (the value it asks for, answer where it is not, answer where it is).

    None for other steps, and where they refuse one of the two answers.
    """
    if not items or not isinstance(items[0], steps.Is):
        return None
    rest = steps.chain(items[1:], "")
    try:
        no, yes = (0.0, 1.0) if rest is None else (rest(0.0), rest(1.0))
    except InputError:  # a lookup that knows one of the two only
        return None
    return items[0].value, no, yes


def encoder(one_hot: OneHot) -> Callable[[np.ndarray], np.ndarray]:
    """The function from a block of numbers to their places in a one-hot group.

    A place is -1 where all of the group's columns are zero, ``UNKNOWN_PLACE`` and ``UNUSABLE_PLACE`` where a number is
    refused.
    """
    other = UNKNOWN_PLACE if one_hot.other is None else one_hot.other
    find = _find(one_hot.places(), other, np.intp)

    def places(block: np.ndarray) -> np.ndarray:
        found = find(block)
        found[np.isinf(block)] = UNUSABLE_PLACE
        return found

    return places


def _find(table: Mapping[Any, float], other: float, dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    """Looks numbers up in a table with None for missing; ``other`` where they are not in it."""
    keys = np.array(sorted(key for key in table if key is not None), dtype=np.float64)
    values: np.ndarray = np.array([table[key] for key in keys.tolist()] + [other], dtype=dtype)
    missing = table.get(None, other)

    def find(block: np.ndarray) -> np.ndarray:
        places = np.searchsorted(keys, block)
        places[places == len(keys)] = len(keys) - 1 if len(keys) else 0
        known = keys[places] == block if len(keys) else np.zeros(len(block), dtype=bool)
        places[~known] = len(keys)
        found = values[places]
        found[block != block] = missing
        return found

    return find


def _impute(step: steps.Impute) -> BlockFunction:
    def impute(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        mask = block != block
        if not mask.any():
            return block
        if target is not block:
            np.copyto(target, block)
        np.copyto(target, step.fill, where=mask)
        return target

    return impute


def _replace(step: steps.Replace) -> BlockFunction:
    def replace(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        mask = block == step.value
        if target is not block:
            np.copyto(target, block)
        np.copyto(target, step.by, where=mask)
        return target

    return replace


def _is(step: steps.Is) -> BlockFunction:
    def ask(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        refuse(np.flatnonzero(np.isinf(block)), UNUSABLE)
        mask = block != block if step.value is None else block == step.value
        np.copyto(target, mask)
        return target

    return ask


def _with(ufunc: np.ufunc) -> Callable[[steps.Arithmetic], BlockFunction]:
    def make(step: steps.Arithmetic) -> BlockFunction:
        return lambda block, target, refuse: ufunc(block, step.operand, out=target)

    return make


def _clip(step: steps.Clip) -> BlockFunction:
    low, high = step.limits

    def clip(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        refuse(np.flatnonzero(np.isinf(block)), UNUSABLE)
        return np.clip(block, low, high, out=target)

    return clip


def _function(step: steps.NumpyFunction) -> BlockFunction:
    ufunc = _UFUNCS[step.function]
    return lambda block, target, refuse: ufunc(block, out=target)


def _bin(step: steps.Bin) -> BlockFunction:
    edges = np.array(step.edges, dtype=np.float64)

    def find(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        refuse(np.flatnonzero(~np.isfinite(block)), UNUSABLE)
        np.copyto(target, np.searchsorted(edges, block, side="right"))
        return target

    return find


def _piecewise(step: steps.Piecewise) -> BlockFunction:
    edges, origins = np.array(step.edges, dtype=np.float64), np.array(step.origins, dtype=np.float64)
    refused = np.array([not row for row in step.coefficients])
    width = max(1, *map(len, step.coefficients))
    # One row a power, the highest first; shorter polynomials begin with zeros.
    powers = np.array([[*[0.0] * (width - len(row)), *row[::-1]] for row in step.coefficients]).T.copy()

    def find(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        refuse(np.flatnonzero(np.isinf(block)), UNUSABLE)
        places = np.searchsorted(edges, block, side="right")
        missing = block != block
        refuse(np.flatnonzero(refused[places] & ~missing), UNUSABLE)
        distance = block - origins[places]
        total = powers[0][places]
        for row in powers[1:]:
            total *= distance
            total += row[places]
        np.copyto(target, np.where(missing, np.nan, total))
        return target

    return find


def _lookup(step: steps.Lookup) -> BlockFunction:
    # An infinity stands for a refusal: nothing else in a lookup is infinite.
    other = step.other()
    find = _find(step.table(), math.inf if other is None else other, np.float64)

    def look(block: np.ndarray, target: np.ndarray, refuse: Refuse) -> np.ndarray:
        refuse(np.flatnonzero(np.isinf(block)), UNUSABLE)
        np.copyto(target, find(block))
        refuse(np.flatnonzero(np.isinf(target)), UNKNOWN)
        return target

    return look


def _power(transform: Callable[[np.ndarray, float, np.ndarray], np.ndarray]) -> Callable[[steps.Power], BlockFunction]:
    def make(step: steps.Power) -> BlockFunction:
        return lambda block, target, refuse: transform(block, step.lmbda, target)

    return make


def _yeo_johnson(block: np.ndarray, lmbda: float, target: np.ndarray) -> np.ndarray:
    positive = block >= 0.0
    up, down = block[positive], block[~positive]
    up = np.log1p(up) if abs(lmbda) < SPACING else np.expm1(lmbda * np.log1p(up)) / lmbda
    if abs(lmbda - 2.0) > SPACING:
        down = -np.expm1((2.0 - lmbda) * np.log1p(-down)) / (2.0 - lmbda)
    else:
        down = -np.log1p(-down)
    infinite = np.isinf(block)
    target[positive], target[~positive] = up, down
    np.copyto(target, np.inf, where=infinite)
    return target


def _inverse_yeo_johnson(block: np.ndarray, lmbda: float, target: np.ndarray) -> np.ndarray:
    positive = block >= 0.0
    up, down = block[positive], block[~positive]
    up = np.exp(up) - 1.0 if abs(lmbda) < SPACING else np.power(up * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > SPACING:
        down = 1.0 - np.power(-(2.0 - lmbda) * down + 1.0, 1.0 / (2.0 - lmbda))
    else:
        down = 1.0 - np.exp(-down)
    target[positive], target[~positive] = up, down
    return target


def _box_cox(block: np.ndarray, lmbda: float, target: np.ndarray) -> np.ndarray:
    bad = (block <= 0.0) | np.isinf(block)
    logarithm = np.log(np.where(bad, 1.0, block))
    if abs(lmbda) < SMALLEST_LAMBDA:
        np.copyto(target, logarithm)
    else:
        np.copyto(target, np.expm1(lmbda * logarithm) / lmbda)
    np.copyto(target, np.inf, where=bad)
    return target


def _inverse_box_cox(block: np.ndarray, lmbda: float, target: np.ndarray) -> np.ndarray:
    if lmbda == 0.0:
        return np.exp(block, out=target)
    np.copyto(target, np.exp(np.log1p(lmbda * block) / lmbda))
    return target


_STEPS: dict[type[Step], Callable[[Any], BlockFunction]] = {
    steps.Impute: _impute,
    steps.Replace: _replace,
    steps.Is: _is,
    steps.Add: _with(np.add),
    steps.Subtract: _with(np.subtract),
    steps.Multiply: _with(np.multiply),
    steps.Divide: _with(np.divide),
    steps.Clip: _clip,
    steps.NumpyFunction: _function,
    steps.Bin: _bin,
    steps.Lookup: _lookup,
    steps.Piecewise: _piecewise,
    steps.BoxCox: _power(_box_cox),
    steps.YeoJohnson: _power(_yeo_johnson),
    steps.InverseBoxCox: _power(_inverse_box_cox),
    steps.InverseYeoJohnson: _power(_inverse_yeo_johnson),
}
