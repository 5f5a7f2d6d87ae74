"""Columns on their way through a pipeline: what was done to each so far, and what that asks of the inputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ELSEWHERE, Unsupported
from ..fields import NUMBER, TEXT
from ..inputs import BOOLEAN, CATEGORY
from ..inputs import NUMBER as NUMBER_TYPE
from ..nodes import Chain, Column, Combination, Indicator, OneHot, Product, Source
from ..steps import Bin, Category, Is, Lookup, Step


def unsupported(path: str, step: object, reason: str) -> Unsupported:
    """The refusal of a step (or of its class name) at a path, with what to do instead."""
    name = step if isinstance(step, str) else type(step).__name__
    return Unsupported(path, name, f"{reason}, so a scorecard cannot express it exactly; {ELSEWHERE}")


@dataclass(frozen=True)
class TracedColumn:
    """One column of the matrix a step sees.

    Parameters
    ----------
    source : an input, or a column that the document defines already.
    label : the column in words, for names of terms.
    kind : ``number`` or ``text``; None for an input whose type nothing has shown yet.
    steps : the document's steps done to the source so far.
    missing : inputs that make this column missing where they are.
    summed : whether its source is a weighted sum, whose last digits depend on the order of adding.
    """

    source: Source
    label: str
    kind: str | None
    steps: tuple[Step, ...] = ()
    missing: frozenset[str] = frozenset()
    summed: bool = False

    @property
    def rounded(self) -> bool:
        """Whether the last digits of its values are those of one library's function, or of one order of adding."""
        for step in reversed(self.steps):
            if isinstance(step, (Bin, Lookup, Is)):
                return False
            if step.inexact:
                return True
        return self.summed


@dataclass
class Trace:
    """What compiling has found out: types of inputs, those that must have a value, and columns to write down.

    ``types`` maps each input to its type, None while unknown; a given type is never changed. ``checked`` columns carry
    no weight and have to be usable. ``edges_moved`` tells whether edges of bins move before the functions they were
    drawn after.
    """

    types: dict[str, str | None]
    edges_moved: bool = True
    columns: list[Column] = field(default_factory=list)
    required: set[str] = field(default_factory=set)
    checked: list[TracedColumn] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _made: dict[tuple[Source, str], str] = field(default_factory=dict)

    def start(self, name: str) -> TracedColumn:
        """An input as it comes."""
        kind = {None: None, CATEGORY: TEXT}.get(self.types[name], NUMBER)
        return TracedColumn(Source("input", name), name, kind, missing=frozenset({name}))

    def kind(self, column: TracedColumn) -> str | None:
        """Number, text, or None where nothing has shown it yet."""
        if column.kind is None and column.source.kind == "input":
            known = self.types[column.source.name]
            return None if known is None else TEXT if known == CATEGORY else NUMBER
        return column.kind

    def numeric(self, column: TracedColumn, path: str, step: object, *, boolean: bool = False) -> TracedColumn:
        """The column as a number, which its input is from now on if nothing was known of it."""
        kind = self.kind(column)
        if kind == TEXT:
            raise unsupported(path, step, f"it takes numbers, and {column.label!r} is text")
        if kind is None:
            self.types[column.source.name] = BOOLEAN if boolean else NUMBER_TYPE
        return replace(column, kind=NUMBER)

    def textual(self, column: TracedColumn, path: str, step: object) -> TracedColumn:
        """The column as text, which its input is from now on if nothing was known of it."""
        kind = self.kind(column)
        if kind == NUMBER:
            raise unsupported(path, step, f"it takes text, and {column.label!r} is a number")
        if kind is None:
            self.types[column.source.name] = CATEGORY
        return replace(column, kind=TEXT)

    def then(self, column: TracedColumn, *steps: Step, label: str | None = None, filled: bool = False) -> TracedColumn:
        """The column after more steps; ``filled`` where they leave no missing value."""
        return replace(
            column,
            steps=(*column.steps, *steps),
            label=column.label if label is None else label,
            missing=frozenset() if filled else column.missing,
        )

    def require(self, column: TracedColumn) -> TracedColumn:
        """The column where a step takes no missing value: its inputs must have one."""
        self.required |= column.missing
        return replace(column, missing=frozenset())

    def check(self, column: TracedColumn, *, missing: bool = False) -> None:
        """A column that a step looks at and then drops: it has to be a finite number, or ``missing``, all the same."""
        if missing:
            column = self.then(column, Is(None), filled=True)
        self.checked.append(replace(column, kind=NUMBER))

    def name(self, label: str) -> str:
        """A name for a column of the document, as near to the label as is free."""
        name, number = label, 1
        while name in self._names:
            number += 1
            name = f"{label} ({number})"
        self._names.add(name)
        return name

    def write(self, column: TracedColumn, *, fresh: bool = False) -> str:
        """The name of the column in the document, written there if it is not; ``fresh`` for one of its own."""
        if column.source.kind == "column" and not column.steps and not fresh:
            return column.source.name
        key = (column.source, repr(column.steps))
        if key not in self._made or fresh:
            name = self.name(column.label)
            self.columns.append(Chain(name, column.source, column.steps))
            self._made.setdefault(key, name)
            return name
        return self._made[key]

    def product(self, columns: list[TracedColumn], label: str) -> TracedColumn:
        """The product of columns, in this order."""
        names = [self.write(column) for column in columns]
        name = self.name(label)
        self.columns.append(Product(name, tuple(names)))
        missing = frozenset[str]().union(*(column.missing for column in columns))
        return TracedColumn(Source("column", name), label, NUMBER, missing=missing)

    def combination(
        self, columns: list[TracedColumn], weights: Sequence[float], offset: float, label: str
    ) -> TracedColumn:
        """The sum of columns, each times its weight, and an offset."""
        names = tuple(map(self.write, columns))
        name = self.name(label)
        self.columns.append(Combination(name, names, list(weights), offset))
        missing = frozenset[str]().union(*(column.missing for column in columns))
        return TracedColumn(Source("column", name), label, NUMBER, missing=missing, summed=True)

    def one_hot(
        self,
        column: TracedColumn,
        groups: list[tuple[str, list[Category]]],
        zero: list[Category],
        other: int | None,
    ) -> list[TracedColumn]:
        """One 0/1 column for each (label, categories); ``zero`` and ``other`` are those of ``OneHot``."""
        names = [self.name(label) for label, _ in groups]
        indicators = tuple(Indicator(name, of) for name, (_, of) in zip(names, groups, strict=True))
        self.columns.append(OneHot(column.source, column.steps, indicators, zero, other))
        return [TracedColumn(Source("column", name), name, NUMBER) for name in names]


def is_missing(value: object) -> bool:
    """Whether a fitted parameter stands for a missing value."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)


def finite(value: Any, path: str, step: object, what: str) -> float:
    """A fitted parameter as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise unsupported(path, step, f"its {what} is {type(value).__name__}, not a number") from None
    if not math.isfinite(number):
        raise unsupported(path, step, f"its {what} is {number}")
    return number
