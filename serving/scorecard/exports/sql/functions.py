"""Functions of one number in SQL, with the answers of ``steps``: NULL for NaN, and none that fails the query."""

import math
from dataclasses import replace
from typing import Any

from ...handlers import handler
from ...numeric import SMALLEST_LAMBDA, SPACING
from ...steps import BoxCox, InverseBoxCox, InverseYeoJohnson, Power, YeoJohnson
from .engine import MAX
from .layers import Sql, joined, sql
from .values import SMALLEST, Number, Writer

#: Where exp leaves the range of float64, and where it vanishes; and how far its argument goes in a link.
EXP_HIGHEST, EXP_LOWEST, CLAMP = 709.782712893384, -745.0, 700.0
#: Bounds of the magnitude of a function's values other than 0.
_BOUNDS = {
    **dict.fromkeys(("log", "log2", "log10"), (1e-17, 1100.0)),
    "log1p": (SMALLEST, 750.0),
    "sqrt": (2e-162, 1.4e154),
    "cbrt": (1e-108, 6e102),
    **dict.fromkeys(("sin", "cos"), (SMALLEST, 1.0)),
    "arcsinh": (SMALLEST, 711.0),
}


class Functions:
    """Writes functions of numbers that are columns, or as cheap to repeat."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._engine, self._let = writer, writer.engine, writer.let
        self._literal = writer.literal
        self._zero, self._one = writer.literal(0.0), writer.literal(1.0)

    def apply(self, value: Number, name: str) -> Number:
        """A function of ``steps.FUNCTIONS``."""
        writer = self._writer
        if name == "square":
            return writer.square(value)
        if name == "negative":
            return replace(value, sql=sql("(-{})", value.sql))
        value = self._let(value)
        own = getattr(self, f"_{name}", None)
        if own is not None:
            return own(value)
        if name == "abs":
            return self._called(name, value)
        low, high = _BOUNDS[name]
        if name in ("log", "log2", "log10"):
            found = self._logarithm(value.sql, self._call(name, value.sql), 0.0)
        elif name == "sqrt":
            found = sql("CASE WHEN {} >= {} THEN {} END", value.sql, self._zero, self._call(name, value.sql))
        else:  # sin, cos
            value = replace(value, infinite=False)
            found = sql("CASE WHEN {} THEN {} END", writer.finite(value.sql), self._call(name, value.sql))
        return replace(value, sql=found, missing=True, low=low, high=high)

    def _call(self, name: str, value: Sql) -> Sql:
        return Sql(self._engine.functions[name].format(value.text), value.names, value.level)

    def _called(self, name: str, value: Number, **known: Any) -> Number:
        return replace(value, sql=self._call(name, value.sql), **known)

    def _has(self, name: str) -> bool:
        return name in self._engine.functions

    def _logarithm(self, value: Sql, found: Sql, pole: float) -> Sql:
        edge = self._literal(pole)
        lowest = self._writer.beyond(sql("{} = {}", value, edge), -1.0)
        return sql("CASE WHEN {0} > {1} THEN {2} WHEN {0} = {1} THEN {3} END", value, edge, found, lowest)

    def _sign(self, value: Number) -> Number:
        found = sql(
            "CASE WHEN {0} > {1} THEN {2} WHEN {0} < {1} THEN {3} ELSE {0} END",
            *(value.sql, self._zero, self._one, self._literal(-1.0)),
        )
        return replace(value, sql=found, infinite=False, low=1.0, high=1.0)

    def _reciprocal(self, value: Number) -> Number:
        smallest = self._literal(1.0 / MAX)
        infinity = self._writer.beyond(sql("ABS({}) < {}", value.sql, smallest))
        found = sql("CASE WHEN ABS({0}) < {1} THEN {2} ELSE {3} / {0} END", value.sql, smallest, infinity, self._one)
        infinite = bool(self._engine.infinity)
        return replace(value, sql=found, infinite=infinite, low=1.0 / value.high, high=min(MAX, 1.0 / value.low))

    def _log1p(self, value: Number) -> Number:
        """log(1 + x) by Kahan's identity (HP-15C Advanced Functions Handbook, 1982) where the engine has none."""
        if self._has("log1p"):
            found = self._call("log1p", value.sql)
        else:
            above = self._writer.layers.let(sql("({} + {})", value.sql, self._one))
            logarithm = self._call("log", above)
            found = sql(
                "CASE WHEN {0} = {2} THEN {1} WHEN {0} > {4} THEN {3} ELSE {3} * ({1} / ({0} - {2})) END",
                *(above, value.sql, self._one, logarithm, self._literal(1e17)),
            )
        found = self._logarithm(value.sql, found, -1.0)
        return replace(value, sql=found, missing=True, low=value.low * 0.5 or SMALLEST, high=_BOUNDS["log1p"][1])

    def _exp(self, value: Number) -> Number:
        found = self._call("exp", value.sql)
        if self._engine.raises and (value.high > CLAMP or value.infinite):
            highest = self._literal(EXP_HIGHEST)
            infinity = self._writer.beyond(sql("{} > {}", value.sql, highest))
            found = sql(
                "CASE WHEN {0} > {1} THEN {2} WHEN {0} < {3} THEN {4} ELSE {5} END",
                *(value.sql, highest, infinity, self._literal(EXP_LOWEST), self._zero, found),
            )
        return replace(value, sql=found, infinite=bool(self._engine.infinity), low=SMALLEST)

    def _expm1(self, value: Number) -> Number:
        """exp(x) - 1 by Kahan's identity (HP-15C Advanced Functions Handbook, 1982) where the engine has none."""
        power = self._exp(value)
        known: dict[str, Any] = {"infinite": power.infinite, "low": min(value.low, 0.5), "high": power.high}
        if self._has("expm1"):
            return self._called("expm1", value, **known)
        column = self._writer.layers.let(power.sql)
        found = sql(
            "CASE WHEN {0} = {1} THEN {2} WHEN ABS({2}) < {1} THEN ({0} - {1}) * ({2} / {3}) ELSE {0} - {1} END",
            *(column, self._one, value.sql, self._call("log", column)),
        )
        return replace(value, sql=found, **known)

    def _tanh(self, value: Number) -> Number:
        known: dict[str, Any] = {"infinite": False, "low": min(value.low, 0.5), "high": 1.0}
        if self._has("tanh"):
            return self._called("tanh", value, **known)
        # By expm1(-2 |x|), which keeps the digits of small numbers.
        size = sql("LEAST(ABS({}), {})", value.sql, self._literal(50.0))
        double = self._let(self._writer.times(replace(value, sql=size, high=50.0, infinite=False), -2.0))
        away = self._writer.layers.let(self._expm1(double).sql)
        ratio = sql("({0} / ({1} + {0}))", away, self._literal(2.0))
        found = sql("CASE WHEN {} < {} THEN {} ELSE -{} END", value.sql, self._zero, ratio, ratio)
        return replace(value, sql=found, **known)

    def _arcsinh(self, value: Number) -> Number:
        writer = self._writer
        known: dict[str, Any] = {"low": min(value.low, 0.5), "high": _BOUNDS["arcsinh"][1]}
        if self._has("arcsinh"):
            return self._called("arcsinh", value, **known)
        # |x| + x^2 / (1 + sqrt(1 + x^2)) loses no digits of a small x; and beyond 1e8, sqrt(1 + x^2) is |x|.
        tiny, huge = self._literal(1e-150), self._literal(1e8)
        size = writer.layers.let(sql("ABS({})", value.sql))
        near = sql("CASE WHEN {0} < {1} THEN {3} WHEN {0} > {2} THEN {2} ELSE {0} END", size, tiny, huge, self._zero)
        small = writer.square(self._let(replace(value, sql=near, infinite=False, low=1e-150, high=1e8)))
        square = self._let(small).sql
        inner = sql("({0} + {1} / ({2} + SQRT({2} + {1})))", writer.layers.let(near), square, self._one)
        found = sql(
            "CASE WHEN {0} < {1} THEN {2} WHEN {0} > {3} THEN SIGN({2}) * ({4} + {5}) ELSE SIGN({2}) * {6} END",
            *(size, tiny, value.sql, huge, self._call("log", size), self._literal(math.log(2.0))),
            self._log1p(self._let(replace(small, sql=inner, high=3e8))).sql,
        )
        return replace(value, sql=found, **known)

    def _cbrt(self, value: Number) -> Number:
        low, high = _BOUNDS["cbrt"]
        if self._has("cbrt"):
            return self._called("cbrt", value, low=low, high=high)
        third = self._literal(1.0 / 3.0)
        return replace(value, sql=sql("(SIGN({0}) * POWER(ABS({0}), {1}))", value.sql, third), low=low, high=high)

    def power(self, step: Power, value: Number, lmbda: float) -> Number:
        """A power transform, or its inverse."""
        transforms = {
            BoxCox: self._box_cox,
            YeoJohnson: self._yeo_johnson,
            InverseBoxCox: self._inverse_box_cox,
            InverseYeoJohnson: self._inverse_yeo_johnson,
        }
        return handler(transforms, step, "SQL")(value, lmbda)

    def _box_cox(self, value: Number, lmbda: float) -> Number:
        """Box and Cox (1964); what is not positive is refused."""
        writer, value = self._writer, self._let(value)
        refused = writer.beyond(sql("{} <= {}", value.sql, self._zero))
        found = sql(
            "CASE WHEN {0} > {1} THEN {2} WHEN {0} <= {1} THEN {3} END",
            *(value.sql, self._zero, self._call("log", value.sql), refused),
        )
        low, high = _BOUNDS["log"]
        logarithm = self._let(replace(value, sql=found, infinite=bool(self._engine.infinity), low=low, high=high))
        if abs(lmbda) < SMALLEST_LAMBDA:
            return logarithm
        power = self._scaled(logarithm, lmbda)
        if lmbda > 0.0 or not logarithm.infinite:
            return power
        # Of an infinity, which stands for a refusal, a negative power makes a number.
        infinite = writer.infinite(logarithm.sql)
        return replace(power, sql=sql("CASE WHEN {} THEN {} ELSE {} END", infinite, logarithm.sql, power.sql))

    def _yeo_johnson(self, value: Number, lmbda: float) -> Number:
        """Yeo and Johnson (2000)."""
        value = self._let(value)
        size = self._let(replace(value, sql=sql("ABS({})", value.sql)))
        logarithm = self._let(self._log1p(size))
        up = logarithm if abs(lmbda) < SPACING else self._scaled(logarithm, lmbda)
        down = logarithm if abs(lmbda - 2.0) <= SPACING else self._scaled(logarithm, 2.0 - lmbda)
        whens = [
            sql("WHEN {} >= {} THEN {}", value.sql, self._zero, up.sql),
            sql("WHEN {} < {} THEN -{}", value.sql, self._zero, down.sql),
        ]
        if value.infinite:
            whens.insert(0, sql("WHEN {} THEN {}", self._writer.infinite(value.sql), value.sql))
        return replace(
            value,
            sql=sql("CASE {} END", joined(" ", whens)),
            infinite=value.infinite or up.infinite or down.infinite,
            low=min(up.low, down.low),
            high=max(up.high, down.high),
        )

    def _scaled(self, logarithm: Number, factor: float) -> Number:
        """(exp(factor * logarithm) - 1) / factor."""
        times = self._writer.times
        return times(self._expm1(self._let(times(logarithm, factor))), factor, divide=True)

    def _inverse_box_cox(self, value: Number, lmbda: float) -> Number:
        """What ``_box_cox`` turns into a number."""
        times, value = self._writer.times, self._let(value)
        if lmbda != 0.0:
            logarithm = self._let(self._log1p(self._let(times(value, lmbda))))
            value = self._let(times(logarithm, lmbda, divide=True))
        return self._exp(value)

    def _inverse_yeo_johnson(self, value: Number, lmbda: float) -> Number:
        """What ``_yeo_johnson`` turns into a number."""
        writer, value = self._writer, self._let(value)
        if abs(lmbda) < SPACING:
            up = self._exp(value).sql
        else:
            up = self._to_power(writer.plus(writer.times(value, lmbda), 1.0), 1.0 / lmbda)
        if abs(lmbda - 2.0) > SPACING:
            down = self._to_power(writer.plus(writer.times(value, lmbda - 2.0), 1.0), 1.0 / (2.0 - lmbda))
        else:
            down = self._exp(self._let(replace(value, sql=sql("(-{})", value.sql)))).sql
        found = sql(
            "CASE WHEN {0} >= {1} THEN {2} - {3} WHEN {0} < {1} THEN {3} - {4} END",
            *(value.sql, self._zero, up, self._one, down),
        )
        return Number(found)

    def _to_power(self, base: Number, exponent: float) -> Sql:
        """A number to a power; NULL where that is not finite."""
        base = self._let(base)
        size = self._writer.layers.let(sql("ABS({})", base.sql))
        logarithm = sql("CASE WHEN {} > {} THEN {} END", size, self._zero, self._call("log", size))
        low, high = _BOUNDS["log"]
        number = self._let(Number(logarithm, infinite=base.infinite, low=low, high=high))
        wanted = self._let(self._writer.times(number, exponent)).sql
        found = sql(
            "CASE WHEN {0} > {1} THEN NULL WHEN {0} < {2} THEN {3} ELSE POWER({4}, {5}) END",
            # A little below where it overflows, for the logarithm is rounded.
            *(wanted, self._literal(EXP_HIGHEST - 1e-9), self._literal(-CLAMP)),
            *(self._zero, size, self._literal(exponent)),
        )
        if exponent == 1.0:
            found = size
        whens = [sql("WHEN {} > {} THEN {}", base.sql, self._zero, found)]
        if exponent < 0.0:
            whens.append(sql("WHEN {} THEN {}", self._writer.infinite(base.sql), self._zero))
        if exponent > 0.0:
            whens.append(sql("WHEN {0} = {1} THEN {1}", base.sql, self._zero))
        if exponent == math.floor(exponent):
            sign = "-" if exponent % 2.0 else ""
            whens.append(sql("WHEN {} < {} THEN " + sign + "{}", base.sql, self._zero, found))
        return sql("CASE {} END", joined(" ", whens))
