"""The scorecard document, version 1: a reader that refuses whatever is not allowed in it, and a writer.

A document is plain JSON. From top to bottom: the raw ``inputs`` and the ``cleaning`` of their text; ``columns``, each
computed from an input or from columns above it by ``steps`` in float64; a ``model`` over some of the columns; the
``decision`` of a classifier; the ``digest`` of all of it. A missing number travels as NaN and a missing text as None
until a step gives it a value; the model takes neither. What a node may hold is said by the types of its fields in
``nodes`` and ``steps``, from which ``schema`` makes ``schema.json``; what the types cannot say is checked here.
"""

from . import fields, strictjson
from .errors import ScorecardError
from .fields import NUMBER, TEXT
from .inputs import CATEGORY, DECIMALS, THOUSANDS, TYPES, Input, InputError
from .nodes import ESTIMATORS, LINKS, TASKS, ClassDecision, Document, Estimator, Linear, Network, Term, Threshold
from .steps import STEPS, TARGET_STEPS, Bin, Category, Clip, Divide, Lookup, Step, read_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

VERSION = 1


def read(text: str) -> Document:
    """The document that a text holds.

    Raises
    ------
    ScorecardError
        where the text is not a version 1 document to the letter, or its digest is not that of its content.
    """
    content = strictjson.loads(text)
    if isinstance(content, dict) and content.get("scorecard") != VERSION and "scorecard" in content:
        found = content["scorecard"]
        shown = found if isinstance(found, (int, float)) else type(found).__name__
        raise ScorecardError(f"this reader understands version {VERSION} of the scorecard, found {shown}: upgrade it")
    check(content)
    digest = strictjson.digest({key: value for key, value in content.items() if key != "digest"})
    if content["digest"] != digest:
        raise ScorecardError(f"the document was changed or damaged: its digest is {digest}, not the one it states")
    return Document(content)


def seal(body: "Mapping[str, Any]") -> Document:
    """A document of this content, checked, with its digest."""
    content = {"scorecard": VERSION, **{key: value for key, value in body.items() if key != "digest"}}
    content["digest"] = strictjson.digest(content)
    check(content)
    return Document(content)


def check(content: "Any") -> None:
    """Refuses a document that is not well formed; says where. The digest is only looked at for its form."""
    keys = ("scorecard", "task", "inputs", "cleaning", "columns", "model", "decision", "digest")
    fields.keys(content, "document", keys)
    if type(content["scorecard"]) is not int or content["scorecard"] != VERSION:
        fields.fail("scorecard", f"the version {VERSION}", content["scorecard"])
    task = fields.choice(content["task"], "task", TASKS)
    digest = fields.text(content["digest"], "digest")
    if len(digest) != 71 or not digest.startswith("sha256:"):
        raise ScorecardError("digest: expected sha256: and 64 hexadecimal digits")
    inputs = _inputs(content["inputs"])
    fields.keys(content["cleaning"], "cleaning", ("trim", "missing"))
    fields.boolean(content["cleaning"]["trim"], "cleaning.trim")
    for place, word in enumerate(fields.listed(content["cleaning"]["missing"], "cleaning.missing")):
        fields.text(word, f"cleaning.missing[{place}]")
    columns = _columns(content["columns"], inputs)
    outputs = _model(content["model"], columns, task)
    _decision(content["decision"], task, outputs, content["model"])


def _inputs(value: "Any") -> dict[str, str]:
    """Each input's kind by its name."""
    found: dict[str, str] = {}
    for place, item in enumerate(fields.listed(value, "inputs")):
        at = f"inputs[{place}]"
        fields.keys(item, at, ("name", "type", "integer", "null"), optional=("decimal", "thousands"))
        name = fields.text(item["name"], f"{at}.name")
        if name in found:
            raise ScorecardError(f"{at}: there are two inputs named {name!r}")
        found[name] = TEXT if fields.choice(item["type"], f"{at}.type", TYPES) == CATEGORY else NUMBER
        fields.boolean(item["integer"], f"{at}.integer")
        fields.boolean(item["null"], f"{at}.null")
        # Each model has one document: the usual mark is left out.
        if "decimal" in item:
            fields.choice(item["decimal"], f"{at}.decimal", DECIMALS[1:])
        if "thousands" in item:
            fields.choice(item["thousands"], f"{at}.thousands", THOUSANDS[1:])
        try:
            Input(**item)
        except InputError as error:
            raise ScorecardError(f"{at}: {error.reason}") from None
    return found


