"""The decision threshold of a binary classifier: given, or chosen on cross-validated probabilities."""

from dataclasses import dataclass

import numpy as np

from pipelines.errors import PipelineError

_HELP = "expected a probability (0.3), recall=R (recall=0.9) or cost=FALSE_ALARM:MISS (cost=1:20)"


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is found.

    Parameters
    ----------
    text : as the user wrote it.
    value : the threshold itself, where it is given.
    recall : the share of positives to be found at the least.
    cost : what a false alarm and what a miss cost, in one unit.
    """

    text: str
    value: float | None = None
    recall: float | None = None
    cost: tuple[float, float] | None = None


def parse(text: str) -> ThresholdRule:
    """A rule from ``0.3``, ``recall=0.9`` or ``cost=1:20``.

    Raises
    ------
    PipelineError
        where the text is none of these.
    """
    name, equals, given = (part.strip() for part in text.partition("="))
    try:
        numbers = [float(part) for part in (given if equals else name).split(":")]
    except ValueError:
        raise PipelineError(f"--threshold {text}: {_HELP}") from None
    if not equals and len(numbers) == 1 and 0 < numbers[0] < 1:
        return ThresholdRule(text, value=numbers[0])
    if name == "recall" and len(numbers) == 1 and 0 < numbers[0] <= 1:
        return ThresholdRule(text, recall=numbers[0])
    if name == "cost" and len(numbers) == 2 and all(0 < number < float("inf") for number in numbers):
        return ThresholdRule(text, cost=(numbers[0], numbers[1]))
    raise PipelineError(f"--threshold {text}: {_HELP}, each within its bounds")


def choose(rule: ThresholdRule, probabilities: np.ndarray, positive: np.ndarray) -> float:
    """The threshold of a rule: a row is called positive where its probability is at least this.

    Parameters
    ----------
    probabilities : shape (n_rows,), of the positive class, by models that did not see the row.
    positive : shape (n_rows,), bool: which rows are.

    Returns
    -------
    float : for a recall the highest threshold that reaches it; for a cost one of the least cost, between two
        probabilities where it can be, so that neither is on its edge.

    Raises
    ------
    PipelineError
        where it is to be chosen and no row is positive.
    """
    if rule.value is not None:
        return rule.value
    if not len(probabilities) or not positive.any():
        raise PipelineError(f"--threshold {rule.text}: no positive rows to choose it on; give a probability instead")
    if rule.recall is not None:
        scores = np.sort(probabilities[positive])[::-1]
        needed = int(np.ceil(rule.recall * len(scores) - 1e-9))
        return float(scores[max(needed, 1) - 1])
    assert rule.cost is not None
    alarm, miss = rule.cost
    order = np.argsort(-probabilities, kind="stable")
    scores, hits = probabilities[order], positive[order]
    # Calling the first k rows positive, k = 0 ... n; rows of one probability are called together.
    cost = np.r_[0, np.cumsum(~hits)] * alarm + (positive.sum() - np.r_[0, np.cumsum(hits)]) * miss
    possible = np.r_[True, scores[1:] != scores[:-1], True]
    best = int(np.flatnonzero(possible)[np.argmin(cost[possible])])
    if best == 0:
        return _between(scores[0], max(1.0, float(np.nextafter(scores[0], 2))))
    if best == len(scores):
        return float(scores[-1])
    return _between(scores[best], scores[best - 1])


def _between(low: float, high: float) -> float:
    """The middle of two probabilities, or the higher one where float64 has nothing between them."""
    middle = (float(low) + float(high)) / 2
    return middle if middle > low else float(high)
