"""From a document to the operations to run, in order, the same for every way of evaluating it.

Values live in numbered slots: the inputs first, then what each operation puts there. Columns that have no weight in any
score are kept apart as checks: they change no score, and only have to be computable where their inputs are given.
"""

from .inputs import Record
from .nodes import Column, Combination, Document, Linear, OneHot, Product, Source
from .steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Operation(Record):
    """One operation: it fills a slot from others.

    Parameters
    ----------
    slot : to fill.
    sources : slots to take.
    blame : the input that an error names.
    steps : what the value in its one source goes through first.
    """

    __slots__ = ("slot", "sources", "blame", "steps")
    slot: int
    sources: tuple[int, ...]
    blame: str
    steps: tuple[Step, ...]


class ApplySteps(Operation):
    """The value of its source after its steps."""

    __slots__ = ()


class Encode(Operation):
    """The place of a category, its source after its steps, in a one-hot group; -1 where all of the columns are 0."""

    __slots__ = ("one_hot",)
    one_hot: OneHot


class Indicate(Operation):
    """1 where its source, an ``Encode``, is this place; else 0."""

    __slots__ = ("place",)
    place: int


class MultiplySources(Operation):
    """The product of its sources, in this order; 1 where there are none."""

    __slots__ = ()


class CombineSources(Operation):
    """The sum of its sources, each times its weight, and an offset."""

    __slots__ = ("weights", "offset")
    weights: list[float]
    offset: float


class Check(Record):
    """A slot that has to hold a finite number where some inputs are given.

    Parameters
    ----------
    places : of these inputs.
    operations : what fills the slot.
    blame : the input that an error names.
    """

    __slots__ = ("slot", "places", "operations", "blame")
    slot: int
    places: list[int]
    operations: list[Operation]
    blame: str


class WeightedGroup(Record):
    """A one-hot group of a linear model whose weights go straight into the scores.

    Parameters
    ----------
    slot : of its ``Encode``.
    weights : for each place a weight for each score, and last, for -1, zeros.
    names : of the columns.
    """

    __slots__ = ("slot", "weights", "names")
    slot: int
    weights: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]


