"""Polynomials between edges in SQL: of splines, and of quantiles."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ...steps import Piecewise
from .engine import MAX
from .layers import Sql, joined, sql
from .values import NORMAL, SMALLEST, Number, Writer


def piecewise(value: Number, step: Piecewise, writer: Writer) -> Number:
    """A number after its polynomial; refused where it is infinite, and in intervals without a polynomial."""
    value = writer.without_nan(value)
    if writer.engine.raises:
        value = writer.bounded(value, *_range(step))
    value = writer.let(value)
    if value.infinite:
        writer.guard(writer.infinite(value.sql))
    whens = []
    for above, below, origin, row in zip(
        [-MAX, *step.edges], [*step.edges, None], step.origins, step.coefficients, strict=True
    ):
        # The intervals are asked from below: the one that is not passed by is it.
        limit = writer.exact(above if below is None else below)
        condition = sql("{} >= {}" if below is None else "{} < {}", value.sql, limit)
        if row:
            whens.append(sql("WHEN {} THEN {}", condition, _polynomial(value.sql, origin, row, writer)))
        else:
            whens.append(sql("WHEN {} THEN NULL", condition))
            least = sql("{} >= {}", value.sql, writer.exact(above))
            writer.guard(sql("{} AND {}", least, condition))
    found = sql("CASE {} END", joined(" ", whens))
    bounds = [_largest(step, place) for place in range(len(step.origins))]
    infinite = bool(writer.engine.infinity) and max(bounds) > MAX
    return replace(value, sql=found, infinite=infinite, reads=frozenset(), low=SMALLEST, high=min(MAX, max(bounds)))


def _polynomial(x: Sql, origin: float, row: Sequence[float], writer: Writer) -> Sql:
    """By Horner's rule."""
    distance = sql("({} - {})", x, writer.literal(origin)) if origin else x
    *lower, highest = row
    found = writer.literal(highest)
    for coefficient in reversed(lower):
        found = sql("({} * {})", found, distance)
        if coefficient:
            found = sql("({} + {})", found, writer.literal(coefficient))
    return found


def _largest(step: Piecewise, place: int) -> float:
    """A bound of a polynomial's magnitude in its interval."""
    origin, row = step.origins[place], step.coefficients[place]
    ends = [-MAX, *step.edges, MAX][place : place + 2]
    distance = max(abs(end - origin) for end in ends)
    sizes = (abs(coefficient) * _raised(distance, power) for power, coefficient in enumerate(row) if coefficient)
    return sum(sizes, 0.0)


def _raised(x: float, power: int) -> float:
    try:
        return x**power
    except OverflowError:
        return math.inf


def _range(step: Piecewise) -> tuple[float, float]:
    """The magnitudes of x for which no polynomial overflows, or vanishes by its powers."""
    high, low = MAX, SMALLEST
    for place in (0, -1):
        for power, coefficient in enumerate(step.coefficients[place]):
            if power and coefficient:
                high = min(high, (1e305 / max(1.0, abs(coefficient))) ** (1.0 / power))
    for row in step.coefficients:
        sizes = [abs(coefficient) for coefficient in row[1:] if coefficient]
        if sizes:
            low = max(low, min(1e-20, (NORMAL * 1e20 / min(1.0, *sizes)) ** (1.0 / (len(row) - 1))))
    return low, high
