"""A scorecard as one module of a language that throws what it refuses: the parts of the file, in order."""

from ..scorecard import Scorecard
from .choices import choice
from .straight import Language, Straight, indented, parts
from .wording import example, filled, put, title

#: The helper that makes probabilities of margins, by link.
LINKS = {"logistic": "binary", "softmax": "softmax", "one-vs-rest": "normalised"}


def write(scorecard: Scorecard, about, language: Language) -> str:
    """The source of a module with ``predict(row)``, ``probabilities(row)``, ``decision(row)`` and ``InputError``.

    A question the model has no answer to has no function.
    """
    straight, text = Straight(scorecard, language), language.text
    answers = _regression(straight) if scorecard.classes is None else _classification(straight)
    model = scorecard.document["model"]
    activation = straight.need(model["activation"]) if scorecard.kind == "mlp" else ""
    hot, values = (_list(straight, names) for names in (straight.hot, straight.values))
    computed = put(text.COMPUTE, lines=indented(straight.lines, language.unit), values=values, hot=hot)
    head = put(
        text.HEAD, title=title(scorecard, about), digest=scorecard.digest, usage=language.usage(example(scorecard))
    )
    facts, tables = language.facts(straight), _tables(straight)
    scores = put(text.SCORES[scorecard.kind], activation=activation)
    helpers = parts(text.PARTS, straight.helpers | {"sum", "named"})
    return language.gap.join([head, *facts, *tables, *helpers, computed, scores, *answers])


def _list(straight: Straight, names: list[str]) -> str:
    unit = straight.language.unit
    return filled("[", names, "]", indent=unit).replace("\n", "\n" + unit)


def _tables(straight: Straight) -> list[str]:
    """The numbers of the model."""
    language, model, inputs = straight.language, straight.scorecard.document["model"], straight.scorecard.inputs
    literal, constant = language.literal, language.constant
    columns = "".join(
        f"{language.unit}{language.pair(literal(blame), literal(weights))},"
        f"{language.remark(name if name != blame else '')}\n"
        for blame, weights, name in straight.columns
    )
    anybody = literal(inputs[0].name if inputs else "the model")
    found = put(language.text.COLUMNS, columns=columns, anybody=anybody)
    if model["kind"] == "linear":
        found += constant("INTERCEPTS", literal(list(map(float, model["intercepts"]))))
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
    language, model = straight.language, straight.scorecard.document["model"]
    lines: list[str] = []
    link = [{"function": "exp"}] if model["link"] == "log" else []
    result = straight.steps([*link, *model["target"]], "score", "target", lines)
    straight.need("largest")
    lines = [language.unit + line + "\n" for line in lines]
    return [put(language.text.REGRESSION, lines="".join(lines), result=result)]


def _classification(straight: Straight) -> list[str]:
    scorecard, language, text = straight.scorecard, straight.language, straight.language.text
    model, chosen = scorecard.document["model"], choice(scorecard)
    margins = "scores" if model["calibration"] is None else language.helper("margins")
    answers = [text.CALIBRATED] if model["calibration"] else []
    if scorecard.has_probabilities:
        answers.append(put(text.PROBABILITIES, link=straight.need(LINKS[model["link"]]), margins=margins))
    if scorecard.has_decision:
        answers.append(put(text.DECISION, place="" if len(model["intercepts"]) > 1 else "[0]"))
    asked = f"{margins if chosen.of == 'margins' else chosen.of}(row)"
    if chosen.place is None:
        place = f"{straight.need('place_of_largest')}({asked})"
    else:
        reached = f"> {language.literal(0.0)}" if chosen.least is None else f">= {language.literal(chosen.least)}"
        condition = f"{'-' if chosen.negative else ''}{asked}[{chosen.place}] {reached}"
        place = language.choose(condition, str(chosen.yes), str(chosen.no))
    return [*answers, put(text.LABEL, place=place)]
