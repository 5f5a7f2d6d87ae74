"""From a model's scores to what it answers, in SQL: a prediction, and a probability for each class."""

from ...nodes import ClassDecision, decision_rule
from ...scorecard import Scorecard
from . import names, responses
from .layers import Sql, joined, sql
from .transforms import Transforms
from .values import Number, Writer


class AnswerColumns:
    """The columns that a model's SELECT gives.

    Attributes
    ----------
    names : of the columns, in order.
    told : the same with what they mean, for people.
    """

    def __init__(self, scorecard: Scorecard) -> None:
        self._scorecard = scorecard
        self._model, self._decision = scorecard.document.model, scorecard.document.decision
        classes = (scorecard.classes or []) if scorecard.has_probabilities else []
        likely = names.probabilities(classes)
        self.names = [names.PREDICTION, *likely]
        self.told = [names.PREDICTION, *(f"{name} of {label!r}" for name, label in zip(likely, classes, strict=True))]

    def write(self, scores: list[Sql], writer: Writer) -> list[tuple[Sql, str]]:
        """Each answer, and its name."""
        if self._decision is None:
            return [(self._predicted(scores[0], writer), names.PREDICTION)]
        margins = responses.margins(self._model, scores, writer)
        likely = []
        if self._scorecard.has_probabilities:
            likely = responses.probabilities(self._model, len(self._decision.classes), scores, writer)
        label = self._label(self._decision, scores, margins, likely, writer)
        return list(zip([label, *likely], self.names, strict=True))

    def _predicted(self, score: Sql, writer: Writer) -> Sql:
        """A regression's answer; NULL where it is not finite."""
        value = Number(score, infinite=False)
        steps = self._model.after_score
        if not steps:
            return score
        done = Transforms(writer).run(value, steps, "target")
        assert isinstance(done, Number)
        found = writer.layers.let(done.sql)
        zeros = [sql(" + {}", one) for one in writer.guards if one.level > score.level]
        return sql("CASE WHEN {} THEN {}{} END", writer.finite(found), found, joined("", zeros))

    def _label(
        self, decision: ClassDecision, scores: list[Sql], margins: list[Sql], likely: list[Sql], writer: Writer
    ) -> Sql:
        labels = [Sql(writer.engine.label(label)) for label in decision.classes]
        rule = decision_rule(self._model, decision)
        numbers = {"scores": scores, "margins": margins, "probabilities": likely}[rule.of]
        if rule.place is not None:
            value = numbers[rule.place]
            value = sql("(-{})", value) if rule.negative else value
            above, below = (">", "<=") if rule.least is None else (">=", "<")
            template = f"CASE WHEN {{0}} {above} {{1}} THEN {{2}} WHEN {{0}} {below} {{1}} THEN {{3}} END"
            least = writer.literal(rule.least or 0.0)
            return sql(template, value, least, labels[rule.yes], labels[rule.no])
        largest = responses.largest(numbers, writer)
        whens = [
            sql("WHEN {} = {} THEN {}", value, largest, label) for value, label in zip(numbers, labels, strict=True)
        ]
        return sql("CASE {} END", joined(" ", whens))
