"""The graph of a scorecard: from raw columns to an answer and to whether it is one."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from ...handlers import handler
from ...inputs import BOOLEAN, CATEGORY
from ...nodes import ClassDecision, DecisionRule, Ensemble, Estimator, Label, Linear, Network, decision_rule
from ...program import ApplySteps, CombineSources, Encode, Indicate, MultiplySources, Operation
from ...scorecard import Scorecard
from .. import vocabulary
from . import quantization, responses, steps, text
from .graph import Graph, logistic

#: Stands for the label of a row that is not valid, where labels are whole numbers.
NO_LABEL = -(2**63)


class OnnxModel:
    """Puts a scorecard's operations into a graph.

    Parameters
    ----------
    graph : takes the nodes.
    missing : the text that stands for a missing one.
    quantize : whether the layers of an MLP are to compute in whole numbers of 8 bits.
    """

    def __init__(self, graph: Graph, scorecard: Scorecard, *, missing: str, quantize: bool = False) -> None:
        self.graph, self.scorecard, self.program = graph, scorecard, scorecard.program
        self.model, self.decision = scorecard.document.model, scorecard.document.decision
        self._missing, self._quantize = missing, quantize
        #: Conditions, (rows, any number), that a row has to meet to be valid.
        self._fine: list[str] = []
        #: Where each slot's numbers are: a tensor (rows, columns), and a column of it.
        self._found: dict[int, tuple[str, int]] = {}
        self._widths: dict[str, int] = {}
        self._bounded: set[str] = set()
        self._shares: list[str] = []
        #: Slots whose numbers something hangs on; the place in a group may only choose its weights.
        self._used = {slot for _, slot in self.program.columns} | {check.slot for check in self.program.checks}
        self._like = self.program.inputs[vocabulary.fed(self.program)[0]].name

    def outputs(self) -> dict[str, str]:
        """The tensor of each answer by its name: ``prediction``, or ``label`` and what goes with it; and ``valid``."""
        self._numbers()
        operations, texts = vocabulary.operations(self.program), vocabulary.vocabularies(self.program)
        made = {slot for words in texts for slot in words.values}
        todo = [one for one in operations if one.slot not in made]
        self._used |= {source for one in todo for source in one.sources}
        for words in texts:
            self._text(words)
        self._operations(todo)
        for check in self.program.checks:
            self._fine.append(self.graph.finite(self._matrix([check.slot])))
        inputs = self._matrix([slot for _, slot in self.program.columns]) if self.program.columns else None
        scores = handler(_SCORES, self.model, "ONNX")(self, self.model, inputs)
        self._fine.append(self.graph.finite(scores))
        if self.decision is None:
            answers, classes = self._prediction(scores), []
        else:
            answers, classes = self._classification(scores, self.decision), self.decision.classes
        valid = self.graph.all(self._fine)
        found = {name: self._shown(name, tensor, valid, classes) for name, tensor in answers.items()}
        return {**found, "valid": valid}

    def _shown(self, name: str, tensor: str, valid: str, classes: Sequence[Label]) -> str:
        """An answer where a row is valid; elsewhere what is none."""
        if name == "label":
            return self._label(tensor, valid, classes)
        return self.graph.where(valid, tensor, self.graph.constant(math.nan))

    def _put(self, tensor: str, slots: list[int], *, bounded: bool) -> None:
        """Says which slots a tensor's columns are."""
        self._found.update({slot: (tensor, place) for place, slot in enumerate(slots)})
        self._widths[tensor] = len(slots)
        if bounded:
            self._bounded.add(tensor)

    def _matrix(self, slots: list[int]) -> str:
        """The numbers in these slots, side by side."""
        parts = []
        for tensor, places in itertools.groupby((self._found[slot] for slot in slots), key=lambda item: item[0]):
            chosen = [place for _, place in places]
            whole = chosen == list(range(self._widths[tensor]))
            parts.append(tensor if whole else self.graph.columns(tensor, chosen))
        return self.graph.beside(parts)

    def _numbers(self) -> None:
        """The inputs that are numbers, and what they have to be."""
        graph, inputs = self.graph, self.program.inputs
        places = [place for place in vocabulary.read(self.program) if inputs[place].type != CATEGORY]
        if not places:
            return
        self._put(graph.beside([inputs[place].name for place in places]), places, bounded=True)
        kinds = {
            "given": [place for place in places if not inputs[place].null],
            "bounded": [place for place in places if inputs[place].null],
            "whole": [place for place in places if inputs[place].integer],
            "truth": [place for place in places if inputs[place].type == BOOLEAN],
        }
        chosen = {kind: self._matrix(found) for kind, found in kinds.items() if found}
        if "given" in chosen:
            self._fine.append(graph.finite(chosen["given"]))
        if "bounded" in chosen:
            self._fine.append(graph.put("Not", graph.put("IsInf", chosen["bounded"])))
        if "whole" in chosen:  # of a missing number nothing is greater
            rest = graph.put("Sub", chosen["whole"], graph.put("Floor", chosen["whole"]))
            self._fine.append(graph.put("Not", graph.put("Greater", rest, graph.constant(0.0))))
        if "truth" in chosen:
            x = chosen["truth"]
            either = graph.put("Or", *(graph.put("Equal", x, graph.constant(value)) for value in (0.0, 1.0)))
            self._fine.append(graph.put("Or", either, graph.put("IsNaN", x)))

    def _text(self, words: vocabulary.Vocabulary) -> None:
        """One input of text: the numbers that operations make of it, those that are used, are looked up."""
        graph, name = self.graph, self.program.inputs[words.place].name
        places = text.places(graph, name, words, self.program.cleaning, self._missing)
        allowed = [[item] for item in words.fine()]
        if not all(item for (item,) in allowed):
            self._fine.append(graph.put("Gather", graph.constant(allowed, bool), places, axis=0))
        slots = [slot for slot, values in words.values.items() if slot in self._used]
        if slots:
            table = [[_number(words.values[slot][place]) for slot in slots] for place in range(words.size)]
            self._put(steps.pick(graph, places, table), slots, bounded=False)
        for group in self.program.groups:
            if group.slot in words.values:
                codes = [code if isinstance(code, int) else -1 for code in words.values[group.slot]]
                self._shares.append(steps.pick(graph, places, [list(group.weights[code]) for code in codes]))

    def _operations(self, operations: Sequence[Operation]) -> None:
        """Operations on numbers, those of a kind at once where none needs another's result."""
        depth: dict[int, int] = {}
        for one in operations:
            depth[one.slot] = 1 + max((depth.get(source, 0) for source in one.sources), default=0)
        groups: dict[tuple, list[Any]] = {}
        for one in operations:
            alike: object = one.slot
            if isinstance(one, ApplySteps):
                alike = steps.signature(one.steps)
            elif isinstance(one, MultiplySources):
                alike = len(one.sources)
            elif isinstance(one, (Indicate, CombineSources)):
                alike = one.sources
            groups.setdefault((depth[one.slot], type(one), alike), []).append(one)
        for key in sorted(groups, key=lambda key: key[0]):
            _OPERATIONS[key[1]](self, groups[key])

    def _apply(self, operations: Sequence[ApplySteps]) -> None:
        x = self._matrix([one.sources[0] for one in operations])
        bounded = all(self._found[one.sources[0]][0] in self._bounded for one in operations)
        found = steps.chain(self.graph, [one.steps for one in operations], x, bounded=bounded, fine=self._fine)
        self._put(found, [one.slot for one in operations], bounded=False)

    def _product(self, operations: Sequence[MultiplySources]) -> None:
        if not operations[0].sources:
            found = self.graph.filled(self._like, 1.0)
            for one in operations:
                self._put(found, [one.slot], bounded=True)
            return
        factors = [self._matrix(list(sources)) for sources in zip(*(one.sources for one in operations), strict=True)]
        found = factors[0]
        for factor in factors[1:]:
            found = self.graph.put("Mul", found, factor)
        self._put(found, [one.slot for one in operations], bounded=False)

    def _combine(self, operations: Sequence[CombineSources]) -> None:
        sources, slots = list(operations[0].sources), [one.slot for one in operations]
        offsets = self.graph.constant([[one.offset for one in operations]])
        if sources:
            weights = np.array([one.weights for one in operations], dtype=np.float64).T
            found = self.graph.weighted(self._matrix(sources), weights, offsets)
        else:
            found = self.graph.put("Mul", self.graph.filled(self._like, 1.0), offsets)
        self._put(found, slots, bounded=False)

    def _encode(self, operations: Sequence[Encode]) -> None:
        """Places in a one-hot group of numbers."""
        (operation,) = operations
        graph, one_hot, (source,) = self.graph, operation.one_hot, operation.sources
        bounded = self._found[source][0] in self._bounded and not operation.steps
        x = steps.chain(graph, [operation.steps], self._matrix([source]), bounded=bounded, fine=self._fine)
        if not bounded:
            self._fine.append(graph.put("Not", graph.put("IsInf", x)))
        places, found = steps.find(graph, x, one_hot.places(), one_hot.other)
        steps.allow(graph, places, [code is not None for code in found], self._fine)
        codes = [-1 if code is None else int(code) for code in found]
        if operation.slot in self._used:
            self._put(steps.pick(graph, places, [float(code) for code in codes]), [operation.slot], bounded=True)
        for group in self.program.groups:
            if group.slot == operation.slot:
                rows = graph.put("Squeeze", places, graph.constant([1], np.int64))
                self._shares.append(steps.pick(graph, rows, [list(group.weights[code]) for code in codes]))

    def _indicate(self, operations: Sequence[Indicate]) -> None:
        code = self._matrix([operations[0].sources[0]])
        places = self.graph.constant([[float(one.place) for one in operations]])
        found = self.graph.cast(self.graph.put("Equal", code, places))
        self._put(found, [one.slot for one in operations], bounded=True)

    def _linear(self, model: Linear, inputs: str | None) -> str:
        """The scores of a linear model (rows, scores)."""
        graph = self.graph
        intercepts = graph.constant([model.intercepts])
        if inputs is None:
            total = graph.put("Mul", graph.filled(self._like, 1.0), intercepts)
        else:
            total = graph.weighted(inputs, [list(row) for row in self.program.weights], intercepts)
        for share in self._shares:
            total = graph.put("Add", total, share)
        return total

    def _network(self, model: Network, inputs: str | None) -> str:
        """The scores of an MLP."""
        graph = self.graph
        current = graph.filled(self._like, 0.0) if inputs is None else inputs
        if self._quantize:
            self._fine.append(graph.finite(current))
        last = len(model.layers) - 1
        for place, layer in enumerate(model.layers):
            weights = np.array(layer.weights, dtype=np.float64)
            if inputs is None and place == 0:
                weights = np.zeros((len(weights), 1))
            intercepts = graph.constant([layer.intercepts])
            if self._quantize:
                current = graph.put("Add", quantization.product(graph, current, weights), intercepts)
            else:
                current = graph.weighted(current, weights.T, intercepts)
            if place < last:
                self._fine.append(graph.finite(current))
                current = _activated(graph, current, model.activation)
        return current

    def _prediction(self, scores: str) -> dict[str, str]:
        graph = self.graph
        found = steps.chain(graph, [self.model.after_score], scores, bounded=False, fine=self._fine)
        self._fine.append(graph.finite(found))
        return {"prediction": found}

    def _classification(self, scores: str, decision: ClassDecision) -> dict[str, str]:
        """The place of the label (rows, 1), the probabilities and the decision, where there are any."""
        graph, likely = self.graph, ""
        if self.scorecard.has_probabilities:
            likely = responses.probabilities(graph, self.model, len(decision.classes), scores)
        rule = decision_rule(self.model, decision)
        if rule.of == "margins":
            numbers = responses.margins(graph, self.model, scores)
        else:
            numbers = scores if rule.of == "scores" else likely
        found = {"label": self._place(rule, numbers)}
        if likely:
            found["probabilities"] = likely
        if self.scorecard.has_decision:
            found["decision"] = scores
        return found

    def _place(self, rule: DecisionRule, numbers: str) -> str:
        """The place of the label, by the scores, margins or probabilities that its rule looks at."""
        graph = self.graph
        if rule.place is None:
            return graph.put("ArgMax", numbers, axis=1, keepdims=1)
        value = graph.columns(numbers, [rule.place])
        value = graph.put("Neg", value) if rule.negative else value
        operator, least = ("Greater", 0.0) if rule.least is None else ("GreaterOrEqual", rule.least)
        reached = graph.put(operator, value, graph.constant(least))
        return graph.cast(reached if rule.yes else graph.put("Not", reached), TensorProto.INT64)

    def _label(self, place: str, valid: str, classes: Sequence[Label]) -> str:
        """The label at a place, in the type of the labels; one that is none of them where a row is not valid."""
        graph = self.graph
        place = graph.where(valid, place, graph.constant(len(classes), np.int64))
        if isinstance(classes[0], str):
            nothing = ""
            while nothing in classes:
                nothing = f"<{nothing or 'NA'}>"
            table = graph.constant([*classes, nothing], object)
        elif isinstance(classes[0], float):
            table = graph.constant([*classes, math.nan])
        else:
            table = graph.constant([*map(int, classes), NO_LABEL], np.int64)
        return graph.put("Gather", table, place, axis=0)


_OPERATIONS: dict[type[Operation], Callable[[OnnxModel, Any], None]] = {
    ApplySteps: OnnxModel._apply,
    MultiplySources: OnnxModel._product,
    CombineSources: OnnxModel._combine,
    Encode: OnnxModel._encode,
    Indicate: OnnxModel._indicate,
}
_SCORES: dict[type[Estimator], Callable[[OnnxModel, Any, str | None], str]] = {
    Linear: OnnxModel._linear,
    Network: OnnxModel._network,
    Ensemble: OnnxModel._linear,
}


def _number(value: object) -> float:
    """What stands in a table: a text's number, NaN where it is missing or refused."""
    return float(value) if isinstance(value, (int, float)) else math.nan


def _activated(graph: Graph, x: str, activation: str) -> str:
    if activation == "logistic":
        return logistic(graph, x)
    return x if activation == "identity" else graph.put({"tanh": "Tanh", "relu": "Relu"}[activation], x)
