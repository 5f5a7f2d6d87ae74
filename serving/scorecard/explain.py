"""Why a linear model gives its answer: each term's exact share of the score, and the strongest reasons in words."""

import math

from .errors import Unsupported
from .inputs import NUMBER, Input, InputError
from .nodes import Ensemble, Label, Linear
from .program import Program
from .rows import OVERFLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .rows import RowScorer


def explain(
    rows: "RowScorer",
    row: "Mapping[str, Any]",
    *,
    prediction: "Any",
    classes: "Sequence[Label] | None" = None,
    positive: Label | None = None,
    label: Label | None = None,
    reasons: int = 4,
) -> "dict[str, Any]":
    """The terms of a row's score, and the strongest reasons.

    Parameters
    ----------
    rows : the evaluation of rows of a linear model.
    row : mapping of input name to raw value.
    prediction : the model's answer to the row.
    classes, positive : the labels in order, and the positive one of two; None for a regression.
    label : the class whose score is explained; by default the positive one of two, the predicted one of several.
    reasons : how many reasons to give at most.

    Returns
    -------
    dict
        ``prediction``; ``class`` (None for a regression); ``scale``, what the score is: ``target``,
        ``transformed target``, ``log of the target``, ``log-odds`` or ``decision score``; ``score``; ``baseline``,
        the score without any term; ``terms``, a list of ``{"term", "inputs", "contribution"}`` without those that
        contribute nothing: ``score == math.fsum([baseline, *contributions])``, exactly; ``reasons``, the terms of
        the same inputs together, strongest first: ``{"inputs", "contribution", "text"}``.

    Raises
    ------
    InputError
        where a value cannot be taken.
    Unsupported
        for an MLP, whose score is no sum of terms; for a label that the model does not know.
    """
    program = rows.program
    model = explainable(program)
    if classes is None:
        if label is not None:
            raise Unsupported("", "a regression", "it has no classes to explain")
        shown = None
    else:
        shown = label if label is not None else positive if len(classes) == 2 else prediction
    output, slope, offset = direction(model, classes, shown)
    values = rows.fill(row)
    baseline = slope * model.intercepts[output] + offset
    terms = []
    for (name, slot), weights in zip(program.columns, program.weights, strict=True):
        terms.append((name, slope * (weights[output] * values[slot])))
    for group in program.groups:
        place = values[group.slot]
        if place >= 0:
            terms.append((group.names[place], slope * group.weights[place][output]))
    terms = [(name, contribution) for name, contribution in terms if contribution != 0.0]
    try:
        score = math.fsum([baseline, *(contribution for _, contribution in terms)])
    except (OverflowError, ValueError):
        raise InputError(program.blame(terms[0][0]), OVERFLOW) from None
    return {
        "prediction": prediction,
        "class": shown,
        "scale": scale(model, regression=classes is None),
        "score": score,
        "baseline": baseline,
        "terms": [
            {"term": name, "inputs": list(program.origin[name]), "contribution": contribution}
            for name, contribution in terms
        ],
        "reasons": _reasons(program, values, terms, reasons),
    }


def explainable(program: Program) -> Linear:
    """The model of a program as one whose score is a sum of terms; raises Unsupported if it is not."""
    model = program.document.model
    if isinstance(model, Ensemble):
        raise Unsupported(
            "", "an ensemble", "its answer is a mean of several models: explain works for one linear model"
        )
    if not isinstance(model, Linear):
        raise Unsupported("", "an MLP", "its score is no sum of terms: explain works for linear models")
    return model


def direction(model: Linear, classes: "Sequence[Label] | None", label: Label | None) -> tuple[int, float, float]:
    """Which score speaks for a class, and the slope and the offset that make the explained score of it.

    Parameters
    ----------
    classes, label : the labels in order, and the one that is explained; None for a regression.
    """
    output, sign = 0, 1.0
    if classes is not None:
        place = _place(classes, label)
        if model.outputs == 1:
            sign = 1.0 if place == 1 else -1.0
        else:
            output = place
    slope, offset = 1.0, 0.0
    if lines := model.lines():
        slope, offset = lines[output].slope, lines[output].offset
    return output, sign * slope, sign * offset


def _place(classes: "Sequence[Label]", label: Label | None) -> int:
    for place, known in enumerate(classes):
        if known == label and isinstance(known, bool) == isinstance(label, bool):
            return place
    raise Unsupported("", "classifier", f"expected one of the classes {classes}, found another label")


def scale(model: Linear, *, regression: bool) -> str:
    """What the score of a linear model is, in words."""
    if regression:
        return "log of the target" if model.link == "log" else "transformed target" if model.target else "target"
    return "log-odds" if model.link in ("logistic", "one-vs-rest") else "decision score"


def _reasons(
    program: Program, values: "Sequence[Any]", terms: list[tuple[str, float]], most: int
) -> "list[dict[str, Any]]":
    shares: dict[tuple[str, ...], list[float]] = {}
    for name, contribution in terms:
        if program.origin[name]:
            shares.setdefault(program.origin[name], []).append(contribution)
    known = {item.name: (item, values[place]) for place, item in enumerate(program.inputs)}
    found = [(inputs, math.fsum(contributions)) for inputs, contributions in shares.items()]
    found = [item for item in found if item[1] != 0.0]
    found.sort(key=lambda item: -abs(item[1]))
    return [
        {
            "inputs": list(inputs),
            "contribution": contribution,
            "text": f"{' and '.join(_said(*known[name]) for name in inputs)}"
            f" {'raises' if contribution > 0 else 'lowers'} the score by {abs(contribution):.4g}",
        }
        for inputs, contribution in found[:most]
    ]


def _said(item: Input, value: float | str | None) -> str:
    if value is None or value != value:
        return f"{item.name} is missing"
    if isinstance(value, str):
        return f"{item.name} is {value}"
    if item.type != NUMBER:
        return f"{item.name} is {'true' if value else 'false'}"
    return f"{item.name} is {value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{item.name} is {value:.6g}"