def _columns(value: "Any", inputs: dict[str, str]) -> dict[str, str]:
    """Each column's kind by its name, in order."""
    columns: dict[str, str] = {}

    def add(name: "Any", kind: str, at: str) -> None:
        if fields.text(name, at) in columns:
            raise ScorecardError(f"{at}: there are two columns named {name!r}")
        columns[name] = kind

    for place, item in enumerate(fields.listed(value, "columns")):
        at = f"columns[{place}]"
        if not isinstance(item, dict):
            fields.fail(at, "an object", item)
        if "product" in item:
            fields.keys(item, at, ("name", "product"))
            for index, name in enumerate(fields.listed(item["product"], f"{at}.product")):
                _reference(name, columns, f"{at}.product[{index}]", NUMBER)
            add(item["name"], NUMBER, f"{at}.name")
            continue
        source = "column" if "column" in item else "input"
        if "one_hot" in item:
            fields.keys(item, at, (source, "steps", "one_hot", "zero", "otherwise"))
        else:
            fields.keys(item, at, ("name", source, "steps"))
        known = columns if source == "column" else inputs
        kind = _reference(item[source], known, f"{at}.{source}", None)
        kind = steps(item["steps"], f"{at}.steps", kind)
        if "one_hot" in item:
            _one_hot(item, kind, at, add)
        else:
            add(item["name"], kind, f"{at}.name")
    return columns


def _one_hot(item: "dict[str, Any]", kind: str, at: str, add: "Callable[[Any, str, str], None]") -> None:
    seen: set[Category] = set()

    def categories(value: "Any", at: str) -> None:
        for index, key in enumerate(fields.categories(value, at, kind)):
            if key in seen:
                raise ScorecardError(f"{at}[{index}]: the category is there twice")
            seen.add(key)

    names = []
    for place, indicator in enumerate(fields.listed(item["one_hot"], f"{at}.one_hot")):
        fields.keys(indicator, f"{at}.one_hot[{place}]", ("name", "of"))
        add(indicator["name"], NUMBER, f"{at}.one_hot[{place}].name")
        names.append(indicator["name"])
        categories(indicator["of"], f"{at}.one_hot[{place}].of")
    categories(item["zero"], f"{at}.zero")
    otherwise = item["otherwise"]
    fields.keys(otherwise, f"{at}.otherwise", ("is",) if isinstance(otherwise, dict) and "is" in otherwise else ("do",))
    if "is" in otherwise:
        fields.choice(otherwise["is"], f"{at}.otherwise.is", names)
    else:
        fields.choice(otherwise["do"], f"{at}.otherwise.do", ("zero", "refuse"))


def steps(value: "Any", at: str, kind: str) -> str:
    """Checks steps that start from a number or a text; what they end with."""
    for place, item in enumerate(fields.listed(value, at)):
        where = f"{at}[{place}]"
        if not isinstance(item, dict) or len(item) != 1:
            fields.fail(where, "an object with one key, the name of the step", item)
        ((name, argument),) = item.items()
        if name not in STEPS:
            raise ScorecardError(f"{where}: expected one of the steps {', '.join(STEPS)}, found another")
        where, cls = f"{where}.{name}", STEPS[name]
        if kind == TEXT and not cls.takes_text:
            raise ScorecardError(f"{where}: the step wants a number, its column is text")
        if len(cls.fields) == 1:
            fields.check(cls, cls.fields[0])(argument, where, kind)
        else:
            fields.node(argument, where, cls, kind)
        if cls in _CONSTRAINED:
            _constraints(read_step(name, argument), where)
        kind = kind if cls.keeps_kind else NUMBER
    return kind


_CONSTRAINED = (Divide, Clip, Bin, Lookup)


def _constraints(step: Step, at: str) -> None:
    """Refuses what the types of a step's fields allow, and it does not."""
    if isinstance(step, Divide) and step.operand == 0:
        fields.fail(at, "a number other than zero", step.operand)
    if isinstance(step, Clip):
        if len(step.limits) != 2:
            fields.fail(at, "2 numbers", step.limits)
        if step.limits[0] > step.limits[1]:
            raise ScorecardError(f"{at}: expected the lower limit first")
    if isinstance(step, Bin) and step.edges != sorted(step.edges):
        raise ScorecardError(f"{at}: expected rising edges")
    if isinstance(step, Lookup):
        if len(set(step.keys)) != len(step.keys):
            raise ScorecardError(f"{at}.keys: a key is there twice")
        if len(step.values) != len(step.keys):
            fields.fail(f"{at}.values", f"{len(step.keys)} values", step.values)


