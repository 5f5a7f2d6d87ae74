"""What the first pass over all rows finds: sums over rows that come in parts, and that may be merged."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipelines import columns, splitting
from pipelines.dataset import Dataset
from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from pipelines.sources.table import USUAL
from pipelines.splitting import Split
from pipelines.streaming.sides import HELD, Rows, SideCounts
from pipelines.streaming.summaries import Median, NumberSummary, NumberSums
from pipelines.streaming.typed import TypedReader
from registry.holdout import HoldoutRule


@dataclass(frozen=True)
class Scan:
    """What the first pass found.

    Parameters
    ----------
    dropped, training, held : how many rows have no target, are trained on, and are held out.
    folds : how many training rows each fold judges; empty without cross-validation.
    numbers, medians : of each input of numbers, its training rows.
    counts : of each category, how many training rows have each of its levels.
    labels : shape (2, n_classes): how many training rows, and held-out ones, each class has; None of a regression.
    target : of a regression, the training rows' target.
    seen : of each rule that was asked about, how many of the held-out rows it does not hold out; None if that cannot be
        said.
    """

    dropped: int
    training: int
    held: int
    folds: tuple[int, ...]
    numbers: tuple[NumberSummary, ...]
    medians: tuple[float, ...]
    counts: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    target: NumberSummary | None
    seen: tuple[int | None, ...]


class ScanSums:
    """Sums over the rows of a table, from which a scan is made.

    Parameters
    ----------
    dataset, split : of a sample.
    folds : of cross-validation; 0 for none.
    earlier : rules of which it is counted how many of the held-out rows they do not hold out.
    marks : column -> how its numbers are written, where that is not the usual way.
    """

    def __init__(
        self,
        reader: TypedReader,
        dataset: Dataset,
        split: Split,
        *,
        folds: int,
        earlier: Sequence[HoldoutRule],
        marks: Mapping[str, Marks],
    ) -> None:
        self._levels, self._earlier, self._marks = reader.levels, tuple(earlier), dict(marks)
        sample = dataset.features.iloc[split.training]
        starts = [sample[item.name].dropna().to_numpy() for item in reader.numbers]
        self._sums = [NumberSums(float(values.mean()) if len(values) else 0.0) for values in starts]
        self.medians = [Median(values) for values in starts]
        classes = len(dataset.classes)
        self._labels = np.zeros((2, classes), dtype="int64") if classes else None
        self._target = None if classes else NumberSums(float(dataset.target.mean()))
        self._counts = [np.zeros(0, dtype="int64") for _ in reader.categories]
        self._seen: list[int | None] = [0] * len(self._earlier)
        self._dropped = self._training = self._held = 0
        self._folds = np.zeros(folds, dtype="int64")

    def add(self, rows: Rows) -> None:
        """Add a part."""
        part, held, training = rows.part, rows.side == HELD, rows.side < HELD
        for place, rule in enumerate(self._earlier):
            before, missed = self._seen[place], self._missed(rule, rows.raw, held)
            self._seen[place] = None if before is None or missed is None else before + missed
        trained, held_out = int(np.count_nonzero(training)), int(np.count_nonzero(held))
        self._dropped += len(part) - trained - held_out
        self._held += held_out
        self._training += trained
        folds = len(self._folds)
        self._folds += np.bincount(rows.side[training], minlength=max(folds, 1))[:folds]
        for place, (column, median) in enumerate(zip(self._sums, self.medians, strict=True)):
            values, missing = _without_gaps(part.numbers[place][training])
            column.add(values, missing)
            median.add(values)
        for place, levels in enumerate(self._levels):
            found = np.bincount(part.categories[place][training], minlength=len(levels.texts))
            self._counts[place] = _longer(self._counts[place], len(found)) + found
        if self._labels is not None:
            for row, mask in enumerate((training, held)):
                self._labels[row] += np.bincount(part.target[mask].astype("int64"), minlength=self._labels.shape[1])
        elif self._target is not None:
            self._target.add(part.target[training], 0)

    def _missed(self, rule: HoldoutRule, raw: pa.Table, held: np.ndarray) -> int | None:
        """How many of the held-out rows a rule does not hold out; None if its times cannot be compared."""

        def column(name: str):
            return columns.infer_key(name, raw[name], USUAL, self._marks.get(name, PLAIN)).values

        try:
            return int(np.count_nonzero(held & ~splitting.held_out_as(rule, column)[1]))
        except PipelineError:
            return None

    def merge(self, other: "ScanSums") -> None:
        """Add the sums over other rows, by a copy of this reader; the reader learns the levels of the other one."""
        self._dropped += other._dropped
        self._held += other._held
        self._training += other._training
        self._folds += other._folds
        for sums, more in zip(self._sums, other._sums, strict=True):
            sums.merge(more)
        merged_medians(self.medians, other.medians)
        for place, (levels, theirs) in enumerate(zip(self._levels, other._levels, strict=True)):
            places, counts = levels.merge(theirs), other._counts[place]
            found = _longer(self._counts[place], len(levels.texts))
            np.add.at(found, places[: len(counts)], counts)
            self._counts[place] = found
        if self._labels is not None:
            self._labels += other._labels
        if self._target is not None and other._target is not None:
            self._target.merge(other._target)
        self._seen = [
            None if one is None or two is None else one + two for one, two in zip(self._seen, other._seen, strict=True)
        ]

    @property
    def rows(self) -> SideCounts:
        """How many rows were added."""
        known = tuple(sums.summary().count for sums in self._sums)
        return SideCounts(self._training, self._held, tuple(self._folds.tolist()), known)

    def scan(self, medians: Sequence[float]) -> Scan:
        """What was found, with the medians."""
        return Scan(
            self._dropped,
            self._training,
            self._held,
            tuple(self._folds.tolist()),
            tuple(column.summary() for column in self._sums),
            tuple(medians),
            tuple(self._counts),
            self._labels,
            self._target.summary() if self._target else None,
            tuple(self._seen),
        )


class Mapped(Protocol):
    """What makes something of each part, see :meth:`pipelines.streaming.tables.TableInParts.mapped`."""

    def __call__(
        self,
        work: Callable[[Rows], list[Median]],
        merged: Callable[[list[Median], list[Median]], list[Median]],
    ) -> Iterable[list[Median]]: ...


def medians(sums: Sequence[Median], mapped: Mapped) -> list[float]:
    """Each median; where the sample's was far off, after further passes."""
    found = [median.value() for median in sums]
    while missing := [place for place, value in enumerate(found) if value is None]:
        again = [sums[place] for place in missing]
        for median in again:
            median.again()
        for fresh in mapped(partial(_medians_of, again, missing), merged_medians):
            merged_medians(again, fresh)
        for place, median in zip(missing, again, strict=True):
            found[place] = median.value()
    return [math.nan if value is None else value for value in found]


def _medians_of(medians: Sequence[Median], places: Sequence[int], rows: Rows) -> list[Median]:
    """Medians of some columns that have seen these rows alone."""
    found = [median.fresh() for median in medians]
    training = rows.side < HELD
    for place, median in zip(places, found, strict=True):
        median.add(_without_gaps(rows.part.numbers[place][training])[0])
    return found


def merged_medians(medians: list[Median], others: list[Median]) -> list[Median]:
    """The medians, after each has been told what another has seen."""
    for median, other in zip(medians, others, strict=True):
        median.merge(other)
    return medians


def _longer(counts: np.ndarray, length: int) -> np.ndarray:
    found = np.zeros(length, dtype="int64")
    found[: len(counts)] = counts
    return found


def _without_gaps(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The values that are there, and how many are missing."""
    gaps = np.isnan(values)
    missing = int(np.count_nonzero(gaps))
    return (values[~gaps], missing) if missing else (values, 0)
