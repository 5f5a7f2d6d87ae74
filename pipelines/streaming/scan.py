"""A table that is read in parts on this machine: a first pass over all rows, and further ones."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from pipelines import dates, splitting
from pipelines.dataset import Dataset
from pipelines.sources import Table
from pipelines.splitting import Split
from pipelines.streaming import scan_sums
from pipelines.streaming.parallel import mapped, processors
from pipelines.streaming.prefetch import prefetched
from pipelines.streaming.raw import ROWS, RawTable
from pipelines.streaming.scan_sums import Scan, ScanSums
from pipelines.streaming.sides import HELD, Rows, RowSides
from pipelines.streaming.tables import InOrder
from pipelines.streaming.times import Times
from pipelines.streaming.typed import Part, TypedReader
from registry import logs
from registry.holdout import HoldoutRule
from registry.logs import Progress

_log = logs.get_logger(__name__)

# A part's matrix takes at most so many bytes, unless it has these few rows.
_MOST_BYTES, _FEWEST_ROWS = 64 << 20, 1024

Result = TypeVar("Result")
Out = TypeVar("Out")


class StreamedTable:
    """A raw table with its types and its split, read part by part.

    Parameters
    ----------
    folder : for what is noted of each row.
    memory : for parts that are worked on, in bytes.
    """

    def __init__(
        self, raw: RawTable, sample: Table, dataset: Dataset, split: Split, folder: Path, *, memory: int
    ) -> None:
        self.raw, self.dataset, self.split, self._memory = raw, dataset, split, memory
        self._workers = self._most_rows = 1
        self.expect(columns=len(raw.names), sums=0)
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

    def expect(self, *, columns: int, sums: int) -> None:
        """See :meth:`pipelines.streaming.tables.TableInParts.expect`."""
        self._most_rows = min(ROWS, max(_FEWEST_ROWS, _MOST_BYTES // (8 * columns)))
        # Raw, typed and as a matrix.
        each = 3 * 8 * self._most_rows * columns + 8 * sums
        self._workers = max(1, min(processors(), self._memory // each))

    def scanned(self, *, folds: int, earlier: Sequence[HoldoutRule] = ()) -> Scan:
        """Read all rows once; see :meth:`pipelines.streaming.tables.TableInParts.scanned`."""
        sides = RowSides(self.split.rule, self.sample, self.reader, folds, self._times, self._cut)
        sums = ScanSums(self.reader, self.dataset, self.split, folds=folds, earlier=earlier, marks=self.sample.marks)
        with self._sides.open("wb") as sides_of_all, self._keys.open("wb") as keys_of_held:
            # Types are learned in the order of the rows, by one thread.
            for rows in mapped(lambda given: sides.of(*given), prefetched(self._checked()), self._workers):
                sides_of_all.write(rows.side.tobytes())
                keys_of_held.write(rows.keys.tobytes())
                sums.add(rows)
        return sums.scan(scan_sums.medians(sums.medians, self.mapped))

    def _checked(self) -> Iterator[tuple[pa.Table, Part]]:
        for raw in _told("scanning", self.raw.parts(), self.raw.rows):
            self.reader.check(raw)
            yield raw, self.reader.read(raw)

    def mapped(
        self,
        work: Callable[[Rows], Result],
        merged: Callable[[Result, Result], Result] | None = None,
        *,
        label: str = "",
        more: Sequence[str] = (),
    ) -> Iterator[Result]:
        """What is made of each part, in order, by several threads; after :meth:`scanned`.

        See :meth:`pipelines.streaming.tables.TableInParts.mapped`. Nothing is merged.
        """

        def of(given: tuple[pa.Table, np.ndarray, np.ndarray]) -> Result:
            raw, side, keys = given
            return work(Rows(raw, self.reader.read(raw), side, keys))

        yield from mapped(of, self._raws(label, more), self._workers)

    def followed(
        self,
        work: Callable[[Rows], Result],
        state: InOrder[Result, Out],
        *,
        label: str,
        more: Sequence[str] = (),
    ) -> Iterator[Out]:
        """What a state gives of each; see :meth:`pipelines.streaming.tables.TableInParts.followed`."""
        return map(state.next, self.mapped(work, label=label, more=more))

    def _raws(self, label: str, more: Sequence[str]) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray]]:
        parts = self.raw.parts(list(dict.fromkeys([*self.reader.columns, *more])))
        with contextlib.ExitStack() as stack:
            sides, keys = (stack.enter_context(path.open("rb")) for path in (self._sides, self._keys))
            for raw in self._cut_into(_told(label, parts, self.raw.rows) if label else parts):
                side = np.frombuffer(sides.read(raw.num_rows), dtype="uint8")
                yield raw, side, np.fromfile(keys, "uint64", int(np.count_nonzero(side == HELD)))

    def _cut_into(self, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Parts of no more rows than make a matrix of their size."""
        for part in parts:
            for start in range(0, part.num_rows, self._most_rows):
                yield part.slice(start, self._most_rows)


def _told(label: str, parts: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The parts one by one; how many of the rows are done is told to the progress bar."""
    done = 0
    for part in parts:
        progress = Progress(f"{label}, rows", done, rows)
        _log.debug("%s: %d of %d rows", label, done, rows, extra=progress.extra())
        yield part
        done += part.num_rows
    _log.debug("%s: all %d rows", label, rows, extra=Progress(f"{label}, rows", rows, rows).extra())
