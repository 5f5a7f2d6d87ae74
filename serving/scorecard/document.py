"""The scorecard document, version 1: what is allowed in it, and a reader that refuses everything else.

A document is plain JSON (``schema.json`` says the same for other tools). From top to bottom: the raw ``inputs`` and
the ``cleaning`` of their text; ``columns``, each computed from an input or from columns above it by ``steps`` in
float64; a ``model`` over some of the columns; the ``decision`` of a classifier; the ``digest`` of all of it. A missing
number travels as NaN and a missing text as None until a step gives it a value; the model takes neither.
"""

from . import strictjson
from .errors import ScorecardError
from .inputs import CATEGORY, DECIMALS, THOUSANDS, TYPES, Input, InputError

VERSION = 1
TASKS = ("regression", "classification")
LINKS = {"regression": ("identity", "log"), "classification": ("none", "logistic", "softmax", "one-vs-rest")}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
#: Functions of one number; each is exactly NumPy's of that name.
FUNCTIONS = (
    *("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "square", "abs"),
    *("sin", "cos", "tanh", "arcsinh", "sign", "negative"),
)
#: Steps that undo the transform of a target; a prediction goes through them.
TARGET_STEPS = ("add", "multiply", "function", "inverse_box_cox", "inverse_yeo_johnson", "subtract", "divide")
NUMBER, TEXT = "number", "text"


def read(text: str) -> dict:
    """A checked document.

    Raises
    ------
    ScorecardError
        where the text is not a version 1 document to the letter, or its digest is not that of its content.
    """
    document = strictjson.loads(text)
    if isinstance(document, dict) and document.get("scorecard") != VERSION and "scorecard" in document:
        found = document["scorecard"]
        shown = found if isinstance(found, (int, float)) else type(found).__name__
        raise ScorecardError(f"this reader understands version {VERSION} of the scorecard, found {shown}: upgrade it")
    check(document)
    digest = strictjson.digest({key: value for key, value in document.items() if key != "digest"})
    if document["digest"] != digest:
        raise ScorecardError(f"the document was changed or damaged: its digest is {digest}, not the one it states")
    return document


def seal(body: dict) -> dict:
    """A document of this content with its digest, checked."""
    document = {"scorecard": VERSION, **{key: value for key, value in body.items() if key not in ("digest",)}}
    document["digest"] = strictjson.digest(document)
    check(document)
    return document


def check(document) -> None:
    """Refuses a document that is not well formed; says where. The digest is only looked at for its form."""
    keys = ("scorecard", "task", "inputs", "cleaning", "columns", "model", "decision", "digest")
    _keys(document, "document", keys)
    if type(document["scorecard"]) is not int or document["scorecard"] != VERSION:
        _fail("scorecard", f"the version {VERSION}", document["scorecard"])
    task = _choice(document["task"], "task", TASKS)
    digest = _text(document["digest"], "digest")
    if len(digest) != 71 or not digest.startswith("sha256:"):
        raise ScorecardError("digest: expected sha256: and 64 hexadecimal digits")
    inputs = _inputs(document["inputs"])
    _cleaning(document["cleaning"])
    columns = _columns(document["columns"], inputs)
    outputs = _model(document["model"], columns, task)
    _decision(document["decision"], task, outputs, document["model"])


def _inputs(value) -> dict:
    found = {}
    for place, item in enumerate(_list(value, "inputs")):
        at = f"inputs[{place}]"
        _keys(item, at, ("name", "type", "integer", "null"), optional=("decimal", "thousands"))
        name = _text(item["name"], f"{at}.name")
        if name in found:
            raise ScorecardError(f"{at}: there are two inputs named {name!r}")
        found[name] = TEXT if _choice(item["type"], f"{at}.type", TYPES) == CATEGORY else NUMBER
        _boolean(item["integer"], f"{at}.integer")
        _boolean(item["null"], f"{at}.null")
        # Each model has one document: what is usual is not said.
        if "decimal" in item:
            _choice(item["decimal"], f"{at}.decimal", DECIMALS[1:])
        if "thousands" in item:
            _choice(item["thousands"], f"{at}.thousands", THOUSANDS[1:])
        try:
            Input(**item)
        except InputError as error:
            raise ScorecardError(f"{at}: {error.reason}") from None
    return found


def _cleaning(value) -> None:
    _keys(value, "cleaning", ("trim", "missing"))
    _boolean(value["trim"], "cleaning.trim")
    for place, word in enumerate(_list(value["missing"], "cleaning.missing")):
        _text(word, f"cleaning.missing[{place}]")


def _columns(value, inputs: dict) -> dict:
    """Each column's kind by its name, in order."""
    columns: dict[str, str] = {}

    def add(name, kind, at):
        if _text(name, at) in columns:
            raise ScorecardError(f"{at}: there are two columns named {name!r}")
        columns[name] = kind

    for place, item in enumerate(_list(value, "columns")):
        at = f"columns[{place}]"
        if not isinstance(item, dict):
            _fail(at, "an object", item)
        if "product" in item:
            _keys(item, at, ("name", "product"))
            for index, name in enumerate(_list(item["product"], f"{at}.product")):
                _reference(name, columns, f"{at}.product[{index}]", NUMBER)
            add(item["name"], NUMBER, f"{at}.name")
            continue
        source = "column" if "column" in item else "input"
        if "one_hot" in item:
            _keys(item, at, (source, "steps", "one_hot", "zero", "otherwise"))
        else:
            _keys(item, at, ("name", source, "steps"))
        known = columns if source == "column" else inputs
        kind = _reference(item[source], known, f"{at}.{source}", None)
        kind = steps(item["steps"], f"{at}.steps", kind)
        if "one_hot" in item:
            _one_hot(item, kind, at, add)
        else:
            add(item["name"], kind, f"{at}.name")
    return columns


def _one_hot(item, kind, at, add) -> None:
    seen: set = set()

    def categories(value, at):
        for index, key in enumerate(_list(value, at)):
            _key(key, f"{at}[{index}]", kind)
            if key in seen:
                raise ScorecardError(f"{at}[{index}]: the category is there twice")
            seen.add(key)

    names = []
    for place, group in enumerate(_list(item["one_hot"], f"{at}.one_hot")):
        _keys(group, f"{at}.one_hot[{place}]", ("name", "of"))
        add(group["name"], NUMBER, f"{at}.one_hot[{place}].name")
        names.append(group["name"])
        categories(group["of"], f"{at}.one_hot[{place}].of")
    categories(item["zero"], f"{at}.zero")
    otherwise = item["otherwise"]
    _keys(otherwise, f"{at}.otherwise", ("is",) if isinstance(otherwise, dict) and "is" in otherwise else ("do",))
    if "is" in otherwise:
        _choice(otherwise["is"], f"{at}.otherwise.is", names)
    else:
        _choice(otherwise["do"], f"{at}.otherwise.do", ("zero", "refuse"))


def steps(value, at: str, kind: str) -> str:
    """Checks steps that start from a number or a text; what they end with."""
    for place, step in enumerate(_list(value, at)):
        where = f"{at}[{place}]"
        if not isinstance(step, dict) or len(step) != 1:
            _fail(where, "an object with one key, the name of the step", step)
        (name,) = step
        if name not in _STEPS:
            raise ScorecardError(f"{where}: expected one of the steps {', '.join(_STEPS)}, found another")
        kind = _STEPS[name](step[name], f"{where}.{name}", kind)
    return kind


def _impute(value, at, kind):
    _key(value, at, kind, missing=False)
    return kind


def _replace(value, at, kind):
    _keys(value, at, ("value", "by"))
    _key(value["value"], f"{at}.value", kind, missing=False)
    _key(value["by"], f"{at}.by", kind, missing=False)
    return kind


def _is(value, at, kind):
    _key(value, at, kind)
    return NUMBER


def _by_number(value, at, kind):
    _needs_number(kind, at)
    _number(value, at)
    return NUMBER


def _divide(value, at, kind):
    _needs_number(kind, at)
    if _number(value, at) == 0:
        _fail(at, "a number other than zero", value)
    return NUMBER


def _clip(value, at, kind):
    _needs_number(kind, at)
    low, high = _numbers(value, at, 2)
    if low > high:
        raise ScorecardError(f"{at}: expected the lower limit first")
    return NUMBER


def _function(value, at, kind):
    _needs_number(kind, at)
    _choice(value, at, FUNCTIONS)
    return NUMBER


def _bin(value, at, kind):
    _needs_number(kind, at)
    edges = _numbers(value, at, None)
    if edges != sorted(edges):
        raise ScorecardError(f"{at}: expected rising edges")
    return NUMBER


def _lookup(value, at, kind):
    _keys(value, at, ("keys", "values", "otherwise"))
    keys = _list(value["keys"], f"{at}.keys")
    for place, key in enumerate(keys):
        _key(key, f"{at}.keys[{place}]", kind)
    if len(set(keys)) != len(keys):
        raise ScorecardError(f"{at}.keys: a key is there twice")
    values = _list(value["values"], f"{at}.values")
    if len(values) != len(keys):
        _fail(f"{at}.values", f"{len(keys)} values", values)
    for place, item in enumerate(values):
        if item is not None:
            _number(item, f"{at}.values[{place}]")
    otherwise = value["otherwise"]
    if otherwise is not None and otherwise != "refuse":
        _number(otherwise, f"{at}.otherwise")
    return NUMBER


_STEPS = {
    "impute": _impute,
    "replace": _replace,
    "is": _is,
    "add": _by_number,
    "subtract": _by_number,
    "multiply": _by_number,
    "divide": _divide,
    "clip": _clip,
    "function": _function,
    "box_cox": _by_number,
    "yeo_johnson": _by_number,
    "inverse_box_cox": _by_number,
    "inverse_yeo_johnson": _by_number,
    "bin": _bin,
    "lookup": _lookup,
}


def _model(model, columns, task) -> int:
    """How many scores the model gives."""
    if not isinstance(model, dict):
        _fail("model", "an object", model)
    kind = _choice(model.get("kind"), "model.kind", ("linear", "mlp"))
    common = ("kind", "link", "calibration", "target")
    _keys(
        model,
        "model",
        (*common, *(("intercepts", "terms") if kind == "linear" else ("columns", "activation", "layers"))),
    )
    link = _choice(model["link"], "model.link", LINKS[task])
    outputs = _linear(model, columns) if kind == "linear" else _mlp(model, columns)
    if task == "regression" and outputs != 1 or link == "logistic" and outputs != 1:
        raise ScorecardError(f"model: a {task} model with the {link} link has one score, found {outputs}")
    if link in ("softmax", "one-vs-rest") and outputs < 2:
        raise ScorecardError(f"model: the {link} link wants several scores, found one")
    calibration = model["calibration"]
    if calibration is not None:
        if link not in ("logistic", "one-vs-rest"):
            raise ScorecardError("model.calibration: only the logistic and one-vs-rest links are calibrated")
        if len(_list(calibration, "model.calibration")) != outputs:
            _fail("model.calibration", f"{outputs} items, one a score", calibration)
        for place, item in enumerate(calibration):
            _keys(item, f"model.calibration[{place}]", ("slope", "offset"))
            _number(item["slope"], f"model.calibration[{place}].slope")
            _number(item["offset"], f"model.calibration[{place}].offset")
    target = _list(model["target"], "model.target")
    if target and task != "regression":
        raise ScorecardError("model.target: only a regression has its target transformed")
    if any(name not in TARGET_STEPS for step in target if isinstance(step, dict) for name in step):
        raise ScorecardError(f"model.target: expected steps among {', '.join(TARGET_STEPS)}")
    steps(target, "model.target", NUMBER)
    return outputs


def _linear(model, columns) -> int:
    outputs = len(_numbers(model["intercepts"], "model.intercepts", None))
    seen = set()
    for place, term in enumerate(_list(model["terms"], "model.terms")):
        at = f"model.terms[{place}]"
        _keys(term, at, ("column", "weights"))
        _reference(term["column"], columns, f"{at}.column", NUMBER)
        if term["column"] in seen:
            raise ScorecardError(f"{at}: the column {term['column']!r} has a term already")
        seen.add(term["column"])
        _numbers(term["weights"], f"{at}.weights", outputs)
    if outputs == 0:
        raise ScorecardError("model.intercepts: expected a number for each score, found none")
    return outputs


def _mlp(model, columns) -> int:
    names = _list(model["columns"], "model.columns")
    for place, name in enumerate(names):
        _reference(name, columns, f"model.columns[{place}]", NUMBER)
    _choice(model["activation"], "model.activation", ACTIVATIONS)
    width = len(names)
    if not _list(model["layers"], "model.layers"):
        raise ScorecardError("model.layers: expected at least one layer, found none")
    for place, layer in enumerate(model["layers"]):
        at = f"model.layers[{place}]"
        _keys(layer, at, ("weights", "intercepts"))
        units = len(_numbers(layer["intercepts"], f"{at}.intercepts", None))
        if len(_list(layer["weights"], f"{at}.weights")) != units or not units:
            _fail(f"{at}.weights", f"{units} lists, one a unit", layer["weights"])
        for unit, row in enumerate(layer["weights"]):
            _numbers(row, f"{at}.weights[{unit}]", width)
        width = units
    return width


def _decision(decision, task, outputs, model) -> None:
    if task == "regression":
        if decision is not None:
            _fail("decision", "null, as for every regression", decision)
        return
    _keys(decision, "decision", ("classes", "threshold"))
    classes = _list(decision["classes"], "decision.classes")
    kinds = {type(label) for label in classes}
    if len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        _fail("decision.classes", "labels of one type: all text, whole numbers, numbers or booleans", classes)
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ScorecardError("decision.classes: expected two or more different labels")
    if outputs != (1 if len(classes) == 2 else len(classes)) and not (len(classes) == 2 == outputs):
        raise ScorecardError(f"decision.classes: {outputs} scores do not fit {len(classes)} classes")
    threshold = decision["threshold"]
    if threshold is None:
        return
    _keys(threshold, "decision.threshold", ("on", "value", "positive"))
    if len(classes) != 2 or outputs != 1:
        raise ScorecardError("decision.threshold: only a decision between two classes has a threshold")
    on = _choice(threshold["on"], "decision.threshold.on", ("probability", "score"))
    if on == "probability" and model["link"] == "none":
        raise ScorecardError("decision.threshold.on: the model has no probabilities")
    _number(threshold["value"], "decision.threshold.value")
    if not any(label == threshold["positive"] and type(label) is type(threshold["positive"]) for label in classes):
        raise ScorecardError("decision.threshold.positive: expected one of the classes")


def _fail(at, expected, found):
    shown = f"{len(found)} items" if isinstance(found, list) else type(found).__name__
    if found is None or isinstance(found, (bool, int, float)):
        shown = repr(found)
    raise ScorecardError(f"{at}: expected {expected}, found {shown}")


def _keys(value, at, keys, optional=()) -> None:
    if not isinstance(value, dict):
        _fail(at, f"an object with {', '.join(keys)}", value)
    for key in keys:
        if key not in value:
            raise ScorecardError(f"{at}: {key!r} is missing")
    for key in value:
        if key not in keys and key not in optional:
            raise ScorecardError(f"{at}: expected only {', '.join((*keys, *optional))}, found {key!r} too")


def _list(value, at) -> list:
    return value if type(value) is list else _fail(at, "a list", value)


def _text(value, at) -> str:
    return value if type(value) is str else _fail(at, "text", value)


def _boolean(value, at) -> bool:
    return value if type(value) is bool else _fail(at, "true or false", value)


def _number(value, at) -> float:
    # A document made in Python may hold what JSON cannot say: a difference that is not zero is NaN or infinity.
    if type(value) not in (float, int) or value - value != 0:
        _fail(at, "a finite number", value)
    return value


def _numbers(value, at, length) -> list:
    if length is not None and len(_list(value, at)) != length:
        _fail(at, f"{length} numbers", value)
    for place, item in enumerate(_list(value, at)):
        if type(item) is not float or item - item != 0:
            _number(item, f"{at}[{place}]")
    return value


def _choice(value, at, choices):
    return value if type(value) is str and value in choices else _fail(at, f"one of {', '.join(choices)}", value)


def _key(value, at, kind, missing=True) -> None:
    if value is None and missing:
        return
    if kind == TEXT:
        _text(value, at)
    else:
        _number(value, at)


def _reference(name, known, at, kind) -> str:
    if _text(name, at) not in known:
        raise ScorecardError(f"{at}: there is no {name!r} above it")
    if kind is not None and known[name] != kind:
        raise ScorecardError(f"{at}: {name!r} is {known[name]}, expected a {kind}")
    return known[name]


def _needs_number(kind, at) -> None:
    if kind != NUMBER:
        raise ScorecardError(f"{at}: the step wants a number, its column is text")