def _model(model: "Any", columns: dict[str, str], task: str) -> int:
    """How many scores the model gives."""
    if not isinstance(model, dict):
        fields.fail("model", "an object", model)
    cls = ESTIMATORS[fields.choice(model.get("kind"), "model.kind", tuple(ESTIMATORS))]
    fields.keys(model, "model", ("kind", *cls.fields))
    link = fields.choice(model["link"], "model.link", LINKS[task])
    outputs = _ESTIMATORS[cls](model, columns)
    if task == "regression" and outputs != 1 or link == "logistic" and outputs != 1:
        raise ScorecardError(f"model: a {task} model with the {link} link has one score, found {outputs}")
    if link in ("softmax", "one-vs-rest") and outputs < 2:
        raise ScorecardError(f"model: the {link} link wants several scores, found one")
    fields.check(cls, "calibration")(model["calibration"], "model.calibration", NUMBER)
    if model["calibration"] is not None:
        if link not in ("logistic", "one-vs-rest"):
            raise ScorecardError("model.calibration: only the logistic and one-vs-rest links are calibrated")
        if len(model["calibration"]) != outputs:
            fields.fail("model.calibration", f"{outputs} items, one a score", model["calibration"])
    target = fields.listed(model["target"], "model.target")
    if target and task != "regression":
        raise ScorecardError("model.target: only a regression has its target transformed")
    known = [step.name for step in TARGET_STEPS]
    if any(name not in known for step in target if isinstance(step, dict) for name in step):
        raise ScorecardError(f"model.target: expected steps among {', '.join(known)}")
    steps(target, "model.target", NUMBER)
    return outputs


def _linear(model: "dict[str, Any]", columns: dict[str, str]) -> int:
    fields.numbers(model["intercepts"], "model.intercepts")
    outputs, seen = len(model["intercepts"]), set()
    for place, term in enumerate(fields.listed(model["terms"], "model.terms")):
        at = f"model.terms[{place}]"
        fields.node(term, at, Term)
        _reference(term["column"], columns, f"{at}.column", NUMBER)
        if term["column"] in seen:
            raise ScorecardError(f"{at}: the column {term['column']!r} has a term already")
        seen.add(term["column"])
        fields.length(term["weights"], f"{at}.weights", outputs)
    if outputs == 0:
        raise ScorecardError("model.intercepts: expected a number for each score, found none")
    return outputs


def _network(model: "dict[str, Any]", columns: dict[str, str]) -> int:
    for name in ("columns", "activation", "layers"):
        fields.check(Network, name)(model[name], f"model.{name}", NUMBER)
    for place, name in enumerate(model["columns"]):
        _reference(name, columns, f"model.columns[{place}]", NUMBER)
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
}


def _decision(decision: "Any", task: str, outputs: int, model: "dict[str, Any]") -> None:
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
    if outputs != (1 if len(classes) == 2 else len(classes)) and not (len(classes) == 2 == outputs):
        raise ScorecardError(f"decision.classes: {outputs} scores do not fit {len(classes)} classes")
    threshold = decision["threshold"]
    if threshold is None:
        return
    fields.node(threshold, "decision.threshold", Threshold)
    if len(classes) != 2 or outputs != 1:
        raise ScorecardError("decision.threshold: only a decision between two classes has a threshold")
    if threshold["on"] == "probability" and model["link"] == "none":
        raise ScorecardError("decision.threshold.on: the model has no probabilities")
    if not any(label == threshold["positive"] and type(label) is type(threshold["positive"]) for label in classes):
        raise ScorecardError("decision.threshold.positive: expected one of the classes")


def _reference(name: "Any", known: dict[str, str], at: str, kind: str | None) -> str:
    if fields.text(name, at) not in known:
        raise ScorecardError(f"{at}: there is no {name!r} above it")
    if kind is not None and known[name] != kind:
        raise ScorecardError(f"{at}: {name!r} is {known[name]}, expected a {kind}")
    return known[name]
