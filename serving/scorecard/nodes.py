"""The typed form of a document: its columns, its model and its decision, each kind a class.

``steps`` has the steps of a column. The types of the fields say what a document may hold: ``document`` checks by them,
and ``schema.json`` is generated from them.
"""

from .inputs import Cleaning, Input, Record
from .steps import Category, NumpyFunction, Step, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

TASKS = ("regression", "classification")
LINKS = {"regression": ("identity", "log"), "classification": ("none", "logistic", "softmax", "one-vs-rest")}
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


Column = Chain | OneHot | Product


class Platt(Record):
    """Platt scaling of a score: slope * score + offset is the log-odds."""

    __slots__ = ("slope", "offset")
    slope: float
    offset: float


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


class Estimator(Record):
    """What every kind of model has.

    Parameters
    ----------
    link : how probabilities, or a prediction, follow from the scores; one of ``LINKS``.
    calibration : Platt scaling, slope * score + offset is the log-odds: one for each score, or null.
    target : what turns a regression's prediction back into the target's units.
    """

    __slots__ = ("link", "calibration", "target")
    link: str
    calibration: tuple[Platt, ...] | None
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


#: Every kind of model, by its name in the document.
ESTIMATORS: "dict[str, type[Estimator]]" = {Linear.kind: Linear, Network.kind: Network}


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
    calibration = item["calibration"]
    if calibration is not None:
        calibration = tuple(Platt(float(one["slope"]), float(one["offset"])) for one in calibration)
    return ESTIMATORS[item["kind"]].read(item, item["link"], calibration, read(item["target"]))


def _decision(item: "Mapping[str, Any]") -> ClassDecision:
    threshold = item["threshold"]
    if threshold is not None:
        threshold = Threshold(threshold["on"], float(threshold["value"]), threshold["positive"])
    return ClassDecision(item["classes"], threshold)


def _floats(values: "Sequence[float]") -> list[float]:
    return list(map(float, values))


def _keys(values: "Sequence[Category]") -> list[Category]:
    return [float(value) if type(value) is int else value for value in values]
