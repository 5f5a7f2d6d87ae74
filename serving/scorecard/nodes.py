"""The typed form of a document: its columns, its model and its decision, each kind a class.

``steps`` has the steps of a column. The types of the fields say what a document may hold: ``document`` checks by them,
and ``schema.json`` is generated from them.
"""

from .inputs import Cleaning, Input, Record
from .steps import Category, NumpyFunction, Piecewise, Step, read, read_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

TASKS = ("regression", "classification")
LINKS = {
    "regression": ("identity", "log"),
    "classification": ("none", "logistic", "softmax", "one-vs-rest", "isotonic", "clipped"),
}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")

#: A class, of the type that it had in training.
Label = str | int | float | bool


class Source(Record):
    """What a column is computed from: an input, or a column above it."""

    __slots__ = ("kind", "name")
    kind: str
    name: str


class Chain(Record):
    """A column: its source after steps."""

    __slots__ = ("name", "source", "steps")
    name: str
    source: Source
    steps: tuple[Step, ...]


class Indicator(Record):
    """One column of a one-hot group, and the categories for which it is 1."""

    __slots__ = ("name", "of")
    name: str
    of: list[Category]


class OneHot(Record):
    """A one-hot group: 0/1 columns, of which at most one is 1.

    Parameters
    ----------
    source, steps : what gives the category.
    indicators : the columns.
    zero : categories for which all of the columns are 0.
    other : the place of the column that is 1 for all other categories, -1 where they leave all of the columns 0; None
        where they are refused.
    """

    __slots__ = ("source", "steps", "indicators", "zero", "other")
    source: Source
    steps: tuple[Step, ...]
    indicators: tuple[Indicator, ...]
    zero: list[Category]
    other: int | None

    def places(self) -> dict[Category, int]:
        """The place of the column that is 1 for each known category, -1 where all of them are 0."""
        found: dict[Category, int] = {}
        for place, indicator in enumerate(self.indicators):
            found.update(dict.fromkeys(indicator.of, place))
        found.update(dict.fromkeys(self.zero, -1))
        return found


class Product(Record):
    """A column: the product of columns above it, in this order."""

    __slots__ = ("name", "factors")
    name: str
    factors: tuple[str, ...]


class Combination(Record):
    """A column: a weighted sum of columns above it, and an offset.

    Parameters
    ----------
    columns, weights : what is summed, and how much of each.
    offset : added to the sum.
    """

    __slots__ = ("name", "columns", "weights", "offset")
    name: str
    columns: tuple[str, ...]
    weights: list[float]
    offset: float


Column = Chain | OneHot | Product | Combination


class Platt(Record):
    """Platt scaling of a score: slope * score + offset is the log-odds."""

    __slots__ = ("slope", "offset")
    slope: float
    offset: float


#: How a score is calibrated: the logistic function of a line is a probability, or a point of a curve is.
Calibrator = Platt | Piecewise

#: What links with the name ``clipped`` make of a score: 0 up to -1, 1 from 1 on, and a line between (Zhang 2004).
CLIPPED = Piecewise([-1.0, 1.0], [0.0, -1.0, 0.0], [[0.0], [0.0, 0.5], [1.0]])


class Term(Record):
    """A column of a linear model, and its weight in each score."""

    __slots__ = ("column", "weights")
    column: str
    weights: list[float]


class Layer(Record):
    """A layer of a network.

    Parameters
    ----------
    weights : shape (n_units, n_units of the layer below).
    intercepts : shape (n_units,).
    """

    __slots__ = ("weights", "intercepts")
    weights: list[list[float]]
    intercepts: list[float]


class Response(Record):
    """How the probabilities of classes follow from scores.

    Parameters
    ----------
    link : ``logistic`` of the score of the second of two classes; ``softmax``; ``one-vs-rest``, the logistic of each
        score, normalised; ``isotonic`` and ``clipped``, a point of a curve for each score, normalised where there are
        several.
    calibration : one for each score, or null.
    """

    __slots__ = ("link", "calibration")
    link: str
    calibration: tuple[Calibrator, ...] | None

    def curves(self, outputs: int) -> tuple[Piecewise, ...]:
        """The curve whose value at each score is a probability; none where a link computes it."""
        if self.link == "clipped":
            return (CLIPPED,) * outputs
        return tuple(item for item in self.calibration or () if isinstance(item, Piecewise))

    def lines(self) -> tuple[Platt, ...]:
        """The line for each score whose value is the margin; none where the score is the margin."""
        return tuple(item for item in self.calibration or () if isinstance(item, Platt))


