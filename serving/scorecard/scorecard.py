"""The portable model: a checked document, and the questions that it answers."""

from . import steps
from .errors import Unsupported
from .inputs import Cleaning, Input, InputError
from .plan import Plan
from .rows import UNPREDICTABLE, Rows, logistic, softmax

#: What ``params={"output": ...}`` may ask for; the first is the default.
OUTPUTS = ("predictions", "probabilities", "explain")


class Scorecard:
    """A model that answers the same everywhere. Make one with ``loads`` or ``compile``; it does not change.

    A *row* is a mapping of input name to raw value. A *table* is a mapping of input name to a sequence of raw values
    (lists, NumPy arrays, pandas or PyArrow columns), or a DataFrame. Questions about a row need the standard library
    alone, questions about a table NumPy.
    """

    def __init__(self, document: dict):
        """A scorecard of a document that ``document.read`` or ``document.seal`` has checked."""
        self._document = document
        self._plan = Plan(document)
        self._model = document["model"]
        self._decision = document["decision"]
        self._lazy_rows: Rows | None = None
        self._lazy_tables = None
        self._target = steps.chain(document["model"]["target"], "target")

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

    def __reduce__(self):
        return type(self), (self._document,)

    def dumps(self) -> str:
        """The document as JSON for people: the same model, the same text."""
        from . import strictjson

        return strictjson.dumps(self._document)

    @property
    def digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits, over all of the document's content."""
        return self._document["digest"]

    @property
    def document(self) -> dict:
        """The checked document. Read it; do not change it."""
        return self._document

    @property
    def plan(self) -> Plan:
        """The operations to run, for those who write an export."""
        return self._plan

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The raw columns, in the order of the model's signature."""
        return self._plan.inputs

    @property
    def optional(self) -> frozenset[str]:
        """Names of inputs that a request may leave out: no weight but zero hangs on them."""
        return self._plan.optional

    @property
    def cleaning(self) -> Cleaning:
        """How text is read."""
        return self._plan.cleaning

    @property
    def task(self) -> str:
        """``regression`` or ``classification``."""
        return self._document["task"]

    @property
    def kind(self) -> str:
        """``linear`` or ``mlp``."""
        return self._model["kind"]

    @property
    def classes(self) -> list | None:
        """The labels in the order of the probabilities, of the type they had in training; None for a regression."""
        return list(self._decision["classes"]) if self._decision else None

    @property
    def threshold(self) -> float | None:
        """What the positive class's probability (or score) has to reach; None where the likeliest class is taken."""
        chosen = self._decision and self._decision["threshold"]
        return chosen["value"] if chosen else None

    @property
    def positive(self):
        """The positive class of a decision between two; None for several classes and for a regression."""
        if not self._decision or len(self._decision["classes"]) != 2:
            return None
        chosen = self._decision["threshold"]
        return chosen["positive"] if chosen else self._decision["classes"][1]

    @property
    def has_probabilities(self) -> bool:
        """Whether the model gives probabilities; a support vector machine without calibration gives none."""
        return self._decision is not None and self._model["link"] != "none"

    @property
    def has_decision(self) -> bool:
        """Whether the model has a decision function: linear classifiers that are not calibrated have."""
        return self._decision is not None and self.kind == "linear" and self._model["calibration"] is None

    def predict_row(self, row):
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

    def probabilities_row(self, row) -> list[float]:
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

    def decision_row(self, row) -> float | list[float]:
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

    def explain_row(self, row, *, label=None, reasons: int = 4) -> dict:
        """Why a row gets its answer: see ``explain.explain``."""
        from .explain import explain

        return explain(self, row, label=label, reasons=reasons)

    def predict(self, table):
        """The answer for each row of a table: float64, or labels in an array of their type (text: object).

        Raises
        ------
        InputError
            where a value cannot be taken; names the row, counted from 0, and the column.
        """
        return self.tables.predict(table)

    def probabilities(self, table):
        """An array (rows, classes) of probabilities; raises as ``predict`` and ``probabilities_row`` do."""
        self.needs_probabilities()
        return self.tables.probabilities(table)

    def decision(self, table):
        """An array (rows,) or (rows, classes) of scores; raises as ``predict`` and ``decision_row`` do."""
        self.needs_decision()
        return self.tables.decision(table)

    def explain(self, table, *, label=None, reasons: int = 4) -> list[dict]:
        """``explain_row`` for each row of a table."""
        found = []
        for place, row in enumerate(self.tables.rows(table)):
            try:
                found.append(self.explain_row(row, label=label, reasons=reasons))
            except InputError as error:
                raise error.at(place) from None
        return found

    @property
    def rows(self) -> Rows:
        """What scores single rows; made ready on first use."""
        if self._lazy_rows is None:
            self._lazy_rows = Rows(self._plan)
        return self._lazy_rows

    @property
    def tables(self):
        """What scores tables; made ready, and NumPy imported, on first use."""
        if self._lazy_tables is None:
            from .tables import Tables

            self._lazy_tables = Tables(self._plan)  # type: ignore[assignment]
        return self._lazy_tables

    def needs_probabilities(self) -> None:
        """Raises Unsupported where the model gives no probabilities."""
        if not self.has_probabilities:
            what = "a regression" if self._decision is None else "a support vector machine without calibration"
            raise Unsupported("", what, "it has no probabilities: ask for predictions")

    def needs_decision(self) -> None:
        """Raises Unsupported where the model has no decision function."""
        if not self.has_decision:
            what = "a regression" if self._decision is None else "an MLP or a calibrated classifier"
            raise Unsupported("", what, "it has no decision function: ask for predictions or probabilities")

    def _predicted(self, scores) -> float:
        (value,) = scores
        if self._model["link"] == "log":
            value = steps.FUNCTIONS["exp"](value)
        if self._target is not None:
            value = self._target(value)
        return value

    def _margins(self, scores) -> list[float]:
        calibration = self._model["calibration"]
        if calibration is None:
            return list(scores)
        return [item["slope"] * score + item["offset"] for item, score in zip(calibration, scores, strict=True)]

    def _probabilities(self, scores) -> list[float]:
        link = self._model["link"]
        margins = self._margins(scores)
        if link == "logistic":
            p = logistic(margins[0])
            return [1.0 - p, p]
        if link == "softmax":
            return softmax(margins)
        powers = [logistic(margin) for margin in margins]
        total = sum(powers)
        return [power / total for power in powers] if total > 0.0 else [1.0 / len(powers)] * len(powers)

    def _label(self, scores):
        classes = self._decision["classes"]
        threshold = self._decision["threshold"]
        if threshold is not None:
            second = threshold["positive"] == classes[1]
            if threshold["on"] == "probability":
                value = self._probabilities(scores)[1 if second else 0]
            else:
                value = scores[0] if second else -scores[0]
            return classes[(value >= threshold["value"]) == second]
        margins = self._margins(scores)
        if len(margins) == 1:
            return classes[margins[0] > 0.0]
        if self._model["calibration"] is not None:
            margins = self._probabilities(scores)
        return classes[margins.index(max(margins))]
