"""From the scores of a classifier to its margins and to the probabilities of its classes, as ONNX operators."""

import numpy as np

from ...nodes import Ensemble, Estimator, Response
from . import steps
from .graph import Graph, logistic


def margins(graph: Graph, response: Response, scores: str) -> str:
    """The scores (rows, scores) after their lines."""
    lines = response.lines()
    if not lines:
        return scores
    slopes, offsets = [[line.slope for line in lines]], [[line.offset for line in lines]]
    return graph.put("Add", graph.put("Mul", scores, graph.constant(slopes)), graph.constant(offsets))


def probabilities(graph: Graph, model: Estimator, classes: int, scores: str) -> str:
    """The probabilities (rows, classes) of scores (rows, scores)."""
    if not isinstance(model, Ensemble):
        return _of(graph, model, model.outputs, scores)
    total = ""
    for member, start, stop in model.parts(classes):
        found = _of(graph, member, stop - start, graph.columns(scores, [*range(start, stop)]))
        found = graph.put("Mul", found, graph.constant(member.weight))
        total = graph.put("Add", total, found) if total else found
    return graph.put("Div", total, graph.constant(sum(member.weight for member in model.members)))


def _of(graph: Graph, response: Response, outputs: int, scores: str) -> str:
    curves = response.curves(outputs)
    if curves:
        columns = [graph.columns(scores, [place]) for place in range(outputs)]
        points = [
            steps.chain(graph, [[curve]], column, bounded=True, fine=[])  # scores are finite, else the row is refused
            for curve, column in zip(curves, columns, strict=True)
        ]
        return _shared(graph, graph.beside(points), outputs)
    found = margins(graph, response, scores)
    if response.link == "softmax":
        return graph.put("Softmax", found, axis=1)
    return _shared(graph, logistic(graph, found), outputs)


def _shared(graph: Graph, shares: str, outputs: int) -> str:
    """Probabilities of classes: of two from that of the second, of several from one each, normalised."""
    if outputs == 1:
        return graph.beside([graph.put("Sub", graph.constant(1.0), shares), shares])
    total = graph.put("ReduceSum", shares, graph.constant([1], np.int64), keepdims=1)
    some = graph.put("Greater", total, graph.constant(0.0))
    return graph.where(some, graph.put("Div", shares, total), graph.constant(1.0 / outputs))
