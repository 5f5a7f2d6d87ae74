"""What is measured of answers: the metrics, their bootstrap intervals, the same by group."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from registry import metrics as registry_metrics
from registry.evidence.document import Fairness, GroupMetrics
from registry.metrics import BY_NAME, CodedAnswers, weighted

#: The share of bootstrap resamples inside an interval.
LEVEL = 0.95
#: At most this many rows are resampled.
BOOTSTRAP_ROWS = 10_000
_CHUNK = 50
_BINS = 4
_MOST_GROUPS = 20


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


class Resampling:
    """The rows that are resampled of so many: all, or a random sample of ``BOOTSTRAP_ROWS`` of more.

    Attributes
    ----------
    rows : how many rows there are.
    chosen : their positions, ascending; None if all are resampled.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self._draw = np.random.default_rng(seed)
        self.chosen: np.ndarray | None = None
        if rows > BOOTSTRAP_ROWS:
            self.chosen = np.sort(self._draw.choice(rows, BOOTSTRAP_ROWS, replace=False))

    def intervals(
        self,
        sample: CodedAnswers,
        whole: Mapping[str, float | None],
        *,
        resamples: int,
        names: Sequence[str] | None = None,
    ) -> dict[str, tuple[float, float] | None]:
        """The intervals, see :func:`intervals`; asked once.

        Parameters
        ----------
        sample : the answers to the chosen rows.
        whole : the metrics of all rows.
        """
        rows = len(sample)
        drawn: dict[str, list[np.ndarray]] = {}
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            picks = self._draw.integers(0, rows, size=(size, rows)) + np.arange(size)[:, None] * rows
            weights = np.bincount(picks.ravel(), minlength=size * rows).reshape(size, rows).astype("float64")
            for name, values_of in weighted(sample, weights, names).items():
                drawn.setdefault(name, []).append(values_of)
        tail = 100 * (1 - LEVEL) / 2
        ends: dict[str, tuple[float, float] | None] = {}
        for name, parts in drawn.items():
            values = np.concatenate(parts)
            values = values[np.isfinite(values)]
            ends[name] = tuple(np.percentile(values, [tail, 100 - tail]).tolist()) if len(values) else None
        return ends if self.chosen is None else _around(ends, whole, sample, self.rows)


def intervals(
    answers: Answers, *, resamples: int, seed: int, names: Sequence[str] | None = None
) -> dict[str, tuple[float, float] | None]:
    """The percentile bootstrap interval of each metric (Efron and Tibshirani 1993, chapter 13).

    On more than ``BOOTSTRAP_ROWS`` rows an m-out-of-n bootstrap (Bickel, Gotze and van Zwet 1997): a random sample of
    that many rows is resampled, and the distances from its own metric, shrunk by the root of its share of the rows, are
    those from the metric of all rows. None for a metric that is not defined.

    Parameters
    ----------
    names : of the metrics; all by default.
    """
    resampling, coded = Resampling(len(answers), seed), answers.coded()
    if resampling.chosen is None:
        return resampling.intervals(coded, {}, resamples=resamples, names=names)
    return resampling.intervals(
        coded[resampling.chosen], registry_metrics.measure(coded), resamples=resamples, names=names
    )


def _around(
    ends: Mapping[str, tuple[float, float] | None], of_all: Mapping[str, float | None], sample: CodedAnswers, rows: int
) -> dict[str, tuple[float, float] | None]:
    """The intervals of all rows, of those of a sample of them."""
    of_sample = registry_metrics.measure(sample)
    shrink = math.sqrt(len(sample) / rows)
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
    names = GroupNames.of(groups)(groups)
    measured = {}
    for name in names.unique():
        chosen = answers[(names == name).to_numpy()]
        measured[name] = GroupMetrics(name, len(chosen), measure(chosen))
    return fairness(str(groups.name), measured.values())


def fairness(column: str, groups: Iterable[GroupMetrics]) -> Fairness:
    """The metrics of groups by name and, of each metric, the widest gap between two groups."""
    found = sorted(groups, key=lambda group: group.group)
    gaps: dict[str, float | None] = {}
    for metric in found[0].metrics if found else ():
        values = [value for group in found if (value := group.metrics[metric]) is not None]
        gaps[metric] = max(values) - min(values) if len(values) > 1 else None
    return Fairness(column, found, gaps)


class GroupNames:
    """The names of the groups of a column: its texts, or the quarters of its numbers; the rare ones are ``other``.

    Parameters
    ----------
    counts : value -> how many rows have it, missing ones among them.
    quarters : the ends of the quarters of numbers; None where each value is a group.
    """

    def __init__(self, counts: pd.Series, quarters: np.ndarray | None = None) -> None:
        self._quarters = quarters
        names = counts.groupby(self._plain(pd.Series(counts.index)).to_numpy(), sort=False).sum()
        self._common = names.sort_values(ascending=False, kind="stable").index[:_MOST_GROUPS]

    @classmethod
    def of(cls, values: pd.Series) -> "GroupNames":
        """The names of all rows' values."""
        counts = values.value_counts(dropna=False)
        if values.dtype.kind == "f" and counts.index.notna().sum() > _BINS * 2:
            return cls(counts, pd.qcut(values, _BINS, duplicates="drop", retbins=True)[1])
        return cls(counts)

    def __call__(self, values: pd.Series) -> pd.Series:
        """The name of each row's group."""
        names = self._plain(values)
        return names.where(names.isin(self._common), "other")

    def _plain(self, values: pd.Series) -> pd.Series:
        if self._quarters is not None:
            groups = pd.cut(values, self._quarters, include_lowest=True).astype("str")
        elif values.dtype.kind == "f":
            groups = values.map(lambda value: value if value != value else f"{value:g}")
        else:
            groups = values
        return groups.astype(object).where(groups.notna(), "missing").astype("str")
