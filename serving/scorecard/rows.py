"""Scores of one row with the standard library alone."""

import math

from .inputs import ABSENT, InputError, named
from .nodes import OneHot
from .program import CombineSources, Encode, Indicate, MultiplySources, Operation, Program
from .steps import UNKNOWN, UNUSABLE, chain

try:
    from _operator import mul
except ImportError:
    from operator import mul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Scores = Callable[[Mapping[str, Any]], Sequence[float]]

OVERFLOW = "expected numbers whose score is finite, found one too large"
UNPREDICTABLE = "expected numbers whose prediction is finite, found some outside of the model's range"


class RowScorer:
    """The program of a linear model made ready to score one mapping of column name to raw value after another.

    Everything that does not depend on the row is done here, once.

    Attributes
    ----------
    slots : of the model's columns.
    scores : the function from a row to its scores. It raises InputError where a value cannot be taken.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        readers = [item.reader(program.cleaning) for item in program.inputs]
        self._reads = [(program.inputs[place].name, place, readers[place]) for place in program.reads]
        # A row of as many columns as these, if it lacks none, has each under its own name.
        self._width = -1 if program.optional else len(program.inputs)
        self._calls = list(map(_prepared, program.operations))
        self._empty: list[Any] = [None] * program.slots
        self._checks = [
            (
                check.slot,
                [(program.inputs[place].name, place, readers[place]) for place in check.places],
                list(map(_prepared, check.operations)),
                check.blame,
            )
            for check in program.checks
        ]
        self.slots = [slot for _, slot in program.columns]
        self.scores = self._scores(program.document.model)

    def fill(self, row: "Mapping[str, Any]") -> "list[Any]":
        """The value of every slot for a row.

        Raises
        ------
        InputError
            where a value cannot be taken, or a column is not there, or twice.
        """
        if len(row) != self._width:
            row = named(row, self.program.names)
        values = self._empty[:]
        for name, place, read in self._reads:
            try:
                raw = row[name]
            except KeyError:
                renamed = named(row, self.program.names)
                if renamed is row:
                    raise InputError(name, ABSENT) from None
                return self.fill(renamed)
            values[place] = read(raw)
        for slot, source, call in self._calls:
            values[slot] = call(values) if source < 0 else call(values[source])
        if self._checks:
            self._check(row, values)
        return values

    def _check(self, row: "Mapping[str, Any]", values: "list[Any]") -> None:
        for slot, reads, calls, blame in self._checks:
            if any(name not in row for name, _, _ in reads):
                continue
            for name, place, read in reads:
                values[place] = read(row[name])
            for target, source, call in calls:
                values[target] = call(values) if source < 0 else call(values[source])
            value = values[slot]
            if value - value != 0.0:
                raise InputError(blame, UNUSABLE)

    def refuse(self, values: "Sequence[Any]") -> InputError:
        """Why these values give no finite score, as an error that names a column."""
        for name, slot in self.program.columns:
            if values[slot] - values[slot] != 0.0:
                return InputError(self.program.blame(name), UNUSABLE)
        return InputError(self.largest(values), OVERFLOW)

    def largest(self, values: "Sequence[Any]") -> str:
        """The input that the largest term is computed from."""
        terms = zip(self.program.columns, self.program.magnitudes(), strict=True)
        sizes = [(abs(values[slot]) * most, name) for (name, slot), most in terms]
        if not sizes:
            return self.program.inputs[0].name
        return self.program.blame(max(sizes, key=lambda item: item[0])[1])

    def _scores(self, model: "Any") -> "Scores":
        """The function from a row to its scores: for a linear model, the exactly rounded sum of the terms."""
        fill, fsum, slots, program = self.fill, math.fsum, self.slots, self.program
        groups = [(group.slot, group.weights) for group in program.groups]
        outputs = []
        for k, intercept in enumerate(model.intercepts):
            used = [(slot, row[k]) for slot, row in zip(slots, program.weights, strict=True) if row[k] != 0.0]
            outputs.append((intercept, [slot for slot, _ in used], [weight for _, weight in used], k))
        if len(outputs) == 1:
            intercept, slots, weights, _ = outputs[0]
            tables = [(slot, [weights[0] for weights in table]) for slot, table in groups]

            def scores(row: "Mapping[str, Any]") -> tuple[float]:
                values = fill(row)
                terms = list(map(mul, [values[slot] for slot in slots], weights))
                terms.append(intercept)
                for slot, table in tables:
                    terms.append(table[values[slot]])
                try:
                    total = fsum(terms)
                except (OverflowError, ValueError):
                    total = math.nan
                if total - total != 0.0:
                    raise self.refuse(values)
                return (total,)

            return scores

        def several(row: "Mapping[str, Any]") -> list[float]:
            values = fill(row)
            hot = [table[values[slot]] for slot, table in groups]
            found = []
            for intercept, slots, weights, k in outputs:
                terms = list(map(mul, [values[slot] for slot in slots], weights))
                terms.append(intercept)
                for chosen in hot:
                    terms.append(chosen[k])
                try:
                    total = fsum(terms)
                except (OverflowError, ValueError):
                    total = math.nan
                if total - total != 0.0:
                    raise self.refuse(values)
                found.append(total)
            return found

        return several


def _prepared(operation: Operation) -> "tuple[int, int, Callable[[Any], Any]]":
    """(slot to fill, slot to take, what makes the one of the other); it takes all slots where the second is -1."""
    if isinstance(operation, MultiplySources):
        return operation.slot, -1, _product(operation.sources)
    if isinstance(operation, CombineSources):
        return operation.slot, -1, _combination(operation)
    (source,) = operation.sources
    if isinstance(operation, Indicate):
        place = operation.place
        return operation.slot, source, lambda code: 1.0 if code == place else 0.0
    run = chain(operation.steps, operation.blame)
    if isinstance(operation, Encode):
        find = encoder(operation.one_hot, operation.blame)
        return operation.slot, source, find if run is None else lambda x: find(run(x))
    return operation.slot, source, run  # type: ignore[return-value]


def _product(sources: tuple[int, ...]) -> "Callable[[Sequence[float]], float]":
    def product(values: "Sequence[float]") -> float:
        result = 1.0
        for source in sources:
            result *= values[source]
        return result

    return product


def _combination(operation: CombineSources) -> "Callable[[Sequence[float]], float]":
    sources, weights, offset, fsum = operation.sources, operation.weights, operation.offset, math.fsum

    def combine(values: "Sequence[float]") -> float:
        terms = list(map(mul, [values[source] for source in sources], weights))
        terms.append(offset)
        try:
            return fsum(terms)
        except (OverflowError, ValueError):  # too large, or infinities of both signs
            return math.inf

    return combine


def encoder(one_hot: OneHot, column: str) -> "Callable[[Any], int]":
    """The function from a value to the place of its column in a one-hot group; -1 where all of them are 0."""
    table, other = one_hot.places(), one_hot.other

    def find(x: "Any") -> int:
        found = table.get(x)
        if found is not None:
            return found
        if type(x) is float and x - x != 0.0:
            if x == x:
                raise InputError(column, UNUSABLE)
            found = table.get(None)
            if found is not None:
                return found
        if other is None:
            raise InputError(column, UNKNOWN)
        return other

    return find
