"""From a program to what a C file computes: tables of columns that are computed alike, each to be run in one loop.

Loops over tables compile in no time where straight lines for thousands of columns take minutes, and they run faster.
They visit columns in another order than the program has, so each refusal carries its turn: the first by turn is told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...inputs import BOOLEAN, CATEGORY
from ...program import ApplySteps, CombineSources, Encode, Indicate, MultiplySources, Operation, WeightedGroup
from ...scorecard import Scorecard
from .. import vocabulary
from ..vocabulary import RefusedText
from .calculations import Calculation, Pools, calculation, look_up
from .names import number


@dataclass(frozen=True)
class Member:
    """One column of a loop.

    Parameters
    ----------
    slot : in the program.
    sources : slots of what it is computed from; for a loop that reads words the place of the text among them.
    numbers : literals for what its loop leaves open.
    turn, input : of a refusal.
    name : of the column, for a comment.
    """

    slot: int
    sources: tuple[int, ...]
    numbers: tuple[str, ...]
    turn: int
    input: int
    name: str


@dataclass
class Loop:
    """Columns that are computed alike and lie one after another in ``v``.

    Parameters
    ----------
    reads : ``numbers`` (of the row), ``v``, ``words`` (a table by the word that a text is), or ``combined`` (weighted
        sums of the same columns in ``v``).
    calculation : of one of them; None for a product, and for a weighted sum.
    start : place of the first in ``v``.
    """

    reads: str
    calculation: Calculation | None
    start: int = 0
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class TextInput:
    """An input of text that is read: its place among the texts of a row, the words it may be, and its name."""

    place: int
    words: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class PlacedColumn:
    """A column of the model: where it is in ``v``, the input to blame, its name, its weight in each score."""

    at: int
    input: int
    name: str
    weights: tuple[float, ...]


@dataclass(frozen=True)
class PlacedGroup:
    """A one-hot group of a linear model: weights for each word of a text, or for each place that is found in ``v``.

    Parameters
    ----------
    word, at : the text, or the place in ``v``; the other is None.
    weights, labels : for each word or place its weight in each score, and what it is.
    name : of the input.
    """

    word: int | None
    at: int | None
    weights: list[tuple[float, ...]]
    labels: list[str]
    name: str


@dataclass(frozen=True)
class TextRefusal:
    """What is refused of a text where it is read, or by an operation on it: the reason for each word, or None."""

    word: int
    turn: int
    input: int
    reasons: list[str | None]


class VectorLayout:
    """What the C file of a scorecard has to do.

    Attributes
    ----------
    names : of the inputs as refusals number them: numbers first, then texts, each in the signature's order.
    numbers, texts : places of these in the program.
    rules : for each number (turn, whether a missing one is refused, whole, a truth value), or None where none reads it.
    words : for each text that is read, a ``TextInput``.
    loops : in order.
    at : place in ``v`` of a slot of the program.
    size : how many doubles are in ``v``.
    values : a double for each word of a text, one member of a loop after another.
    refusals, usable : what is looked at before the model is; usable are (place in ``v``, turn, input).
    columns, groups : what the scores are made of.
    pools : tables of steps.
    """

    def __init__(self, scorecard: Scorecard) -> None:
        self.scorecard, self.program = scorecard, scorecard.program
        program = self.program
        self.numbers = [place for place, item in enumerate(program.inputs) if item.type != CATEGORY]
        self.texts = [place for place, item in enumerate(program.inputs) if item.type == CATEGORY]
        self.names = [program.inputs[place].name for place in self.numbers + self.texts] or ["the model"]
        self.pools, self.values = Pools(), list[float]()
        self.loops: list[Loop] = []
        self.at: dict[int, int] = {}
        self.size = 0
        self._input = {name: place for place, name in enumerate(self.names)}
        self._number = {place: index for index, place in enumerate(self.numbers)}
        self._named = {slot: name for name, slot in program.columns}
        self._operations: dict[int, Operation] = {}
        self._turns: dict[int | tuple[str, int], int] = {}
        self._usable: list[tuple[int, int, str]] = []
        self._take_turns()
        self.rules = [self._rule(place) for place in self.numbers]
        self.words: list[TextInput] = []
        self.refusals: list[TextRefusal] = []
        self._word: dict[int, int] = {}
        self._results: dict[int, list[Any]] = {}
        self._read_texts()
        self._lay_out()
        weights = program.weights or [(1.0,)] * len(program.columns)
        self.columns = [
            PlacedColumn(self.at[slot], self.input(program.blame(name)), name, row)
            for (name, slot), row in zip(program.columns, weights, strict=True)
        ]
        self.groups = [self._group(group) for group in program.groups]
        self.usable = [(self.at[slot], turn, self.input(blame)) for slot, turn, blame in self._usable]

    @property
    def anybody(self) -> int:
        """The input to blame where no column is."""
        return self.input(self.program.inputs[0].name) if self.program.inputs else 0

    def input(self, name: str) -> int:
        """The number of an input in refusals."""
        return self._input.get(name, 0)

    def number(self, slot: int) -> int:
        """The place of an input among the numbers of a row."""
        return self._number[slot]

    def _take_turns(self) -> None:
        """Gives each reading and each operation its turn: the one it has when a row is scored in Python."""
        count = 0

        def turn(key: int | tuple[str, int]) -> int:
            nonlocal count
            count += 1
            return self._turns.setdefault(key, count)

        for place in self.program.reads:
            turn(("read", place))
        for operation in self.program.operations:
            self._operations[operation.slot] = operation
            turn(operation.slot)
        for check in self.program.checks:
            for place in check.places:
                turn(("read", place))
            for operation in check.operations:
                self._operations[operation.slot] = operation
                turn(operation.slot)
            self._usable.append((check.slot, turn(("usable", check.slot)), check.blame))

    def _rule(self, place: int) -> tuple[int, bool, bool, bool] | None:
        item, turn = self.program.inputs[place], self._turns.get(("read", place))
        return None if turn is None else (turn, not item.null, item.integer, item.type == BOOLEAN)

    def _read_texts(self) -> None:
        """Takes over what each text may be, and what every operation on it gives."""
        order = {place: number for number, place in enumerate(self.texts)}
        for word, found in enumerate(vocabulary.vocabularies(self.program)):
            name = self.program.inputs[found.place].name
            self.words.append(TextInput(order[found.place], found.words, name))
            earlier = set[int]()
            for slot, values in found.values.items():
                reasons = [value.reason if isinstance(value, RefusedText) else None for value in values]
                told = [None if place in earlier else reason for place, reason in enumerate(reasons)]
                earlier |= {place for place, reason in enumerate(reasons) if reason}
                if any(told):
                    turn = self._turns[slot if slot in self._operations else ("read", slot)]
                    blame = self._operations[slot].blame if slot in self._operations else name
                    self.refusals.append(TextRefusal(word, turn, self.input(blame), told))
                if slot in self._operations and not vocabulary.is_text(self._operations[slot]):
                    self._word[slot], self._results[slot] = word, self._spared(self._operations[slot], values)

    def _spared(self, operation: Operation, values: list[Any]) -> list[Any]:
        """What an operation gives for each text: a place in a group, the last where all are zero; or a number."""
        if isinstance(operation, Encode):
            none = len(operation.one_hot.indicators)
            return [none if isinstance(value, RefusedText) or value == -1 else value for value in values]
        return [math.nan if isinstance(value, RefusedText) else value for value in values]

    def _lay_out(self) -> None:
        """Puts the operations that something hangs on into loops, level by level."""
        asked = [slot for _, slot in self.program.columns] + [slot for slot, _, _ in self._usable]
        wanted = {*asked, *(group.slot for group in self.program.groups if group.slot not in self._word)}
        copied = {slot for slot in asked if slot in self._number}
        for operation in reversed(list(self._operations.values())):
            if operation.slot in wanted and operation.slot not in self._word:
                wanted |= set(operation.sources)
                if isinstance(operation, (MultiplySources, CombineSources)):
                    copied |= self._number.keys() & set(operation.sources)
        levels = dict.fromkeys(copied, 1)
        todo: dict[int, dict[tuple, Loop]] = {}
        for place in sorted(copied):
            self._add(todo.setdefault(1, {}), place, Calculation(), "numbers", (place,))
        for slot, operation in self._operations.items():
            if slot in wanted:
                direct = isinstance(operation, (ApplySteps, Encode)) and operation.sources[0] in self._number
                direct = direct or slot in self._word
                below = 0 if direct else max((levels[source] for source in operation.sources), default=0)
                levels[slot] = 1 + below
                self._operation(todo.setdefault(1 + below, {}), operation)
        for level in sorted(todo):
            for loop in todo[level].values():
                loop.start = self.size
                for member in loop.members:
                    self.at[member.slot] = self.size
                    self.size += 1
                self.loops.append(loop)

    def _operation(self, loops: dict[tuple, Loop], operation: Operation) -> None:
        if operation.slot in self._word:
            found = Calculation()
            found.take("start", str(len(self.values)), "int")
            self.values += map(float, self._results[operation.slot])
            self._add(loops, operation.slot, found, "words", (self._word[operation.slot],))
        elif isinstance(operation, MultiplySources):
            self._add(loops, operation.slot, None, "v", operation.sources)
        elif isinstance(operation, CombineSources):
            self._combine(loops, operation)
        elif isinstance(operation, Indicate):
            found = Calculation()
            found.lines.append(f"x = x == {found.take('place', number(float(operation.place)))} ? 1.0 : 0.0;")
            self._add(loops, operation.slot, found, "v", operation.sources)
        else:
            of_row = operation.sources[0] in self._number
            found, given = calculation(operation.steps, self.pools, given=of_row)
            if isinstance(operation, Encode):
                self._encode(found, operation, given=given)
            self._add(loops, operation.slot, found, "numbers" if of_row else "v", operation.sources)

    def _combine(self, loops: dict[tuple, Loop], operation: CombineSources) -> None:
        """Combinations of the same columns share a loop."""
        loop = loops.setdefault(("combined", operation.sources), Loop("combined", None))
        numbers = tuple(map(number, (*operation.weights, operation.offset)))
        name, blame = self._named.get(operation.slot, ""), self.input(operation.blame)
        loop.members.append(Member(operation.slot, operation.sources, numbers, 0, blame, name))

    def _encode(self, found: Calculation, operation: Encode, *, given: bool) -> None:
        other, none = operation.one_hot.other, len(operation.one_hot.indicators)
        table = {key: float(none if place == -1 else place) for key, place in operation.one_hot.places().items()}
        otherwise = None if other is None else float(none if other == -1 else other)
        look_up(found, table, otherwise, self.pools, given=given, spare=float(none))

    def _add(
        self, loops: dict[tuple, Loop], slot: int, found: Calculation | None, reads: str, sources: Sequence[int]
    ) -> None:
        loop = loops.setdefault((reads, len(sources), found and found.key()), Loop(reads, found))
        blame = self._operations[slot].blame if slot in self._operations else self.program.inputs[slot].name
        numbers = tuple(found.numbers) if found else ()
        turn, name = self._turns.get(slot, 0), self._named.get(slot, "")
        loop.members.append(Member(slot, tuple(sources), numbers, turn, self.input(blame), name))

    def _group(self, group: WeightedGroup) -> PlacedGroup:
        slot, weights = group.slot, list(group.weights)
        blame = self._operations[slot].blame
        if slot in self._word:
            word = self._word[slot]
            labels = [*self.words[word].words, "where it is missing", "where it is another"]
            return PlacedGroup(word, None, [weights[place] for place in self._results[slot]], labels, blame)
        return PlacedGroup(None, self.at[slot], weights, [*group.names, "where it is another"], blame)