class Program:
    """What to read and to compute for one document.

    Attributes
    ----------
    inputs, cleaning : the raw columns, in the signature's order, and how their text is read.
    names : of all inputs.
    operations : those that scores depend on, in order.
    slots : how many slots there are; the first ``len(inputs)`` hold the inputs.
    reads : places of the inputs that ``operations`` need; ``optional`` the names of those it does without.
    columns : for each column of the model's matrix, in the document's order: (name, slot). Linear models only list
        those whose weights are not all zero and that are no part of ``groups``.
    weights : for a linear model, one tuple for each of ``columns``: a weight for each score.
    groups : the one-hot groups of a linear model.
    checks : columns that only have to be usable.
    origin : the names of the inputs each column is computed from.
    """

    def __init__(self, document: Document) -> None:
        self.document, self.inputs, self.cleaning = document, document.inputs, document.cleaning
        self.names = frozenset(item.name for item in self.inputs)
        self.slots = len(self.inputs)
        self.origin: dict[str, tuple[str, ...]] = {}
        self._places = {item.name: place for place, item in enumerate(self.inputs)}
        self._defined: dict[str, tuple[Column, int]] = {}
        for column in document.columns:
            if isinstance(column, OneHot):
                for place, indicator in enumerate(column.indicators):
                    self._define(indicator.name, column, place)
            else:
                self._define(column.name, column, 0)
        self.operations: list[Operation] = []
        self._unweighted: list[Operation] = []
        self._unweighted_slots: list[int] = []
        #: Slots by the name of the column; those of one-hot groups by their identity, since equal groups stay apart.
        self._made: dict[str | int, int] = {}
        self.columns: list[tuple[str, int]] = []
        self.weights: list[tuple[float, ...]] = []
        self.groups: list[WeightedGroup] = []
        if isinstance(document.model, Linear):
            self._linear(document.model)
        else:
            self.columns = [(name, self._slot(name, self.operations)) for name in document.model.columns]
        used = {source for one in self.operations for source in one.sources} | {slot for _, slot in self.columns}
        self.reads = [place for place in range(len(self.inputs)) if place in used]
        self.optional = frozenset(item.name for place, item in enumerate(self.inputs) if place not in used)
        self.checks = self._checks()

    def blame(self, name: str) -> str:
        """The input to name where a column has no usable value."""
        if self.origin[name]:
            return self.origin[name][0]
        return self.inputs[0].name if self.inputs else name  # of a constant

    def magnitudes(self) -> list[float]:
        """How much each of ``columns`` weighs at most: to name the one that makes a score too large."""
        if not self.weights:
            return [1.0] * len(self.columns)
        return [max(map(abs, weights)) for weights in self.weights]

    def _define(self, name: str, column: Column, place: int) -> None:
        self._defined[name] = (column, place)
        if isinstance(column, Product):
            self.origin[name] = self._origin(column.factors)
        elif isinstance(column, Combination):
            self.origin[name] = self._origin(column.columns)
        elif column.source.kind == "input":
            self.origin[name] = (column.source.name,)
        else:
            self.origin[name] = self._origin([column.source.name])

    def _origin(self, above: "Sequence[str]") -> tuple[str, ...]:
        sources = {source for column in above for source in self.origin[column]}
        return tuple(sorted(sources, key=self._places.__getitem__))

    def _linear(self, model: Linear) -> None:
        zeros = (0.0,) * model.outputs
        live = {term.column: tuple(term.weights) for term in model.terms if any(term.weights)}
        grouped: dict[int, OneHot] = {}
        for name, weights in live.items():
            column, _ = self._defined[name]
            if isinstance(column, OneHot):
                grouped.setdefault(id(column), column)
            else:
                self.columns.append((name, self._slot(name, self.operations)))
                self.weights.append(weights)
        for one_hot in grouped.values():
            names = tuple(indicator.name for indicator in one_hot.indicators)
            table = (*(live.get(name, zeros) for name in names), zeros)
            self.groups.append(WeightedGroup(self._encode(one_hot, self.operations), table, names))
        for term in model.terms:
            name = term.column
            column, _ = self._defined[name]
            if name not in live and id(column) not in grouped:
                into = self._unweighted
                slot = self._encode(column, into) if isinstance(column, OneHot) else self._slot(name, into)
                if slot not in self._unweighted_slots:
                    self._unweighted_slots.append(slot)

    def _checks(self) -> list[Check]:
        made = {one.slot: one for one in self._unweighted}
        blames = {place: item.name for place, item in enumerate(self.inputs)}
        blames |= {one.slot: one.blame for one in (*self.operations, *self._unweighted)}
        found = []
        for slot in self._unweighted_slots:
            places: set[int] = set()
            operations: dict[int, Operation] = {}
            todo = [slot]
            while todo:
                current = todo.pop()
                if current < len(self.inputs):
                    places.add(current)
                elif current in made:
                    operations[current] = made[current]
                    todo.extend(made[current].sources)
            extra = [place for place in sorted(places) if place not in self.reads]
            found.append(Check(slot, extra, [operations[current] for current in sorted(operations)], blames[slot]))
        return found

    def _new(
        self, kind: "Callable[..., Operation]", into: list[Operation], sources: "Iterable[int]", *facts: object
    ) -> int:
        slot = self.slots
        self.slots += 1
        into.append(kind(slot, tuple(sources), *facts))
        return slot

    def _source(self, source: Source, into: list[Operation]) -> tuple[int, str]:
        if source.kind == "input":
            return self._places[source.name], source.name
        return self._slot(source.name, into), self.blame(source.name)

    def _encode(self, one_hot: OneHot, into: list[Operation]) -> int:
        key = id(one_hot)
        if key not in self._made:
            source, blame = self._source(one_hot.source, into)
            self._made[key] = self._new(Encode, into, [source], blame, one_hot.steps, one_hot)
        return self._made[key]

    def _slot(self, name: str, into: list[Operation]) -> int:
        if name in self._made:
            return self._made[name]
        column, place = self._defined[name]
        if isinstance(column, OneHot):
            made = self._new(Indicate, into, [self._encode(column, into)], self.blame(name), (), place)
        elif isinstance(column, Product):
            sources = [self._slot(factor, into) for factor in column.factors]
            made = self._new(MultiplySources, into, sources, self.blame(name), ())
        elif isinstance(column, Combination):
            sources = [self._slot(summand, into) for summand in column.columns]
            facts = column.weights, column.offset
            made = self._new(CombineSources, into, sources, self.blame(name), (), *facts)
        else:
            made, blame = self._source(column.source, into)
            if column.steps:
                made = self._new(ApplySteps, into, [made], blame, column.steps)
        self._made[name] = made
        return made
