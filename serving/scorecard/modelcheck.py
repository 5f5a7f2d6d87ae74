"""Checks of the model in a document and of its decision, beyond what the types of their fields say."""

import math

from . import fields, stepcheck
from .errors import ScorecardError
from .fields import NUMBER
from .nodes import (
    ESTIMATORS,
    LINKS,
    ClassDecision,
    Ensemble,
    Estimator,
    Linear,
    Member,
    Network,
    Platt,
    Term,
    Threshold,
)
from .steps import TARGET_STEPS, Piecewise, read_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: By how much a probability on a line may be beyond 0 or 1.
_ROUNDED = 1e-9


def model(model: "Any", columns: dict[str, str], task: str) -> int:
    """Checks a model; how many scores it gives."""
    if not isinstance(model, dict):
        fields.fail("model", "an object", model)
    cls = ESTIMATORS[fields.choice(model.get("kind"), "model.kind", tuple(ESTIMATORS))]
    fields.keys(model, "model", ("kind", *cls.fields))
    outputs = _ESTIMATORS[cls](model, columns)
    if cls is Ensemble:
        if task != "classification":
            raise ScorecardError("model: only a classification is an ensemble")
        fields.choice(model["link"], "model.link", Ensemble.choices["link"])
        if model["calibration"] is not None:
            raise ScorecardError("model.calibration: the members of an ensemble are calibrated")
        _target(model["target"], task)
        return outputs
    link = fields.choice(model["link"], "model.link", LINKS[task])
    if task == "regression" and outputs != 1 or link == "logistic" and outputs != 1:
        raise ScorecardError(f"model: a {task} model with the {link} link has one score, found {outputs}")
    if link in ("softmax", "one-vs-rest") and outputs < 2:
        raise ScorecardError(f"model: the {link} link wants several scores, found one")
    _calibration(model["calibration"], "model.calibration", link, outputs)
    _target(model["target"], task)
    return outputs


def _calibration(calibration: "Any", at: str, link: str, outputs: int) -> None:
    if calibration is None:
        if link == "isotonic":
            fields.fail(at, "a curve for each score, as the isotonic link wants them", calibration)
        return
    if link not in ("logistic", "one-vs-rest", "isotonic"):
        raise ScorecardError(f"{at}: only the logistic, one-vs-rest and isotonic links are calibrated")
    if len(fields.listed(calibration, at)) != outputs:
        fields.fail(at, f"{outputs} items, one a score", calibration)
    for place, item in enumerate(calibration):
        if link != "isotonic":
            fields.node(item, f"{at}[{place}]", Platt)
        else:
            fields.keys(item, f"{at}[{place}]", (Piecewise.name,))
            stepcheck.steps([item], f"{at}[{place}]", NUMBER)
            _curve(read_step(Piecewise.name, item[Piecewise.name]), f"{at}[{place}].{Piecewise.name}")


def _curve(curve: "Any", at: str) -> None:
    """Refuses pieces that are no probabilities: they are level at both ends, and lines between."""
    point, edges, pieces = curve.bind("the score"), curve.edges, curve.coefficients
    if any(not 1 <= len(row) <= 2 for row in pieces) or any(len(row) > 1 for row in (pieces[0], pieces[-1])):
        raise ScorecardError(f"{at}.coefficients: expected one or two numbers for each interval, one for the outermost")
    ends = [
        pieces[0][0],
        pieces[-1][0],
        *map(point, edges),
        *(point(math.nextafter(edge, -math.inf)) for edge in edges),
    ]
    if not all(-_ROUNDED <= end <= 1.0 + _ROUNDED for end in ends):
        raise ScorecardError(f"{at}.coefficients: expected probabilities, from 0 to 1")


def _target(target: "Any", task: str) -> None:
    fields.listed(target, "model.target")
    if target and task != "regression":
        raise ScorecardError("model.target: only a regression has its target transformed")
    known = [step.name for step in TARGET_STEPS]
    if any(name not in known for step in target if isinstance(step, dict) for name in step):
        raise ScorecardError(f"model.target: expected steps among {', '.join(known)}")
    stepcheck.steps(target, "model.target", NUMBER)


def _linear(model: "dict[str, Any]", columns: dict[str, str]) -> int:
    fields.numbers(model["intercepts"], "model.intercepts")
    outputs, seen = len(model["intercepts"]), set()
    for place, term in enumerate(fields.listed(model["terms"], "model.terms")):
        at = f"model.terms[{place}]"
        fields.node(term, at, Term)
        fields.reference(term["column"], columns, f"{at}.column", NUMBER)
        if term["column"] in seen:
            raise ScorecardError(f"{at}: the column {term['column']!r} has a term already")
        seen.add(term["column"])
        fields.length(term["weights"], f"{at}.weights", outputs)
    if outputs == 0:
        raise ScorecardError("model.intercepts: expected a number for each score, found none")
    return outputs


