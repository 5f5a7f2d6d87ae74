"""What is done with the rows of one partition, where Spark runs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.solving import SolvingError
from pipelines.streaming.raw import ROWS
from pipelines.streaming.scan_sums import ScanSums
from pipelines.streaming.sides import Rows, RowSides, SideCounts
from pipelines.streaming.tables import InOrder
from pipelines.streaming.typed import Contradiction, TypedReader
from serving.scorecard.errors import InputError

#: What may be wrong with rows, and is raised where the job was begun.
TOLD = (Contradiction, PipelineError, SolvingError, InputError)


class TableDiffers(Exception):
    """The rows are not those of the first pass."""


class Job(Protocol):
    """Makes results of the rows of a partition; it is pickled, and each partition has a copy of its own."""

    def __call__(self, partition: int, tables: Iterator[pa.Table]) -> Iterator[object]:
        """The results, of which the last one is ``Done``.

        Parameters
        ----------
        partition : its number, from 0.
        tables : its rows, in parts.
        """


@dataclass(frozen=True)
class Done:
    """The end of a partition.

    Parameters
    ----------
    partition : its number.
    rows : how many it has.
    result : what was made of all of them; None if that came in parts.
    """

    partition: int
    rows: int
    result: Any = None


@dataclass(frozen=True)
class FailedPartition:
    """A partition that cannot be worked on.

    Parameters
    ----------
    error : one of ``TOLD``, or ``TableDiffers``.
    """

    error: Exception


def parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows in parts that are large enough for BLAS."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROWS:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting).combine_chunks()


@dataclass(frozen=True)
class Sampling:
    """Takes every so many-th row of a table.

    Parameters
    ----------
    before : partition -> how many rows are in those before it.
    """

    step: int
    before: Mapping[int, int]

    def __call__(self, partition: int, tables: Iterator[pa.Table]) -> Iterator[object]:
        rows, start = 0, self.before.get(partition, 0)
        for table in tables:
            first = -(start + rows) % self.step
            rows += table.num_rows
            if first < table.num_rows:
                yield table.take(pa.array(range(first, table.num_rows, self.step)))
        yield Done(partition, rows)


@dataclass(frozen=True)
class Scanning:
    """The first pass: types, sides and sums of a partition's rows. The copy of the reader learns its levels."""

    reader: TypedReader
    sides: RowSides
    sums: ScanSums

    def __call__(self, partition: int, tables: Iterator[pa.Table]) -> Iterator[object]:
        rows = 0
        for raw in tables:
            rows += raw.num_rows
            self.reader.check(raw)
            self.sums.add(self.sides.of(raw, self.reader.read(raw)))
        yield Done(partition, rows, self.sums)


@dataclass(frozen=True)
class _LaterPass:
    """A pass over rows that were all scanned."""

    reader: TypedReader
    sides: RowSides

    def _rows(self, tables: Iterator[pa.Table]) -> Iterator[Rows]:
        known = [len(levels.texts) for levels in self.reader.levels]
        for raw in tables:
            try:
                part = self.reader.read(raw)
            except Contradiction:
                raise TableDiffers from None
            if known != [len(levels.texts) for levels in self.reader.levels]:
                raise TableDiffers
            yield self.sides.of(raw, part)


@dataclass(frozen=True)
class Making(_LaterPass):
    """What is made of each part, or of all parts of the partition where they can be merged."""

    work: Callable[[Rows], Any]
    merged: Callable[[Any, Any], Any] | None

    def __call__(self, partition: int, tables: Iterator[pa.Table]) -> Iterator[object]:
        count, whole = 0, None
        for place, rows in enumerate(self._rows(tables)):
            count += len(rows.part)
            found = self.work(rows)
            if self.merged is None:
                yield found
            else:
                whole = self.merged(whole, found) if place else found
        yield Done(partition, count, whole)


@dataclass(frozen=True)
class Following(_LaterPass):
    """What a state gives of what is made of each part; what it has seen comes last.

    Parameters
    ----------
    before : partition -> how many rows of each kind are in those before it.
    """

    work: Callable[[Rows], Any]
    state: InOrder[Any, Any]
    before: Mapping[int, SideCounts]

    def __call__(self, partition: int, tables: Iterator[pa.Table]) -> Iterator[object]:
        state, count = None, 0
        for rows in self._rows(tables):
            if state is None:
                if partition not in self.before:
                    raise TableDiffers
                state = self.state.begun(self.before[partition])
            count += len(rows.part)
            yield state.next(self.work(rows))
        yield Done(partition, count, None if state is None else state.seen())
