"""Sums over a column of numbers that comes in parts: mean, variance, extremes, and the exact median."""

import copy
import math
from dataclasses import dataclass

import numpy as np

# A sample's own median is within so many standard deviations of the table's, as a rank; else another pass finds it.
_DEVIATIONS = 4
# So many numbers around the median are kept apart; of more, each different one is kept with its count.
_MOST_KEPT = 1_000_000


@dataclass(frozen=True)
class NumberSummary:
    """A column of numbers.

    Parameters
    ----------
    count, missing : rows with a value, and without.
    mean, variance : of the values (ddof 0); 0 without any.
    """

    count: int
    missing: int
    mean: float
    variance: float
    least: float
    most: float


class NumberSums:
    """Sums over the values so far, as distances to a centre near their mean: so no digit of the variance is lost."""

    def __init__(self, centre: float) -> None:
        self._centre = centre if math.isfinite(centre) else 0.0
        self._count = self._missing = 0
        self._sum = self._squares = 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, known: np.ndarray, missing: int) -> None:
        """Add a part: its values, shape (n_known,), and how many rows have none."""
        self._missing += missing
        if not len(known):
            return
        distances = known - self._centre
        self._count += len(known)
        self._sum += float(distances.sum())
        self._squares += float(distances @ distances)
        self._least = min(self._least, float(known.min()))
        self._most = max(self._most, float(known.max()))

    def merge(self, other: "NumberSums") -> None:
        """Add what another, about the same centre, has seen."""
        self._count += other._count
        self._missing += other._missing
        self._sum += other._sum
        self._squares += other._squares
        self._least, self._most = min(self._least, other._least), max(self._most, other._most)

    def summary(self) -> NumberSummary:
        """The column."""
        if not self._count:
            return NumberSummary(0, self._missing, 0.0, 0.0, math.nan, math.nan)
        away = self._sum / self._count
        variance = max(self._squares / self._count - away**2, 0.0) if self._least < self._most else 0.0
        return NumberSummary(self._count, self._missing, self._centre + away, variance, self._least, self._most)


class Median:
    """The exact median of a column: values around the median of a sample are kept, and those below them are counted.

    Parameters
    ----------
    sample : values of the column, shape (n_sample,).
    """

    def __init__(self, sample: np.ndarray) -> None:
        ordered = np.sort(sample)
        reach = _DEVIATIONS * math.sqrt(len(ordered)) / 2 + 1
        middle = (len(ordered) - 1) / 2
        if len(ordered):
            self._low = float(ordered[max(math.floor(middle - reach), 0)])
            self._high = float(ordered[min(math.ceil(middle + reach), len(ordered) - 1)])
        else:
            self._low = self._high = 0.0
        self.again()

    def fresh(self) -> "Median":
        """One that looks for the same median, and has seen no value yet."""
        other = copy.copy(self)
        other.again()
        return other

    def again(self) -> None:
        """Begin another pass, after :meth:`value` was None."""
        self._count = self._below = 0
        self._kept: list[np.ndarray] = []
        self._times: list[np.ndarray] = []
        self._waiting = 0

    def add(self, known: np.ndarray) -> None:
        """Add the values of a part."""
        self._count += len(known)
        self._below += int(np.count_nonzero(known < self._low))
        inside = known[(known >= self._low) & (known <= self._high)]
        if len(inside):
            values, times = np.unique(inside, return_counts=True)
            self._kept.append(values)
            self._times.append(times)
            self._waiting += len(values)
            if self._waiting > _MOST_KEPT:
                self._together()

    def merge(self, other: "Median") -> None:
        """Add what another, of the same sample and as many passes, has seen."""
        self._count += other._count
        self._below += other._below
        self._kept += other._kept
        self._times += other._times
        self._waiting += other._waiting
        if self._waiting > _MOST_KEPT:
            self._together()

    def _together(self) -> None:
        values, places = np.unique(np.concatenate(self._kept), return_inverse=True)
        times = np.bincount(places, np.concatenate(self._times)).astype("int64")
        self._kept, self._times = [values], [times]
        self._waiting = 0

    def value(self) -> float | None:
        """The median; None if it lies outside of what was kept, and another pass is needed."""
        if not self._count:
            return math.nan
        if self._kept:
            self._together()
        ends = np.cumsum(self._times[0]) + self._below if self._kept else np.array([self._below])
        found = []
        for rank in ((self._count - 1) // 2, self._count // 2):
            if rank < self._below:
                self._low, self._high = -math.inf, self._low
                return None
            if rank >= ends[-1]:
                self._low, self._high = self._high, math.inf
                return None
            found.append(float(self._kept[0][np.searchsorted(ends, rank, side="right")]))
        return sum(found) / 2 if found[0] != found[1] else found[0]
