"""The model over the columns: a RegressionModel, a chain of them, or a NeuralNetwork; and the answers it puts out."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from ...handlers import unknown
from ...inputs import Input
from ...nodes import DecisionRule, Ensemble, Label, Linear, Network, decision_rule
from ...scorecard import Scorecard
from .. import vocabulary
from .columns import ColumnFields, limit
from .expressions import LARGEST, FieldList, Value, apply, both, number, reference, unique, within
from .responses import probabilities
from .steps import StepFields

#: Links of which the standard has no function of its own.
_CHAINED = ("one-vs-rest", "isotonic", "clipped", "mean")
_ACTIVATIONS = {"identity": "identity", "logistic": "logistic", "tanh": "tanh", "relu": "rectifier"}
KINDS = {str: "string", bool: "boolean", int: "integer", float: "double"}


def label(value: Label) -> str:
    """A class as XML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


#: Of a regression.
_NO_RULE = DecisionRule("scores", 0, False, None, 0, 0)


class PmmlModel:
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

    def __init__(self, scorecard: Scorecard, columns: ColumnFields, names: set[str], inputs: Sequence[Input]) -> None:
        self.scorecard, self.program, self.columns = scorecard, scorecard.program, columns
        self.model, self.decision = scorecard.document.model, scorecard.document.decision
        #: The classes and the rule of a classifier.
        self.classes = scorecard.classes or []
        self.rule = decision_rule(self.model, self.decision) if self.decision else _NO_RULE
        self._names, self._inputs = names, inputs
        self.by_score = self.decision is None or not scorecard.has_probabilities and self.model.outputs == 1
        self.target = unique("score" if self.by_score else "likeliest", names)
        self.outputs = FieldList(names, output=True)
        self.probabilities: list[str] = []
        self._guard = self._guarded()

    def element(self, title: str) -> Element:
        """The model, with its name."""
        if isinstance(self.model, Network):
            found = self._network(self.model)
        elif not isinstance(self.model, Linear):
            raise unknown(self.model, "PMML")
        elif self.model.link in _CHAINED or (self.model.link == "none" and self.model.outputs > 1):
            found = self._chain(self.model)
        elif self.decision and self.rule.of == "scores" and not self.by_score:
            found = self._scored(self.model)
        else:
            found = self._regression(self.model)
        if title:
            found.set("modelName", title)
        return found

    def _guarded(self) -> str:
        """A field that is 0 where a row may be scored and missing where not; without weight in the model."""
        program, fine = self.program, list(self.columns.fine)
        wide = [(name, slot) for name, slot in program.columns if slot not in self.columns.bounded]
        if isinstance(self.model, Network):
            limits = dict.fromkeys((name for name, _ in wide), self._network_limit(self.model))
        else:
            terms = len(program.columns) + len(program.groups) + 1
            members = self.model.members if isinstance(self.model, Ensemble) else (self.model,)
            slopes = [abs(line.slope) for one in members for line in one.lines()]
            factor = max([1.0, *slopes])
            sizes = dict(zip((name for name, _ in program.columns), program.magnitudes(), strict=True))
            limits = {name: limit(terms, sizes[name] * factor) for name, _ in wide}
        slots = {slot: min(limits[name] for name, other in wide if other == slot) for _, slot in wide}
        fine += [within(self.columns.names[slot], most) for slot, most in slots.items()]
        if not fine:
            return ""
        return self.columns.fields.add(apply("if", both(fine), 0.0), "usable")

    def _network_limit(self, model: Network) -> float:
        """How large the inputs of an MLP may be so that no unit overflows."""
        most = LARGEST / 4.0
        while True:
            size = most
            for layer in model.layers:
                rows = zip(layer.weights, layer.intercepts, strict=True)
                size = max(math.fsum(abs(w) for w in weights) * size + abs(offset) for weights, offset in rows)
                if not size < LARGEST / 4.0:
                    break
                if model.activation in ("logistic", "tanh"):
                    size = min(size, 1.0)
            else:
                return most
            most /= 2.0

    def _schema(self, parent: Element, *, target: bool = True) -> None:
        schema = SubElement(parent, "MiningSchema")
        if target:
            SubElement(schema, "MiningField", {"name": self.target, "usageType": "target"})
        read = {self.program.inputs[place].name for place in vocabulary.read(self.program)}
        for item in self._inputs:
            facts = {} if item.null or item.name not in read else {"missingValueTreatment": "returnInvalid"}
            SubElement(schema, "MiningField", {"name": item.name, **facts})

    def _slope(self, place: int) -> tuple[float, float]:
        """Slope and offset of the calibration of a score."""
        lines = self.model.lines()
        return (lines[place].slope, lines[place].offset) if lines else (1.0, 0.0)

    def _table(
        self, parent: Element, model: Linear, place: int, *, category: Label | None = None, raw: bool = False
    ) -> None:
        """A RegressionTable of one of the scores, calibrated unless it is to be ``raw``."""
        slope, offset = (1.0, 0.0) if raw else self._slope(place)
        facts = {"intercept": number(slope * model.intercepts[place] + offset)}
        if category is not None:
            facts["targetCategory"] = label(category)
        table = SubElement(parent, "RegressionTable", facts)
        for (_, slot), weights in zip(self.program.columns, self.program.weights, strict=True):
            facts = {"name": self.columns.names[slot], "coefficient": number(slope * weights[place])}
            SubElement(table, "NumericPredictor", facts)
        if self._guard:
            SubElement(table, "NumericPredictor", {"name": self._guard, "coefficient": "0.0"})
        for group in self.program.groups:
            name, columns = self.columns.groups[group.slot]
            for column, weights in zip(columns, group.weights, strict=True):
                if weights[place]:
                    facts = {"name": name, "value": column, "coefficient": number(slope * weights[place])}
                    SubElement(table, "CategoricalPredictor", facts)

    def _regression(self, model: Linear) -> Element:
        """A RegressionModel: one table for each score, and one that says nothing for the other of two classes."""
        link = model.link
        function = "regression" if self.by_score else "classification"
        norm = {"log": "exp", "logistic": "logit", "softmax": "softmax"}.get(link, "none")
        found = Element("RegressionModel", {"functionName": function, "normalizationMethod": norm})
        self._schema(found)
        self._answers()
        self._output(found)
        if self.by_score:
            self._table(found, model, 0)
        elif model.outputs == 1:
            first, second = self.classes
            self._table(found, model, 0, category=second)
            SubElement(found, "RegressionTable", {"intercept": "0.0", "targetCategory": label(first)})
        else:
            for place, category in enumerate(self.classes):
                self._table(found, model, place, category=category)
        return found

    def _chained(
        self, linear: Linear, names: Sequence[str], norm: str, *, raw: bool = False
    ) -> tuple[Element, Element]:
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
            self._table(model, linear, place, raw=raw)
        model = segment(functionName="classification", normalizationMethod=norm)
        schema = SubElement(model, "MiningSchema")
        SubElement(schema, "MiningField", {"name": self.target, "usageType": "target"})
        for name in names:
            SubElement(schema, "MiningField", {"name": name})
        return found, model

    def _scored(self, linear: Linear) -> Element:
        """A classification between two whose label hangs on the score itself."""
        score = unique("raw score", self._names)
        found, model = self._chained(linear, [score], "logit", raw=True)
        self._answers([score])
        self._output(model)
        slope, offset = self._slope(0)
        first, second = self.classes
        table = SubElement(model, "RegressionTable", {"intercept": number(offset), "targetCategory": label(second)})
        SubElement(table, "NumericPredictor", {"name": score, "coefficient": number(slope)})
        SubElement(model, "RegressionTable", {"intercept": "0.0", "targetCategory": label(first)})
        return found

    def _chain(self, linear: Linear) -> Element:
        """One regression a class, and then one that makes of their margins probabilities whose sum is 1.

        A model without probabilities has them inside only: what the standard calls classification without
        normalisation takes the last score from the others.
        """
        names = [f"margin of {item}" for item in self.classes]
        if linear.outputs != len(names) or isinstance(linear, Ensemble):
            names = [f"score {place + 1}" for place in range(linear.outputs)]
        scores = [unique(name, self._names) for name in names]
        found, model = self._chained(linear, scores, "simplemax", raw=True)
        self._answers(scores)
        self._output(model)
        local = FieldList(self._names)
        shares = scores if linear.link == "none" else probabilities(local, linear, len(self.classes), scores)
        SubElement(model, "LocalTransformations").extend(local.elements)
        for name, category in zip(shares, self.classes, strict=True):
            table = SubElement(model, "RegressionTable", {"intercept": "0.0", "targetCategory": label(category)})
            SubElement(table, "NumericPredictor", {"name": name, "coefficient": "1.0"})
        return found

    def _network(self, network: Network) -> Element:
        """A NeuralNetwork; one logistic unit becomes two, one a class, by a layer more."""
        layers, link = network.layers, network.link
        function = "regression" if self.decision is None else "classification"
        activation = _ACTIVATIONS[network.activation]
        found = Element("NeuralNetwork", {"functionName": function, "activationFunction": activation})
        self._schema(found)
        self._answers()
        self._output(found)
        inputs = SubElement(found, "NeuralInputs")
        names = [self.columns.names[slot] for _, slot in self.program.columns] + ([self._guard] if self._guard else [])
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
            weights = layer.weights
            if depth == 0 and self._guard:
                weights = [[*row, 0.0] for row in weights]
            below = _layer(found, depth + 1, facts, below, weights, layer.intercepts)
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
                kind = KINDS[type(self.classes[place])]
                field = SubElement(output, "DerivedField", {"optype": "categorical", "dataType": kind})
                facts = {"field": self.target, "value": label(self.classes[place])}
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
        classes = self.classes
        if not self.scorecard.has_probabilities:
            self._largest(margins or [])
            for item, margin in zip(classes, margins or [], strict=True):
                self.outputs.add(reference(margin), f"decision({label(item)})", final=True)
            return
        for item in classes:
            name = f"probability({label(item)})"
            self.probabilities.append(self._feature("probability", name, "double", final=True, value=label(item)))
        if self.scorecard.threshold is not None:
            looked_at = {"scores": margins or [], "probabilities": self.probabilities}[self.rule.of]
            self._label_by(reference(looked_at[self.rule.place or 0]))
        elif margins is not None and self.rule.place is not None:
            self._label_by(reference(margins[self.rule.place]))
        elif margins is not None and self.rule.of == "margins":
            self._largest(margins)
        elif self.model.link in ("isotonic", "mean"):
            self._largest(self.probabilities)
        else:
            self._feature("predictedValue", "label", KINDS[type(classes[0])], final=True)

    def _prediction(self, score: str) -> None:
        """The prediction of a regression: the score, with the transform of the target undone, where all is finite."""
        held = self.outputs.add(apply("if", within(score), reference(score)), "finite score")
        if self.model.target:
            target = StepFields(self.outputs, "prediction step", []).run(
                Value(reference(held), True, True), self.model.target
            )
            held = self.outputs.held(target, "prediction step")
        self.outputs.add(apply("if", within(held), reference(held)), "prediction", final=True)

    def _label_by(self, value: Element) -> None:
        """The label of a decision between two, by what is looked at."""
        classes, rule = self.classes, self.rule
        value = apply("-", 0.0, value) if rule.negative else value
        above, least = ("greaterThan", 0.0) if rule.least is None else ("greaterOrEqual", rule.least)
        self._label(apply("if", apply(above, value, least), _class(classes[rule.yes]), _class(classes[rule.no])))

    def _largest(self, margins: list[str]) -> None:
        """The label of the class with the largest margin, the first of them."""
        classes = self.classes
        found = _class(classes[-1])
        for place in reversed(range(len(margins) - 1)):
            rest = [
                apply("greaterOrEqual", reference(margins[place]), reference(name)) for name in margins[place + 1 :]
            ]
            found = apply("if", both(rest), _class(classes[place]), found)
        self._label(found)

    def _label(self, expression: Element) -> None:
        self.outputs.add(expression, "label", kind=KINDS[type(self.classes[0])], final=True)

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


def _class(value: Label) -> Element:
    """A class as a constant of its type."""
    found = Element("Constant", {"dataType": KINDS[type(value)]})
    found.text = label(value)
    return found


def _layer(
    parent: Element,
    depth: int,
    facts: dict[str, str],
    below: Sequence[str],
    weights: Sequence[Sequence[float]],
    intercepts: Sequence[float],
) -> list[str]:
    layer = SubElement(parent, "NeuralLayer", {"numberOfNeurons": str(len(intercepts)), **facts})
    found = []
    for place, (row, offset) in enumerate(zip(weights, intercepts, strict=True)):
        found.append(f"{depth},{place + 1}")
        neuron = SubElement(layer, "Neuron", {"id": found[-1], "bias": number(offset)})
        for source, weight in zip(below, row, strict=True):
            SubElement(neuron, "Con", {"from": source, "weight": number(weight)})
    return found
