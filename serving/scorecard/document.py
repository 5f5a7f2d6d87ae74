"""The scorecard document, version 1: a reader that refuses whatever is not allowed in it, and a writer.

A document is plain JSON. From top to bottom: the raw ``inputs`` and the ``cleaning`` of their text; ``columns``, each
computed from an input or from columns above it by ``steps`` in float64; a ``model`` over some of the columns; the
``decision`` of a classifier; the ``digest`` of all of it. A missing number travels as NaN and a missing text as None
until a step gives it a value; the model takes neither. What a node may hold is said by the types of its fields in
``nodes`` and ``steps``, from which ``schema`` makes ``schema.json``; what the types cannot say is checked here.
"""

from . import fields, modelcheck, stepcheck, strictjson
from .errors import ScorecardError
from .fields import NUMBER, TEXT
from .inputs import CATEGORY, DECIMALS, THOUSANDS, TYPES, Input, InputError
from .nodes import TASKS, Combination, Document
from .steps import Category

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
    outputs = modelcheck.model(content["model"], columns, task)
    modelcheck.decision(content["decision"], task, outputs, content["model"])


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
                fields.reference(name, columns, f"{at}.product[{index}]", NUMBER)
            add(item["name"], NUMBER, f"{at}.name")
            continue
        if "combine" in item:
            _combination(item, columns, at)
            add(item["name"], NUMBER, f"{at}.name")
            continue
        source = "column" if "column" in item else "input"
        if "one_hot" in item:
            fields.keys(item, at, (source, "steps", "one_hot", "zero", "otherwise"))
        else:
            fields.keys(item, at, ("name", source, "steps"))
        known = columns if source == "column" else inputs
        kind = fields.reference(item[source], known, f"{at}.{source}", None)
        kind = stepcheck.steps(item["steps"], f"{at}.steps", kind)
        if "one_hot" in item:
            _one_hot(item, kind, at, add)
        else:
            add(item["name"], kind, f"{at}.name")
    return columns


def _combination(item: "dict[str, Any]", columns: dict[str, str], at: str) -> None:
    fields.keys(item, at, ("name", "combine", "weights", "offset"))
    for index, name in enumerate(fields.listed(item["combine"], f"{at}.combine")):
        fields.reference(name, columns, f"{at}.combine[{index}]", NUMBER)
    for name in ("weights", "offset"):
        fields.check(Combination, name)(item[name], f"{at}.{name}", NUMBER)
    fields.length(item["weights"], f"{at}.weights", len(item["combine"]))


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
