"""The columns of a model as derived fields: raw inputs are cleaned, and go through their steps."""

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from ...inputs import BOOLEAN, CATEGORY
from ...program import ApplySteps, CombineSources, Encode, Indicate, MultiplySources, Operation
from ...scorecard import Scorecard
from .. import vocabulary
from ..vocabulary import RefusedText, Vocabulary
from .expressions import LARGEST, FieldList, Value, apply, constant, given, reference, total, unique, within
from .steps import StepFields, limits, mapped

#: From here on each float64 is a whole number; added to a smaller one, it leaves no place for a fraction.
WHOLE = 4503599627370496.0
#: What ``str.strip`` takes off, as a class of characters for the engines' regular expressions.
BLANKS = r"[\x{09}-\x{0D}\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"


class ColumnFields:
    """Makes the fields of a scorecard's program.

    Attributes
    ----------
    fields : the derived fields, in order.
    fine : conditions a row has to meet.
    names : for each slot the field with its numbers.
    groups : for each slot of a one-hot group the field with the name of its column, and the names of its columns.
    bounded : slots that are never missing, nor larger than the model itself says, however large the inputs are.
    """

    def __init__(self, scorecard: Scorecard, names: set[str]) -> None:
        self.program = scorecard.program
        self.fields, self.fine = FieldList(names), list[Element]()
        self.names: dict[int, str] = {}
        self.groups: dict[int, tuple[str, list[str]]] = {}
        self.bounded: set[int] = set()
        self._values: dict[int, Value] = {}
        self._titles = {slot: name for name, slot in self.program.columns}
        for place in vocabulary.read(self.program):
            if self.program.inputs[place].type != CATEGORY:
                self._number(place)
        texts = vocabulary.vocabularies(self.program)
        for words in texts:
            self._text(words)
        made = {slot for words in texts for slot in words.values}
        for operation in vocabulary.operations(self.program):
            if operation.slot not in made:
                _OPERATIONS[type(operation)](self, operation)
        for check in self.program.checks:
            name = self.names[check.slot]
            # What an engine never asks for it never refuses.
            known = check.slot in self.bounded or check.slot in self.groups
            self.fine.append(apply("isNotMissing", reference(name)) if known else within(name))

    def _number(self, place: int) -> None:
        """A raw number or truth: what it has to be beside finite, which the data dictionary says."""
        item = self.program.inputs[place]
        name = item.name
        conditions = []
        if item.integer:
            size = apply("abs", reference(name))
            rounded = apply("-", apply("+", apply("abs", reference(name)), WHOLE), WHOLE)
            whole = apply("equal", rounded, apply("abs", reference(name)))
            conditions.append(apply("if", apply("lessThan", size, WHOLE), whole, True))
        if item.type == BOOLEAN:
            conditions.append(apply("isIn", reference(name), 0.0, 1.0))
        for condition in conditions:
            if item.null:
                condition = apply("if", apply("isMissing", reference(name)), True, condition)
            self.fine.append(condition)
        self._values[place] = Value(reference(name), not item.null, True)
        self.names[place] = name

    def _text(self, words: Vocabulary) -> None:
        """A raw text: trimmed, and all that is computed from it alone looked up."""
        item, cleaning = self.program.inputs[words.place], self.program.cleaning
        name = item.name
        if cleaning.trim:
            trimmed = apply("replace", reference(name), f"^{BLANKS}+|{BLANKS}+$", "")
            name = self.fields.add(given(name, trimmed), f"{name} trimmed", kind="string")
            words_for_missing = vocabulary.missing_words(cleaning)
            if words_for_missing:
                kept = apply("if", apply("isNotIn", reference(name), *words_for_missing), reference(name))
                name = self.fields.add(given(name, kept), f"{item.name} cleaned", kind="string")
        if not all(words.fine()):
            self.fine.append(self._allowed(name, words))
        for operation in vocabulary.operations(self.program):
            if operation.slot in words.values and isinstance(operation, Encode):
                self._coded(operation, name, words)
            elif operation.slot in words.values and not vocabulary.is_text(operation):
                found = [
                    value if isinstance(value, float) and value == value else None
                    for value in words.values[operation.slot]
                ]
                self._looked_up(operation.slot, found, name, words, title=operation.blame)

    def _allowed(self, name: str, words: Vocabulary) -> Element:
        """The condition that the model takes a text."""
        *known, missing, unknown = words.fine()
        if unknown:
            refused = [word for word, fine in zip(words.words, known, strict=True) if not fine]
            among = apply("isNotIn", reference(name), *refused) if refused else constant(True)
        else:
            allowed = [word for word, fine in zip(words.words, known, strict=True) if fine]
            among = apply("isIn", reference(name), *allowed) if allowed else constant(False)
        return apply("if", apply("isMissing", reference(name)), missing, among)

    def _looked_up(self, slot: int, values: Sequence[Any], name: str, words: Vocabulary, *, title: str) -> None:
        *known, missing, other = values
        kind = "string" if any(isinstance(value, str) for value in values) else "double"
        element = mapped(name, dict(zip(words.words, known, strict=True)), missing=missing, other=other, kind=kind)
        self.names[slot] = self.fields.add(element, self._titles.get(slot, title), kind=kind)
        if None not in values:
            self.bounded.add(slot)
        self._values[slot] = Value(reference(self.names[slot]), None not in values, True)

    def _coded(self, operation: Encode, name: str, words: Vocabulary) -> None:
        """The name of a one-hot column for each text."""
        columns = self._columns_of(operation)
        values = [None if isinstance(code, RefusedText) else columns[code] for code in words.values[operation.slot]]
        self._looked_up(operation.slot, values, name, words, title=f"{operation.blame} group")
        self.groups[operation.slot] = (self.names[operation.slot], columns)

    def _columns_of(self, operation: Encode) -> list[str]:
        """The names of a group's columns, and last a name for none of them."""
        names = [indicator.name for indicator in operation.one_hot.indicators]
        return [*names, unique("none", set(names))]

    def _title(self, operation: Operation) -> str:
        return self._titles.get(operation.slot, operation.blame)

    def _apply(self, operation: ApplySteps) -> None:
        value = StepFields(self.fields, self._title(operation), self.fine).run(
            self._taken(operation.sources[0]), operation.steps
        )
        self._keep(
            operation.slot,
            value,
            self._title(operation),
            limited=operation.sources[0] in self.bounded or limits(operation.steps),
        )

    def _taken(self, slot: int) -> Value:
        value = self._values[slot]
        return Value(reference(self.names[slot]), value.present, value.bounded)

    def _keep(self, slot: int, value: Value, title: str, *, limited: bool) -> None:
        self.names[slot] = self.fields.held(value, title)
        self._values[slot] = value
        if value.bounded and value.present and limited:
            self.bounded.add(slot)

    def _product(self, operation: MultiplySources) -> None:
        found, present = constant(1.0), True
        if operation.sources:
            found = reference(self.names[operation.sources[0]])
        for source in operation.sources[1:]:
            found = apply("*", found, reference(self.names[source]))
        present = all(self._values[source].present for source in operation.sources)
        self._keep(operation.slot, Value(found, present, not operation.sources), self._title(operation), limited=True)

    def _combine(self, operation: CombineSources) -> None:
        terms = [
            apply("*", reference(self.names[source]), weight)
            for source, weight in zip(operation.sources, operation.weights, strict=True)
        ]
        present = all(self._values[source].present for source in operation.sources)
        found = Value(total([*terms, constant(operation.offset)]), present, not terms)
        self._keep(operation.slot, found, self._title(operation), limited=True)

    def _encode(self, operation: Encode) -> None:
        """The name of a one-hot column for each number."""
        chain = StepFields(self.fields, operation.blame, self.fine)
        value = chain.finite(chain.run(self._taken(operation.sources[0]), operation.steps))
        columns = self._columns_of(operation)
        known = {key: columns[found] for key, found in operation.one_hot.places().items()}
        other = None if operation.one_hot.other is None else columns[operation.one_hot.other]
        missing = known.pop(None, other)
        held = self.fields.held(value, operation.blame)
        element = mapped(held, known, missing=missing, other=other, kind="string")
        name = self.fields.add(element, f"{operation.blame} group", kind="string")
        if other is None:
            self.fine.append(apply("isNotMissing", reference(name)))
        self.names[operation.slot] = name
        self.groups[operation.slot] = (name, columns)
        self._values[operation.slot] = Value(reference(name), other is not None and missing is not None, True)

    def _indicate(self, operation: Indicate) -> None:
        name, columns = self.groups[operation.sources[0]]
        element = Element("NormDiscrete", {"field": name, "value": columns[operation.place]})
        self._keep(operation.slot, Value(element, True, True), columns[operation.place], limited=True)


_OPERATIONS: dict[type[Operation], Callable[[ColumnFields, Any], None]] = {
    ApplySteps: ColumnFields._apply,
    Encode: ColumnFields._encode,
    Indicate: ColumnFields._indicate,
    MultiplySources: ColumnFields._product,
    CombineSources: ColumnFields._combine,
}


def limit(terms: int, weight: float) -> float:
    """How large columns may be so that the sum of so many terms with such weights stays finite, whatever its order."""
    factor = 2.0 * terms * weight
    return LARGEST if factor <= 1.0 else LARGEST / factor
