"""The scorecard as one Python file that imports nothing but ``math``: for places where nothing can be installed.

Every name and text of the model goes into the file through ``ascii``, as a literal, so that none can become code.
"""

from ..scorecard import Scorecard
from . import pythontext as text
from .choices import choice
from .straight import REASONS, Language, Straight, indented, parts
from .wording import filled, shown, title


def write(scorecard: Scorecard, about=None) -> str:
    """The source of a module with ``predict(row)``, ``probabilities(row)``, ``decision(row)`` and ``InputError``.

    ``row`` is a mapping of input name to raw value. A question the model has no answer to has no function.
    """
    language = Python()
    straight = Straight(scorecard, language)
    answers = _regression(straight) if scorecard.classes is None else _classification(straight)
    computed = text.COMPUTE.format(
        lines=indented(straight.lines, "    "),
        values=filled("[", straight.values, "]").replace("\n", "\n    "),
        hot=filled("[", straight.hot, "]").replace("\n", "\n    "),
    )
    model = _model(straight)
    scores = text.SCORES[scorecard.kind]
    if scorecard.kind == "mlp":
        scores = scores.format(activation=straight.need(scorecard.document["model"]["activation"]))
    sections = [
        text.HEAD.format(title=title(scorecard, about), digest=scorecard.digest),
        "import math\n",
        _facts(scorecard, language),
        *model,
        *parts(text.PARTS, straight.helpers | {"InputError", "sum"}),
        computed,
        scores,
        *answers,
    ]
    return "\n\n".join(sections)


class Python(Language):
    """Python 3, any version of it that is in use."""

    def literal(self, value) -> str:
        if isinstance(value, float):
            if value != value:
                return "math.nan"
            return repr(value) if value - value == 0.0 else "math.inf" if value > 0 else "-math.inf"
        if isinstance(value, list):
            return filled("[", list(map(self.literal, value)), "]")
        if isinstance(value, dict):
            pairs = [f"{self.literal(key)}: {self.literal(item)}" for key, item in value.items()]
            return filled("{", pairs, "}")
        return ascii(value)

    def helper(self, name: str) -> str:
        return "_" + name

    def function(self, name: str, x: str) -> tuple[str, str | None]:
        return f"_{name}({x})", name

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"{yes} if {condition} else {no}"

    def missing(self, x: str, *, text: bool) -> str:
        return f"{x} is None" if text else f"{x} != {x}"

    def equal(self, x: str, y: str) -> str:
        return f"{x} == {y}"

    def put(self, name: str, value: str, note: str = "") -> str:
        return f"{name} = {value}{'  # ' + shown(note) if note else ''}"

    def constant(self, name: str, value: str, note: str = "") -> str:
        return f"{'# ' + shown(note) + chr(10) if note else ''}{name} = {value}\n"

    def call(self, helper: str, *arguments: str) -> str:
        return f"{helper}({', '.join(arguments)})"

    def given(self, names: list[str], lines: list) -> list:
        if not names:
            return lines
        return [f"if {' and '.join(f'{self.literal(name)} in row' for name in names)}:", lines]


def _facts(scorecard: Scorecard, language: Python) -> str:
    literal, constant, cleaning = language.literal, language.constant, scorecard.cleaning
    words = list(map(literal, sorted(cleaning.missing)))
    return "".join(
        [
            constant("DIGEST", literal(scorecard.digest)),
            constant("INPUTS", literal([item.to_dict() for item in scorecard.inputs])),
            constant("CLASSES", literal(scorecard.classes)) if scorecard.classes else "",
            constant("TRIM", literal(cleaning.trim)),
            constant("MISSING", filled("frozenset([", words, "])")),
            *(constant(name, literal(reason)) for name, reason in REASONS.items()),
        ]
    )


def _model(straight: Straight) -> list[str]:
    """The tables of the model."""
    language, model = straight.language, straight.scorecard.document["model"]
    literal, inputs = language.literal, straight.scorecard.inputs
    columns = [
        f"    ({literal(blame)}, {literal(weights)}),{'  # ' + shown(name) if name != blame else ''}\n"
        for blame, weights, name in straight.columns
    ]
    anybody = literal(inputs[0].name if inputs else "the model")
    found = [text.COLUMNS.format(columns="".join(columns), anybody=anybody)]
    if model["kind"] == "linear":
        found[0] += language.constant("INTERCEPTS", literal([float(value) for value in model["intercepts"]]))
    else:
        layers = [
            [[list(map(float, row)) for row in layer["weights"]], list(map(float, layer["intercepts"]))]
            for layer in model["layers"]
        ]
        found[0] += language.constant("LAYERS", literal(layers), "For each layer the weights of its units, intercepts.")
    if model["calibration"]:
        pairs = [[float(item["slope"]), float(item["offset"])] for item in model["calibration"]]
        found[0] += language.constant("CALIBRATION", literal(pairs), "A slope and an offset for each score.")
    return found + ["".join(straight.constants)] if straight.constants else found


def _regression(straight: Straight) -> list[str]:
    model = straight.scorecard.document["model"]
    lines: list[str] = []
    x = f"{straight.need('exp')}(score)" if model["link"] == "log" else "score"
    x = straight.steps(model["target"], x, "target", lines)
    straight.need("largest")
    return [text.REGRESSION.format(lines="".join(f"    {line}\n" for line in lines), result=x)]


def _classification(straight: Straight) -> list[str]:
    scorecard = straight.scorecard
    model, chosen = scorecard.document["model"], choice(scorecard)
    margins = "scores" if model["calibration"] is None else "_margins"
    answers = [text.CALIBRATED] if model["calibration"] else []
    if scorecard.has_probabilities:
        link = straight.need({"logistic": "binary", "softmax": "softmax"}.get(model["link"], "normalised"))
        answers.append(text.PROBABILITIES.format(link=link, margins=margins))
    if scorecard.has_decision:
        answers.append(text.DECISION.format(place="" if len(model["intercepts"]) > 1 else "[0]"))
    asked = f"{margins if chosen.of == 'margins' else chosen.of}(row)"
    if chosen.place is None:
        lines = f"    found = {asked}\n    return CLASSES[found.index(max(found))]\n"
    else:
        reached = "> 0.0" if chosen.least is None else f">= {straight.language.literal(chosen.least)}"
        value = f"{'-' if chosen.negative else ''}{asked}[{chosen.place}]"
        lines = f"    return CLASSES[{chosen.yes} if {value} {reached} else {chosen.no}]\n"
    return [*answers, text.LABEL.format(lines=lines)]
