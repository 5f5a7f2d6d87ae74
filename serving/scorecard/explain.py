"""Why a linear model gives its answer: each term's exact share of the score, and the strongest reasons in words."""

import math

from .errors import Unsupported
from .inputs import NUMBER, InputError
from .rows import OVERFLOW


def explain(scorecard, row, *, label=None, reasons: int = 4) -> dict:
    """The terms of a row's score, and the strongest reasons.

    Parameters
    ----------
    scorecard : a linear ``Scorecard``.
    row : mapping of input name to raw value.
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
    plan, model = scorecard.plan, scorecard.document["model"]
    if model["kind"] != "linear":
        raise Unsupported("", "an MLP", "its score is no sum of terms: explain works for linear models")
    prediction = scorecard.predict_row(row)
    classes = scorecard.classes
    output, sign = 0, 1.0
    if classes is None:
        if label is not None:
            raise Unsupported("", "a regression", "it has no classes to explain")
        shown = None
    else:
        shown = label if label is not None else scorecard.positive if len(classes) == 2 else prediction
        place = _place(classes, shown)
        if len(model["intercepts"]) == 1:
            sign = 1.0 if place == 1 else -1.0
        else:
            output = place
    slope, offset = 1.0, 0.0
    if model["calibration"] is not None:
        slope, offset = model["calibration"][output]["slope"], model["calibration"][output]["offset"]
    slope, offset = sign * slope, sign * offset
    values = scorecard.rows.fill(row)
    baseline = slope * model["intercepts"][output] + offset
    terms = []
    for (name, slot), weights in zip(plan.columns, plan.weights, strict=True):
        terms.append((name, slope * (weights[output] * values[slot])))
    for slot, table, names in plan.groups:
        if values[slot] >= 0:
            terms.append((names[values[slot]], slope * table[values[slot]][output]))
    terms = [(name, contribution) for name, contribution in terms if contribution != 0.0]
    try:
        score = math.fsum([baseline, *(contribution for _, contribution in terms)])
    except (OverflowError, ValueError):
        raise InputError(plan.blame(terms[0][0]), OVERFLOW) from None
    return {
        "prediction": prediction,
        "class": shown,
        "scale": _scale(scorecard, model),
        "score": score,
        "baseline": baseline,
        "terms": [
            {"term": name, "inputs": list(plan.origin[name]), "contribution": contribution}
            for name, contribution in terms
        ],
        "reasons": _reasons(plan, values, terms, reasons),
    }


def _place(classes, label) -> int:
    for place, known in enumerate(classes):
        if known == label and isinstance(known, bool) == isinstance(label, bool):
            return place
    raise Unsupported("", "classifier", f"expected one of the classes {classes}, found another label")


def _scale(scorecard, model) -> str:
    if scorecard.task == "regression":
        return "log of the target" if model["link"] == "log" else "transformed target" if model["target"] else "target"
    return "log-odds" if model["link"] in ("logistic", "one-vs-rest") else "decision score"


def _reasons(plan, values, terms, most: int) -> list[dict]:
    shares: dict[tuple, list] = {}
    for name, contribution in terms:
        if plan.origin[name]:
            shares.setdefault(plan.origin[name], []).append(contribution)
    known = {item.name: (item, values[place]) for place, item in enumerate(plan.inputs)}
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


def _said(item, value) -> str:
    if value is None or value != value:
        return f"{item.name} is missing"
    if isinstance(value, str):
        return f"{item.name} is {value}"
    if item.type != NUMBER:
        return f"{item.name} is {'true' if value else 'false'}"
    return f"{item.name} is {value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{item.name} is {value:.6g}"
