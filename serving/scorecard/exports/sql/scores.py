"""The scores of a model in SQL: sums of its columns, layer by layer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...handlers import handler
from ...nodes import Estimator, Linear, Network
from ...program import Program
from ...scorecard import Scorecard
from .columns import SqlColumns
from .engine import MAX
from .functions import CLAMP, Functions
from .layers import Sql, joined, sql, total
from .values import NORMAL, SMALLEST, Cases, Number, Writer

#: A weight below this has its products guarded on their own: a bound for all weights would lose digits.
_TINY = 1e-150


def scores(scorecard: Scorecard, columns: SqlColumns, writer: Writer) -> list[Sql]:
    """The model's scores, each in a column; all of them are NULL in a row that is refused."""
    program, model = scorecard.program, scorecard.document.model
    for check in program.checks:
        value = columns.value(check.slot)
        if not (isinstance(value, Cases) and value.certain):
            writer.needs(columns.number(check.slot).sql)
    return _finished(handler(_UNITS, model, "SQL")(model, program, columns, writer), writer)


def _linear(model: Linear, program: Program, columns: SqlColumns, writer: Writer) -> list[Number]:
    weights = [[one[k] for one in program.weights] for k in range(model.outputs)]
    groups = [(columns.cases(group.slot, often=len(weights) > 1), group.weights) for group in program.groups]
    hot = [[_weights(code, [one[k] for one in table]) for code, table in groups] for k in range(model.outputs)]
    values: list[Number] = []
    rows: list[list[float]] = [[] for _ in weights]
    for place, (_, slot) in enumerate(program.columns):
        value, divisor = columns.term(slot)
        if isinstance(value, Cases):
            # Its products with the weights are computed here.
            if len(weights) > 1 and len(value.partition.conditions) > 1:
                value.partition.number(writer.layers)
            for k, found in enumerate(hot):
                found.append(value.times(weights[k][place]))
        else:
            values.append(columns.number(slot) if divisor == 1.0 else value)
            for k, row in enumerate(rows):
                row.append(weights[k][place] / divisor)
    return _units(values, rows, hot, model.intercepts, writer, last=True)


def _network(model: Network, program: Program, columns: SqlColumns, writer: Writer) -> list[Number]:
    values = [columns.number(slot) for _, slot in program.columns]
    for layer in model.layers[:-1]:
        units = _units(values, layer.weights, [[] for _ in layer.weights], layer.intercepts, writer, last=False)
        values = [_activated(unit, model.activation, writer) for unit in units]
    layer = model.layers[-1]
    return _units(values, layer.weights, [[] for _ in layer.weights], layer.intercepts, writer, last=True)


_UNITS: dict[type[Estimator], Callable[[Any, Program, SqlColumns, Writer], list[Number]]] = {
    Linear: _linear,
    Network: _network,
}


def logistic(value: Sql, writer: Writer) -> Sql:
    """1 / (1 + exp(-z)), with z kept where exp has a value."""
    most = writer.literal(CLAMP)
    least = writer.literal(-CLAMP)
    power = sql("CASE WHEN {0} > {1} THEN {2} WHEN {0} < {2} THEN {1} ELSE -{0} END", value, most, least)
    return sql("({0} / ({0} + EXP({1})))", writer.literal(1.0), power)


def _weights(code: Cases, table: Sequence[float]) -> Cases:
    """The weights of a one-hot group by the places of its columns; -1 is the last of them, where all are zero."""
    return Cases(code.partition, tuple(None if place is None else table[int(place)] for place in code.outcomes))


def _units(
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
        if last and k == 0:
            terms += writer.guards
        added = total(terms)
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


def _activated(unit: Number, activation: str, writer: Writer) -> Number:
    """A unit after its activation; a unit that is not finite stays so, or is NULL."""
    value = unit.sql
    if activation == "identity":
        return unit
    if activation == "relu":
        zero = writer.literal(0.0)
        condition = sql("{} <= {}", value, zero)
        if unit.infinite:
            condition = sql("{} AND {} >= {}", condition, value, writer.literal(-MAX))
        return writer.let(replace(unit, sql=sql("CASE WHEN {} THEN {} ELSE {} END", condition, zero, value)))
    value = writer.layers.let(sql("CASE WHEN {} THEN {} END", writer.finite(value), value))
    if activation == "logistic":
        return writer.let(Number(logistic(value, writer), infinite=False, low=1e-305, high=1.0))
    return writer.let(Functions(writer).apply(Number(value, infinite=False), "tanh"))


def _finished(units: list[Number], writer: Writer) -> list[Sql]:
    """The scores of a row, or NULL for all of them."""
    values = [unit.sql for unit in units]
    fine = joined(" AND ", [writer.finite(value) for value in values])
    if len(values) > 2:
        fine = writer.layers.let(sql("CASE WHEN {} THEN 1 END", fine))
        fine = sql("{} = 1", fine)
    return [writer.layers.let(sql("CASE WHEN {} THEN {} END", fine, value)) for value in values]
