"""From a model's scores to what it answers, in SQL: a prediction, and a probability for each class."""

from ...scorecard import Scorecard
from ..choices import choice
from . import names
from .functions import CLAMP
from .layers import Sql, joined, sql, total
from .scores import logistic
from .transforms import Transforms
from .values import Number, Writer

#: How many arguments a call has at most.
_ARGUMENTS = 50


class Answers:
    """The columns that a model's SELECT gives.

    Attributes
    ----------
    names : of the columns, in order.
    told : the same with what they mean, for people.
    """

    def __init__(self, scorecard: Scorecard):
        self._scorecard = scorecard
        self._model, self._decision = scorecard.document["model"], scorecard.document["decision"]
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
        label = self._label(scores, margins, likely, writer)
        return list(zip([label, *likely], self.names, strict=True))

    def _predicted(self, score: Sql, writer: Writer) -> Sql:
        """A regression's answer; NULL where it is not finite."""
        value = Number(score, infinite=False)
        steps = self._model["target"]
        if self._model["link"] == "log":
            steps = [{"function": "exp"}, *steps]
        if not steps:
            return score
        done = Transforms(writer).run(value, steps, "target")
        assert isinstance(done, Number)
        found = writer.layers.let(done.sql)
        zeros = [sql(" + {}", one) for one in writer.guards if one.level > score.level]
        return sql("CASE WHEN {} THEN {}{} END", writer.finite(found), found, joined("", zeros))

    def _margins(self, scores: list[Sql], writer: Writer) -> list[Sql]:
        calibration = self._model["calibration"]
        if calibration is None:
            return scores
        found = []
        for item, score in zip(calibration, scores, strict=True):
            number = Number(score, infinite=False)
            if item["slope"]:
                number = writer.plus(writer.times(number, float(item["slope"])), float(item["offset"]))
                found.append(writer.layers.let(number.sql))
            else:
                offset = writer.literal(float(item["offset"]))
                found.append(writer.layers.let(sql("CASE WHEN {} IS NOT NULL THEN {} END", score, offset)))
        return found

    def _probabilities(self, margins: list[Sql], writer: Writer) -> list[Sql]:
        layers, link = writer.layers, self._model["link"]
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

    def _label(self, scores: list[Sql], margins: list[Sql], likely: list[Sql], writer: Writer) -> Sql:
        labels = [Sql(writer.engine.label(label)) for label in self._decision["classes"]]
        chosen = choice(self._scorecard)
        numbers = {"scores": scores, "margins": margins, "probabilities": likely}[chosen.of]
        if chosen.place is not None:
            value = numbers[chosen.place]
            value = sql("(-{})", value) if chosen.negative else value
            above, below = (">", "<=") if chosen.least is None else (">=", "<")
            template = f"CASE WHEN {{0}} {above} {{1}} THEN {{2}} WHEN {{0}} {below} {{1}} THEN {{3}} END"
            least = writer.literal(chosen.least or 0.0)
            return sql(template, value, least, labels[chosen.yes], labels[chosen.no])
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
