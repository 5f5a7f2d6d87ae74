"""The scorecard as one ES module without dependencies: for browsers, Node, Deno, Bun and the edge.

Every name and text of the model goes into the file as an ASCII literal, so that none can become code. Sums are
compensated, so that they are as good as exactly rounded ones.
"""

import json

from ..scorecard import Scorecard
from . import javascripttext as text
from .choices import choice
from .straight import REASONS, Language, Straight, indented, parts
from .wording import filled, shown, title

#: Whole numbers beyond this are not all different in JavaScript.
SAFE = 2**53 - 1
_MATH = {
    **{name: name for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "abs", "sin", "cos")},
    **{"tanh": "tanh", "arcsinh": "asinh", "sign": "sign"},
}


def write(scorecard: Scorecard, about=None) -> str:
    """The source of a module with ``predict(row)``, ``probabilities(row)``, ``decision(row)`` and ``InputError``.

    ``row`` is an object, of which only own properties count, or a Map. A question the model has no answer to has no
    function. Labels are of the type they have in the scorecard; whole numbers are BigInt where one of them is beyond
    what JavaScript's numbers tell apart.
    """
    straight = Straight(scorecard, JavaScript())
    answers = _regression(straight) if scorecard.classes is None else _classification(straight)
    model = _model(straight)
    scores = text.SCORES[scorecard.kind]
    if scorecard.kind == "mlp":
        scores = scores.replace("ACTIVATION", straight.need(scorecard.document["model"]["activation"]))
    computed = text.COMPUTE % (
        indented(straight.lines, "  "),
        filled("[", straight.values, "]", indent="  ").replace("\n", "\n  "),
        filled("[", straight.hot, "]", indent="  ").replace("\n", "\n  "),
    )
    head = text.HEAD % (title(scorecard, about), _example(scorecard), scorecard.digest)
    facts = _facts(straight)
    known = parts(text.PARTS, straight.helpers | {"sum"})
    return "\n".join([head, facts, *model, *known, computed, scores, *answers])


