"""Class labels: plain values, their places, and one class against the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: More scores than this, over all classes, are sampled: every class needs a sort of its own.
_MOST_SCORES = 1_500_000


@dataclass(frozen=True)
class OneVsRest:
    """How rows were scored for one class.

    Parameters
    ----------
    label : the class.
    hits : (n,) whether a row is of the class.
    scores : (n,) the class's probability.
    """

    label: object
    hits: np.ndarray
    scores: np.ndarray


def one_vs_rest(actual: list, probabilities: np.ndarray, classes: list, positive: object) -> list[OneVsRest]:
    """The classes that curves are about: of two the positive one (the second where that is none of them), else all.

    Parameters
    ----------
    actual : (n,) labels.
    probabilities : (n, k) in the order of `classes`; what is not a number counts as zero.
    """
    n, k = probabilities.shape
    if k == 2:
        wanted = [classes.index(positive) if positive in classes else 1]
    else:
        wanted = list(range(k))
        if n * k > _MOST_SCORES:
            chosen = np.random.default_rng(0).choice(n, _MOST_SCORES // k, replace=False)
            actual, probabilities = [actual[row] for row in chosen], probabilities[chosen]
    codes = places(actual, classes)
    return [OneVsRest(classes[i], codes == i, np.nan_to_num(probabilities[:, i])) for i in wanted]


def values(labels) -> list:
    """Labels as plain Python values, so that they compare and hash alike wherever they come from."""
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def places(labels: Sequence, among: Sequence) -> np.ndarray:
    """The place of each label among others, -1 where it is not there."""
    known = {label: place for place, label in enumerate(among)}
    return np.fromiter((known.get(label, -1) for label in labels), dtype=np.int64, count=len(labels))
