"""The steps of a column: what each holds, and what it does to one value in float64; standard library only.

A missing number is NaN, a missing text None. A step answers with NaN where NumPy would (the logarithm of a negative
number), and with an infinity where NumPy would: whatever uses the column refuses both.
"""

import math

from .inputs import InputError, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Call = Callable[[Any], Any]

UNKNOWN = "expected a category the model was trained on, found another"
UNUSABLE = "expected a number the model's steps can take, found one outside of their range"

#: What a column may hold: a number or a text; and a category of it, where None is a missing value.
Value = float | str
Category = float | str | None

#: Functions of one number; each is exactly NumPy's of that name.
FUNCTIONS = (
    *("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "square", "abs"),
    *("sin", "cos", "tanh", "arcsinh", "sign", "negative", "reciprocal"),
)
#: Functions that IEEE 754 defines to the last digit; the others differ in their last digits from library to library.
EXACT = frozenset({"sqrt", "square", "abs", "sign", "negative", "reciprocal"})


class Step(Record):
    """One step of a column. Its argument in the document is its one field, or an object of its fields.

    Attributes
    ----------
    name : what the document calls the step.
    takes_text : whether it takes a text as well as a number.
    keeps_kind : whether a text stays a text; a step that does not makes a number of it.
    inexact : whether NumPy and ``math`` may round its answer differently.
    """

    __slots__ = ()
    name = ""
    takes_text = keeps_kind = inexact = False

    def bind(self, column: str) -> "Call":
        """The step as a function of one value; ``column`` is the input that an error names."""
        raise NotImplementedError


class Impute(Step):
    """A missing value becomes this one."""

    __slots__ = ("fill",)
    fill: Value
    name = "impute"
    takes_text = keeps_kind = True

    def bind(self, column: str) -> "Call":
        fill = self.fill
        if isinstance(fill, str):
            return lambda x: fill if x is None else x
        return lambda x: fill if x != x else x


class Replace(Step):
    """One value becomes another."""

    __slots__ = ("value", "by")
    value: Value
    by: Value
    name = "replace"
    takes_text = keeps_kind = True

    def bind(self, column: str) -> "Call":
        old, new = self.value, self.by
        return lambda x: new if x == old else x


class Is(Step):
    """1 where it is this value (null: missing), else 0."""

    __slots__ = ("value",)
    value: Category
    name = "is"
    takes_text = True

    def bind(self, column: str) -> "Call":
        value = self.value
        if isinstance(value, str):
            return lambda x: 1.0 if x == value else 0.0

        def ask(x: Category) -> float:
            if x is None:
                return 1.0 if value is None else 0.0
            if type(x) is float and x - x != 0.0:
                if x == x:
                    raise InputError(column, UNUSABLE)
                return 1.0 if value is None else 0.0
            return 1.0 if x == value else 0.0

        return ask


class Lookup(Step):
    """The value beside the key; null is missing."""

    __slots__ = ("keys", "values", "otherwise")
    keys: list[Category]
    values: list[float | None]
    otherwise: float | str | None
    name = "lookup"
    takes_text = True
    choices = {"otherwise": ("refuse",)}

    def table(self) -> dict[Category, float]:
        """The value of each key; NaN where it is missing."""
        return dict(zip(self.keys, map(_number, self.values), strict=True))

    def other(self) -> float | None:
        """The value of all that is no key, NaN where it is missing; None where that is refused."""
        return None if isinstance(self.otherwise, str) else _number(self.otherwise)

    def bind(self, column: str) -> "Call":
        table, other = self.table(), self.other()

        def find(x: Category) -> float:
            if type(x) is float and x - x != 0.0:
                if x == x:
                    raise InputError(column, UNUSABLE)
                x = None
            found = table.get(x, other)
            if found is None:
                raise InputError(column, UNKNOWN)
            return found

        return find


class Arithmetic(Step):
    """A step of arithmetic with a constant."""

    __slots__ = ("operand",)
    operand: float


class Add(Arithmetic):
    """x + c"""

    __slots__ = ()
    name = "add"

    def bind(self, column: str) -> "Call":
        operand = self.operand
        return lambda x: x + operand


class Subtract(Arithmetic):
    """x - c"""

    __slots__ = ()
    name = "subtract"

    def bind(self, column: str) -> "Call":
        operand = self.operand
        return lambda x: x - operand


class Multiply(Arithmetic):
    """x * c"""

    __slots__ = ()
    name = "multiply"

    def bind(self, column: str) -> "Call":
        operand = self.operand
        return lambda x: x * operand


class Divide(Arithmetic):
    """x / c"""

    __slots__ = ()
    name = "divide"

    def bind(self, column: str) -> "Call":
        operand = self.operand
        return lambda x: x / operand


class Clip(Step):
    """Kept between two limits."""

    __slots__ = ("limits",)
    limits: list[float]
    name = "clip"

    def bind(self, column: str) -> "Call":
        low, high = self.limits

        def clip(x: float) -> float:
            if x - x != 0.0 and x == x:
                raise InputError(column, UNUSABLE)
            return low if x < low else high if x > high else x

        return clip


class Bin(Step):
    """How many of these rising edges are at or below x."""

    __slots__ = ("edges",)
    edges: list[float]
    name = "bin"

    def bind(self, column: str) -> "Call":
        from bisect import bisect_right  # imported late: most models have no bins

        edges = self.edges

        def find(x: float) -> float:
            if x - x != 0.0:
                raise InputError(column, UNUSABLE)
            return float(bisect_right(edges, x))

        return find


class Piecewise(Step):
    """A polynomial in each of the intervals between rising edges; a value that equals an edge is above it.

    Parameters
    ----------
    edges : between the intervals.
    origins : for each interval a number that is subtracted from x.
    coefficients : for each interval the coefficients of what is left, those of low powers first; none where a value is
        refused.
    """

    __slots__ = ("edges", "origins", "coefficients")
    edges: list[float]
    origins: list[float]
    coefficients: list[list[float]]
    name = "piecewise"
    inexact = True  # scikit-learn adds up the same curve in another order

    def bind(self, column: str) -> "Call":
        from bisect import bisect_right  # imported late: most models have no pieces

        edges, origins = self.edges, self.origins
        pieces = [row[::-1] for row in self.coefficients]

        def find(x: float) -> float:
            if x - x != 0.0:
                if x == x:
                    raise InputError(column, UNUSABLE)
                return x
            place = bisect_right(edges, x)
            if not pieces[place]:
                raise InputError(column, UNUSABLE)
            distance, total = x - origins[place], 0.0
            for coefficient in pieces[place]:
                total = total * distance + coefficient
            return total

        return find


class NumpyFunction(Step):
    """NumPy's function of that name."""

    __slots__ = ("function",)
    function: str
    name = "function"
    choices = {"function": FUNCTIONS}

    @property
    def inexact(self) -> bool:  # type: ignore[override]
        return self.function not in EXACT

    def bind(self, column: str) -> "Call":
        from .numeric import FUNCTIONS

        return FUNCTIONS[self.function]


class Power(Step):
    """A power transform, or the inverse of one; ``numeric`` has a function of its name."""

    __slots__ = ("lmbda",)
    lmbda: float

    def bind(self, column: str) -> "Call":
        from . import numeric

        transform, lmbda = getattr(numeric, self.name), self.lmbda
        return lambda x: transform(x, lmbda)


class BoxCox(Power):
    """Box and Cox (1964) with this lambda."""

    __slots__ = ()
    name = "box_cox"
    inexact = True


class YeoJohnson(Power):
    """Yeo and Johnson (2000) with this lambda."""

    __slots__ = ()
    name = "yeo_johnson"
    inexact = True


class InverseBoxCox(Power):
    """What box_cox turns into x."""

    __slots__ = ()
    name = "inverse_box_cox"


class InverseYeoJohnson(Power):
    """What yeo_johnson turns into x."""

    __slots__ = ()
    name = "inverse_yeo_johnson"


#: Every step, by its name in the document.
STEPS: "dict[str, type[Step]]" = {
    step.name: step
    for step in (
        *(Impute, Replace, Is, Add, Subtract, Multiply, Divide, Clip, NumpyFunction),
        *(BoxCox, YeoJohnson, InverseBoxCox, InverseYeoJohnson, Bin, Lookup, Piecewise),
    )
}
#: Steps that undo the transform of a target; a prediction goes through them.
TARGET_STEPS = (Add, Multiply, NumpyFunction, InverseBoxCox, InverseYeoJohnson, Subtract, Divide)


def read(items: list) -> "tuple[Step, ...]":
    """The steps of a list in a checked document."""
    return tuple(read_step(*pair) for item in items for pair in item.items())


def read_step(name: str, argument: "Any") -> Step:
    """A step by what a document says of it."""
    step = STEPS[name]
    given = [argument] if len(step.fields) == 1 else [argument[field] for field in step.fields]
    return step(*map(_float64, given))


def chain(steps: "Sequence[Step]", column: str) -> "Call | None":
    """One function that does the steps one after another; None where there are none.

    Parameters
    ----------
    column : the input that an error names.
    """
    if [type(step) for step in steps] == [Impute, Subtract, Divide]:  # the most common chain, in one call
        fill, mean, scale = (step._values()[0] for step in steps)
        return lambda x: ((fill if x != x else x) - mean) / scale
    functions = [step.bind(column) for step in steps]
    if len(functions) < 2:
        return functions[0] if functions else None
    if len(functions) == 2:
        first, second = functions
        return lambda x: second(first(x))
    if len(functions) == 3:
        first, second, third = functions
        return lambda x: third(second(first(x)))

    def run(x: "Any") -> "Any":
        for function in functions:
            x = function(x)
        return x

    return run


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _float64(value: "Any") -> "Any":
    """An argument of a step with its whole numbers as float64."""
    if type(value) is list:
        return list(map(_float64, value))
    return float(value) if type(value) is int else value
