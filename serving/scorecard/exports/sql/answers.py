"""From a model's scores to what it answers, in SQL: a prediction, and a probability for each class."""

from ...nodes import ClassDecision, decision_rule
from ...scorecard import Scorecard
from . import names
from .functions import CLAMP
from .layers import Sql, joined, sql, total
from .scores import logistic
from .transforms import Transforms
from .values import Number, Writer

#: How many arguments a call has at most.
_ARGUMENTS = 50


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
        margins = self._margins(scores, writer)
        likely = self._probabilities(margins, writer) if self._scorecard.has_probabilities else []
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

    def _margins(self, scores: list[Sql], writer: Writer) -> list[Sql]:
        calibration = self._model.calibration
        if calibration is None:
            return scores
        found = []
        for item, score in zip(calibration, scores, strict=True):
            number = Number(score, infinite=False)
            if item.slope:
                number = writer.plus(writer.times(number, item.slope), item.offset)
                found.append(writer.layers.let(number.sql))
            else:
                offset = writer.literal(item.offset)
                found.append(writer.layers.let(sql("CASE WHEN {} IS NOT NULL THEN {} END", score, offset)))
        return found

    def _probabilities(self, margins: list[Sql], writer: Writer) -> list[Sql]:
        layers, link = writer.layers, self._model.link
        if link == "logistic":
            second = layers.let(logistic(margins[0], writer))
            return [layers.let(sql("({} - {})", writer.literal(1.0), second)), second]
        if link == "softmax":
            # Shifted by the largest, so that none overflows.
            largest = self._largest(margins, writer)
            least = sql("{} - {}", largest, writer.literal(CLAMP))
            template = "CASE WHEN {0} < {1} THEN {2} ELSE EXP({0} - {3}) END"
            powers = [layers.let(sql(template, one, least, writer.literal(0.0), largest)) for one in margins]
            whole = layers.let(total(powers))
            return [layers.let(sql("({} / {})", power, whole)) for power in powers]
        zero, least = writer.literal(0.0), writer.literal(-CLAMP)
        powers = [
            layers.let(sql("CASE WHEN {0} < {1} THEN {2} ELSE {3} END", margin, least, zero, logistic(margin, writer)))
            for margin in margins
        ]
        whole = layers.let(total(powers))
        even = writer.literal(1.0 / len(powers))
        return [
            layers.let(sql("CASE WHEN {0} > {1} THEN {2} / {0} WHEN {0} = {1} THEN {3} END", whole, zero, power, even))
            for power in powers
        ]

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
        largest = self._largest(numbers, writer)
        whens = [
            sql("WHEN {} = {} THEN {}", value, largest, label) for value, label in zip(numbers, labels, strict=True)
        ]
        return sql("CASE {} END", joined(" ", whens))

    def _largest(self, values: list[Sql], writer: Writer) -> Sql:
        """The largest of several numbers, none of which is NULL unless all are."""
        while len(values) > 1:
            parts = [values[place : place + _ARGUMENTS] for place in range(0, len(values), _ARGUMENTS)]
            values = [
                sql(writer.engine.greatest + "({})", joined(", ", part)) if len(part) > 1 else part[0] for part in parts
            ]
        return writer.layers.let(values[0])
