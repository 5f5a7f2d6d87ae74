"""The steps of a document as PMML expressions.

A missing number is missing, and NaN, which a function gives outside of its domain, is made so. An infinity goes on as
IEEE 754 has it. Where a step refuses a value, a condition is added that the row has to meet.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from ... import steps
from ...handlers import handler
from ...numeric import SMALLEST_LAMBDA, SPACING
from ...steps import Step
from ..lowering import OPERATORS
from .expressions import FieldList, Value, apply, constant, given, number, reference, table, within

#: From the name of a field to an expression.
MakeOf = Callable[[str], Element]


class StepFields:
    """Steps on one value.

    Parameters
    ----------
    fields : takes the fields that a step needs, where it uses its value more than once.
    name : what to call them after.
    fine : conditions a row has to meet; those of the steps are added.
    """

    def __init__(self, fields: FieldList, name: str, fine: list[Element]) -> None:
        self.fields, self.name, self.fine = fields, name, fine

    def run(self, value: Value, items: Sequence[Step]) -> Value:
        """The value after the steps."""
        for step in items:
            value = handler(_STEPS, step, "PMML")(self, value, step)
        return value

    def finite(self, value: Value) -> Value:
        """The value, which has to be finite or missing; adds the condition."""
        if value.bounded:
            return value
        held = self._held(value)
        if value.present:
            self.fine.append(within(held))
        else:
            self.fine.append(apply("if", apply("isMissing", reference(held)), True, within(held)))
        return Value(reference(held), value.present, True)

    def usable(self, value: Value) -> Value:
        """The value, which has to be finite; adds the condition."""
        if value.bounded and value.present:
            return value
        held = self._held(value)
        self.fine.append(within(held))
        return Value(reference(held), True, True)

    def _held(self, value: Value) -> str:
        return self.fields.held(value, self.name)

    def _of(self, value: Value, make: MakeOf, *, bounded: bool, present: bool | None = None) -> Value:
        """``make`` of a name of the value, missing where the value is."""
        held = self._held(value)
        element = make(held) if value.present else given(held, make(held))
        return Value(element, value.present if present is None else present, bounded)

    def _impute(self, value: Value, step: steps.Impute) -> Value:
        held = self._held(value)
        element = apply("if", apply("isMissing", reference(held)), step.fill, reference(held))
        return Value(element, True, value.bounded)

    def _replace(self, value: Value, step: steps.Replace) -> Value:
        def make(name: str) -> Element:
            return apply("if", apply("equal", reference(name), step.value), step.by, reference(name))

        return self._of(value, make, bounded=value.bounded)

    def _is(self, value: Value, step: steps.Is) -> Value:
        value = self.finite(value)
        held = self._held(value)
        if step.value is None:
            return Value(apply("if", apply("isMissing", reference(held)), 1.0, 0.0), True, True)
        found = apply("if", apply("equal", reference(held), step.value), 1.0, 0.0)
        if not value.present:
            found = apply("if", apply("isMissing", reference(held)), 0.0, found)
        return Value(found, True, True)

    def _arithmetic(self, value: Value, step: steps.Arithmetic) -> Value:
        return Value(apply(OPERATORS[type(step)], value.element, step.operand), value.present, False)

    def _clip(self, value: Value, step: steps.Clip) -> Value:
        low, high = step.limits

        def make(name: str) -> Element:
            inner = apply("if", apply("greaterThan", reference(name), high), high, reference(name))
            return apply("if", apply("lessThan", reference(name), low), low, inner)

        return self._of(self.finite(value), make, bounded=True)

    def _bin(self, value: Value, step: steps.Bin) -> Value:
        value = self.usable(value)
        places = [float(place) for place in range(len(step.edges) + 1)]
        return Value(_of_interval(self._held(value), step.edges, places), True, True)

    def _piecewise(self, value: Value, step: steps.Piecewise) -> Value:
        value = self.finite(value)
        held, edges = self._held(value), step.edges
        if not all(step.coefficients):
            fine = apply("equal", _of_interval(held, edges, [float(bool(row)) for row in step.coefficients]), 1.0)
            self.fine.append(fine if value.present else apply("if", apply("isMissing", reference(held)), True, fine))
        width = max(1, *map(len, step.coefficients))
        powers = [[row[power] if power < len(row) else 0.0 for row in step.coefficients] for power in range(width)]
        found = _of_interval(held, edges, powers.pop())
        if powers:
            origin = _of_interval(held, edges, step.origins)
            distance = self.fields.add(given(held, apply("-", reference(held), origin)), self.name)
        while powers:
            found = apply("+", apply("*", found, reference(distance)), _of_interval(held, edges, powers.pop()))
        return Value(found if value.present else given(held, found), value.present, width == 1)

    def _lookup(self, value: Value, step: steps.Lookup) -> Value:
        value = self.finite(value)
        held, found = self._held(value), dict(zip(step.keys, step.values, strict=True))
        refuses = step.other() is None
        default = None if isinstance(step.otherwise, str) else step.otherwise
        missing = found.get(None, default)
        known = {key: item for key, item in found.items() if key is not None}
        if refuses:
            among = apply("isIn", reference(held), *known) if known else apply("isMissing", reference(held))
            if not value.present:
                among = apply("if", apply("isMissing", reference(held)), None in found, among)
            self.fine.append(among)
        element = mapped(held, known, missing=missing, other=default, kind="double")
        always = default is not None and missing is not None and None not in known.values()
        return Value(element, always, True)

    def _function(self, value: Value, step: steps.NumpyFunction) -> Value:
        make, total, bounded = FUNCTIONS[step.function]
        present = value.present and total
        return self._of(value, make, bounded=bounded and value.bounded, present=present)

    def _box_cox(self, value: Value, step: steps.BoxCox) -> Value:
        lmbda = step.lmbda

        def make(name: str) -> Element:
            logarithm = _maybe("ln", reference(name))
            if abs(lmbda) >= SMALLEST_LAMBDA:
                logarithm = apply("/", apply("expm1", apply("*", logarithm, lmbda)), lmbda)
            return apply("if", apply("lessOrEqual", reference(name), 0.0), math.inf, logarithm)

        return self._transformed(value, make)

    def _yeo_johnson(self, value: Value, step: steps.YeoJohnson) -> Value:
        lmbda = step.lmbda

        def half(inner: Element, power: float) -> Element:
            logarithm = apply("ln1p", inner)
            if abs(power) <= SPACING:
                return logarithm
            return apply("/", apply("expm1", apply("*", logarithm, power)), power)

        def make(name: str) -> Element:
            down = apply("-", 0.0, half(apply("-", 0.0, reference(name)), 2.0 - lmbda))
            positive = apply("greaterOrEqual", reference(name), 0.0)
            return apply("if", positive, half(reference(name), lmbda), down)

        return self._transformed(value, make)

    def _transformed(self, value: Value, make: MakeOf) -> Value:
        """A power transform, which leaves an infinity as it is."""
        if value.bounded:
            return self._of(value, make, bounded=False)
        return self._of(value, lambda name: apply("if", within(name), make(name), reference(name)), bounded=False)

    def _inverse_box_cox(self, value: Value, step: steps.InverseBoxCox) -> Value:
        lmbda = step.lmbda
        if lmbda == 0.0:
            return self._function(value, steps.NumpyFunction("exp"))
        logarithm = self._of(
            value, lambda name: _maybe("ln1p", apply("*", reference(name), lmbda)), bounded=False, present=False
        )
        return self._of(logarithm, lambda name: apply("exp", apply("/", reference(name), lmbda)), bounded=False)

    def _inverse_yeo_johnson(self, value: Value, step: steps.InverseYeoJohnson) -> Value:
        lmbda = step.lmbda

        def half(inner: Element, power: float) -> Element:
            if abs(power) <= SPACING:
                return apply("exp", inner)
            return _maybe("pow", apply("+", apply("*", inner, power), 1.0), 1.0 / power)

        def make(name: str) -> Element:
            down = apply("-", 1.0, half(apply("-", 0.0, reference(name)), 2.0 - lmbda))
            positive = apply("greaterOrEqual", reference(name), 0.0)
            return apply("if", positive, apply("-", half(reference(name), lmbda), 1.0), down)

        return self._of(value, make, bounded=False, present=False)


_STEPS: dict[type[Step], Callable[[StepFields, Value, Any], Value]] = {
    steps.Impute: StepFields._impute,
    steps.Replace: StepFields._replace,
    steps.Is: StepFields._is,
    **dict.fromkeys(OPERATORS, StepFields._arithmetic),
    steps.Clip: StepFields._clip,
    steps.Bin: StepFields._bin,
    steps.Piecewise: StepFields._piecewise,
    steps.Lookup: StepFields._lookup,
    steps.NumpyFunction: StepFields._function,
    steps.BoxCox: StepFields._box_cox,
    steps.YeoJohnson: StepFields._yeo_johnson,
    steps.InverseBoxCox: StepFields._inverse_box_cox,
    steps.InverseYeoJohnson: StepFields._inverse_yeo_johnson,
}


def _of_interval(name: str, edges: Sequence[float], values: Sequence[float]) -> Element:
    """The number that stands for the interval a field is in, between rising edges; missing where the field is."""
    if not edges:
        # Asks for the field, since an engine refuses an invalid value only where it is asked for.
        return given(name, constant(values[0]))
    element = Element("Discretize", {"field": name, "dataType": "double"})
    for low, high, value in zip([None, *edges], [*edges, None], values, strict=True):
        if low is not None and low == high:
            continue
        bin = SubElement(element, "DiscretizeBin", {"binValue": number(value)})
        limits = {} if low is None else {"leftMargin": number(low)}
        limits |= {} if high is None else {"rightMargin": number(high)}
        closure = "openOpen" if low is None else "closedOpen"
        SubElement(bin, "Interval", {"closure": closure, **limits})
    return element


def limits(items: Sequence[Step]) -> bool:
    """Whether some step gives what is never larger than the step itself says."""
    return any(
        step.function in ("tanh", "sin", "cos", "sign")
        if isinstance(step, steps.NumpyFunction)
        else isinstance(step, (steps.Is, steps.Clip, steps.Bin, steps.Lookup))
        for step in items
    )


def mapped(name: str, known: Mapping[Any, Any], *, missing: Any, other: Any, kind: str) -> Element:
    """What stands for each value of a field: missing where that is None.

    Parameters
    ----------
    known : by value of the field.
    missing, other : for a missing value, and for any that is not known.
    """
    rows = [(key, value) for key, value in known.items() if value is not None]
    nothing = [key for key, value in known.items() if value is None]
    if rows:
        found = table(name, rows, kind=kind, missing=missing, other=other)
        if not nothing or other is None:
            return found
    elif other is None:
        return _never(name) if missing is None else apply("if", apply("isMissing", reference(name)), missing)
    else:
        found = constant(other)
    if nothing:
        found = apply("if", apply("isNotIn", reference(name), *nothing), found)
    return given(name, found) if missing is None else apply("if", apply("isMissing", reference(name)), missing, found)


def _never(name: str) -> Element:
    """A number that is always missing."""
    return apply("if", apply("and", apply("isMissing", reference(name)), apply("isNotMissing", reference(name))), 0.0)


def _maybe(function: str, *arguments: Any) -> Element:
    """A function that is missing outside of its domain."""
    return apply(function, *arguments, invalidValueTreatment="asMissing")


def _plain(function: str) -> MakeOf:
    return lambda name: apply(function, reference(name))


def _partial(function: str) -> MakeOf:
    return lambda name: _maybe(function, reference(name))


def _signed(name: str, size: Element) -> Element:
    negative = apply("lessThan", reference(name), 0.0)
    return apply("if", negative, apply("-", 0.0, size), _copy(size))


def _copy(element: Element) -> Element:
    found = Element(element.tag, element.attrib)
    found.text = element.text
    found.extend(_copy(child) for child in element)
    return found


def _cbrt(name: str) -> Element:
    return _signed(name, apply("pow", apply("abs", reference(name)), 1.0 / 3.0))


def _sign(name: str) -> Element:
    positive = apply("if", apply("greaterThan", reference(name), 0.0), 1.0, 0.0)
    return apply("if", apply("lessThan", reference(name), 0.0), -1.0, positive)


def _arcsinh(name: str) -> Element:
    """log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))) with the sign of x; where x^2 may overflow, log|x| + log 2."""

    def square() -> Element:
        return apply("*", reference(name), reference(name))

    root = apply("+", apply("sqrt", apply("+", square(), 1.0)), 1.0)
    small = apply("ln1p", apply("+", apply("abs", reference(name)), apply("/", square(), root)))
    large = apply("+", apply("ln", apply("abs", reference(name))), math.log(2.0))
    large_enough = apply("greaterThan", apply("abs", reference(name)), 1e9)
    return _signed(name, apply("if", large_enough, large, small))


def _reciprocal(name: str) -> Element:
    """1 / x, infinite where x is 0: engines may raise there."""
    return apply("if", apply("equal", reference(name), 0.0), math.inf, apply("/", 1.0, reference(name)))


def _divided(function: str, by: float) -> MakeOf:
    return lambda name: apply("/", _maybe(function, reference(name)), by)


#: The functions of the document: what makes it of a field's name, whether it gives a number for every number, and
#: whether a finite one for every finite one.
FUNCTIONS: dict[str, tuple[MakeOf, bool, bool]] = {
    "log": (_partial("ln"), False, False),
    "log2": (_divided("ln", math.log(2.0)), False, False),
    "log10": (_divided("ln", math.log(10.0)), False, False),
    "log1p": (_partial("ln1p"), False, False),
    "exp": (_plain("exp"), True, False),
    "expm1": (_plain("expm1"), True, False),
    "sqrt": (_partial("sqrt"), False, True),
    "cbrt": (_cbrt, True, True),
    "square": (lambda name: apply("*", reference(name), reference(name)), True, False),
    "abs": (_plain("abs"), True, True),
    "sin": (_partial("sin"), False, True),
    "cos": (_partial("cos"), False, True),
    "tanh": (_plain("tanh"), True, True),
    "arcsinh": (_arcsinh, True, True),
    "sign": (_sign, True, True),
    "negative": (lambda name: apply("-", 0.0, reference(name)), True, True),
    "reciprocal": (_reciprocal, True, False),
}
