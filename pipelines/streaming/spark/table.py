"""A table of Spark's with its types and its split: passes run on its partitions."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pipelines.dataset import Dataset
from pipelines.errors import PipelineError
from pipelines.sources import Table
from pipelines.splitting import Split
from pipelines.streaming import scan_sums
from pipelines.streaming.scan_sums import Scan, ScanSums
from pipelines.streaming.sides import Rows, RowSides, SideCounts
from pipelines.streaming.spark.partitions import Done, Following, Making, Scanning
from pipelines.streaming.spark.raw import RawFrame
from pipelines.streaming.tables import InOrder
from pipelines.streaming.typed import TypedReader
from registry.holdout import HoldoutRule

Result = TypeVar("Result")
Out = TypeVar("Out")


class ClusterTable:
    """A table of Spark's; see :class:`pipelines.streaming.tables.TableInParts`."""

    def __init__(self, raw: RawFrame, sample: Table, dataset: Dataset, split: Split) -> None:
        self._raw, self._dataset = raw, dataset
        self.sample, self.split = sample, split
        self.reader = TypedReader(sample, dataset)
        self._sides: RowSides | None = None
        self._before: dict[int, SideCounts] = {}

    def cut(self, name: str, *, test_size: float, before: HoldoutRule | None) -> None:
        """Raise PipelineError: rows are held out by their keys alone."""
        raise PipelineError(
            f"--time {name}: --engine spark holds rows out by their keys or a --group; leave --time out (with another "
            "--name if an earlier version has it), or use --engine stream"
        )

    def expect(self, *, columns: int, sums: int) -> None:
        """Nothing: a worker holds one part at a time, whose size is set beforehand."""

    def scanned(self, *, folds: int, earlier: Sequence[HoldoutRule] = ()) -> Scan:
        """Read all rows once; see :meth:`pipelines.streaming.tables.TableInParts.scanned`."""
        raw, reader = self._raw, self.reader
        self._sides = RowSides(self.split.rule, self.sample, reader, folds)
        sums = ScanSums(reader, self._dataset, self.split, folds=folds, earlier=earlier, marks=self.sample.marks)
        job = Scanning(reader, self._sides, sums)
        for done in raw.passes.collected(job, raw.names, label="scanning", rows=raw.rows):
            self._before[done.partition] = sums.rows
            sums.merge(done.result)
        return sums.scan(scan_sums.medians(sums.medians, self.mapped))

    def mapped(
        self,
        work: Callable[[Rows], Result],
        merged: Callable[[Result, Result], Result] | None = None,
        *,
        label: str = "",
        more: Sequence[str] = (),
    ) -> Iterator[Result]:
        """What is made of each, or of each partition; see :meth:`pipelines.streaming.tables.TableInParts.mapped`."""
        assert self._sides is not None
        job = Making(self.reader, self._sides, work, merged)
        results = self._raw.passes.collected(job, self._columns(more), label=label, rows=self._raw.rows)
        if merged is None:
            yield from (result for result in results if not isinstance(result, Done))
        else:
            yield from (done.result for done in results if done.rows)

    def followed(
        self,
        work: Callable[[Rows], Result],
        state: InOrder[Result, Out],
        *,
        label: str,
        more: Sequence[str] = (),
    ) -> Iterator[Out]:
        """What a state gives of each part; see :meth:`pipelines.streaming.tables.TableInParts.followed`."""
        assert self._sides is not None
        job = Following(self.reader, self._sides, work, state, self._before)
        for result in self._raw.passes.kept(job, self._columns(more), label=label, rows=self._raw.rows):
            if not isinstance(result, Done):
                yield result
            elif result.result is not None:
                state.merge(result.result)

    def _columns(self, more: Sequence[str]) -> list[str]:
        """The raw columns of a pass: those that are typed, those that tell the sides, and some more."""
        assert self._sides is not None
        return list(dict.fromkeys([*self.reader.columns, *self._sides.columns, *more]))
