"""The metrics of answers: of all rows, of rows that come in parts, and under weights."""

from collections.abc import Sequence

import numpy as np

from registry.metrics import ranks, sums
from registry.metrics.answers import CodedAnswers
from registry.metrics.ranks import Ranks

_AUC = "roc_auc"
# Rows whose sums are made at a time.
_CHUNK = 1 << 16


class MetricSums:
    """The metrics of rows that come in parts.

    Parameters
    ----------
    centre : a number near the middle of a regression's truth, see :func:`sums.of_rows`.

    Attributes
    ----------
    rows : how many were added.
    """

    def __init__(self, centre: float = 0.0) -> None:
        self.rows = 0
        self._centre = centre
        self._ranks = Ranks()
        self._sums: np.ndarray | None = None
        self._like: CodedAnswers | None = None

    def add(self, answers: CodedAnswers) -> None:
        """Add rows of one task and the same classes as those before."""
        self.rows += len(answers)
        self._like = answers[:0]
        for start in range(0, max(len(answers), 1), _CHUNK):
            some = answers[start : start + _CHUNK]
            with np.errstate(over="ignore"):
                found = sums.of_rows(some, self._centre).sum(axis=0)
                self._sums = found if self._sums is None else self._sums + found
            if some.probabilities is not None:
                self._ranks.add(some)

    def values(self) -> dict[str, float | None]:
        """The metrics of the task.

        None where one is not defined (R² of a constant target, AUC of one class), or is too large for float64.

        Raises
        ------
        ValueError
            if nothing was added.
        """
        if self._like is None or self._sums is None:
            raise ValueError("expected answers to measure, found none")
        found = {name: float(value[0]) for name, value in sums.values(self._like, self._sums[None]).items()}
        if _AUC in self._like.metrics:
            found[_AUC] = self._ranks.auc()
        return {name: found[name] if np.isfinite(found[name]) else None for name in self._like.metrics}


def measure(answers: CodedAnswers) -> dict[str, float | None]:
    """The metrics of the task, see :meth:`MetricSums.values`."""
    found = MetricSums(middle(answers))
    found.add(answers)
    return found.values()


def weighted(answers: CodedAnswers, weights: np.ndarray, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Metrics under each row of weights; NaN where one is not defined, infinite where float64 cannot hold it.

    Parameters
    ----------
    weights : shape (n_weightings, n_rows), how often each row counts.
    names : of the metrics; those of the task by default.

    Returns
    -------
    name -> array, shape (n_weightings,)
    """
    wanted = answers.metrics if names is None else names
    found: dict[str, np.ndarray] = {}
    if {*wanted} - {_AUC}:
        with np.errstate(over="ignore"):
            found = sums.values(answers, weights @ sums.of_rows(answers, middle(answers)))
    if _AUC in wanted:
        found[_AUC] = ranks.weighted_auc(answers, weights)
    return {name: found[name] for name in wanted}


def middle(answers: CodedAnswers) -> float:
    """The median of a regression's truth, 0 of a classification: one row far out leaves it where it is."""
    if answers.probabilities is not None or not len(answers):
        return 0.0
    return float(np.median(answers.truth))
