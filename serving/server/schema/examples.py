"""Example requests of a version in each wire format."""

from typing import Any

from serving.models import example
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input
from serving.server.protocols.tensors import datatype
from serving.server.state import Card, ServedVersion


def row(version: ServedVersion) -> dict[str, Any]:
    """The model's example row, in the order of the signature."""
    if isinstance(version.card, Scorecard):
        return example.complete(version.card, version.example)
    return dict(version.example)


def mlflow(version: ServedVersion) -> dict[str, Any]:
    """Bodies for ``/invocations``, by name."""
    if version.loose:
        return _loose(version)
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


def short(version: ServedVersion) -> dict[str, Any]:
    """Bodies for ``/predict``, by name."""
    if version.loose:
        return _loose(version)
    one = row(version)
    return {
        "features": {"features": one},
        "list": {"features": list(one.values())},
        "two rows": {"features": [list(one.values())] * 2},
    }


def v2(version: ServedVersion) -> dict[str, Any]:
    """Bodies for ``/v2/models/NAME/infer``, by name."""
    if version.loose:
        return {}
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


def tensorflow(version: ServedVersion, verb: str) -> dict[str, Any]:
    """Bodies for ``/v1/models/NAME:VERB``, by name."""
    if version.loose:
        return _loose(version, "instances", "inputs")
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


def torchserve(version: ServedVersion) -> dict[str, Any]:
    """Bodies for ``/predictions/NAME``, by name."""
    if version.loose:
        return _loose(version)
    one = row(version)
    return {"one row": one, "data": {"data": [list(one.values())]}, "instances": {"instances": [one]}}


def _loose(version: ServedVersion, *forms: str) -> dict[str, Any]:
    """The request that was logged with a model that takes no named columns, if it has one of the forms."""
    request = dict(version.example)
    return {"example": request} if request and (not forms or any(form in request for form in forms)) else {}


def _outputs(card: Card) -> list[str]:
    return ["probabilities"] * card.has_probabilities + ["explain"] * (card.kind == "linear")


def _said(item: Input, value):
    """A value as its tensor's datatype needs it."""
    if value is None:
        return None
    if item.type == CATEGORY:
        return str(value)
    read = item.read(value)
    return bool(read) if item.type == BOOLEAN else read
