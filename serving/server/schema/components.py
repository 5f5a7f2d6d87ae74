"""The parts of an OpenAPI document that operations refer to: schemas of rows, requests, answers and errors."""

import re
from collections.abc import Iterable
from typing import Any

from serving.contract import OUTPUTS
from serving.models.example import levels
from serving.scorecard.inputs import BOOLEAN, CATEGORY, Input
from serving.server.protocols.tensors import DATATYPES
from serving.server.pyfunc.model import PyfuncModel
from serving.server.schema.examples import row
from serving.server.state import Card, ServedVersion

_TEXT: dict[str, Any] = {"type": "string"}
_MOST_LEVELS = 50
# The schemas of a model that requests and answers refer to.
_REQUESTS = ("Row", "Invocation", "Short", "Inference", "Instances", "Examples")
_ANSWERS = ("Prediction", "Answer", "Predictions", "ShortAnswer", "InstancesAnswer")

#: Schemas of errors, by their form.
ERRORS: dict[str, dict] = {
    "mlflow": {
        "type": "object",
        "required": ["error_code", "message"],
        "properties": {"error_code": {**_TEXT, "examples": ["INVALID_PARAMETER_VALUE"]}, "message": _TEXT},
    },
    "plain": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "torchserve": {
        "type": "object",
        "required": ["code", "type", "message"],
        "properties": {"code": {"type": "integer"}, "type": _TEXT, "message": _TEXT},
    },
}

_CHOICE = {
    "type": ["object", "null"],
    "description": "What is answered: predictions, unless it says otherwise.",
    "properties": {"output": {"enum": list(OUTPUTS)}},
    "additionalProperties": {"description": "Ignored."},
}

_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}

#: Schemas that all models share.
SHARED: dict[str, dict] = {
    "Params": _CHOICE,
    "InferenceResponse": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": _TEXT,
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "datatype", "shape"],
                    "properties": {
                        "name": _TEXT,
                        "datatype": _TEXT,
                        "shape": {"type": "array", "items": {"type": "integer"}},
                        "parameters": _PARAMETERS,
                        "data": {"type": "array", "items": {"type": ["number", "string", "boolean"]}},
                    },
                },
            },
        },
    },
    "Explanation": {
        "type": "object",
        "required": ["prediction", "class", "scale", "score", "baseline", "terms", "reasons"],
        "properties": {
            "prediction": {"type": ["number", "string", "boolean"]},
            "class": {"type": ["number", "string", "boolean", "null"]},
            "scale": {**_TEXT, "description": "What the score is: the target, its logarithm, log-odds, ..."},
            "score": {"type": "number"},
            "baseline": {"type": "number", "description": "The score without any term."},
            "terms": {"type": "array", "items": {"type": "object"}},
            "reasons": {"type": "array", "items": {"type": "object"}},
        },
    },
}


def key(name: str, taken: Iterable[str]) -> str:
    """A unique component name for a model."""
    base = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found