class Member(Response):
    """A model of an ensemble: how the probabilities of classes follow from its scores, and how much they count."""

    __slots__ = ("weight",)
    weight: float
    choices = {"link": LINKS["classification"][1:]}

    def scores(self, classes: int) -> int:
        """How many scores it has."""
        return 1 if classes == 2 and self.link != "softmax" else classes


class Estimator(Response):
    """What every kind of model has.

    Parameters
    ----------
    link : how probabilities, or a prediction, follow from the scores; one of ``LINKS``, or ``mean`` of an ensemble.
    calibration : Platt scaling, slope * score + offset is the log-odds, or isotonic: one for each score, or null.
    target : what turns a regression's prediction back into the target's units.
    """

    __slots__ = ("target",)
    target: tuple[Step, ...]
    kind = ""
    choices = {"link": (*LINKS["regression"], *LINKS["classification"])}

    @classmethod
    def read(cls, item: "Mapping[str, Any]", *common: "Any") -> "Linear | Network":
        """The model of an object in a checked document; ``common`` are the fields of every kind."""
        raise NotImplementedError

    @property
    def outputs(self) -> int:
        """How many scores the model gives before any link."""
        raise NotImplementedError

    @property
    def after_score(self) -> tuple[Step, ...]:
        """The steps from a regression's score to its prediction: the inverse of the link, then those of the target."""
        return (NumpyFunction("exp"), *self.target) if self.link == "log" else self.target


class Linear(Estimator):
    """Scores that are weighted sums of columns."""

    __slots__ = ("intercepts", "terms")
    intercepts: list[float]
    terms: tuple[Term, ...]
    kind = "linear"

    @classmethod
    def read(cls, item: "Mapping[str, Any]", *common: "Any") -> "Linear":
        terms = tuple(Term(one["column"], _floats(one["weights"])) for one in item["terms"])
        link, calibration, target = common
        return cls(link, calibration, target, _floats(item["intercepts"]), terms)

    @property
    def outputs(self) -> int:
        return len(self.intercepts)


class Network(Estimator):
    """A multi-layer perceptron; ``activation`` is that of all layers but the last."""

    __slots__ = ("columns", "activation", "layers")
    columns: tuple[str, ...]
    activation: str
    layers: tuple[Layer, ...]
    kind = "mlp"
    choices = {**Estimator.choices, "activation": ACTIVATIONS}

    @classmethod
    def read(cls, item: "Mapping[str, Any]", *common: "Any") -> "Network":
        layers = tuple(Layer([*map(_floats, one["weights"])], _floats(one["intercepts"])) for one in item["layers"])
        link, calibration, target = common
        return cls(link, calibration, target, tuple(item["columns"]), item["activation"], layers)

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].intercepts)


class Ensemble(Linear):
    """The mean of the probabilities of several linear models, whose scores stand side by side.

    Parameters
    ----------
    members : each takes its scores behind those of the members above.
    """

    __slots__ = ("members",)
    members: tuple[Member, ...]
    kind = "ensemble"
    choices = {"link": ("mean",)}

    @classmethod
    def read(cls, item: "Mapping[str, Any]", *common: "Any") -> "Ensemble":
        linear, (link, calibration, target) = Linear.read(item, *common), common
        members = tuple(Member(one["link"], _calibration(one), float(one["weight"])) for one in item["members"])
        return cls(link, calibration, target, linear.intercepts, linear.terms, members)

    def parts(self, classes: int) -> list[tuple[Member, int, int]]:
        """Each member, and where its scores begin and end."""
        found, start = [], 0
        for member in self.members:
            stop = start + member.scores(classes)
            found.append((member, start, stop))
            start = stop
        return found


#: Every kind of model, by its name in the document.
ESTIMATORS: "dict[str, type[Estimator]]" = {one.kind: one for one in (Linear, Network, Ensemble)}


class Threshold(Record):
    """What the positive class's probability, or score, has to reach."""

    __slots__ = ("on", "value", "positive")
    on: str
    value: float
    positive: Label
    choices = {"on": ("probability", "score")}


class ClassDecision(Record):
    """The classes of a classifier in the order of their scores, and the threshold between two of them."""

    __slots__ = ("classes", "threshold")
    classes: list[Label]
    threshold: Threshold | None


