"""From the scores of a classifier to its margins and to the probabilities of its classes, in SQL."""

from ...nodes import Ensemble, Estimator, Response
from .functions import CLAMP
from .layers import Sql, joined, sql, total
from .scores import logistic
from .transforms import Transforms
from .values import Number, Writer

#: How many arguments a call has at most.
_ARGUMENTS = 50


def margins(response: Response, scores: list[Sql], writer: Writer) -> list[Sql]:
    """The scores after their lines."""
    lines = response.lines()
    if not lines:
        return scores
    found = []
    for item, score in zip(lines, scores, strict=True):
        number = Number(score, infinite=False)
        if item.slope:
            number = writer.plus(writer.times(number, item.slope), item.offset)
            found.append(writer.layers.let(number.sql))
        else:
            offset = writer.literal(item.offset)
            found.append(writer.layers.let(sql("CASE WHEN {} IS NOT NULL THEN {} END", score, offset)))
    return found


def probabilities(model: Estimator, classes: int, scores: list[Sql], writer: Writer) -> list[Sql]:
    """One probability a class."""
    if not isinstance(model, Ensemble):
        return _of(model, scores, writer)
    weight = sum(member.weight for member in model.members)
    sums: list[Number | None] = [None] * classes
    for member, start, stop in model.parts(classes):
        if not member.weight:
            continue
        for place, p in enumerate(_of(member, scores[start:stop], writer)):
            added, before = writer.times(Number(p, infinite=False, high=1.0), member.weight), sums[place]
            if before is not None:
                added = Number(sql("({} + {})", before.sql, added.sql), infinite=False, high=weight)
            sums[place] = added
    return [writer.layers.let(writer.times(one, weight, divide=True).sql) for one in sums if one is not None]


def largest(values: list[Sql], writer: Writer) -> Sql:
    """The largest of several numbers, none of which is NULL unless all are."""
    while len(values) > 1:
        parts = [values[place : place + _ARGUMENTS] for place in range(0, len(values), _ARGUMENTS)]
        values = [
            sql(writer.engine.greatest + "({})", joined(", ", part)) if len(part) > 1 else part[0] for part in parts
        ]
    return writer.layers.let(values[0])


def _of(response: Response, scores: list[Sql], writer: Writer) -> list[Sql]:
    """One probability a class by one model."""
    layers, curves = writer.layers, response.curves(len(scores))
    if curves:
        run = Transforms(writer).run
        points = [run(Number(one, infinite=False), [curve], "") for one, curve in zip(scores, curves, strict=True)]
        return _shared([layers.let(point.sql) for point in points if isinstance(point, Number)], writer)
    found = margins(response, scores, writer)
    if response.link == "softmax":
        # Shifted by the largest, so that none overflows.
        most = largest(found, writer)
        least = sql("{} - {}", most, writer.literal(CLAMP))
        template = "CASE WHEN {0} < {1} THEN {2} ELSE EXP({0} - {3}) END"
        powers = [layers.let(sql(template, one, least, writer.literal(0.0), most)) for one in found]
        whole = layers.let(total(powers))
        return [layers.let(sql("({} / {})", power, whole)) for power in powers]
    if len(found) == 1:
        return _shared([layers.let(logistic(found[0], writer))], writer)
    zero, least = writer.literal(0.0), writer.literal(-CLAMP)
    template = "CASE WHEN {0} < {1} THEN {2} ELSE {3} END"
    return _shared([layers.let(sql(template, one, least, zero, logistic(one, writer))) for one in found], writer)


def _shared(shares: list[Sql], writer: Writer) -> list[Sql]:
    """Probabilities of classes: of two from that of the second, of several from one each, normalised."""
    layers = writer.layers
    if len(shares) == 1:
        return [layers.let(sql("({} - {})", writer.literal(1.0), shares[0])), shares[0]]
    whole, zero, even = layers.let(total(shares)), writer.literal(0.0), writer.literal(1.0 / len(shares))
    return [
        layers.let(sql("CASE WHEN {0} > {1} THEN {2} / {0} WHEN {0} = {1} THEN {3} END", whole, zero, share, even))
        for share in shares
    ]
