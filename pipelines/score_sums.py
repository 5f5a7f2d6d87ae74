"""Mean and spread of a linear model's scores, and of each input's share in them, over rows that come in parts."""

import math
from typing import Any

import numpy as np

from registry.evidence.document import InputShare, ScoreProfile
from serving.scorecard import Scorecard
from serving.scorecard.contributions import Contributions
from serving.scorecard.errors import Unsupported

#: So many numbers of shares are in memory at a time.
_NUMBERS = 4_000_000
_LEAST, _MOST = 1_000, 100_000


class ScoreSums:
    """Sums over the rows so far. They are of distances to the first part's mean: so no digit of the spread is lost.

    Attributes
    ----------
    refused : how many rows have no score.
    part_rows : how many rows to add at a time.
    """

    def __init__(self, terms: Contributions) -> None:
        self._terms, self.part_rows = terms, part_rows(terms)
        shape = len(terms.labels), 1 + len(terms.inputs)
        self._rows = self.refused = 0
        self._centre: np.ndarray | None = None
        self._sums, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, table: Any) -> None:
        """Add the rows of a table; raises InputError if it lacks a column."""
        self.add_shares(*self._terms.of(table))

    def add_shares(self, scores: np.ndarray, shares: np.ndarray, refused: np.ndarray) -> None:
        """Add rows whose scores are known, see :meth:`Contributions.of`."""
        values = np.concatenate([scores[:, None], shares], axis=1)
        if refused.any():
            values = values[:, :, ~refused]
            self.refused += int(refused.sum())
        if not values.shape[2]:
            return
        if self._centre is None:
            self._centre = values.mean(axis=2)
        values -= self._centre[:, :, None]
        self._rows += values.shape[2]
        self._sums += values.sum(axis=2)
        self._squares += np.einsum("kgr,kgr->kg", values, values)

    def profiles(self) -> list[ScoreProfile]:
        """Each score; empty if no row has any."""
        if self._centre is None:
            return []
        offsets = self._sums / self._rows
        means = self._centre + offsets
        variances = np.maximum(self._squares / self._rows - offsets**2, 0.0)
        if not (np.isfinite(means).all() and np.isfinite(variances).all()):
            return []
        found = []
        for label, mean, variance in zip(self._terms.labels, means.tolist(), variances.tolist(), strict=True):
            shares = [
                InputShare(list(inputs), each, math.sqrt(square))
                for inputs, each, square in zip(self._terms.inputs, mean[1:], variance[1:], strict=True)
            ]
            found.append(ScoreProfile(label, self._terms.scale, self._rows, mean[0], math.sqrt(variance[0]), shares))
        return found


def pooled(one: list[ScoreProfile], other: list[ScoreProfile]) -> list[ScoreProfile]:
    """The scores of two sets of rows together; of one alone if the other has none."""
    if not one or not other:
        return one or other
    return [_pooled(first, second) for first, second in zip(one, other, strict=True)]


def _pooled(one: ScoreProfile, other: ScoreProfile) -> ScoreProfile:
    rows = one.rows + other.rows

    def both(mean: float, std: float, mean_of_other: float, std_of_other: float) -> tuple[float, float]:
        share = other.rows / rows
        away = mean_of_other - mean
        variance = (1 - share) * std**2 + share * std_of_other**2 + share * (1 - share) * away**2
        return mean + share * away, math.sqrt(variance)

    shares = [
        InputShare(first.inputs, *both(first.mean, first.std, second.mean, second.std))
        for first, second in zip(one.shares, other.shares, strict=True)
    ]
    return ScoreProfile(one.label, one.scale, rows, *both(one.mean, one.std, other.mean, other.std), shares)


def terms_of(card: Scorecard | None) -> Contributions | None:
    """The terms of a scorecard's score; None if there is no scorecard, or its score is no sum of terms."""
    try:
        return Contributions(card) if card else None
    except Unsupported:
        return None


def part_rows(terms: Contributions) -> int:
    """How many rows to add at a time."""
    return max(_LEAST, min(_MOST, _NUMBERS // (len(terms.labels) * (1 + len(terms.inputs)))))


def measured(card: Scorecard | None, table: Any) -> list[ScoreProfile]:
    """The scores of a DataFrame's rows; empty if there is no scorecard, or its score is no sum of terms."""
    terms = terms_of(card)
    if terms is None:
        return []
    sums = ScoreSums(terms)
    with np.errstate(all="ignore"):
        for start in range(0, len(table), sums.part_rows):
            sums.add(table.iloc[start : start + sums.part_rows])
    return sums.profiles()
