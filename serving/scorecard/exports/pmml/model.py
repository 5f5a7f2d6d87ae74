"""The model over the columns: a RegressionModel, a chain of them, or a NeuralNetwork; and the answers it puts out."""

import math
from xml.etree.ElementTree import Element, SubElement

from ...inputs import Input
from ...scorecard import Scorecard
from .. import vocabulary
from ..choices import choice, scores
from .columns import Columns, limit
from .expressions import LARGEST, Fields, Value, apply, both, number, reference, unique, within
from .steps import Chain

_ACTIVATIONS = {"identity": "identity", "logistic": "logistic", "tanh": "tanh", "relu": "rectifier"}
KINDS = {str: "string", bool: "boolean", int: "integer", float: "double"}


def label(value) -> str:
    """A class as XML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


class Model:
    """Makes the model's element of a scorecard.

    Parameters
    ----------
    columns : has made the fields.
    names : the names taken so far.
    inputs : the raw columns that the model asks for.

    Attributes
    ----------
    target : the name of the field that the standard's own part of the model fills.
    """

    def __init__(self, scorecard: Scorecard, columns: Columns, names: set[str], inputs: list[Input]):
        self.scorecard, self.plan, self.columns = scorecard, scorecard.plan, columns
        self.model, self.decision = scorecard.document["model"], scorecard.document["decision"]
        self._names, self._inputs = names, inputs
        self.by_score = self.decision is None or not scorecard.has_probabilities and scores(scorecard) == 1
        self.target = unique("score" if self.by_score else "likeliest", names)
        self.outputs = Fields(names, output=True)
        self.probabilities: list[str] = []
        self._guard = self._guarded()

    def element(self, title: str) -> Element:
        """The model, with its name."""
        if self.model["kind"] == "mlp":
            found = self._network()
        elif self.model["link"] in ("one-vs-rest", "none") and scores(self.scorecard) > 1:
            found = self._chain()
        elif self.decision and choice(self.scorecard).of == "scores" and not self.by_score:
            found = self._scored()
        else:
            found = self._regression()
        if title:
            found.set("modelName", title)
        return found

    def _guarded(self) -> str:
        """A field that is 0 where a row may be scored and missing where not; without weight in the model."""
        plan, fine = self.plan, list(self.columns.fine)
        wide = [(name, slot) for name, slot in plan.columns if slot not in self.columns.bounded]
        if self.model["kind"] == "mlp":
            limits = dict.fromkeys((name for name, _ in wide), self._network_limit())
        else:
            terms = len(plan.columns) + len(plan.groups) + 1
            slopes = [abs(item["slope"]) for item in self.model["calibration"] or ()]
            factor = max([1.0, *slopes])
            sizes = dict(zip((name for name, _ in plan.columns), plan.magnitudes(), strict=True))
            limits = {name: limit(terms, sizes[name] * factor) for name, _ in wide}
        slots = {slot: min(limits[name] for name, other in wide if other == slot) for _, slot in wide}
        fine += [within(self.columns.names[slot], most) for slot, most in slots.items()]
        if not fine:
            return ""
        return self.columns.fields.add(apply("if", both(fine), 0.0), "usable")

    def _network_limit(self) -> float:
        """How large the inputs of an MLP may be so that no unit overflows."""
        most = LARGEST / 4.0
        while True:
            size = most
            for layer in self.model["layers"]:
                rows = zip(layer["weights"], layer["intercepts"], strict=True)
                size = max(math.fsum(abs(w) for w in weights) * size + abs(offset) for weights, offset in rows)
                if not size < LARGEST / 4.0:
                    break
                if self.model["activation"] in ("logistic", "tanh"):
                    size = min(size, 1.0)
            else:
                return most
            most /= 2.0

    def _schema(self, parent: Element, *, target: bool = True) -> None:
        schema = SubElement(parent, "MiningSchema")
        if target:
            SubElement(schema, "MiningField", {"name": self.target, "usageType": "target"})
        read = {self.plan.inputs[place].name for place in vocabulary.read(self.plan)}
        for item in self._inputs:
            facts = {} if item.null or item.name not in read else {"missingValueTreatment": "returnInvalid"}
            SubElement(schema, "MiningField", {"name": item.name, **facts})

    def _slope(self, place: int) -> tuple[float, float]:
        """Slope and offset of the calibration of a score."""
        calibration = self.model["calibration"]
        return (1.0, 0.0) if calibration is None else (calibration[place]["slope"], calibration[place]["offset"])

    def _table(self, parent: Element, place: int, *, category=None, raw: bool = False) -> None:
        """A RegressionTable of one of the scores, calibrated unless it is to be ``raw``."""
        slope, offset = (1.0, 0.0) if raw else self._slope(place)
        facts = {"intercept": number(slope * self.model["intercepts"][place] + offset)}
        if category is not None:
            facts["targetCategory"] = label(category)
        table = SubElement(parent, "RegressionTable", facts)
        for (_, slot), weights in zip(self.plan.columns, self.plan.weights, strict=True):
            facts = {"name": self.columns.names[slot], "coefficient": number(slope * weights[place])}
            SubElement(table, "NumericPredictor", facts)
        if self._guard:
            SubElement(table, "NumericPredictor", {"name": self._guard, "coefficient": "0.0"})
        for slot, weights_of, _ in self.plan.groups:
            name, columns = self.columns.groups[slot]
            for column, weights in zip(columns, weights_of, strict=True):
                if weights[place]:
                    facts = {"name": name, "value": column, "coefficient": number(slope * weights[place])}
                    SubElement(table, "CategoricalPredictor", facts)

    def _regression(self) -> Element:
        """A RegressionModel: one table for each score, and one that says nothing for the other of two classes."""
        link = self.model["link"]
        function = "regression" if self.by_score else "classification"
        norm = {"log": "exp", "logistic": "logit", "softmax": "softmax"}.get(link, "none")
        found = Element("RegressionModel", {"functionName": function, "normalizationMethod": norm})
        self._schema(found)
        self._answers()
        self._output(found)
        if self.by_score:
            self._table(found, 0)
        elif len(self.model["intercepts"]) == 1:
            first, second = self.decision["classes"]
            self._table(found, 0, category=second)
            SubElement(found, "RegressionTable", {"intercept": "0.0", "targetCategory": label(first)})
        else:
            for place, category in enumerate(self.decision["classes"]):
                self._table(found, place, category=category)
        return found

    def _chained(self, names: list[str], norm: str, *, raw: bool = False) -> tuple[Element, Element]:
        """A chain of models: one regression a score, whose result has one of the names, and then a classification.

        Returns
        -------
        tuple
            The chain, and its last model, which takes the results and has no tables yet.
        """
        found = Element("MiningModel", {"functionName": "classification"})
        self._schema(found)
        segments = SubElement(found, "Segmentation", {"multipleModelMethod": "modelChain"})

        def segment(**facts: str) -> Element:
            one = SubElement(segments, "Segment", {"id": str(len(segments) + 1)})
            SubElement(one, "True")
            return SubElement(one, "RegressionModel", facts)

        for place, name in enumerate(names):
            model = segment(functionName="regression", normalizationMethod="none")
            self._schema(model, target=False)
            facts = {"name": name, "optype": "continuous", "dataType": "double", "feature": "predictedValue"}
            SubElement(SubElement(model, "Output"), "OutputField", {**facts, "isFinalResult": "false"})
            self._table(model, place, raw=raw)
        model = segment(functionName="classification", normalizationMethod=norm)
        schema = SubElement(model, "MiningSchema")
        SubElement(schema, "MiningField", {"name": self.target, "usageType": "target"})
        for name in names:
            SubElement(schema, "MiningField", {"name": name})
        return found, model

    def _scored(self) -> Element:
        """A classification between two whose label hangs on the score itself."""
        score = unique("raw score", self._names)
        found, model = self._chained([score], "logit", raw=True)
        self._answers([score])
        self._output(model)
        slope, offset = self._slope(0)
        first, second = self.decision["classes"]
        table = SubElement(model, "RegressionTable", {"intercept": number(offset), "targetCategory": label(second)})
        SubElement(table, "NumericPredictor", {"name": score, "coefficient": number(slope)})
        SubElement(model, "RegressionTable", {"intercept": "0.0", "targetCategory": label(first)})
        return found

    def _chain(self) -> Element:
        """One regression a class, and then one that makes of their margins probabilities whose sum is 1.

        A model without probabilities has them inside only: what the standard calls classification without
        normalisation takes the last score from the others.
        """
        margins = [unique(f"margin of {item}", self._names) for item in self.decision["classes"]]
        found, model = self._chained(margins, "simplemax")
        self._answers(margins)
        self._output(model)
        local = Fields(self._names)
        shares = [local.add(_logistic(name), f"share of {name[10:]}") for name in margins]
        total = local.add(apply("sum", *map(reference, shares)), "total of shares")
        some = [
            local.add(apply("if", apply("greaterThan", reference(total), 0.0), reference(share), 1.0), share)
            for share in shares
        ]
        SubElement(model, "LocalTransformations").extend(local.elements)
        for name, category in zip(some, self.decision["classes"], strict=True):
            table = SubElement(model, "RegressionTable", {"intercept": "0.0", "targetCategory": label(category)})
            SubElement(table, "NumericPredictor", {"name": name, "coefficient": "1.0"})
        return found

    def _network(self) -> Element:
        """A NeuralNetwork; one logistic unit becomes two, one a class, by a layer more."""
        layers, link = self.model["layers"], self.model["link"]
        function = "regression" if self.decision is None else "classification"
        activation = _ACTIVATIONS[self.model["activation"]]
        found = Element("NeuralNetwork", {"functionName": function, "activationFunction": activation})
        self._schema(found)
        self._answers()
        self._output(found)
        inputs = SubElement(found, "NeuralInputs")
        names = [self.columns.names[slot] for _, slot in self.plan.columns] + ([self._guard] if self._guard else [])
        below = []
        for place, name in enumerate(names):
            below.append(f"0,{place + 1}")
            field = SubElement(SubElement(inputs, "NeuralInput", {"id": below[-1]}), "DerivedField")
            field.attrib.update({"optype": "continuous", "dataType": "double"})
            field.append(reference(name))
        last = len(layers) - 1
        for depth, layer in enumerate(layers):
            facts = {}
            if depth == last:
                facts["activationFunction"] = {"logistic": "logistic", "log": "exponential"}.get(link, "identity")
                if link == "softmax":
                    facts["normalizationMethod"] = "softmax"
            weights = layer["weights"]
            if depth == 0 and self._guard:
                weights = [[*row, 0.0] for row in weights]
            below = _layer(found, depth + 1, facts, below, weights, layer["intercepts"])
        if link == "logistic":
            facts = {"activationFunction": "identity"}
            below = _layer(found, last + 2, facts, below, [[-1.0], [1.0]], [1.0, 0.0])
        outputs = SubElement(found, "NeuralOutputs")
        for place, neuron in enumerate(below):
            output = SubElement(outputs, "NeuralOutput", {"outputNeuron": neuron})
            if self.decision is None:
                field = SubElement(output, "DerivedField", {"optype": "continuous", "dataType": "double"})
                field.append(reference(self.target))
            else:
                kind = KINDS[type(self.decision["classes"][place])]
                field = SubElement(output, "DerivedField", {"optype": "categorical", "dataType": kind})
                facts = {"field": self.target, "value": label(self.decision["classes"][place])}
                SubElement(field, "NormDiscrete", facts)
        return found

    def _answers(self, margins: list[str] | None = None) -> None:
        """The output fields: a prediction, or a label and what goes with it."""
        if self.by_score:
            score = self._feature("predictedValue", "raw score", "double")
            if self.decision is None:
                self._prediction(score)
            else:
                self._label_by(reference(score))
                self.outputs.add(reference(score), "decision", final=True)
            return
        classes = self.decision["classes"]
        if not self.scorecard.has_probabilities:
            self._largest(margins or [])
            for item, margin in zip(classes, margins or [], strict=True):
                self.outputs.add(reference(margin), f"decision({label(item)})", final=True)
            return
        for item in classes:
            name = f"probability({label(item)})"
            self.probabilities.append(self._feature("probability", name, "double", final=True, value=label(item)))
        if self.decision["threshold"] is not None:
            chosen = choice(self.scorecard)
            looked_at = {"scores": margins or [], "probabilities": self.probabilities}[chosen.of]
            self._label_by(reference(looked_at[chosen.place or 0]))
        elif margins is not None and self.model["calibration"] is None:
            self._largest(margins)
        else:
            self._feature("predictedValue", "label", KINDS[type(classes[0])], final=True)

    def _prediction(self, score: str) -> None:
        """The prediction of a regression: the score, with the transform of the target undone, where all is finite."""
        held = self.outputs.add(apply("if", within(score), reference(score)), "finite score")
        if self.model["target"]:
            chain = Chain(self.outputs, "prediction step", [])
            held = self.outputs.held(
                chain.run(Value(reference(held), True, True), self.model["target"]), "prediction step"
            )
        self.outputs.add(apply("if", within(held), reference(held)), "prediction", final=True)

    def _label_by(self, value: Element) -> None:
        """The label of a decision between two, by what is looked at."""
        classes, chosen = self.decision["classes"], choice(self.scorecard)
        value = apply("-", 0.0, value) if chosen.negative else value
        above, least = ("greaterThan", 0.0) if chosen.least is None else ("greaterOrEqual", chosen.least)
        self._label(apply("if", apply(above, value, least), _class(classes[chosen.yes]), _class(classes[chosen.no])))

    def _largest(self, margins: list[str]) -> None:
        """The label of the class with the largest margin, the first of them."""
        classes = self.decision["classes"]
        found = _class(classes[-1])
        for place in reversed(range(len(margins) - 1)):
            rest = [
                apply("greaterOrEqual", reference(margins[place]), reference(name)) for name in margins[place + 1 :]
            ]
            found = apply("if", both(rest), _class(classes[place]), found)
        self._label(found)

    def _label(self, expression: Element) -> None:
        self.outputs.add(expression, "label", kind=KINDS[type(self.decision["classes"][0])], final=True)

    def _feature(self, feature: str, hint: str, kind: str, *, final: bool = False, value: str | None = None) -> str:
        """An output field that the standard fills itself."""
        name = unique(hint, self._names)
        facts = {"name": name, "optype": "continuous" if kind == "double" else "categorical", "dataType": kind}
        facts |= {"feature": feature, "isFinalResult": "true" if final else "false"}
        if value is not None:
            facts["value"] = value
        self.outputs.elements.append(Element("OutputField", facts))
        return name

    def _output(self, parent: Element) -> None:
        SubElement(parent, "Output").extend(self.outputs.elements)


def _class(value) -> Element:
    """A class as a constant of its type."""
    found = Element("Constant", {"dataType": KINDS[type(value)]})
    found.text = label(value)
    return found


def _layer(parent: Element, depth: int, facts: dict, below: list[str], weights, intercepts) -> list[str]:
    layer = SubElement(parent, "NeuralLayer", {"numberOfNeurons": str(len(intercepts)), **facts})
    found = []
    for place, (row, offset) in enumerate(zip(weights, intercepts, strict=True)):
        found.append(f"{depth},{place + 1}")
        neuron = SubElement(layer, "Neuron", {"id": found[-1], "bias": number(offset)})
        for source, weight in zip(below, row, strict=True):
            SubElement(neuron, "Con", {"from": source, "weight": number(weight)})
    return found


def _logistic(name: str) -> Element:
    """1 / (1 + exp(-x)): where exp overflows it is 0, as it should be."""
    return apply("/", 1.0, apply("+", 1.0, apply("exp", apply("-", 0.0, reference(name)))))