def _ensemble(model: "dict[str, Any]", columns: dict[str, str]) -> int:
    if not fields.listed(model["members"], "model.members"):
        raise ScorecardError("model.members: expected at least one member, found none")
    for place, member in enumerate(model["members"]):
        at = f"model.members[{place}]"
        fields.keys(member, at, Member.fields)
        for name in ("link", "weight"):
            fields.check(Member, name)(member[name], f"{at}.{name}", NUMBER)
        if member["weight"] < 0:
            fields.fail(f"{at}.weight", "a number that is not negative", member["weight"])
    if not any(member["weight"] for member in model["members"]):
        raise ScorecardError("model.members: expected a weight above 0, found none")
    return _linear(model, columns)


def _members(model: "dict[str, Any]", classes: int, outputs: int) -> None:
    """Checks the scores of an ensemble's members, which hang on how many classes there are."""
    expected = 0
    for place, item in enumerate(model["members"]):
        at, link = f"model.members[{place}]", item["link"]
        if link in ("logistic", "one-vs-rest") and (link == "logistic") != (classes == 2):
            raise ScorecardError(f"{at}.link: {link} does not fit {classes} classes")
        scores = Member(link, None, 1.0).scores(classes)
        _calibration(item["calibration"], f"{at}.calibration", link, scores)
        expected += scores
    if outputs != expected:
        raise ScorecardError(f"model: expected {expected} scores for its members, found {outputs}")


def _network(model: "dict[str, Any]", columns: dict[str, str]) -> int:
    for name in ("columns", "activation", "layers"):
        fields.check(Network, name)(model[name], f"model.{name}", NUMBER)
    for place, name in enumerate(model["columns"]):
        fields.reference(name, columns, f"model.columns[{place}]", NUMBER)
    width = len(model["columns"])
    if not model["layers"]:
        raise ScorecardError("model.layers: expected at least one layer, found none")
    for place, layer in enumerate(model["layers"]):
        at, units = f"model.layers[{place}]", len(layer["intercepts"])
        if len(layer["weights"]) != units or not units:
            fields.fail(f"{at}.weights", f"{units} lists, one a unit", layer["weights"])
        for unit, row in enumerate(layer["weights"]):
            fields.length(row, f"{at}.weights[{unit}]", width)
        width = units
    return width


_ESTIMATORS: "dict[type[Estimator], Callable[[dict[str, Any], dict[str, str]], int]]" = {
    Linear: _linear,
    Network: _network,
    Ensemble: _ensemble,
}


def decision(decision: "Any", task: str, outputs: int, model: "dict[str, Any]") -> None:
    """Checks how the label follows from the scores of a checked model."""
    if task == "regression":
        if decision is not None:
            fields.fail("decision", "null, as for every regression", decision)
        return
    fields.keys(decision, "decision", ClassDecision.fields)
    classes = fields.listed(decision["classes"], "decision.classes")
    kinds = {type(label) for label in classes}
    if len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        fields.fail("decision.classes", "labels of one type: all text, whole numbers, numbers or booleans", classes)
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ScorecardError("decision.classes: expected two or more different labels")
    if model["kind"] == Ensemble.kind:
        _members(model, len(classes), outputs)
    elif outputs != (1 if len(classes) == 2 else len(classes)) and not (len(classes) == 2 == outputs):
        raise ScorecardError(f"decision.classes: {outputs} scores do not fit {len(classes)} classes")
    threshold = decision["threshold"]
    if threshold is None:
        return
    fields.node(threshold, "decision.threshold", Threshold)
    if len(classes) != 2 or (outputs != 1 and model["kind"] != Ensemble.kind):
        raise ScorecardError("decision.threshold: only a decision between two classes has a threshold")
    if threshold["on"] == "score" and model["kind"] == Ensemble.kind:
        raise ScorecardError("decision.threshold.on: an ensemble has no score of its own")
    if threshold["on"] == "probability" and model["link"] == "none":
        raise ScorecardError("decision.threshold.on: the model has no probabilities")
    if not any(label == threshold["positive"] and type(label) is type(threshold["positive"]) for label in classes):
        raise ScorecardError("decision.threshold.positive: expected one of the classes")