def ref(name: str) -> dict:
    """A reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def of_model(key: str, version: ServedVersion) -> dict[str, dict]:
    """The schemas of a model, by names that begin with ``key``."""
    card = version.card
    if isinstance(card, PyfuncModel) and card.loose:
        # MLflow reads what it is sent: there is nothing to say of it but the signature.
        takes = {"description": f"Expected {card.signature.summary}."}
        return {f"{key}.{name}": takes for name in _REQUESTS} | {f"{key}.{name}": {} for name in _ANSWERS}
    a_row, answer = ref(f"{key}.Row"), ref(f"{key}.Answer")
    values: dict[str, Any] = {"type": "array", "description": "One row, in the order of the columns.", "items": {}}
    values |= {"minItems": len(card.inputs), "maxItems": len(card.inputs)}
    rows = {"type": "array", "minItems": 1, "items": {"anyOf": [a_row, values]}}
    columns = {
        "type": "object",
        "description": "All values of a column by its name.",
        "properties": {item.name: {"type": "array", "items": column(item, card)} for item in card.inputs},
        "required": _required(card),
    }
    split = {
        "type": "object",
        "required": ["data"],
        "additionalProperties": False,
        "properties": {
            "columns": {"type": "array", "items": _TEXT, "examples": [[item.name for item in card.inputs]]},
            "index": {},
            "data": {"type": "array", "minItems": 1, "items": {"type": "array", "items": {}}},
        },
    }
    return {
        f"{key}.Row": {
            "type": "object",
            "title": f"A row for {version.model}",
            "properties": {item.name: column(item, card) for item in card.inputs},
            "required": _required(card),
            "examples": [row(version)],
        },
        f"{key}.Prediction": prediction(card),
        f"{key}.Answer": _answer(key, card),
        f"{key}.Invocation": _one_of(
            {
                "dataframe_split": split,
                "dataframe_records": {"type": "array", "minItems": 1, "items": a_row},
                "instances": rows,
                "inputs": {"anyOf": [columns, a_row, rows]},
            },
            {"params": ref("Params")},
        ),
        f"{key}.Predictions": _answers("predictions", {"type": "array", "items": answer}),
        f"{key}.Short": {
            "anyOf": [
                _one_of(
                    {form: {"anyOf": [a_row, values, rows, columns]} for form in ("features", "input_data", "X")},
                    {"params": ref("Params")},
                ),
                values,
                rows,
            ]
        },
        f"{key}.ShortAnswer": _answers("prediction", {"anyOf": [answer, {"type": "array", "items": answer}]}),
        f"{key}.Inference": _inference(card),
        f"{key}.Instances": _one_of({"instances": rows, "inputs": {"anyOf": [columns, rows]}}, _signature()),
        f"{key}.InstancesAnswer": {
            "anyOf": [
                ref(f"{key}.Predictions"),
                _answers("outputs", {"anyOf": [{"type": "array", "items": answer}, {"type": "object"}]}),
            ]
        },
        f"{key}.Examples": {
            "type": "object",
            "required": ["examples"],
            "properties": {
                "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                "context": {"type": "object", "description": "What all examples share."},
                "signature_name": _TEXT,
            },
        },
    }


def column(item: Input, card: Card) -> dict:
    """One raw value of an input column."""
    said: dict[str, Any] = {}
    if item.type == CATEGORY:
        type, known = "string", levels(item, card)
        if known:
            more = ", ..." if len(known) > _MOST_LEVELS else ""
            said["description"] = f"Known: {', '.join(known[:_MOST_LEVELS])}{more}"
            said["examples"] = known[:1]
    elif item.type == BOOLEAN:
        type = "boolean"
    else:
        type = "integer" if item.integer else "number"
    if item.null:
        said["description"] = ". ".join(filter(None, (said.get("description"), "May be missing")))
    return {"type": [type, "null"] if item.null else type, **said}


def prediction(card: Card) -> dict:
    """One prediction."""
    if isinstance(card, PyfuncModel):
        return {"description": "What the model answers for a row."}
    return {"type": "number"} if card.classes is None else {"enum": card.classes}


def _answer(key: str, card: Card) -> dict:
    each = [ref(f"{key}.Prediction")]
    if card.has_probabilities:
        labels = [str(label) for label in card.classes or ()]
        share = {"type": "number", "minimum": 0, "maximum": 1}
        each.append(
            {
                "type": "object",
                "title": f"Probabilities of {key}",
                "properties": dict.fromkeys(labels, share),
                "required": labels,
                "additionalProperties": False,
            }
        )
    if card.kind == "linear":
        each.append(ref("Explanation"))
    return {"anyOf": each} if len(each) > 1 else each[0]


def _answers(name: str, content: dict) -> dict:
    return {"type": "object", "required": [name], "properties": {name: content}, "additionalProperties": False}


def _required(card: Card) -> list[str]:
    return [item.name for item in card.inputs if item.name not in card.optional]


def _one_of(forms: dict[str, dict], more: dict[str, dict]) -> dict:
    return {
        "type": "object",
        "properties": {**forms, **more},
        "oneOf": [{"required": [name]} for name in forms],
    }


def _signature() -> dict[str, dict]:
    names = ["", "serving_default", *OUTPUTS]
    return {"signature_name": {"enum": names, "description": "What is answered."}, "params": ref("Params")}


def _inference(card: Card) -> dict:
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {**_TEXT, "examples": [item.name for item in card.inputs[:1]]},
            "datatype": {"enum": list(DATATYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "parameters": _PARAMETERS,
            "data": {"type": "array", "items": {}},
        },
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": ["predict", "probabilities", "explain"]}, "parameters": _PARAMETERS},
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": _TEXT,
            "parameters": _PARAMETERS,
            "inputs": {"type": "array", "minItems": 1, "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
    }
