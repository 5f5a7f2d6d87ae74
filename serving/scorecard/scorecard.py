"""The portable model: a checked document, and the questions that it answers."""

from .errors import Unsupported
from .inputs import Cleaning, Input, InputError
from .nodes import Document, Label, Linear, decision_rule
from .program import Program
from .responses import margins, probabilities
from .rows import UNPREDICTABLE, RowScorer
from .steps import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy as np

    from .tables import TableScorer

#: What ``params={"output": ...}`` may ask for; the first is the default.
OUTPUTS = ("predictions", "probabilities", "explain")


class Scorecard:
    """A model that answers the same everywhere. Make one with ``loads`` or ``compile``; it does not change.

    A *row* is a mapping of input name to raw value. A *table* is a mapping of input name to a sequence of raw values
    (lists, NumPy arrays, pandas or PyArrow columns), or a DataFrame. Questions about a row need the standard library
    alone, questions about a table NumPy.
    """

    def __init__(self, document: Document) -> None:
        """A scorecard of a document that ``document.read`` or ``document.seal`` has checked."""
        self._document, self._model, self._decision = document, document.model, document.decision
        self._program = Program(document)
        self._rule = None if document.decision is None else decision_rule(document.model, document.decision)
        self._lazy_rows: RowScorer | None = None
        self._lazy_tables: TableScorer | None = None
        self._finish = chain(document.model.after_score, "target")
        self._margins = margins(document.model)
        if document.decision is not None and self.has_probabilities:
            self._probabilities = probabilities(document.model, len(document.decision.classes))

    @classmethod
    def loads(cls, text: str) -> "Scorecard":
        """The scorecard that a JSON text says; runs no code.

        Raises
        ------
        ScorecardError
            where the text is not a version 1 document to the letter, or was changed since it was written.
        """
        # Imported here: a package whose document was checked when it was built goes without.
        from . import document as documents

        return cls(documents.read(text))

    def __reduce__(self) -> tuple:
        return _restored, (self._document.content,)

    def dumps(self) -> str:
        """The document as JSON for people: the same model, the same text."""
        from . import strictjson

        return strictjson.dumps(self._document.content)

    @property
    def digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits, over all of the document's content."""
        return self._document.digest

    @property
    def document(self) -> Document:
        """The checked document, as typed nodes."""
        return self._document

    @property
    def program(self) -> Program:
        """The operations to run, for those who write an export."""
        return self._program

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The raw columns, in the order of the model's signature."""
        return self._program.inputs

    @property
    def optional(self) -> frozenset[str]:
        """Names of inputs that a request may leave out: no weight but zero hangs on them."""
        return self._program.optional

    @property
    def cleaning(self) -> Cleaning:
        """How text is read."""
        return self._program.cleaning

    @property
    def task(self) -> str:
        """``regression`` or ``classification``."""
        return self._document.task

    @property
    def kind(self) -> str:
        """``linear``, ``ensemble`` or ``mlp``."""
        return self._model.kind

    @property
    def classes(self) -> list[Label] | None:
        """The labels in the order of the probabilities, of the type they had in training; None for a regression."""
        return list(self._decision.classes) if self._decision else None

    @property
    def threshold(self) -> float | None:
        """What the positive class's probability (or score) has to reach; None where the likeliest class is taken."""
        chosen = self._decision and self._decision.threshold
        return chosen.value if chosen else None

    @property
    def positive(self) -> Label | None:
        """The positive class of a decision between two; None for several classes and for a regression."""
        if not self._decision or len(self._decision.classes) != 2:
            return None
        chosen = self._decision.threshold
        return chosen.positive if chosen else self._decision.classes[1]

    @property
    def has_probabilities(self) -> bool:
        """Whether the model gives probabilities; a support vector machine without calibration gives none."""
        return self._decision is not None and self._model.link != "none"

    @property
    def has_decision(self) -> bool:
        """Whether the model has a decision function: linear classifiers that are not calibrated have."""
        return self._decision is not None and self.kind == "linear" and self._model.calibration is None

    def predict_row(self, row: "Mapping[str, Any]") -> Label:
        """The answer for a row: a float for a regression, a label for a classification.

        Raises
        ------
        InputError
            where a value cannot be taken; names the column.
        """
        scores = self.rows.scores(row)
        if self._decision is not None:
            return self._label(scores)
        value = self._predicted(scores)
        if value - value != 0.0:
            raise InputError(self.rows.largest(self.rows.fill(row)), UNPREDICTABLE)
        return value

    def probabilities_row(self, row: "Mapping[str, Any]") -> list[float]:
        """One probability a class, in the order of ``classes``.

        Raises
        ------
        InputError
            where a value cannot be taken; names the column.
        Unsupported
            where the model has none.
        """
        self.needs_probabilities()
        return self._probabilities(self.rows.scores(row))

    def decision_row(self, row: "Mapping[str, Any]") -> float | list[float]:
        """The score before any link: one of two classes, or a list with one a class.

        Raises
        ------
        InputError
            where a value cannot be taken; names the column.
        Unsupported
            where the model has none, as for a regression, a calibrated classifier and an MLP.
        """
        self.needs_decision()
        scores = self.rows.scores(row)
        return scores[0] if len(scores) == 1 else list(scores)

    def explain_row(
        self, row: "Mapping[str, Any]", *, label: Label | None = None, reasons: int = 4
    ) -> "dict[str, Any]":
        """Why a row gets its answer: see ``explain.explain``."""
        from .explain import explain

        return explain(
            self.rows,
            row,
            prediction=self.predict_row(row),
            classes=self.classes,
            positive=self.positive,
            label=label,
            reasons=reasons,
        )

    def predict(self, table: "Any") -> "np.ndarray":
        """The answer for each row of a table: float64, or labels in an array of their type (text: object).

        Raises
        ------
        InputError
            where a value cannot be taken; names the row, counted from 0, and the column.
        """
        return self.tables.predict(table)

    def probabilities(self, table: "Any") -> "np.ndarray":
        """An array (rows, classes) of probabilities; raises as ``predict`` and ``probabilities_row`` do."""
        self.needs_probabilities()
        return self.tables.probabilities(table)

    def decision(self, table: "Any") -> "np.ndarray":
        """An array (rows,) or (rows, classes) of scores; raises as ``predict`` and ``decision_row`` do."""
        self.needs_decision()
        return self.tables.decision(table)

    def explain(self, table: "Any", *, label: Label | None = None, reasons: int = 4) -> "list[dict[str, Any]]":
        """``explain_row`` for each row of a table."""
        found = []
        for place, row in enumerate(self.tables.rows(table)):
            try:
                found.append(self.explain_row(row, label=label, reasons=reasons))
            except InputError as error:
                raise error.at(place) from None
        return found

    @property
    def rows(self) -> RowScorer:
        """What scores single rows; made ready on first use."""
        if self._lazy_rows is None:
            if isinstance(self._model, Linear):
                self._lazy_rows = RowScorer(self._program)
            else:
                from .networks import NetworkRowScorer

                self._lazy_rows = NetworkRowScorer(self._program)
        return self._lazy_rows

    @property
    def tables(self) -> "TableScorer":
        """What scores tables; made ready, and NumPy imported, on first use."""
        if self._lazy_tables is None:
            from .tables import TableScorer

            self._lazy_tables = TableScorer(self._document, self._program)
        return self._lazy_tables

    def needs_probabilities(self) -> None:
        """Raises Unsupported where the model gives no probabilities."""
        if not self.has_probabilities:
            what = "a regression" if self._decision is None else "a support vector machine without calibration"
            raise Unsupported("", what, "it has no probabilities: ask for predictions")

    def needs_decision(self) -> None:
        """Raises Unsupported where the model has no decision function."""
        if not self.has_decision:
            what = "a regression" if self._decision is None else "an MLP, an ensemble or a calibrated classifier"
            raise Unsupported("", what, "it has no decision function: ask for predictions or probabilities")

    def _predicted(self, scores: "Sequence[float]") -> float:
        (value,) = scores
        return value if self._finish is None else self._finish(value)

    def _label(self, scores: "Sequence[float]") -> Label:
        rule, decision = self._rule, self._decision
        assert rule is not None
        assert decision is not None
        numbers = scores
        if rule.of == "margins":
            numbers = scores if self._margins is None else self._margins(scores)
        elif rule.of == "probabilities":
            numbers = self._probabilities(scores)
        if rule.place is None:
            return decision.classes[numbers.index(max(numbers))]
        value = -numbers[rule.place] if rule.negative else numbers[rule.place]
        reached = value > 0.0 if rule.least is None else value >= rule.least
        return decision.classes[rule.yes if reached else rule.no]


def _restored(content: "dict[str, Any]") -> Scorecard:
    return Scorecard(Document(content))
