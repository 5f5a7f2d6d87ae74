"""The inputs of a model and the columns computed from them, as SQL."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ...inputs import CATEGORY
from ...program import ApplySteps, CombineSources, Encode, Indicate, MultiplySources, Operation
from ...scorecard import Scorecard
from ...steps import Divide, Is, Lookup, Replace
from .. import vocabulary
from . import reading
from .layers import Sql
from .sums import weighted_sums
from .transforms import ABSORBING, Transforms
from .values import Cases, Number, Partition, Positions, Text, Value, Writer


class SqlColumns:
    """What is in the slots of a program, written when it is asked for."""

    def __init__(
        self, scorecard: Scorecard, writer: Writer, raw: Callable[[str], Sql], trusted: frozenset[int] = frozenset()
    ) -> None:
        """What is in the slots of a program.

        Parameters
        ----------
        raw : gives the expression of a table's column.
        trusted : places of the inputs whose numbers are taken to be finite, or NULL, as ``trust`` gives them.
        """
        self._trusted = trusted
        self._program, self._writer, self._raw = scorecard.program, writer, raw
        self._operations = {one.slot: one for one in vocabulary.operations(self._program)}
        self._users: dict[int, list[Operation]] = {}
        for operation in self._operations.values():
            for source in operation.sources:
                self._users.setdefault(source, []).append(operation)
        self._transforms = Transforms(writer, self._refuse)
        self._vocabularies = vocabulary.vocabularies(self._program) if writer.engine.looks_up else []
        self._words = {slot: one for one in self._vocabularies for slot in one.values}
        self._positions: dict[int, Positions] = {}
        self._values: dict[int, Value] = {}
        self._refused: set[int] = set()
        self._coded: set[int] = set()

    def value(self, slot: int) -> Value:
        """What is in a slot."""
        if slot not in self._values:
            if slot in self._words:
                self._values[slot] = self._of_words(self._words[slot], slot)
            elif slot < len(self._program.inputs):
                self._values[slot] = self._input(slot)
            else:
                self._values[slot] = self._made(self._operations[slot])
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
        operation = self._operations.get(slot)
        if not isinstance(operation, ApplySteps) or self._users.get(slot):
            return self._numeric(slot), 1.0
        *steps, last = operation.steps
        if not isinstance(last, Divide) or abs(last.operand) < 1.0:
            return self._numeric(slot), 1.0
        value = self._transforms.run(self.value(operation.sources[0]), steps, operation.blame)
        if isinstance(value, Number):
            return self._writer.let(value), last.operand
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

    def _of_words(self, known: vocabulary.Vocabulary, slot: int) -> Cases:
        """What the model makes of a text, by its position among the words that it knows."""
        place, program = known.place, self._program
        if place not in self._positions:
            item = program.inputs[place]
            self._positions[place] = reading.positions(
                self._raw(item.name), item, program.cleaning, self._writer, known.words
            )
        outcomes = (None if isinstance(one, vocabulary.RefusedText) else one for one in known.values[slot])
        return Cases(self._positions[place], tuple(outcomes))

    def _made(self, operation: Operation) -> Value:
        if isinstance(operation, MultiplySources):
            return self._product(operation)
        if isinstance(operation, CombineSources):
            return self._combination(operation)
        (source,) = operation.sources
        if isinstance(operation, Indicate):
            code = self.cases(source, often=True)
            if source not in self._coded and any(place is None for place in code.outcomes):
                self._writer.refuse_with(code)
            self._coded.add(source)
            hot = (float(place == operation.place) for place in code.outcomes)
            return Cases(code.partition, tuple(hot))
        value = self._transforms.run(self.value(source), operation.steps, operation.blame)
        if isinstance(operation, Encode):
            return self._encoded(operation, value)
        return self._writer.let(value) if isinstance(value, Number) else value

    def _product(self, operation: Operation) -> Value:
        numbers = [self.number(source) for source in operation.sources]
        if not numbers:
            return Cases(Partition([], disjoint=True), (1.0,))
        found = numbers[0]
        for number in numbers[1:]:
            found = self._writer.product(found, number)
        if len(numbers) > 1 and self._absorbed(operation.slot):
            for place in sorted(found.reads):
                self._refuse(place)
        return self._writer.let(found)

    def _combination(self, operation: CombineSources) -> Number:
        numbers = [self.number(source) for source in operation.sources]
        reads = frozenset[int]().union(*(number.reads for number in numbers))
        if self._absorbed(operation.slot):
            for place in sorted(reads):
                self._refuse(place)
        (found,) = weighted_sums(numbers, [operation.weights], [[]], [operation.offset], self._writer, last=False)
        return replace(found, missing=any(number.missing for number in numbers), reads=reads)

    def _encoded(self, operation: Encode, value: Value) -> Cases:
        table, other = operation.one_hot.places(), operation.one_hot.other
        if not isinstance(value, Cases):
            return self._transforms.table(value, table, other)

        def place_of(one: float | None) -> float | None:
            if one is None or math.isinf(one):  # an infinity is no category
                return None
            return table.get(None if one != one else one, other)

        return Cases(value.partition, tuple(map(place_of, value.outcomes)))

    def _input(self, place: int) -> Value:
        item, cleaning = self._program.inputs[place], self._program.cleaning
        raw = self._raw(item.name)
        if item.type == CATEGORY:
            users = self._users.get(place, ())
            known = {key for user in users for key in _compared(user) if cleaning.text(key) == key}
            return reading.category(raw, item, cleaning, self._writer, known)
        absorbed = self._absorbed(place)
        trusted = place in self._trusted
        return reading.number(raw, item, cleaning, self._writer, absorbed=absorbed, place=place, trusted=trusted)

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
            isinstance(user, Encode)
            or any(isinstance(step, ABSORBING) for step in user.steps)
            or self._absorbed(user.slot)
            for user in self._users.get(slot, ())
        )


def _compared(operation: Operation) -> Iterator[str]:
    """The texts that an operation compares its source with."""
    for step in operation.steps:
        if isinstance(step, (Is, Replace)) and isinstance(step.value, str):
            yield step.value
        elif isinstance(step, Lookup):
            yield from (key for key in step.keys if isinstance(key, str))
    if isinstance(operation, Encode):
        yield from (key for key in operation.one_hot.places() if isinstance(key, str))
