"""The metrics of groups of rows: what the groups of a column are called, and what is measured of each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.evaluation.value_counts import ValueCounts
from registry.evidence.document import Fairness, GroupMetrics
from registry.metrics import CodedAnswers, MetricSums

_BINS = 4
_MOST_GROUPS = 20
_MISSING, _OTHER = "missing", "other"


@dataclass(frozen=True)
class GroupNames:
    """What the groups of a column are called.

    Parameters
    ----------
    edges : of the bins of numbers that have many values, ascending; None of other columns.
    common : the groups that are told by name.
    """

    edges: np.ndarray | None
    common: frozenset[str]

    @classmethod
    def of_all(cls, parts: Iterable[pd.Series]) -> "GroupNames":
        """The names of the groups of all rows of a column, which come in parts.

        Parameters
        ----------
        parts : texts, or numbers, which are cut into quarters where they are many.
        """
        seen = ValueCounts()
        for values in parts:
            seen.add(values)
        return cls.of_counts(seen.counts())

    @classmethod
    def of_counts(cls, counts: pd.Series) -> "GroupNames":
        """The same, of how many rows have each value, by the value."""
        known = counts[counts.index.notna()].sort_index()
        edges = None
        if known.index.dtype.kind == "f" and len(known) > _BINS * 2:
            edges = np.unique(_quantiles(known.index.to_numpy(), known.to_numpy()))
        names = _texts(counts.index.to_series(), edges).to_numpy()
        rows = pd.Series(counts.to_numpy(), index=names).groupby(level=0).sum()
        # Of groups that are equally frequent the first by name: the same ones whatever the order of the rows.
        common = sorted(rows.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_GROUPS]
        return cls(edges, frozenset(name for name, _ in common))

    def of(self, values: pd.Series) -> pd.Series:
        """The group of each row, by name: a text, or the quarter that a number is in; the rare ones are ``other``."""
        names = _texts(values, self.edges)
        return names.where(names.isin(self.common), _OTHER)


def _quantiles(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The ends of quarters of the rows, shape (5,): linear between two rows, as NumPy has them.

    Parameters
    ----------
    values, counts : shape (n_values,): different numbers, ascending, and how many rows each has.
    """
    ends = np.cumsum(counts)
    places = np.linspace(0, 1, _BINS + 1) * (ends[-1] - 1)
    low, high = (values[np.searchsorted(ends, rank, side="right")] for rank in (np.floor(places), np.ceil(places)))
    return low + (high - low) * (places - np.floor(places))


def _texts(values: pd.Series, edges: np.ndarray | None) -> pd.Series:
    """Each value as the name of a group, of those that are many too."""
    missing = values.isna()
    if edges is not None:
        values = pd.cut(values, edges, include_lowest=True).astype("str")
    elif values.dtype.kind == "f":
        values = values.map(lambda value: value if value != value else f"{value:g}")
    return values.astype(object).where(~missing, _MISSING).astype("str")


class GroupSums:
    """The metrics of each group, of rows that come in parts.

    Parameters
    ----------
    column : its name.
    centre : see :class:`MetricSums`.
    """

    def __init__(self, column: str, names: GroupNames, centre: float) -> None:
        self._column, self._names, self._centre = column, names, centre
        self._sums: dict[str, MetricSums] = {}

    def add(self, answers: CodedAnswers, values: pd.Series) -> None:
        """Add rows with the values of their column, shape (n_rows,)."""
        groups, names = pd.factorize(self._names.of(values))
        for place, name in enumerate(names):
            sums = self._sums.setdefault(str(name), MetricSums(self._centre))
            sums.add(answers[groups == place])

    def fairness(self) -> Fairness:
        """The metrics of each group and, of each metric, the widest gap between two groups."""
        found = [GroupMetrics(name, sums.rows, sums.values()) for name, sums in sorted(self._sums.items())]
        gaps: dict[str, float | None] = {}
        for metric in found[0].metrics if found else ():
            values = [value for group in found if (value := group.metrics[metric]) is not None]
            gaps[metric] = max(values) - min(values) if len(values) > 1 else None
        return Fairness(self._column, found, gaps)
