"""A scorecard as one module of a language that throws what it refuses: the parts of the file, in order."""

from ..handlers import unknown
from ..nodes import ClassDecision, Ensemble, Linear, Member, Network, Response, decision_rule
from ..scorecard import Scorecard
from .about import About
from .lowering import Language, Lines, Lowering, indented
from .wording import example, filled, put, title

#: The helper that makes probabilities of margins, by link.
_LINKS = {"logistic": "binary", "softmax": "softmax", "one-vs-rest": "normalised"}


def link_helper(response: Response, outputs: int) -> str:
    """The helper that makes probabilities of scores that are calibrated, or of points of curves."""
    if response.curves(outputs):
        return "complement" if outputs == 1 else "shares"
    return _LINKS[response.link]


def write(scorecard: Scorecard, about: About | None, language: Language) -> str:
    """The source of a module with ``predict(row)``, ``probabilities(row)``, ``decision(row)`` and ``InputError``.

    A question the model has no answer to has no function.
    """
    lowering, templates = Lowering(scorecard, language), language.templates
    decision = scorecard.document.decision
    answers = _regression(lowering) if decision is None else _classification(lowering, decision)
    hot, values = (_list(lowering, names) for names in (lowering.hot, lowering.values))
    computed = put(templates["compute"], lines=indented(lowering.lines, language.unit), values=values, hot=hot)
    head = put(
        templates["head"],
        title=title(scorecard, about),
        digest=scorecard.digest,
        usage=language.usage(example(scorecard)),
    )
    scores = put(templates["scores"], scores=_scores(lowering))
    lowering.need("named")
    facts, tables = language.facts(lowering), _tables(lowering)
    helpers = language.helpers.taken(lowering.helpers)
    members = [lowering.members] if lowering.members else []  # they name helpers
    return language.gap.join([head, *facts, *tables, *helpers, *members, computed, scores, *answers])


def _list(lowering: Lowering, names: list[str]) -> str:
    unit = lowering.language.unit
    return filled("[", names, "]", indent=unit).replace("\n", "\n" + unit)


def _tables(lowering: Lowering) -> list[str]:
    """The numbers of the model."""
    language, model, inputs = lowering.language, lowering.scorecard.document.model, lowering.scorecard.inputs
    literal, constant = language.literal, language.constant
    columns = "".join(
        f"{language.unit}{language.pair(literal(blame), literal(weights))},"
        f"{language.remark(name if name != blame else '')}\n"
        for blame, weights, name in lowering.columns
    )
    anybody = literal(inputs[0].name if inputs else "the model")
    found = put(language.templates["columns"], columns=columns, anybody=anybody)
    if isinstance(model, Linear):
        found += constant("INTERCEPTS", literal(model.intercepts))
    else:
        layers = [[layer.weights, layer.intercepts] for layer in model.layers]
        found += constant("LAYERS", literal(layers), "For each layer the weights of its units, and their intercepts.")
    if isinstance(model, Ensemble):
        members = "".join(
            f"{language.unit}{_member(lowering, member, start, stop)},\n"
            for member, start, stop in model.parts(len(lowering.scorecard.classes or ()))
        )
        note = "For each model its weight, which scores are its own, and how it makes probabilities of them."
        lowering.members = constant("MEMBERS", f"[\n{members}]", note)
    elif calibration := _calibration(model, model.outputs):
        said = (
            "Edges, origins and coefficients of a curve for each score."
            if model.curves(model.outputs)
            else "A line for each score."
        )
        found += constant("CALIBRATION", literal(calibration), said)
    return [found, *(["".join(lowering.constants)] if lowering.constants else [])]


def _calibration(response: Response, outputs: int) -> list:
    """For each score what it is calibrated by: the parts of a curve, or a slope and an offset."""
    curves = response.curves(outputs)
    return [[one.edges, one.origins, one.coefficients] for one in curves] or [
        [one.slope, one.offset] for one in response.lines()
    ]


def _adjust(response: Response, outputs: int) -> str:
    """The helper that calibrates scores; nothing where they stay as they are."""
    return "points" if response.curves(outputs) else "margins" if response.lines() else ""


def _member(lowering: Lowering, member: Member, start: int, stop: int) -> str:
    literal, outputs = lowering.language.literal, stop - start
    link = lowering.need(link_helper(member, outputs))
    adjust = lowering.need(_adjust(member, outputs) or "unchanged")
    facts = [literal(member.weight), str(start), str(stop), link, adjust, literal(_calibration(member, outputs))]
    return f"[{', '.join(facts)}]"


def _likely(lowering: Lowering) -> str:
    """The expression of the probabilities."""
    model = lowering.scorecard.document.model
    if isinstance(model, Ensemble):
        return f"{lowering.need('mean')}(MEMBERS, scores(row))"
    return f"{lowering.need(link_helper(model, model.outputs))}({_adjusted(lowering)})"


def _adjusted(lowering: Lowering) -> str:
    """The expression of the scores once they are calibrated."""
    model = lowering.scorecard.document.model
    adjust = _adjust(model, model.outputs)
    return f"{lowering.need(adjust)}(scores(row), CALIBRATION)" if adjust else "scores(row)"


def _scores(lowering: Lowering) -> str:
    """The expression of the scores, of the values of the model's columns and the weights that categories choose."""
    model = lowering.scorecard.document.model
    if isinstance(model, Linear):
        return f"{lowering.need('linear_scores')}(values, hot)"
    if isinstance(model, Network):
        return f"{lowering.need('network_scores')}(values, {lowering.need(model.activation)})"
    raise unknown(model, lowering.language.title)


def _regression(lowering: Lowering) -> list[str]:
    language = lowering.language
    lines: Lines = []
    result = lowering.steps(lowering.scorecard.document.model.after_score, "score", "target", lines)
    lowering.need("largest")
    lines = [language.unit + line + "\n" for line in lines]
    return [put(language.templates["regression"], scores=_scores(lowering), lines="".join(lines), result=result)]


def _classification(lowering: Lowering, decision: ClassDecision) -> list[str]:
    scorecard, language, templates = lowering.scorecard, lowering.language, lowering.language.templates
    model = scorecard.document.model
    rule = decision_rule(model, decision)
    answers = []
    if scorecard.has_probabilities:
        answers.append(put(templates["probabilities"], probabilities=_likely(lowering)))
    if scorecard.has_decision:
        answers.append(put(templates["decision"], place="" if model.outputs > 1 else "[0]"))
    asked = "scores(row)"
    if rule.of == "probabilities":
        asked = "probabilities(row)"
    elif rule.of == "margins" and model.lines():
        asked = _adjusted(lowering)
    if rule.place is None:
        place = f"{lowering.need('place_of_largest')}({asked})"
    else:
        reached = f"> {language.literal(0.0)}" if rule.least is None else f">= {language.literal(rule.least)}"
        condition = f"{'-' if rule.negative else ''}{asked}[{rule.place}] {reached}"
        place = language.choose(condition, str(rule.yes), str(rule.no))
    return [*answers, put(templates["label"], place=place)]
