"""One value through the steps of a column, in float64 and in scikit-learn's own order; standard library only.

A missing number is NaN, a missing text None. A step answers with NaN where NumPy would (the logarithm of a negative
number), and with an infinity where NumPy would: what uses the column refuses both.
"""

import math
from bisect import bisect_right

from .inputs import InputError

UNKNOWN = "expected a category the model was trained on, found another"
UNUSABLE = "expected a number the model's steps can take, found one outside of their range"


def chain(steps: list, column: str):
    """One function that does the steps one after another; ``column`` is the input an error names."""
    functions = [function(name, value, column) for step in steps for name, value in step.items()]
    if not functions:
        return None
    if len(functions) == 1:
        return functions[0]
    names = [name for step in steps for name in step]
    if names == ["impute", "subtract", "divide"]:  # the most common chain, in one call
        fill, mean, scale = (float(step[name]) for step, name in zip(steps, names, strict=True))
        return lambda x: ((fill if x != x else x) - mean) / scale
    if len(functions) == 2:
        first, second = functions
        return lambda x: second(first(x))
    if len(functions) == 3:
        first, second, third = functions
        return lambda x: third(second(first(x)))

    def run(x):
        for step in functions:
            x = step(x)
        return x

    return run


def function(name: str, value, column: str):
    """One step of a document as a function of one value."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return _STEPS[name](value, column)


def _impute(value, column):
    if isinstance(value, str):
        return lambda x: value if x is None else x
    return lambda x: value if x != x else x


def _replace(value, column):
    old, new = value["value"], value["by"]
    if not isinstance(old, str):
        old, new = float(old), float(new)
    return lambda x: new if x == old else x


def _is(value, column):
    if isinstance(value, str):
        return lambda x: 1.0 if x == value else 0.0

    def ask(x):
        if x is None:
            return 1.0 if value is None else 0.0
        if type(x) is float and x - x != 0.0:
            if x == x:
                raise InputError(column, UNUSABLE)
            return 1.0 if value is None else 0.0
        return 1.0 if x == value else 0.0

    return ask


def _clip(value, column):
    low, high = map(float, value)

    def clip(x):
        if x - x != 0.0 and x == x:
            raise InputError(column, UNUSABLE)
        return low if x < low else high if x > high else x

    return clip


def _bin(edges, column):
    edges = list(map(float, edges))

    def find(x):
        if x - x != 0.0:
            raise InputError(column, UNUSABLE)
        return float(bisect_right(edges, x))

    return find


def _lookup(value, column):
    values = (math.nan if item is None else float(item) for item in value["values"])
    table = dict(zip(value["keys"], values, strict=True))
    otherwise = value["otherwise"]
    if otherwise is None:
        otherwise = math.nan

    def find(x):
        if type(x) is float and x - x != 0.0:
            if x == x:
                raise InputError(column, UNUSABLE)
            x = None
        found = table.get(x, otherwise)
        if found == "refuse":
            raise InputError(column, UNKNOWN)
        return found

    return find


def codes(item: dict, column: str):
    """The function from a value to the place of its one-hot column: -1 where all of them are zero."""
    table: dict = {}
    for place, group in enumerate(item["one_hot"]):
        table.update(dict.fromkeys(group["of"], place))
    table.update(dict.fromkeys(item["zero"], -1))
    otherwise = item["otherwise"]
    refuse = otherwise.get("do") == "refuse"
    if "is" in otherwise:
        other = next(place for place, group in enumerate(item["one_hot"]) if group["name"] == otherwise["is"])
    else:
        other = -1

    def find(x):
        found = table.get(x)
        if found is not None:
            return found
        if type(x) is float and x - x != 0.0:
            if x == x:
                raise InputError(column, UNUSABLE)
            found = table.get(None)
            if found is not None:
                return found
        if refuse:
            raise InputError(column, UNKNOWN)
        return other

    return find


def _guarded(call):
    """NumPy's answer where ``math`` raises: NaN outside of the domain, infinity on overflow."""

    def safe(x):
        try:
            return call(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return safe


def _logarithm(call, pole):
    def logarithm(x):
        return call(x) if x > pole else -math.inf if x == pole else math.nan

    return logarithm


#: Functions of one number, each NumPy's of that name.
FUNCTIONS = {
    "log": _logarithm(math.log, 0.0),
    "log2": _logarithm(math.log2, 0.0),
    "log10": _logarithm(math.log10, 0.0),
    "log1p": _logarithm(math.log1p, -1.0),
    "exp": _guarded(math.exp),
    "expm1": _guarded(math.expm1),
    "sqrt": _guarded(math.sqrt),
    "cbrt": math.cbrt,
    "square": lambda x: x * x,
    "abs": abs,
    "sin": _guarded(math.sin),
    "cos": _guarded(math.cos),
    "tanh": math.tanh,
    "arcsinh": math.asinh,
    "sign": lambda x: x if x != x or x == 0.0 else math.copysign(1.0, x),
    "negative": lambda x: -x,
}


def power(base: float, exponent: float) -> float:
    """``base ** exponent`` with NumPy's answers where Python raises or turns complex."""
    try:
        result = base**exponent
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf
    return math.nan if isinstance(result, complex) else result


def box_cox(x: float, lmbda: float) -> float:
    """Box and Cox (1964), as ``scipy.special.boxcox`` computes it; infinity, which is refused, unless x is positive."""
    if x - x != 0.0:  # missing stays missing, and what is infinite stays refused
        return x
    if x <= 0.0:
        return math.inf
    logarithm = math.log(x)
    if abs(lmbda) < SMALLEST_LAMBDA:
        return logarithm
    return FUNCTIONS["expm1"](lmbda * logarithm) / lmbda


def yeo_johnson(x: float, lmbda: float) -> float:
    """Yeo and Johnson (2000), as ``scipy.stats.yeojohnson`` computes it."""
    if x - x != 0.0:
        return x
    expm1 = FUNCTIONS["expm1"]
    if x >= 0.0:
        if abs(lmbda) < _SPACING:
            return math.log1p(x)
        return expm1(lmbda * math.log1p(x)) / lmbda
    if abs(lmbda - 2.0) > _SPACING:
        return -expm1((2.0 - lmbda) * math.log1p(-x)) / (2.0 - lmbda)
    return -math.log1p(-x)


def inverse_box_cox(x: float, lmbda: float) -> float:
    """What ``box_cox`` turns into x, as ``scipy.special.inv_boxcox`` computes it."""
    if lmbda == 0.0:
        return FUNCTIONS["exp"](x)
    return FUNCTIONS["exp"](FUNCTIONS["log1p"](lmbda * x) / lmbda)


def inverse_yeo_johnson(x: float, lmbda: float) -> float:
    """What ``yeo_johnson`` turns into x, as scikit-learn's ``PowerTransformer.inverse_transform`` computes it."""
    if x >= 0.0:
        if abs(lmbda) < _SPACING:
            return FUNCTIONS["exp"](x) - 1.0
        return power(x * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > _SPACING:
        return 1.0 - power(-(2.0 - lmbda) * x + 1.0, 1.0 / (2.0 - lmbda))
    return 1.0 - FUNCTIONS["exp"](-x)


#: Below this, a Box-Cox transform is a logarithm; and below one unit in the last place of 1, a Yeo-Johnson one is.
SMALLEST_LAMBDA = 1e-19
_SPACING = 2.220446049250313e-16

_STEPS = {
    "impute": _impute,
    "replace": _replace,
    "is": _is,
    "add": lambda value, column: lambda x: x + value,
    "subtract": lambda value, column: lambda x: x - value,
    "multiply": lambda value, column: lambda x: x * value,
    "divide": lambda value, column: lambda x: x / value,
    "clip": _clip,
    "function": lambda value, column: FUNCTIONS[value],
    "box_cox": lambda value, column: lambda x: box_cox(x, value),
    "yeo_johnson": lambda value, column: lambda x: yeo_johnson(x, value),
    "inverse_box_cox": lambda value, column: lambda x: inverse_box_cox(x, value),
    "inverse_yeo_johnson": lambda value, column: lambda x: inverse_yeo_johnson(x, value),
    "bin": _bin,
    "lookup": _lookup,
}
