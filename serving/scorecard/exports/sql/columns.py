"""The inputs of a model and the columns computed from them, as SQL."""

import math
from collections.abc import Callable, Iterator

from ...inputs import CATEGORY
from ...plan import Op
from ...scorecard import Scorecard
from .. import vocabulary
from ..groups import coded
from . import reading
from .layers import Sql
from .transforms import ABSORBING, Transforms
from .values import Cases, Number, Partition, Text, Value, Writer


class Columns:
    """What is in the slots of a plan, written when it is asked for."""

    def __init__(self, scorecard: Scorecard, writer: Writer, raw: Callable[[str], Sql]):
        """``raw`` gives the expression of a table's column."""
        self._plan, self._writer, self._raw = scorecard.plan, writer, raw
        self._ops = {op.slot: op for op in vocabulary.operations(self._plan)}
        self._users: dict[int, list[Op]] = {}
        for op in self._ops.values():
            for source in op.sources:
                self._users.setdefault(source, []).append(op)
        self._transforms = Transforms(writer, self._refuse)
        self._values: dict[int, Value] = {}
        self._refused: set[int] = set()
        self._coded: set[int] = set()

    def value(self, slot: int) -> Value:
        """What is in a slot."""
        if slot not in self._values:
            self._values[slot] = self._input(slot) if slot < len(self._plan.inputs) else self._made(self._ops[slot])
        return self._values[slot]

    def number(self, slot: int) -> Number:
        """What is in a slot, as a number in a column of its own."""
        value = self.value(slot)
        if isinstance(value, Cases):
            value = self._writer.number(value, absorbed=self._absorbed(slot))
        assert isinstance(value, Number)
        return self._writer.let(value)

    def term(self, slot: int) -> tuple[Number | Cases, float]:
        """What is in a slot that only a linear model uses, and what it is still to be divided by.

        A division by no less than 1 cannot overflow: it is left to the weights, which costs at most their last digit.
        """
        op = self._ops.get(slot)
        if op is None or op.kind != "chain" or "divide" not in op.steps[-1] or self._users.get(slot):
            return self._numeric(slot), 1.0
        divisor = float(op.steps[-1]["divide"])
        if abs(divisor) < 1.0:
            return self._numeric(slot), 1.0
        value = self._transforms.run(self.value(op.sources[0]), op.steps[:-1], op.blame)
        if isinstance(value, Number):
            return self._writer.let(value), divisor
        return self._numeric(slot), 1.0

    def _numeric(self, slot: int) -> Number | Cases:
        value = self.value(slot)
        assert not isinstance(value, Text)
        return value

    def cases(self, slot: int, *, often: bool = False) -> Cases:
        """The place in a one-hot group, which ``often`` decides more than one thing."""
        value = self.value(slot)
        assert isinstance(value, Cases)
        if often and len(value.partition.conditions) > 1:
            value.partition.number(self._writer.layers)
        return value

    def _made(self, op: Op) -> Value:
        if op.kind == "product":
            numbers = [self.number(source) for source in op.sources]
            if not numbers:
                return Cases(Partition([], disjoint=True), (1.0,))
            found = numbers[0]
            for number in numbers[1:]:
                found = self._writer.product(found, number)
            if len(numbers) > 1 and self._absorbed(op.slot):
                for place in sorted(found.reads):
                    self._refuse(place)
            return self._writer.let(found)
        (source,) = op.sources
        if op.kind == "hot":
            code = self.cases(source, often=True)
            if source not in self._coded and any(place is None for place in code.outcomes):
                self._writer.refuse_with(code)
            self._coded.add(source)
            hot = (float(place == op.place) for place in code.outcomes)
            return Cases(code.partition, tuple(hot))
        value = self._transforms.run(self.value(source), op.steps, op.blame)
        if op.kind == "code":
            return self._code(op, value)
        return self._writer.let(value) if isinstance(value, Number) else value

    def _code(self, op: Op, value: Value) -> Cases:
        table, other = coded(op.item)
        if not isinstance(value, Cases):
            return self._transforms.table(value, table, other)

        def place_of(one: float | None) -> float | None:
            if one is None or math.isinf(one):  # an infinity is no category
                return None
            return table.get(None if one != one else one, other)

        return Cases(value.partition, tuple(map(place_of, value.outcomes)))

    def _input(self, place: int) -> Value:
        item, cleaning = self._plan.inputs[place], self._plan.cleaning
        raw = self._raw(item.name)
        if item.type == CATEGORY:
            known = {key for op in self._users.get(place, ()) for key in _keys(op) if cleaning.text(key) == key}
            return reading.category(raw, item, cleaning, self._writer, known)
        absorbed = self._absorbed(place)
        return reading.number(raw, item, cleaning, self._writer, absorbed=absorbed, place=place)

    def _refuse(self, place: int) -> None:
        """Refuse the rows in which an input is not finite: for what may come out finite."""
        if place not in self._refused:
            self._refused.add(place)
            value = self._values[place]
            assert isinstance(value, Number)
            self._writer.guard(self._writer.infinite(self._writer.without_nan(value).sql))

    def _absorbed(self, slot: int) -> bool:
        """Whether something gives a missing value of a slot an answer."""
        return any(
            op.kind == "code" or any(ABSORBING & set(step) for step in op.steps) or self._absorbed(op.slot)
            for op in self._users.get(slot, ())
        )


def _keys(op: Op) -> Iterator[str]:
    """The texts that an operation on a text knows."""
    for step in op.steps:
        ((name, value),) = step.items()
        found: list = []
        if name == "is":
            found = [value]
        elif name == "lookup":
            found = value["keys"]
        elif name == "replace":
            found = [value["value"]]
        yield from (key for key in found if isinstance(key, str))
    if op.kind == "code":
        yield from (key for key in coded(op.item)[0] if isinstance(key, str))
