"""The JSON schema of a scorecard, generated from the types and the docstrings of its nodes.

``python -m serving.scorecard.schema`` writes it to ``schema.json`` beside this module, for other tools to check by.
"""

import inspect
import re
import types
from pathlib import Path
from typing import Any

from . import nodes, strictjson
from .document import VERSION
from .fields import type_of
from .inputs import DECIMALS, THOUSANDS, TYPES, Cleaning, Input, Record
from .steps import STEPS, TARGET_STEPS, Category, Clip, Divide, Piecewise, Step

FILE = Path(__file__).with_name("schema.json")
_LABEL = {"type": ["string", "number", "boolean"]}
_PRIMITIVES = {str: "string", float: "number", bool: "boolean", int: "number", types.NoneType: "null"}


def schema() -> dict[str, Any]:
    """The schema of version 1 in JSON Schema's draft of 2020-12."""
    steps = {"$ref": "#/$defs/steps"}
    properties = {
        "scorecard": {"const": VERSION, "description": "The version of this schema."},
        "task": {"enum": list(nodes.TASKS)},
        "inputs": {**_array(_input()), "description": "The raw columns, in the order of the signature."},
        "cleaning": {
            **_object({"trim": {"type": "boolean"}, "missing": _array({"type": "string"})}),
            "description": _summary(Cleaning),
        },
        "columns": {
            **_array({"anyOf": [*_sourced(_chain(steps)), *_sourced(_one_hot(steps)), _product(), _combination()]}),
            "description": "Each computed from an input, or from columns above it.",
        },
        "model": {"anyOf": [_model(kind) for kind in nodes.ESTIMATORS.values()]},
        "decision": {"anyOf": [{"type": "null"}, _decision()]},
        "digest": {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "SHA-256 of the document without this key, as JSON with sorted keys, no white space, ASCII "
            "escapes and the shortest decimal of each float (a float has a point or an exponent).",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Scorecard, version {VERSION}",
        "description": "A linear or logistic model, or a small neural network, with all that turns a raw row into its "
        "answer. All arithmetic is float64. A reader has to refuse what this schema does not allow, and beyond it: a "
        "digest that is not the content's, a key that is there twice, a name that nothing above defines, lists whose "
        "lengths do not fit, a number step on text, numbers that are not finite.",
        **_object(properties),
        "$defs": {
            "category": _of(Category),
            "steps": _array({"anyOf": [_step(step) for step in STEPS.values()]}),
            "target": _array({"anyOf": [_step(step) for step in TARGET_STEPS]}),
        },
    }


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _array(items: dict[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def _of(wanted: Any) -> dict[str, Any]:
    """The schema of a type."""
    if wanted == nodes.Label:
        return _LABEL
    if wanted == nodes.Calibrator:
        return {"anyOf": [_node(nodes.Platt), _step(Piecewise)]}
    if wanted in _PRIMITIVES:
        return {"type": _PRIMITIVES[wanted]}
    if inspect.isclass(wanted) and issubclass(wanted, Record):
        return _node(wanted)
    origin, arguments = getattr(wanted, "__origin__", None), wanted.__args__
    if origin in (list, tuple):
        item = arguments[0]
        return _array({"$ref": "#/$defs/category"} if item == Category else _of(item))
    if all(one in _PRIMITIVES for one in arguments):
        return {"type": [_PRIMITIVES[one] for one in arguments]}
    return {"anyOf": [{"type": "null"}, *(_of(one) for one in arguments if one is not types.NoneType)]}


def _field(cls: type[Record], name: str) -> dict[str, Any]:
    wanted, words = type_of(cls, name), cls.choices.get(name)
    if words and wanted is str:
        found: dict[str, Any] = {"enum": list(words)}
    elif words:
        others = [_PRIMITIVES[one] for one in wanted.__args__ if one is not str]
        found = {"anyOf": [{"type": others}, {"enum": list(words)}]}
    else:
        found = _of(wanted)
    said = _described(cls).get(name)
    return {**found, "description": said} if said else found


def _node(cls: type[Record]) -> dict[str, Any]:
    """The schema of an object of a node's fields."""
    return _object({name: _field(cls, name) for name in cls.fields})


def _input() -> dict[str, Any]:
    said = _described(Input)
    return _object(
        {
            "name": {"type": "string", "description": said["name"]},
            "type": {"enum": list(TYPES), "description": said["type"]},
            "integer": {"type": "boolean", "description": said["integer"]},
            "null": {"type": "boolean", "description": said["null"]},
            "decimal": {"enum": list(DECIMALS[1:]), "description": said["decimal"]},
            "thousands": {"enum": list(THOUSANDS[1:]), "description": said["thousands"]},
        },
        optional=("decimal", "thousands"),
    )


def _sourced(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """An object with these properties, once with an input as its source and once with a column."""
    names = {"input": "The name of an input.", "column": "The name of a column above this one."}
    return [
        _object({key: {"type": "string", "description": said}, **properties}) for key, said in names.items()
    ]  # fmt: skip


def _chain(steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": {"type": "string"}, "steps": steps}


def _one_hot(steps: dict[str, Any]) -> dict[str, Any]:
    said = _described(nodes.OneHot)
    otherwise = [_object({"is": {"type": "string"}}), _object({"do": {"enum": ["zero", "refuse"]}})]
    return {
        "steps": steps,
        "one_hot": {**_array(_node(nodes.Indicator)), "description": said["indicators"]},
        "zero": {**_field(nodes.OneHot, "zero")},
        "otherwise": {
            "anyOf": otherwise,
            "description": "What other categories do; ``is`` names the column that is 1.",
        },
    }


def _product() -> dict[str, Any]:
    return _object({"name": {"type": "string"}, "product": _field(nodes.Product, "factors")})


def _combination() -> dict[str, Any]:
    cls = nodes.Combination
    named = {"name": {"type": "string"}, "combine": _field(cls, "columns")}
    summed = {name: _field(cls, name) for name in ("weights", "offset")}
    return {**_object(named | summed), "description": _summary(cls)}


def _model(cls: type[nodes.Estimator]) -> dict[str, Any]:
    fields = {name: _field(cls, name) for name in cls.fields if name != "target"}
    target = {"$ref": "#/$defs/target", "description": _described(nodes.Estimator)["target"]}
    found = {"kind": {"const": cls.kind}, "link": fields.pop("link"), "calibration": fields.pop("calibration")}
    for name in ("intercepts", "layers", "members"):
        if name in fields:
            fields[name]["minItems"] = 1
    return {**_object({**found, "target": target, **fields}), "description": _summary(cls)}


def _decision() -> dict[str, Any]:
    found = _node(nodes.ClassDecision)
    found["properties"]["classes"]["minItems"] = 2
    return {**found, "description": _summary(nodes.ClassDecision)}


def _step(cls: type[Step]) -> dict[str, Any]:
    argument = _field(cls, cls.fields[0]) if len(cls.fields) == 1 else _node(cls)
    if cls is Clip:
        argument |= {"minItems": 2, "maxItems": 2}
    if cls is Divide:
        argument["not"] = {"const": 0}
    return {**_object({cls.name: argument}), "description": _summary(cls)}


def _summary(cls: type) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ").replace("`", "")


def _described(cls: type) -> dict[str, str]:
    """What the numpydoc section on parameters says of each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        _, _, section = (inspect.getdoc(base) or "").partition("Parameters\n----------\n")
        for names, text in re.findall(r"^(\w[\w, ]*) : (.*(?:\n    .*)*)", section, flags=re.MULTILINE):
            said = re.sub(r"\s+", " ", text.replace("`", "")).strip()
            found |= {name.strip(): said[0].upper() + said[1:] for name in names.split(",")}
    return found


if __name__ == "__main__":
    FILE.write_text(strictjson.dumps(schema()), encoding="utf-8")
