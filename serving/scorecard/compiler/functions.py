"""Fitted ``FunctionTransformer``s whose function a scorecard knows."""

from operator import methodcaller
from typing import Any, cast

import numpy as np

from .. import steps as kinds
from ..steps import FUNCTIONS as FUNCTION_NAMES
from .trace import Trace, TracedColumn, finite, is_missing, unsupported

#: NumPy's functions of one number by the name that the document gives them; None for one that changes nothing.
FUNCTIONS: dict[Any, str | None] = {
    **{getattr(np, name): name for name in FUNCTION_NAMES},
    np.fabs: "abs",
    np.positive: None,
}


def function_transformer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    func, arguments = step.func, dict(step.kw_args or {})
    name: str | None = None
    numeric = step.validate
    if isinstance(func, methodcaller):
        if not arguments and (found := _method(func, columns, trace, path, step)) is not None:
            return found
        raise unsupported(path, step, f"its function {func!r} is its own")
    if func in (np.asarray, np.array):
        dtype = arguments.pop("dtype", None)
        if dtype is not None:
            if np.dtype(dtype) != np.float64:
                raise unsupported(path, step, f"it casts to {np.dtype(dtype)}, not float64")
            numeric = True
    elif func is not None:
        try:
            name = FUNCTIONS[func]
        except (KeyError, TypeError):
            raise unsupported(
                path, step, f"its function {getattr(func, '__name__', 'is unnamed')!r} is its own"
            ) from None
        numeric = True
    if arguments:
        raise unsupported(path, step, f"it passes {', '.join(sorted(arguments))} to its function")
    if numeric:
        columns = [trace.numeric(column, path, step) for column in columns]
    if step.validate:
        columns = [trace.require(column) for column in columns]
    if name is None:
        return columns
    return [trace.then(column, kinds.NumpyFunction(name), label=f"{name}({column.label})") for column in columns]


def _method(
    caller: methodcaller, columns: list[TracedColumn], trace: Trace, path: str, step: Any
) -> list[TracedColumn] | None:
    """Columns after a method of DataFrame: a cast to objects or to float64, or a fill of what is missing; else None."""
    maker, said = cast(tuple[type, tuple[Any, ...]], caller.__reduce__())
    if maker is not methodcaller or len(said) != 2 or step.validate:
        return None
    name, value = said
    if name == "astype" and value in ("object", object):
        return columns
    if name == "astype" and value in ("float64", float, np.float64):
        return [trace.numeric(column, path, step) for column in columns]
    if name != "fillna":
        return None
    if is_missing(value):
        return columns
    fill: str | float
    if isinstance(value, str):
        columns, fill = [trace.textual(column, path, step) for column in columns], value
    elif isinstance(value, (bool, int, float, np.number)):
        columns = [trace.numeric(column, path, step) for column in columns]
        fill = finite(value, path, step, "fill value")
    else:
        return None
    return [trace.then(column, kinds.Impute(fill), filled=True) for column in columns]
