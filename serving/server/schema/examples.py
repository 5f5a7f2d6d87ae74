"""Requests that a version answers, made of its own input columns, in each wire format."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input, InputError
from serving.server.protocols.v2 import datatype
from serving.server.state import Version

# What is tried where a model brings no example of its own: a logarithm takes no 0.
_NUMBERS = (0, 1, 100)


def row(version: Version) -> dict[str, Any]:
    """One input row, in the order of the signature, with values that JSON has.

    It is the model's own example as far as there is one; other columns get a value that the version takes.
    """
    card = version.card
    given = dict(version.example)
    missing = [item for item in card.inputs if not _usable(item, card, given)]
    for number, truth in product(_NUMBERS, (False, True)):
        found = {item.name: given.get(item.name) for item in card.inputs}
        found |= {item.name: _value(item, card, number=number, truth=truth) for item in missing}
        try:
            card.predict_row(found)
        except InputError:
            continue
        break
    return found


def levels(item: Input, card: Scorecard) -> list[str]:
    """The categories of a column that the model knows."""
    found: dict[str, None] = {}
    for column in card.document["columns"]:
        if column.get("input") == item.name and "one_hot" in column:
            known = [text for place in column["one_hot"] for text in place["of"]]
            found |= dict.fromkeys([*known, *column.get("zero", ())])
    return [text for text in found if isinstance(text, str)]


def mlflow(version: Version) -> dict[str, Any]:
    """Bodies for ``/invocations``, by a name."""
    one = row(version)
    names, values = list(one), list(one.values())
    found: dict[str, Any] = {
        "dataframe_split": {"dataframe_split": {"columns": names, "data": [values]}},
        "dataframe_records": {"dataframe_records": [one]},
        "instances": {"instances": [one]},
        "inputs": {"inputs": {name: [value] for name, value in one.items()}},
        "two rows": {"dataframe_split": {"columns": names, "data": [values, values]}},
    }
    for output in _outputs(version.card):
        found[output] = {"dataframe_split": {"columns": names, "data": [values]}, "params": {"output": output}}
    return found


def short(version: Version) -> dict[str, Any]:
    """Bodies for ``/predict``, by a name."""
    one = row(version)
    return {
        "features": {"features": one},
        "list": {"features": list(one.values())},
        "two rows": {"features": [list(one.values())] * 2},
    }


def v2(version: Version) -> dict[str, Any]:
    """Bodies for ``/v2/models/NAME/infer``, by a name."""
    one, inputs = row(version), version.card.inputs
    tensors = [
        {"name": item.name, "datatype": datatype(item), "shape": [1], "data": [_said(item, one[item.name])]}
        for item in inputs
    ]
    found: dict[str, Any] = {"a tensor a column": {"id": "1", "inputs": tensors}}
    if inputs and all(item.type == NUMBER for item in inputs):
        whole = {"name": "rows", "datatype": "FP64", "shape": [1, len(inputs)], "data": list(one.values())}
        found["one tensor"] = {"inputs": [whole]}
    for output in _outputs(version.card):
        found[output] = {"inputs": tensors, "outputs": [{"name": output}]}
    return found


def tensorflow(version: Version, verb: str) -> dict[str, Any]:
    """Bodies for ``/v1/models/NAME:VERB``, by a name."""
    one = row(version)
    if verb in ("classify", "regress"):
        return {"examples": {"examples": [one]}}
    if verb == "explain":
        return {"instances": {"instances": [one]}}
    found: dict[str, Any] = {
        "by row": {"instances": [one]},
        "by column": {"inputs": {name: [value] for name, value in one.items()}},
    }
    for output in _outputs(version.card):
        found[output] = {"signature_name": output, "instances": [one]}
    return found


def torchserve(version: Version) -> dict[str, Any]:
    """Bodies for ``/predictions/NAME``, by a name."""
    one = row(version)
    return {"one row": one, "data": {"data": [list(one.values())]}, "instances": {"instances": [one]}}


def _outputs(card: Scorecard) -> list[str]:
    return ["probabilities"] * card.has_probabilities + ["explain"] * (card.kind == "linear")


def _usable(item: Input, card: Scorecard, given: Mapping[str, Any]) -> bool:
    if item.name not in given:
        return False
    value = given[item.name]
    try:
        item.read(value, card.cleaning)
    except InputError:
        return False
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and value - value == 0.0)


def _value(item: Input, card: Scorecard, *, number: int, truth: bool):
    if item.type == BOOLEAN:
        return truth
    if item.type == CATEGORY:
        known = levels(item, card)
        return known[0] if known else "text"
    return number if item.integer else float(number)


def _said(item: Input, value):
    """A value as a tensor holds it: of its datatype."""
    if value is None:
        return None
    if item.type == CATEGORY:
        return str(value)
    read = item.read(value)
    return bool(read) if item.type == BOOLEAN else read
