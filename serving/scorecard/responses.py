"""From the scores of a row to the probabilities of its classes, with the standard library alone."""

import math

from .nodes import Ensemble, Estimator, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Numbers = Callable[[Sequence[float]], Sequence[float]]
    Probabilities = Callable[[Sequence[float]], list[float]]


def probabilities(model: Estimator, classes: int) -> "Probabilities":
    """The function from the scores of a row to one probability a class.

    Parameters
    ----------
    classes : how many there are.
    """
    if not isinstance(model, Ensemble):
        return _of(model, model.outputs)
    members = [
        (_of(member, stop - start), slice(start, stop), member.weight) for member, start, stop in model.parts(classes)
    ]
    total = sum(member.weight for member in model.members)

    def mean(scores: "Sequence[float]") -> list[float]:
        found = [0.0] * classes
        for answer, place, weight in members:
            for k, p in enumerate(answer(scores[place])):
                found[k] += weight * p
        return [p / total for p in found]

    return mean


def margins(response: Response) -> "Numbers | None":
    """The function from scores to what a link takes of them; None where it takes the scores."""
    lines = [(line.slope, line.offset) for line in response.lines()]
    if not lines:
        return None
    return lambda scores: [slope * score + offset for (slope, offset), score in zip(lines, scores, strict=True)]


def _of(response: Response, outputs: int) -> "Probabilities":
    link, calibrate, curves = response.link, margins(response), response.curves(outputs)
    if curves:
        points = [curve.bind("the score") for curve in curves]
        share = _complement if outputs == 1 else _shares
        return lambda scores: share([point(score) for point, score in zip(points, scores, strict=True)])
    answer = {"logistic": _binary, "softmax": softmax, "one-vs-rest": _normalised}[link]
    return answer if calibrate is None else lambda scores: answer(calibrate(scores))


def logistic(z: float) -> float:
    """1 / (1 + exp(-z)) without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


def softmax(scores: "Sequence[float]") -> list[float]:
    """Probabilities in proportion to exp(score), shifted by the largest so that none overflows."""
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _complement(shares: "Sequence[float]") -> list[float]:
    return [1.0 - shares[0], shares[0]]


def _shares(shares: "Sequence[float]") -> list[float]:
    total = sum(shares)
    return [share / total for share in shares] if total > 0.0 else [1.0 / len(shares)] * len(shares)


def _binary(margins: "Sequence[float]") -> list[float]:
    p = logistic(margins[0])
    return [1.0 - p, p]


def _normalised(margins: "Sequence[float]") -> list[float]:
    return _shares([logistic(margin) for margin in margins])
