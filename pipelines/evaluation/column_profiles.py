"""The profile of columns that come in parts."""

import math

import numpy as np
import pandas as pd

from pipelines import profile
from pipelines.errors import PipelineError
from pipelines.evaluation.value_counts import ValueCounts
from pipelines.spread import Spread
from pipelines.streaming.summaries import NumberSums
from pipelines.streaming.typed import MOST_LEVELS
from registry.evidence.document import CategoryProfile, NumberProfile


class ColumnProfiles:
    """The profile of each column of rows that come in parts; of all rows in one part as :func:`profile.of` has it.

    Parameters
    ----------
    rows : how many there will be. Quantiles and histograms of more than 100,000 are of some that are evenly spread.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._columns: dict[str, _Numbers | _Texts] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Add rows: float64 columns, and others, whose values are counted; NaN missing.

        Raises
        ------
        PipelineError
            if a column that comes in parts has too many different texts.
        """
        for name, values in frame.items():
            known = self._columns.get(str(name))
            if known is None:
                known = _Numbers(values, profile.spread(self._rows)) if values.dtype.kind == "f" else _Texts(str(name))
                self._columns[str(name)] = known
            known.add(values)

    def profiles(self) -> dict[str, NumberProfile | CategoryProfile]:
        """Each column's profile."""
        return {name: column.profile() for name, column in self._columns.items()}


class _Numbers:
    def __init__(self, first: pd.Series, spread: Spread) -> None:
        centre = first.mean()
        self._sums = NumberSums(0.0 if pd.isna(centre) else float(centre))
        self._spread = spread
        self._sample: list[np.ndarray] = []

    def add(self, values: pd.Series) -> None:
        numbers = values.to_numpy()
        known = numbers[~np.isnan(numbers)]
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums.add(known, len(numbers) - len(known))
        self._sample.append(known[self._spread.next(len(known))].copy())

    def profile(self) -> NumberProfile:
        found = self._sums.summary()
        rows = found.count + found.missing
        if not found.count:
            return profile.of_numbers(rows, found.missing, np.zeros(0))
        ends, std = (found.least, found.most), math.sqrt(found.variance)
        return profile.of_numbers(rows, found.missing, np.concatenate(self._sample), found.mean, std, ends)


class _Texts:
    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = ValueCounts()

    def add(self, values: pd.Series) -> None:
        if len(self._counts) > MOST_LEVELS:
            raise PipelineError(
                f"column {self._name!r} has more than {MOST_LEVELS:,} different texts, too many to count in parts; "
                "use --engine memory"
            )
        self._counts.add(values)

    def profile(self) -> CategoryProfile:
        counts = self._counts.counts()
        known = counts[counts.index.notna()].sort_values(ascending=False)
        return profile.of_texts(int(counts.sum()), int(counts.sum() - known.sum()), known)
