"""Functions of one number, with NumPy's answers: NaN where ``math`` raises, and infinity where a number overflows."""

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[float], float]

#: A Box-Cox transform with a smaller lambda is a logarithm.
SMALLEST_LAMBDA = 1e-19
#: One unit in the last place of 1: a Yeo-Johnson transform whose lambda is nearer to 0, or to 2, is a logarithm.
SPACING = 2.220446049250313e-16


def _guarded(call: "Call") -> "Call":
    """NumPy's answer where ``math`` raises: NaN outside of the domain, infinity on overflow."""

    def safe(x: float) -> float:
        try:
            return call(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return safe


def _logarithm(call: "Call", pole: float) -> "Call":
    def logarithm(x: float) -> float:
        return call(x) if x > pole else -math.inf if x == pole else math.nan

    return logarithm


#: Functions of one number, each NumPy's of that name.
FUNCTIONS: "dict[str, Call]" = {
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
    "reciprocal": lambda x: 1.0 / x if x else math.copysign(math.inf, x),
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
        if abs(lmbda) < SPACING:
            return math.log1p(x)
        return expm1(lmbda * math.log1p(x)) / lmbda
    if abs(lmbda - 2.0) > SPACING:
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
        if abs(lmbda) < SPACING:
            return FUNCTIONS["exp"](x) - 1.0
        return power(x * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > SPACING:
        return 1.0 - power(-(2.0 - lmbda) * x + 1.0, 1.0 / (2.0 - lmbda))
    return 1.0 - FUNCTIONS["exp"](-x)
