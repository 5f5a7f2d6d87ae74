"""What is measured of answers: the metrics, their bootstrap intervals, the same by group."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.evaluation.groups import GroupNames, GroupSums
from registry import metrics as registry_metrics
from registry.evidence.document import Fairness
from registry.metrics import BY_NAME, CodedAnswers, middle, weighted

#: The share of bootstrap resamples inside an interval.
LEVEL = 0.95
#: At most this many rows are resampled.
BOOTSTRAP_ROWS = 10_000
_CHUNK = 50


@dataclass(frozen=True)
class Answers:
    """What a model answered beside what was true.

    Parameters
    ----------
    target, predicted : shape (n_rows,): numbers of a regression, or labels.
    probabilities : shape (n_rows, n_classes), columns in the order of the classes; NaN if the model gives labels
        alone, None for a regression.
    classes : the labels in order; empty for a regression.
    positive : of two classes, the one that precision, recall, f1 and roc_auc are of.
    """

    target: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple = ()
    positive: object = None

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: np.ndarray) -> "Answers":
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Answers(self.target[rows], self.predicted[rows], probabilities, self.classes, self.positive)

    def coded(self) -> CodedAnswers:
        """The same with labels as their places among the classes."""
        if self.probabilities is None:
            return CodedAnswers(self.target, self.predicted)
        classes = pd.Index(list(self.classes))
        truth, predicted = (classes.get_indexer(pd.Index(labels)) for labels in (self.target, self.predicted))
        one_of_two = len(classes) == 2 and self.positive is not None
        return CodedAnswers(
            truth, predicted, self.probabilities, classes.get_loc(self.positive) if one_of_two else None
        )


def measure(answers: Answers) -> dict[str, float | None]:
    """The metrics of a task, as :func:`registry.metrics.measure` has them."""
    return registry_metrics.measure(answers.coded())


def intervals(
    answers: Answers, *, resamples: int, seed: int, names: Sequence[str] | None = None
) -> dict[str, tuple[float, float] | None]:
    """The interval of each metric, see :meth:`BootstrapSample.intervals`."""
    whole = answers.coded()
    sample = BootstrapSample(len(whole), seed=seed)
    sample.add(whole)
    of_all = registry_metrics.measure(whole) if len(whole) > BOOTSTRAP_ROWS else {}
    return sample.intervals(of_all, resamples=resamples, names=names)


class BootstrapSample:
    """The rows that are resampled, of rows that come in parts: all of them, or a random sample of ``BOOTSTRAP_ROWS``.

    Parameters
    ----------
    rows : how many there will be.
    """

    def __init__(self, rows: int, *, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._rows, self._seen = rows, 0
        self._chosen: np.ndarray | None = None
        if rows > BOOTSTRAP_ROWS:
            self._chosen = np.sort(self._draw.choice(rows, BOOTSTRAP_ROWS, replace=False))
        self._parts: list[CodedAnswers] = []

    def add(self, answers: CodedAnswers) -> None:
        """Add a part."""
        if self._chosen is None:
            self._parts.append(answers)
        else:
            first, last = np.searchsorted(self._chosen, [self._seen, self._seen + len(answers)])
            self._parts.append(answers[self._chosen[first:last] - self._seen])
        self._seen += len(answers)

    def intervals(
        self, of_all: Mapping[str, float | None], *, resamples: int, names: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float] | None]:
        """The percentile bootstrap interval of each metric (Efron and Tibshirani 1993, chapter 13).

        On more than ``BOOTSTRAP_ROWS`` rows an m-out-of-n bootstrap (Bickel, Gotze and van Zwet 1997): a random sample
        of that many rows is resampled, and the distances from its own metric, shrunk by the root of its share of the
        rows, are those from the metric of all rows. None for a metric that is not defined.

        Parameters
        ----------
        of_all : the metrics of all rows, which are needed if there are more than ``BOOTSTRAP_ROWS``.
        names : of the metrics; all by default.
        """
        sample, draw = registry_metrics.joined(self._parts), self._draw
        rows = len(sample)
        drawn: dict[str, list[np.ndarray]] = {}
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            picks = draw.integers(0, rows, size=(size, rows)) + np.arange(size)[:, None] * rows
            weights = np.bincount(picks.ravel(), minlength=size * rows).reshape(size, rows).astype("float64")
            for name, values_of in weighted(sample, weights, names).items():
                drawn.setdefault(name, []).append(values_of)
        tail = 100 * (1 - LEVEL) / 2
        ends: dict[str, tuple[float, float] | None] = {}
        for name, parts in drawn.items():
            values = np.concatenate(parts)
            values = values[np.isfinite(values)]
            ends[name] = tuple(np.percentile(values, [tail, 100 - tail]).tolist()) if len(values) else None
        return ends if self._chosen is None else self._around(ends, of_all, registry_metrics.measure(sample))

    def _around(
        self,
        ends: Mapping[str, tuple[float, float] | None],
        of_all: Mapping[str, float | None],
        of_sample: Mapping[str, float | None],
    ) -> dict[str, tuple[float, float] | None]:
        """The intervals of all rows, of those of a sample of them."""
        shrink = math.sqrt(BOOTSTRAP_ROWS / self._rows)
        found: dict[str, tuple[float, float] | None] = {}
        for name, interval in ends.items():
            value, centre = of_all[name], of_sample[name]
            if interval is None or value is None or centre is None:
                found[name] = None
                continue
            low, high = (BY_NAME[name].possible(value + (end - centre) * shrink) for end in interval)
            found[name] = (low, high)
        return found


def by_group(answers: Answers, groups: pd.Series) -> Fairness:
    """The metrics of each group of rows and, of each metric, the widest gap between two groups.

    Parameters
    ----------
    groups : shape (n_rows,): texts, or numbers, which are cut into quarters where they are many.
    """
    coded = answers.coded()
    sums = GroupSums(str(groups.name), GroupNames.of_all([groups]), middle(coded))
    sums.add(coded, groups)
    return sums.fairness()


def group_names(groups: pd.Series) -> pd.Series:
    """The group of each row, by name: a text, or the quarter that a number is in; the rare ones are ``other``."""
    return GroupNames.of_all([groups]).of(groups)
