"""The scores of a model in SQL: sums of its columns, layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...handlers import handler
from ...nodes import Ensemble, Estimator, Linear, Network
from ...program import Program
from ...scorecard import Scorecard
from . import trust
from .columns import SqlColumns
from .engine import MAX
from .functions import CLAMP, Functions
from .layers import Sql, joined, sql
from .sums import weighted_sums
from .values import Cases, Number, Writer

#: The longest score, in characters, that is written once more for the rows that need every check.
_LONGEST = 50_000


def scores(scorecard: Scorecard, raw: Callable[[str], Sql], writer: Writer) -> list[Sql]:
    """The model's scores, each in a column; all of them are NULL in a row that is refused.

    Parameters
    ----------
    raw : gives the expression of a table's column.
    """
    units = _units(scorecard, SqlColumns(scorecard, writer, raw), writer)
    trusted = trust.trusted(scorecard.program) if writer.engine.branches and len(units) == 1 else frozenset()
    if not trusted:
        return _finished(units, writer)
    checking, guards = units[0].sql, writer.guards
    writer.guards = []
    (unit,) = _units(scorecard, SqlColumns(scorecard, writer, raw, trusted), writer)
    if unit.sql.text != checking.text:
        checked = sql("CASE WHEN {} THEN {} END", writer.finite(checking), checking)
        otherwise = writer.layers.inlined(checked, unit.sql, _LONGEST)
        if otherwise is not None:
            return [
                writer.layers.let(sql("CASE WHEN {} THEN {} ELSE {} END", writer.finite(unit.sql), unit.sql, otherwise))
            ]
    writer.guards = guards
    return _finished(units, writer)


def _units(scorecard: Scorecard, columns: SqlColumns, writer: Writer) -> list[Number]:
    """The scores before anything is refused."""
    program, model = scorecard.program, scorecard.document.model
    for check in program.checks:
        value = columns.value(check.slot)
        if not (isinstance(value, Cases) and value.certain):
            writer.needs(columns.number(check.slot).sql)
    found: list[Number] = handler(_UNITS, model, "SQL")(model, program, columns, writer)
    return found


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
    return weighted_sums(values, rows, hot, model.intercepts, writer, last=True)


def _network(model: Network, program: Program, columns: SqlColumns, writer: Writer) -> list[Number]:
    values = [columns.number(slot) for _, slot in program.columns]
    for layer in model.layers[:-1]:
        units = weighted_sums(values, layer.weights, [[] for _ in layer.weights], layer.intercepts, writer, last=False)
        values = [_activated(unit, model.activation, writer) for unit in units]
    layer = model.layers[-1]
    return weighted_sums(values, layer.weights, [[] for _ in layer.weights], layer.intercepts, writer, last=True)


_UNITS: dict[type[Estimator], Callable[[Any, Program, SqlColumns, Writer], list[Number]]] = {
    Linear: _linear,
    Network: _network,
    Ensemble: _linear,
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