class JavaScript(Language):
    """JavaScript, as of ECMAScript 2020."""

    def literal(self, value) -> str:
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            if value - value != 0.0:
                return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
            return repr(value).removesuffix(".0")
        if isinstance(value, list):
            return filled("[", list(map(self.literal, value)), "]", indent="  ")
        if isinstance(value, dict):
            pairs = [f"[{self.literal(key)}, {self.literal(item)}]" for key, item in value.items()]
            return filled("new Map([", pairs, "])", indent="  ")
        # The text of a page ends a script, whatever it is in.
        return json.dumps(value).replace("\x7f", "\\x7f").replace("</", "<\\/").replace("<!--", "<\\!--")

    def helper(self, name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(map(str.capitalize, others))

    def function(self, name: str, x: str) -> tuple[str, str | None]:
        if name in _MATH:
            return f"Math.{_MATH[name]}({x})", None
        return f"{name}({x})", name

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"{condition} ? {yes} : {no}"

    def missing(self, x: str, *, text: bool) -> str:
        return f"{x} === null" if text else f"Number.isNaN({x})"

    def equal(self, x: str, y: str) -> str:
        return f"{x} === {y}"

    def put(self, name: str, value: str, note: str = "") -> str:
        return f"const {name} = {value};{' // ' + shown(note) if note else ''}"

    def constant(self, name: str, value: str, note: str = "") -> str:
        return f"{'// ' + shown(note) + chr(10) if note else ''}const {name} = {value};\n"

    def call(self, helper: str, *arguments: str) -> str:
        return f"{helper}({', '.join(arguments)});"

    def given(self, names: list[str], lines: list) -> list:
        if not names:  # a block even so: two of them may use one name
            return ["{", lines, "}"]
        return [f"if ({' && '.join(f'has(row, {self.literal(name)})' for name in names)}) {{", lines, "}"]


def _example(scorecard: Scorecard) -> str:
    """A row as one would write it."""
    written = {"number": "3", "boolean": "true", "category": '"text"'}
    plain = [item for item in scorecard.inputs if item.name.isidentifier() and item.name.isascii()]
    cells = [f"{item.name}: {written[item.type]}" for item in plain[:2] if item.name != "__proto__"]
    return "{ " + ", ".join([*cells, "..."]) + " }"


def _facts(straight: Straight) -> str:
    scorecard, literal, constant = straight.scorecard, straight.language.literal, straight.language.constant
    inputs = [f"Object.freeze({_object(item.to_dict(), literal)})" for item in scorecard.inputs]
    quoted = {item.name: repr(item.name) for item in scorecard.inputs if repr(item.name) != f"'{item.name}'"}
    words = list(map(literal, sorted(scorecard.cleaning.missing)))
    found = [
        constant("DIGEST", literal(scorecard.digest)),
        constant("INPUTS", filled("Object.freeze([", inputs, "])", indent="  ")),
    ]
    if scorecard.classes:
        big = any(type(label) is int and abs(label) > SAFE for label in scorecard.classes)
        labels = [literal(label) + ("n" if big else "") for label in scorecard.classes]
        found.append(constant("CLASSES", filled("Object.freeze([", labels, "])", indent="  ")))
    found = ["export " + line for line in found]
    found.append("\n// What a value that cannot be taken is refused for.\n")
    found += [constant(name, literal(reason)) for name, reason in REASONS.items()]
    if quoted:
        found.append("\n" + constant("QUOTED", literal(quoted), "Names that a message quotes in another way."))
    found.append("\n// How text is read: without the space around it, and which words stand for a missing value.\n")
    found += [constant("TRIM", literal(scorecard.cleaning.trim))]
    found += [constant("MISSING", filled("new Set([", words, "])", indent="  "))]
    straight.helpers.add("quotedInputError" if quoted else "plainInputError")
    return "".join(found)


def _object(values: dict, literal) -> str:
    return "{ " + ", ".join(f"{key}: {literal(value)}" for key, value in values.items()) + " }"


def _model(straight: Straight) -> list[str]:
    """The tables of the model."""
    model, inputs = straight.scorecard.document["model"], straight.scorecard.inputs
    literal, constant = straight.language.literal, straight.language.constant
    columns = [
        f"  [{literal(blame)}, {literal(weights)}],{' // ' + shown(name) if name != blame else ''}\n"
        for blame, weights, name in straight.columns
    ]
    found = text.COLUMNS % ("".join(columns), literal(inputs[0].name if inputs else "the model"))
    if model["kind"] == "linear":
        found += constant("INTERCEPTS", literal([float(value) for value in model["intercepts"]]))
    else:
        layers = [
            [[list(map(float, row)) for row in layer["weights"]], list(map(float, layer["intercepts"]))]
            for layer in model["layers"]
        ]
        found += constant("LAYERS", literal(layers), "For each layer the weights of its units, and their intercepts.")
    if model["calibration"]:
        pairs = [[float(item["slope"]), float(item["offset"])] for item in model["calibration"]]
        found += constant("CALIBRATION", literal(pairs), "A slope and an offset for each score.")
    return [found, *(["".join(straight.constants)] if straight.constants else [])]


def _regression(straight: Straight) -> list[str]:
    model = straight.scorecard.document["model"]
    lines: list[str] = []
    x = "Math.exp(score)" if model["link"] == "log" else "score"
    x = straight.steps(model["target"], x, "target", lines)
    straight.need("largest")
    return [text.REGRESSION % ("".join(f"  {line}\n" for line in lines), x)]


def _classification(straight: Straight) -> list[str]:
    scorecard = straight.scorecard
    model, chosen = scorecard.document["model"], choice(scorecard)
    margins = "scores" if model["calibration"] is None else "margins"
    answers = [text.CALIBRATED] if model["calibration"] else []
    if scorecard.has_probabilities:
        link = straight.need({"logistic": "binary", "softmax": "softmax"}.get(model["link"], "normalised"))
        answers.append(text.PROBABILITIES % (link, margins))
    if scorecard.has_decision:
        answers.append(text.DECISION % ("" if len(model["intercepts"]) > 1 else "[0]"))
    asked = f"{margins if chosen.of == 'margins' else chosen.of}(row)"
    if chosen.place is None:
        return [*answers, text.LARGEST_LABEL % (asked, straight.need("place_of_largest"))]
    reached = "> 0" if chosen.least is None else f">= {straight.language.literal(chosen.least)}"
    value = f"{'-' if chosen.negative else ''}{asked}[{chosen.place}]"
    return [*answers, text.LABEL % f"{value} {reached} ? {chosen.yes} : {chosen.no}"]
