"""The area under the ROC curve: the share of pairs that a score orders rightly, ties half (Mann and Whitney 1947)."""

import numpy as np

from registry.metrics.answers import CodedAnswers

_CHUNK = 1 << 16


def weighted_auc(answers: CodedAnswers, weights: np.ndarray) -> np.ndarray:
    """The area under each row of weights, shape (n_weightings,); of several classes the mean of each against the rest.

    Parameters
    ----------
    weights : shape (n_weightings, n_rows).
    """
    probabilities = answers.probabilities
    assert probabilities is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = [_weighted(answers.truth == place, probabilities[:, place], weights) for place in answers.places]
    return np.mean(areas, axis=0)


def _weighted(actual: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of one class: each positive row counts the rows below it and half of those beside it.

    Of these, the positive ones make half the square of the positives' weight.
    """
    if np.isnan(score).any():
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    found = np.flatnonzero(actual[order])
    first, last = (np.searchsorted(ranked, ranked[found], side) for side in ("left", "right"))
    below = np.zeros((len(weights), len(score) + 1))
    np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
    own = weights[:, order[found]]
    positive = own.sum(axis=1)
    pairs = (own * (below[:, first] + below[:, last])).sum(axis=1) / 2 - positive**2 / 2
    return pairs / (positive * (below[:, -1] - positive))


class Ranks:
    """The scores of each class, of rows that come in parts: 8 bytes a row and class are kept."""

    def __init__(self) -> None:
        self._scores: dict[int, tuple[list[np.ndarray], list[np.ndarray]]] = {}

    def add(self, answers: CodedAnswers) -> None:
        """Add a part."""
        assert answers.probabilities is not None
        for place in answers.places:
            own, others = self._scores.setdefault(place, ([], []))
            score, actual = answers.probabilities[:, place], answers.truth == place
            own.append(score[actual])
            others.append(score[~actual])

    def auc(self) -> float:
        """The area under the curve, as :func:`weighted_auc` has it of weights of 1; NaN where it is not defined."""
        areas = []
        for place in list(self._scores):
            own, others = self._scores[place]
            areas.append(_area(np.concatenate(own), np.concatenate(others)))
        return float(np.mean(areas)) if areas else float("nan")


def _area(own: np.ndarray, others: np.ndarray) -> float:
    if not len(own) or not len(others) or np.isnan(own).any() or np.isnan(others).any():
        return float("nan")
    others.sort()
    pairs = 0
    for start in range(0, len(own), _CHUNK):
        some = np.sort(own[start : start + _CHUNK])
        pairs += int(np.searchsorted(others, some, "left").sum()) + int(np.searchsorted(others, some, "right").sum())
    return pairs / 2 / len(own) / len(others)
