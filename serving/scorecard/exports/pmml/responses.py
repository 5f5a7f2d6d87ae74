"""From the scores of a classifier to the probabilities of its classes, as PMML fields."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from ...nodes import Ensemble, Linear, Response
from .expressions import FieldList, Value, apply, reference
from .steps import StepFields


def probabilities(fields: FieldList, model: Linear, classes: int, scores: Sequence[str]) -> list[str]:
    """Fields with one probability a class, not divided by their sum where a model that stands alone has several scores.

    Parameters
    ----------
    scores : the field of each score.
    """
    if not isinstance(model, Ensemble):
        return _of(fields, model, scores, normalised=False)
    terms: list[list[Element]] = [[] for _ in range(classes)]
    for member, start, stop in model.parts(classes):
        for found, p in zip(terms, _of(fields, member, scores[start:stop], normalised=True), strict=True):
            found.append(reference(p) if member.weight == 1.0 else apply("*", reference(p), member.weight))
    weight = sum(member.weight for member in model.members)
    sums = [apply("sum", *found) if len(found) > 1 else found[0] for found in terms]
    return [fields.add(apply("/", one, weight), "mean") for one in sums]


def _of(fields: FieldList, response: Response, scores: Sequence[str], *, normalised: bool) -> list[str]:
    curves = response.curves(len(scores))
    if curves:
        run = StepFields(fields, "share", []).run
        points = (run(Value(reference(one), True, True), [curve]) for one, curve in zip(scores, curves, strict=True))
        shares = [fields.held(point, "share") for point in points]
    else:
        margins = _margins(fields, response, scores)
        if response.link == "softmax":
            return _softmax(fields, margins)
        shares = [fields.add(logistic(one), "share") for one in margins]
    if len(shares) == 1:
        return [fields.add(apply("-", 1.0, reference(shares[0])), "other share"), shares[0]]
    total = fields.add(apply("sum", *map(reference, shares)), "total of shares")
    found = []
    for share in shares:
        if normalised:
            one, none = apply("/", reference(share), reference(total)), 1.0 / len(shares)
        else:
            one, none = reference(share), 1.0
        found.append(fields.add(apply("if", apply("greaterThan", reference(total), 0.0), one, none), share))
    return found


def _margins(fields: FieldList, response: Response, scores: Sequence[str]) -> list[str]:
    lines = response.lines()
    return (
        [
            fields.add(apply("+", apply("*", reference(one), line.slope), line.offset), "margin")
            for one, line in zip(scores, lines, strict=True)
        ]
        if lines
        else list(scores)
    )


def _softmax(fields: FieldList, margins: Sequence[str]) -> list[str]:
    largest = fields.add(apply("max", *map(reference, margins)), "largest")
    powers = [fields.add(apply("exp", apply("-", reference(one), reference(largest))), "power") for one in margins]
    total = fields.add(apply("sum", *map(reference, powers)), "total of powers")
    return [fields.add(apply("/", reference(one), reference(total)), "share") for one in powers]


def logistic(name: str) -> Element:
    """1 / (1 + exp(-x)): where exp overflows it is 0, as it should be."""
    return apply("/", 1.0, apply("+", 1.0, apply("exp", apply("-", 0.0, reference(name)))))