class DecisionRule(Record):
    """How a classifier's label follows from its numbers, for every way of computing it.

    Parameters
    ----------
    of : the numbers that are looked at: ``scores``, ``margins`` (scores after calibration) or ``probabilities``.
    place : which of them is compared; None where the class of the largest one, the first of equals, is taken.
    negative : whether it is compared with its sign turned.
    least : what it has to reach for the class at ``yes``, else it is the one at ``no``; None where it has to be above
        zero.
    """

    __slots__ = ("of", "place", "negative", "least", "yes", "no")
    of: str
    place: int | None
    negative: bool
    least: float | None
    yes: int
    no: int


def decision_rule(model: Estimator, decision: ClassDecision) -> DecisionRule:
    """The rule of a classifier."""
    threshold = decision.threshold
    if threshold is not None:
        second = int(threshold.positive == decision.classes[1])
        if threshold.on == "probability":
            return DecisionRule("probabilities", second, False, threshold.value, second, 1 - second)
        return DecisionRule("scores", 0, not second, threshold.value, second, 1 - second)
    if model.link in ("mean", "isotonic"):
        return DecisionRule("probabilities", None, False, None, 1, 0)
    if model.outputs == 1:
        return DecisionRule("margins", 0, False, None, 1, 0)
    return DecisionRule("margins" if model.calibration is None else "probabilities", None, False, None, 1, 0)


class Document:
    """A document that has been checked, as typed nodes.

    Parameters
    ----------
    content : what the JSON text holds.

    Attributes
    ----------
    task : ``regression`` or ``classification``.
    inputs, cleaning : the raw columns, in the order of the signature, and how their text is read.
    columns : each computed from an input, or from columns above it.
    model, decision : a ``Linear`` or a ``Network``; None for the decision of a regression.
    digest : ``sha256:`` and 64 hexadecimal digits, over all of the content.
    """

    __slots__ = ("content", "task", "inputs", "cleaning", "columns", "model", "decision", "digest")

    def __init__(self, content: "dict[str, Any]") -> None:
        self.content = content
        self.task: str = content["task"]
        self.inputs = tuple(Input(**item) for item in content["inputs"])
        self.cleaning = Cleaning(**content["cleaning"])
        self.columns = tuple(map(_column, content["columns"]))
        self.model = _model(content["model"])
        self.decision = None if content["decision"] is None else _decision(content["decision"])
        self.digest: str = content["digest"]


def _column(item: "Mapping[str, Any]") -> Column:
    if "product" in item:
        return Product(item["name"], tuple(item["product"]))
    if "combine" in item:
        return Combination(item["name"], tuple(item["combine"]), _floats(item["weights"]), float(item["offset"]))
    kind = "input" if "input" in item else "column"
    source, steps = Source(kind, item[kind]), read(item["steps"])
    if "one_hot" not in item:
        return Chain(item["name"], source, steps)
    indicators = tuple(Indicator(one["name"], _keys(one["of"])) for one in item["one_hot"])
    other: int | None = None
    if "is" in item["otherwise"]:
        other = [one.name for one in indicators].index(item["otherwise"]["is"])
    elif item["otherwise"]["do"] == "zero":
        other = -1
    return OneHot(source, steps, indicators, _keys(item["zero"]), other)


def _model(item: "Mapping[str, Any]") -> Linear | Network:
    return ESTIMATORS[item["kind"]].read(item, item["link"], _calibration(item), read(item["target"]))


def _calibration(item: "Mapping[str, Any]") -> "tuple[Calibrator, ...] | None":
    return None if item["calibration"] is None else tuple(map(_calibrator, item["calibration"]))


def _calibrator(item: "Mapping[str, Any]") -> Calibrator:
    if "slope" in item:
        return Platt(float(item["slope"]), float(item["offset"]))
    curve = read_step(Piecewise.name, item[Piecewise.name])
    assert isinstance(curve, Piecewise)
    return curve


def _decision(item: "Mapping[str, Any]") -> ClassDecision:
    threshold = item["threshold"]
    if threshold is not None:
        threshold = Threshold(threshold["on"], float(threshold["value"]), threshold["positive"])
    return ClassDecision(item["classes"], threshold)


def _floats(values: "Sequence[float]") -> list[float]:
    return list(map(float, values))


def _keys(values: "Sequence[Category]") -> list[Category]:
    return [float(value) if type(value) is int else value for value in values]
