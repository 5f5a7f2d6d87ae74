"""The first pass over all rows: are they of the types that a sample has, which are held out, and what do they hold."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from pipelines import columns, dates, row_keys, splitting
from pipelines.dataset import Dataset
from pipelines.errors import PipelineError
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from pipelines.splitting import Split
from pipelines.streaming.parallel import mapped
from pipelines.streaming.prefetch import prefetched
from pipelines.streaming.raw import RawTable
from pipelines.streaming.summaries import Median, NumberSummary, NumberSums
from pipelines.streaming.times import Times
from pipelines.streaming.typed import KeyReader, Part, TypedReader
from registry import logs
from registry.holdout import GROUP, HoldoutRule
from registry.logs import Progress

_log = logs.get_logger(__name__)

Result = TypeVar("Result")

#: What the file of sides says of a row: that it has no target, or is held out; of another row, the fold that judges it.
DROPPED, HELD = 255, 254  # above all folds
# Folds are drawn by the key of a row, mixed with this number, so that they have nothing to do with the holdout.
_FOLDS = np.uint64(0x9E3779B97F4A7C15)


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


class StreamedTable:
    """A raw table with its types and its split, read part by part.

    Parameters
    ----------
    folder : for what is noted of each row.
    workers : threads that work on parts.
    """

    def __init__(
        self, raw: RawTable, sample: Table, dataset: Dataset, split: Split, folder: Path, *, workers: int = 1
    ) -> None:
        self.raw, self.dataset, self.split, self.workers = raw, dataset, split, workers
        self.reader = TypedReader(sample, dataset)
        self.sample = sample
        self._sides, self._keys = folder / "sides", folder / "keys"
        self._times: Times | None = None
        self._cut: np.generic | None = None

    def cut(self, name: str, *, test_size: float, before: HoldoutRule | None) -> None:
        """Hold rows out by a column of times: read it once, and find the moment after which they are held out.

        Parameters
        ----------
        before : the rule of an earlier version, see :func:`splitting.split`.
        """
        target = self.dataset.target_name
        raws = _told("looking at times", self.raw.parts([name, target]), self.raw.rows)
        self._times = Times(name, (raw[name].filter(self.reader.has_target(raw[target])) for raw in raws), self.sample)
        cut = splitting.cut_of(self._times.moments, self._times.counts, name=name, test_size=test_size, before=before)
        self.split = splitting.as_held(msgspec.structs.replace(self.split.rule, cut=dates.shown(cut)), self.dataset)
        self._cut = cut

    def scanned(self, *, folds: int, earlier: Sequence[HoldoutRule] = ()) -> Scan:
        """Read all rows once.

        Parameters
        ----------
        folds : of cross-validation; 0 for none.
        earlier : rules of which it is counted how many of the held-out rows they do not hold out.

        Raises
        ------
        Contradiction
            if rows are not of the types found on the sample.
        PipelineError
            if a row cannot be read.
        """
        rule, reader = self.split.rule, self.reader
        row_names = KeyReader(rule.key_columns, self.sample, reader)
        unit_names = KeyReader(rule.columns, self.sample, reader) if rule.by == GROUP else row_names
        training_sample = self.dataset.features.iloc[self.split.training]
        starts = [training_sample[item.name].dropna().to_numpy() for item in reader.numbers]
        sums = [NumberSums(float(values.mean()) if len(values) else 0.0) for values in starts]
        medians = [Median(values) for values in starts]
        classes = len(self.dataset.classes)
        labels = np.zeros((2, classes), dtype="int64") if classes else None
        target = None if classes else NumberSums(float(self.dataset.target.mean()))
        counts = [np.zeros(0, dtype="int64") for _ in reader.categories]
        seen: list[int | None] = [0] * len(earlier)
        dropped = trained = held_out = 0
        by_fold = np.zeros(folds, dtype="int64")
        with self._sides.open("wb") as sides, self._keys.open("wb") as keys_of_held:
            for raw, part in prefetched(self._checked()):
                keys = row_names.keys(raw, part)
                units = keys if unit_names is row_names else unit_names.keys(raw, part)
                known = ~np.isnan(part.target)
                if self._times is not None:
                    held = (self._times.of(raw[rule.columns[0]]) > self._cut) & known
                else:
                    held = (row_keys.share(units) < rule.share) & known
                training = known & ~held
                fold = _fold(units, folds)
                side = np.where(held, np.uint8(HELD), np.where(known, fold, np.uint8(DROPPED)))
                sides.write(side.tobytes())
                keys_of_held.write(keys[held].tobytes())
                for place, earlier_rule in enumerate(earlier):
                    before, missed = seen[place], self._missed(earlier_rule, raw, held)
                    seen[place] = None if before is None or missed is None else before + missed
                dropped += len(part) - int(np.count_nonzero(known))
                held_out += int(np.count_nonzero(held))
                trained += int(np.count_nonzero(training))
                by_fold += np.bincount(fold[training], minlength=max(folds, 1))[:folds]
                for place, (column, median) in enumerate(zip(sums, medians, strict=True)):
                    values = part.numbers[place][training]
                    values, missing = _without_gaps(values)
                    column.add(values, missing)
                    median.add(values)
                for place, levels in enumerate(reader.levels):
                    found = np.bincount(part.categories[place][training], minlength=len(levels.texts))
                    found[: len(counts[place])] += counts[place]
                    counts[place] = found
                if labels is not None:
                    for row, mask in enumerate((training, held)):
                        labels[row] += np.bincount(part.target[mask].astype("int64"), minlength=classes)
                elif target is not None:
                    target.add(part.target[training], 0)
        return Scan(
            dropped,
            trained,
            held_out,
            tuple(by_fold.tolist()),
            tuple(column.summary() for column in sums),
            self._medians(medians),
            tuple(counts),
            labels,
            target.summary() if target else None,
            tuple(seen),
        )

    def _checked(self) -> Iterator[tuple[pa.Table, Part]]:
        for raw in _told("scanning", self.raw.parts(), self.raw.rows):
            self.reader.check(raw)
            yield raw, self.reader.read(raw)

    def _missed(self, rule: HoldoutRule, raw: pa.Table, held: np.ndarray) -> int | None:
        """How many of the held-out rows a rule does not hold out; None if its times cannot be compared."""

        def column(name: str):
            return columns.infer_key(name, raw[name], USUAL, self.sample.marks_of(name)).values

        try:
            return int(np.count_nonzero(held & ~splitting.held_out_as(rule, column)[1]))
        except PipelineError:
            return None

    def _medians(self, medians: Sequence[Median]) -> tuple[float, ...]:
        """Each median; where the sample's was far off, after further passes."""
        found = [median.value() for median in medians]
        while missing := [place for place, value in enumerate(found) if value is None]:
            for place in missing:
                medians[place].again()
            for part, _ in self.mapped(lambda raw, part, side: training_of(part, side)):
                for place in missing:
                    medians[place].add(_without_gaps(part.numbers[place])[0])
            for place in missing:
                found[place] = medians[place].value()
        return tuple(math.nan if value is None else value for value in found)

    def mapped(
        self, work: Callable[[pa.Table, Part, np.ndarray], Result], *, label: str = "", more: Sequence[str] = ()
    ) -> Iterator[Result]:
        """What is made of each part, in order, by several threads; after :meth:`scanned`.

        Parameters
        ----------
        work : is given the rows raw and typed, and their sides.
        label : what is done with them, for the progress bar; none without one.
        more : names of further raw columns.
        """

        def of(given: tuple[pa.Table, np.ndarray]) -> Result:
            raw, side = given
            return work(raw, self.reader.read(raw), side)

        yield from mapped(of, self._raws(label, more), self.workers)

    def _raws(self, label: str, more: Sequence[str]) -> Iterator[tuple[pa.Table, np.ndarray]]:
        parts = self.raw.parts(list(dict.fromkeys([*self.reader.columns, *more])))
        with self._sides.open("rb") as sides:
            for raw in _told(label, parts, self.raw.rows) if label else parts:
                yield raw, np.frombuffer(sides.read(raw.num_rows), dtype="uint8")

    @contextlib.contextmanager
    def keys(self) -> Iterator[Callable[[int], np.ndarray]]:
        """What reads the keys of the next so many held-out rows, in order, shape (n,), uint64."""
        with self._keys.open("rb") as file:
            yield lambda rows: np.fromfile(file, "uint64", rows)


def training_of(part: Part, side: np.ndarray) -> tuple[Part, np.ndarray]:
    """The training rows of a part with the folds that judge them, which are ascending."""
    rows = np.flatnonzero(side < HELD)
    rows = rows[np.argsort(side[rows], kind="stable")]
    return part.take(rows), side[rows]


def _told(label: str, parts: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The parts one by one; how many of the rows are done is told to the progress bar."""
    done = 0
    for part in parts:
        progress = Progress(f"{label}, rows", done, rows)
        _log.debug("%s: %d of %d rows", label, done, rows, extra=progress.extra())
        yield part
        done += part.num_rows
    _log.debug("%s: all %d rows", label, rows, extra=Progress(f"{label}, rows", rows, rows).extra())


def _fold(units: np.ndarray, folds: int) -> np.ndarray:
    """The fold that judges each row; rows of one unit are in one fold."""
    if not folds:
        return np.zeros(len(units), dtype="uint8")
    return (row_keys.share(row_keys.mixed(units ^ _FOLDS)) * folds).astype("uint8")


def _without_gaps(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The values that are there, and how many are missing."""
    gaps = np.isnan(values)
    missing = int(np.count_nonzero(gaps))
    return (values[~gaps], missing) if missing else (values, 0)
