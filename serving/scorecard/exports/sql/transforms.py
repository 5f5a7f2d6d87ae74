"""The steps of a column in SQL, with the answers of ``steps``: NULL is missing, and infinity is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ... import steps
from ...handlers import unknown
from .engine import MAX
from .functions import Functions
from .layers import Sql, joined, sql
from .pieces import piecewise
from .values import Cases, Number, Partition, Text, Value, Writer

#: Steps that give a missing value an answer.
ABSORBING = (steps.Impute, steps.Is, steps.Lookup)
_REMEMBERS = (steps.Impute, steps.Replace, steps.Is, steps.Lookup)


class Transforms:
    """Applies steps to values."""

    def __init__(self, writer: Writer, refuse: Callable[[int], None] = lambda place: None) -> None:
        """``refuse`` is told of the inputs that a step may make numbers of though they are refused."""
        self._writer, self._engine, self._refuse = writer, writer.engine, refuse
        self._functions = Functions(writer)

    def run(self, value: Value, items: Sequence[steps.Step], blame: str) -> Value:
        """A value after steps; ``blame`` is the input that they begin with."""
        for place, step in enumerate(items):
            if isinstance(value, Cases):
                return value.through(items[place:], blame)
            value = self._of_text(value, step) if isinstance(value, Text) else self._step(value, step)
        return value

    def table(self, value: Text | Number, answers: Mapping[steps.Category, float], other: float | None) -> Cases:
        """What a table says of a value, None being a missing one, and ``other`` where it says nothing."""
        conditions: list[Sql] = []
        outcomes: list[float | None] = []
        if isinstance(value, Number):
            value = self._writer.without_nan(value)
        subject = self._writer.layers.let(value.sql)
        if isinstance(value, Number) and value.infinite:
            conditions.append(self._writer.infinite(subject))
            outcomes.append(None)
        groups: dict[float | str, list[steps.Category]] = {}
        for key, outcome in answers.items():
            groups.setdefault(outcome if outcome == outcome else "missing", []).append(key)
        for keys in groups.values():
            literals = [self._literal(key) for key in keys if key is not None]
            parts = [sql("{} IS NULL", subject)] if None in keys else []
            if len(literals) == 1:
                parts.append(sql("{} = {}", subject, literals[0]))
            elif literals:
                found = self._engine.among(subject.text, [literal.text for literal in literals])
                parts.append(Sql(found, subject.names, subject.level))
            conditions.append(joined(" OR ", parts))
            outcomes.append(answers[keys[0]])
        return Cases(Partition(conditions, disjoint=True), (*outcomes, other))

    def _literal(self, key: float | str) -> Sql:
        return Sql(self._engine.quote(key)) if isinstance(key, str) else self._writer.exact(key)

    def _asked(self, value: Text | Number, step: steps.Is | steps.Lookup) -> Cases:
        if isinstance(step, steps.Lookup):
            return self.table(value, step.table(), step.other())
        if step.value is None and isinstance(value, Number):
            return self._indicator(value)
        return self.table(value, {step.value: 1.0}, 0.0)

    def _of_text(self, value: Text, step: steps.Step) -> Value:
        match step:
            case steps.Impute(fill=fill):
                return Text(sql("COALESCE({}, {})", value.sql, self._literal(fill)))
            case steps.Replace(value=old, by=new):
                column = self._writer.layers.let(value.sql)
                literals = self._literal(old), self._literal(new)
                return Text(sql("CASE WHEN {0} = {1} THEN {2} ELSE {0} END", column, *literals))
            case steps.Is() | steps.Lookup():
                return self._asked(value, step)
        raise unknown(step, "SQL")

    def _step(self, value: Number, step: steps.Step) -> Value:
        writer = self._writer
        if not self._engine.infinity and not isinstance(step, _REMEMBERS):
            value = self._sure(value)  # what stands for infinity there is a number like any other
        match step:
            case steps.Impute(fill=float(fill)):
                return self._impute(value, fill)
            case steps.Replace(value=float(old), by=float(new)):
                value = writer.let(value)
                literals = self._literal(old), self._literal(new)
                found = sql("CASE WHEN {0} = {1} THEN {2} ELSE {0} END", value.sql, *literals)
                return replace(value, sql=found, **_bounds(value, new))
            case steps.Is() | steps.Lookup():
                return self._asked(value, step)
            case steps.Bin(edges=edges):
                return self._bin(value, edges)
            case steps.Piecewise():
                return piecewise(value, step, writer)
            case steps.Clip(limits=[low, high]):
                return self._clip(value, low, high)
            case steps.Add(operand=operand):
                return writer.plus(value, operand)
            case steps.Subtract(operand=operand):
                return writer.plus(value, -operand)
            case steps.Multiply(operand=operand) if operand != 0.0:
                return writer.times(value, operand)
            case steps.Divide(operand=operand):
                return writer.times(value, operand, divide=True)
        # What was infinite because it was refused may come out of the others as something else.
        value = writer.without_nan(self._sure(value))
        match step:
            case steps.Multiply():
                found = sql("({} * {})", value.sql, writer.literal(0.0))
                return replace(value, sql=found, nan=value.infinite, infinite=False)
            case steps.NumpyFunction(function=function):
                return self._functions.apply(value, function)
            case steps.Power(lmbda=lmbda):
                return self._functions.power(step, value, lmbda)
        raise unknown(step, "SQL")

    def _sure(self, value: Number) -> Number:
        """A number that is infinite by computation only: rows are refused for the inputs it is infinite for."""
        for place in sorted(value.reads):
            self._refuse(place)
        infinite = value.infinite and (bool(self._engine.infinity) or not value.reads)
        return replace(value, reads=frozenset(), infinite=infinite)

    def _indicator(self, value: Number) -> Cases:
        """1 where a number is missing, 0 where it is finite."""
        column = self._writer.layers.let(value.sql)
        missing = self._engine.missing(column.text) if value.nan else f"{column.text} IS NULL"
        absent = Sql(missing, column.names, column.level)
        if not value.infinite:
            return Cases(Partition([absent], disjoint=True), (1.0, 0.0))
        return Cases(Partition([self._writer.finite(column), absent], disjoint=True), (0.0, 1.0, None))

    def _impute(self, value: Number, fill: float) -> Number:
        if not value.missing and not value.nan:
            return value
        literal = self._literal(fill)
        if not value.nan:
            found = sql("COALESCE({}, {})", value.sql, literal)
        else:
            column = self._writer.layers.let(value.sql)
            found = Sql(self._engine.filled(column.text, literal.text), column.names, column.level)
        return replace(value, sql=found, missing=False, nan=False, **_bounds(value, fill))

    def _bin(self, value: Number, edges: list[float]) -> Cases:
        writer = self._writer
        subject = writer.layers.let(value.sql)
        conditions: list[Sql] = []
        outcomes: list[float | None] = []
        if value.infinite:
            conditions.append(sql("{} < {}", subject, writer.literal(-MAX)))
            outcomes.append(None)
        conditions += [sql("{} < {}", subject, self._literal(edge)) for edge in edges]
        conditions.append(sql("{} <= {}", subject, writer.literal(MAX)))
        places = [float(place) for place in range(len(edges) + 1)]
        return Cases(Partition(conditions, disjoint=False), (*outcomes, *places, None))

    def _clip(self, value: Number, low: float, high: float) -> Number:
        writer = self._writer
        value = writer.let(writer.without_nan(value))
        if value.infinite:
            writer.guard(writer.infinite(value.sql))
        found = sql(
            "CASE WHEN {0} < {1} THEN {1} WHEN {0} > {2} THEN {2} ELSE {0} END",
            *(value.sql, writer.literal(low), writer.literal(high)),
        )
        known = _bounds(replace(value, high=0.0), low, high)
        return replace(value, sql=found, infinite=False, reads=frozenset(), **known)


def _bounds(value: Number, *others: float) -> dict[str, Any]:
    """Of a number that may be one of some others instead."""
    sizes = [abs(other) for other in others if other]
    return {"low": min([value.low, *sizes]), "high": max([value.high, *sizes])}
