"""Weighted sums in SQL that neither overflow on the way nor lose what is refused."""

import math
from collections.abc import Sequence

from .engine import MAX
from .layers import Sql, sql, total
from .values import NORMAL, SMALLEST, Cases, Number, Writer

#: A weight below this has its products guarded on their own: a bound for all weights would lose digits.
_TINY = 1e-150


def weighted_sums(
    values: list[Number],
    weights: Sequence[Sequence[float]],
    hot: list[list[Cases]],
    intercepts: Sequence[float],
    writer: Writer,
    *,
    last: bool,
) -> list[Number]:
    """Weighted sums of numbers; not finite, or NULL, where a number is not finite or a sum is too large.

    Where arithmetic raises, the terms are added at a smaller scale, a power of two, so that no sum on the way
    overflows but the last, which is looked at before it is scaled up.
    """
    columns = [[row[place] for row in weights] for place in range(len(values))]
    for value, column in zip(values, columns, strict=True):
        if not any(column):
            writer.needs(value.sql)
    count = len(values) + max(map(len, hot)) + 1 + len(writer.guards)
    heights = [
        sum(value.high * abs(column[k]) for value, column in zip(values, columns, strict=True)) + abs(intercept)
        for k, intercept in enumerate(intercepts)
    ]
    heights = [
        height + sum(max((abs(one) for one in cases.outcomes if one is not None), default=0.0) for cases in found)
        for height, found in zip(heights, hot, strict=True)
    ]
    overflows = count > 2 or any(intercepts) or not max(heights) <= MAX
    shift = math.ceil(math.log2(count + 1)) if writer.engine.raises and overflows and max(heights) > MAX / 2.0 else 0
    scale = 2.0**-shift
    if writer.engine.raises:
        values = [_bounded(value, column, scale, writer) for value, column in zip(values, columns, strict=True)]
    found = []
    for k, intercept in enumerate(intercepts):
        used = [(value, column[k]) for value, column in zip(values, columns, strict=True) if column[k]]
        terms = [_term(value, weight, scale, writer) for value, weight in used]
        terms += [writer.chosen(cases.times(scale)) for cases in hot[k]]
        if intercept or not terms:
            terms.append(writer.literal(intercept * scale))
        added = total(terms)
        if last and k == 0 and writer.guards:
            # Apart, so that the terms are added in one order whatever is guarded.
            added = sql("({} + {})", added, total(writer.guards))
        if shift:
            added = writer.layers.let(added)
            added = sql(
                "CASE WHEN ABS({0}) <= {1} THEN {0} * {2} END",
                added, writer.literal(MAX * scale), writer.literal(2.0**shift),
            )  # fmt: skip
        found.append(Number(writer.layers.let(added), infinite=not shift, high=min(MAX, heights[k])))
    return found


def _term(value: Number, weight: float, scale: float, writer: Writer) -> Sql:
    """A number times a weight, at a scale."""
    if writer.engine.raises and abs(weight * scale) <= _TINY:
        # One after the other: of the smallest weights the scale leaves nothing.
        return writer.times(writer.times(value, weight), scale).sql
    scaled = weight * scale
    return value.sql if scaled == 1.0 else sql("({} * {})", value.sql, writer.literal(scaled))


def _bounded(value: Number, weights: list[float], scale: float, writer: Writer) -> Number:
    """A number whose products with weights neither overflow nor vanish."""
    sizes = [abs(weight) for weight in weights if abs(weight) > _TINY]
    if not sizes:
        return value
    low = NORMAL / (min(sizes) * scale) if min(sizes) * scale < 1.0 else SMALLEST
    return writer.let(writer.bounded(value, low, min(MAX, MAX / max(1.0, *sizes))))
