"""From a plan to what a C file computes: tables of columns that are computed alike, each to be run in one loop.

Loops over tables compile in no time where straight lines for thousands of columns take minutes, and they run faster.
They visit columns in another order than the plan has, so each refusal carries its turn: the first by turn is told.
"""

import math
from dataclasses import dataclass, field

from ...inputs import BOOLEAN, CATEGORY
from ...plan import Op
from ...scorecard import Scorecard
from .. import vocabulary
from ..groups import coded
from ..vocabulary import Refused
from .calculations import Calculation, Pools, calculation, look_up
from .names import number


@dataclass(frozen=True)
class Member:
    """One column of a part.

    Parameters
    ----------
    slot : in the plan.
    sources : slots of what it is computed from; for a part that reads words the place of the text among them.
    numbers : literals for what its part leaves open.
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
class Part:
    """Columns that are computed alike and lie one after another in ``v``.

    Parameters
    ----------
    reads : ``numbers`` (of the row), ``v``, or ``words`` (a table by the word that a text is).
    calculation : of one of them; None for a product.
    start : place of the first in ``v``.
    """

    reads: str
    calculation: Calculation | None
    start: int = 0
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """An input of text that is read: its place among the texts of a row, the words it may be, and its name."""

    place: int
    words: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Column:
    """A column of the model: where it is in ``v``, the input to blame, its name, its weight in each score."""

    at: int
    input: int
    name: str
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Group:
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
class Refusal:
    """What is refused of a text where it is read, or by an operation on it: the reason for each word, or None."""

    word: int
    turn: int
    input: int
    reasons: list


class Program:
    """What the C file of a scorecard has to do.

    Attributes
    ----------
    names : of the inputs as refusals number them: numbers first, then texts, each in the signature's order.
    numbers, texts : places of these in the plan.
    rules : for each number (turn, whether a missing one is refused, whole, a truth value), or None where none reads it.
    words : for each text that is read, a ``Text``.
    parts : in order.
    at : place in ``v`` of a slot of the plan.
    size : how many doubles are in ``v``.
    values : a double for each word of a text, one part member after another.
    refusals, usable : what is looked at before the model is; usable are (place in ``v``, turn, input).
    columns, groups : what the scores are made of.
    pools : tables of steps.
    """

    def __init__(self, scorecard: Scorecard):
        self.scorecard, self.plan = scorecard, scorecard.plan
        plan = self.plan
        self.numbers = [place for place, item in enumerate(plan.inputs) if item.type != CATEGORY]
        self.texts = [place for place, item in enumerate(plan.inputs) if item.type == CATEGORY]
        self.names = [plan.inputs[place].name for place in self.numbers + self.texts] or ["the model"]
        self.pools, self.values = Pools(), list[float]()
        self.parts: list[Part] = []
        self.at: dict[int, int] = {}
        self.size = 0
        self._input = {name: place for place, name in enumerate(self.names)}
        self._number = {place: index for index, place in enumerate(self.numbers)}
        self._named = {slot: name for name, slot in plan.columns}
        self._ops: dict[int, Op] = {}
        self._turns: dict = {}
        self._usable: list[tuple] = []
        self._take_turns()
        self.rules = [self._rule(place) for place in self.numbers]
        self.words: list[Text] = []
        self.refusals: list[Refusal] = []
        self._word: dict[int, int] = {}
        self._results: dict[int, list] = {}
        self._read_texts()
        self._lay_out()
        weights = plan.weights or [(1.0,)] * len(plan.columns)
        self.columns = [
            Column(self.at[slot], self.input(plan.blame(name)), name, tuple(map(float, row)))
            for (name, slot), row in zip(plan.columns, weights, strict=True)
        ]
        self.groups = [self._group(slot, table) for slot, table, _ in plan.groups]
        self.usable = [(self.at[slot], turn, self.input(blame)) for slot, turn, blame in self._usable]

    @property
    def anybody(self) -> int:
        """The input to blame where no column is."""
        return self.input(self.plan.inputs[0].name) if self.plan.inputs else 0

    def input(self, name: str) -> int:
        """The number of an input in refusals."""
        return self._input.get(name, 0)

    def number(self, slot: int) -> int:
        """The place of an input among the numbers of a row."""
        return self._number[slot]

    def _take_turns(self) -> None:
        """Gives each reading and each operation its turn: the one it has when a row is scored in Python."""
        count = 0

        def turn(key) -> int:
            nonlocal count
            count += 1
            return self._turns.setdefault(key, count)

        for place in self.plan.reads:
            turn(("read", place))
        for op in self.plan.ops:
            self._ops[op.slot] = op
            turn(op.slot)
        for check in self.plan.checks:
            for place in check.places:
                turn(("read", place))
            for op in check.ops:
                self._ops[op.slot] = op
                turn(op.slot)
            self._usable.append((check.slot, turn(("usable", check.slot)), check.blame))

    def _rule(self, place: int):
        item, turn = self.plan.inputs[place], self._turns.get(("read", place))
        return None if turn is None else (turn, not item.null, item.integer, item.type == BOOLEAN)

    def _read_texts(self) -> None:
        """Takes over what each text may be, and what every operation on it gives."""
        order = {place: number for number, place in enumerate(self.texts)}
        for word, found in enumerate(vocabulary.vocabularies(self.plan)):
            name = self.plan.inputs[found.place].name
            self.words.append(Text(order[found.place], found.words, name))
            earlier = set[int]()
            for slot, values in found.values.items():
                reasons = [value.reason if isinstance(value, Refused) else None for value in values]
                told = [None if place in earlier else reason for place, reason in enumerate(reasons)]
                earlier |= {place for place, reason in enumerate(reasons) if reason}
                if any(told):
                    turn = self._turns[slot if slot in self._ops else ("read", slot)]
                    blame = self._ops[slot].blame if slot in self._ops else name
                    self.refusals.append(Refusal(word, turn, self.input(blame), told))
                if slot in self._ops and not vocabulary.is_text(self._ops[slot]):
                    self._word[slot], self._results[slot] = word, self._spared(self._ops[slot], values)

    def _spared(self, op: Op, values: list) -> list:
        """What an operation gives for each text: a place in a group, the last where all are zero; or a number."""
        if op.kind == "code":
            none = len(op.item["one_hot"])
            return [none if isinstance(value, Refused) or value == -1 else value for value in values]
        return [math.nan if isinstance(value, Refused) else value for value in values]

    def _lay_out(self) -> None:
        """Puts the operations that something hangs on into parts, level by level."""
        asked = [slot for _, slot in self.plan.columns] + [slot for slot, _, _ in self._usable]
        wanted = {*asked, *(slot for slot, _, _ in self.plan.groups if slot not in self._word)}
        copied = {slot for slot in asked if slot in self._number}
        for op in reversed(list(self._ops.values())):
            if op.slot in wanted and op.slot not in self._word:
                wanted |= set(op.sources)
                copied |= {slot for slot in op.sources if slot in self._number and op.kind == "product"}
        levels = dict.fromkeys(copied, 1)
        todo: dict[int, dict[tuple, Part]] = {}
        for place in sorted(copied):
            self._add(todo.setdefault(1, {}), place, Calculation(), "numbers", (place,))
        for op in self._ops.values():
            if op.slot in wanted:
                direct = op.slot in self._word or op.kind == "chain" and op.sources[0] in self._number
                direct = direct or op.kind == "code" and op.sources[0] in self._number
                level = levels[op.slot] = 1 if direct else 1 + max((levels[slot] for slot in op.sources), default=0)
                self._operation(todo.setdefault(level, {}), op)
        for level in sorted(todo):
            for part in todo[level].values():
                part.start = self.size
                for member in part.members:
                    self.at[member.slot] = self.size
                    self.size += 1
                self.parts.append(part)

    def _operation(self, parts: dict, op: Op) -> None:
        if op.slot in self._word:
            found = Calculation()
            found.take("start", str(len(self.values)), "int")
            self.values += map(float, self._results[op.slot])
            self._add(parts, op.slot, found, "words", (self._word[op.slot],))
        elif op.kind == "product":
            self._add(parts, op.slot, None, "v", op.sources)
        elif op.kind == "hot":
            found = Calculation()
            found.lines.append(f"x = x == {found.take('place', number(float(op.place)))} ? 1.0 : 0.0;")
            self._add(parts, op.slot, found, "v", op.sources)
        else:
            of_row = op.sources[0] in self._number
            found, given = calculation(op.steps, self.pools, given=of_row)
            if op.kind == "code":
                self._code(found, op, given=given)
            self._add(parts, op.slot, found, "numbers" if of_row else "v", op.sources)

    def _code(self, found: Calculation, op: Op, *, given: bool) -> None:
        places, other = coded(op.item)
        none = len(op.item["one_hot"])
        table = {key: float(none if place == -1 else place) for key, place in places.items()}
        otherwise = None if other is None else float(none if other == -1 else other)
        look_up(found, table, otherwise, self.pools, given=given, spare=float(none))

    def _add(self, parts: dict, slot: int, found: Calculation | None, reads: str, sources) -> None:
        part = parts.setdefault((reads, len(sources), found and found.key()), Part(reads, found))
        blame = self._ops[slot].blame if slot in self._ops else self.plan.inputs[slot].name
        numbers = tuple(found.numbers) if found else ()
        turn, name = self._turns.get(slot, 0), self._named.get(slot, "")
        part.members.append(Member(slot, tuple(sources), numbers, turn, self.input(blame), name))

    def _group(self, slot: int, table) -> Group:
        weights, op = [tuple(map(float, row)) for row in table], self._ops[slot]
        if slot in self._word:
            word = self._word[slot]
            labels = [*self.words[word].words, "where it is missing", "where it is another"]
            return Group(word, None, [weights[place] for place in self._results[slot]], labels, op.blame)
        labels = [*(group["name"] for group in op.item["one_hot"]), "where it is another"]
        return Group(None, self.at[slot], weights, labels, op.blame)
