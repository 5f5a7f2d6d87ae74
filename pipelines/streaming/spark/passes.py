"""Jobs on the partitions of a table, run by Spark; their results come back in the order of the rows."""

import contextlib
import pickle
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.streaming.raw import joined
from pipelines.streaming.spark.partitions import TOLD, Done, FailedPartition, Job, TableDiffers, parts
from pipelines.streaming.typed import Contradiction
from registry import logs
from registry.logs import Progress
from serving.batch.spark.errors import speaking
from serving.batch.spark.expression import quoted
from serving.batch.spark.session import SparkCall, apart
from serving.errors import ServingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_log = logs.get_logger(__name__)

#: Seconds between looks at a job that is told to stop.
_PAUSE = 0.05
_SCHEMA = pa.schema([("partition", pa.int32()), ("place", pa.int32()), ("result", pa.binary())])
_SCHEMA_OF_SPARK = "partition int, place int, result binary"


class Passes:
    """Passes over a DataFrame, whose partitions are always the same.

    Parameters
    ----------
    address : what messages call the table.
    """

    def __init__(self, session: "SparkSession", frame: "DataFrame", address: str) -> None:
        self._session, self._frame, self.address = session, frame, address
        self._tag = f"lifecycle-{uuid.uuid4().hex}"

    def collected(self, job: Job, columns: Sequence[str], *, label: str = "", rows: int | None = None) -> list[Any]:
        """All results at once: those of each partition, and ``Done`` behind them.

        Parameters
        ----------
        columns : the names of those that the job needs.
        label : what it does, for the progress bar; none without one.
        rows : how many rows there are; None if that is not known yet.

        Raises
        ------
        Contradiction, PipelineError, SolvingError, InputError
            what the job raises.
        PipelineError
            if Spark fails, or the table has other rows than before.
        """
        _tell(label, 0, rows)
        made = self._made(job, columns)
        found: list[Any] = []
        self.do(lambda: found.extend(made.collect()))
        found.sort(key=lambda row: (row["partition"], row["place"]))
        results = [pickle.loads(row["result"]) for row in found]
        self._check(results, rows)
        _tell(label, rows or 0, rows)
        return results

    def kept(self, job: Job, columns: Sequence[str], *, label: str, rows: int) -> Iterator[Any]:
        """The same one by one, for results that are large together: Spark keeps them on its disks meanwhile."""
        from pyspark import StorageLevel

        _tell(label, 0, rows)
        made = self._made(job, columns).persist(StorageLevel.DISK_ONLY)
        try:
            self.do(made.count)
            done, last = 0, (-1, -1)
            with _speaking(self.address):
                for row in made.toLocalIterator():
                    place = row["partition"], row["place"]
                    result = pickle.loads(row["result"])
                    if place <= last:
                        raise self._differs()
                    last = place
                    self._check([result], None)
                    done += result.rows if isinstance(result, Done) else 0
                    yield result
            if done != rows:
                raise self._differs()
        finally:
            apart(made.unpersist)
        _tell(label, rows, rows)

    def do(self, work: Callable[[], object]) -> None:
        """Let Spark do something, and wait for it; if this is interrupted, its jobs are stopped.

        Raises
        ------
        PipelineError
            if Spark fails.
        """

        def tagged() -> None:
            self._session.addTag(self._tag)
            try:
                work()
            finally:
                self._session.removeTag(self._tag)

        worker = SparkCall()
        with _speaking(self.address):
            try:
                worker.do(tagged)
            except BaseException:
                if worker.is_busy():
                    apart(lambda: self._stop(worker))
                raise

    def _stop(self, worker: SparkCall) -> None:
        while worker.is_busy():
            self._session.interruptTag(self._tag)
            time.sleep(_PAUSE)

    def _made(self, job: Job, columns: Sequence[str]) -> "DataFrame":
        frame = self._frame.select(*map(quoted, columns))
        return frame.mapInArrow(_InPartition(job), _SCHEMA_OF_SPARK)

    def _check(self, results: Sequence[Any], rows: int | None) -> None:
        """Raise what partitions failed by, or that there are other rows than expected."""
        errors = [result.error for result in results if isinstance(result, FailedPartition)]
        if contradictions := [error for error in errors if isinstance(error, Contradiction)]:
            raise Contradiction(joined([error.rows for error in contradictions]))
        for error in errors:
            raise self._differs() if isinstance(error, TableDiffers) else error
        if rows is not None and sum(result.rows for result in results if isinstance(result, Done)) != rows:
            raise self._differs()

    def _differs(self) -> PipelineError:
        return PipelineError(f"{self.address} has changed since the training began; start again")


@dataclass(frozen=True)
class _InPartition:
    """A job as Spark calls it: batches of rows in, pickled results out."""

    job: Job

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        partition = context.partitionId()
        for place, result in enumerate(self._results(partition, batches)):
            columns = [[partition], [place], [pickle.dumps(result, pickle.HIGHEST_PROTOCOL)]]
            arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)

    def _results(self, partition: int, batches: Iterator[pa.RecordBatch]) -> Iterator[object]:
        try:
            yield from self.job(partition, parts(batches))
        except (*TOLD, TableDiffers) as error:
            yield FailedPartition(error)


@contextlib.contextmanager
def _speaking(what: str) -> Iterator[None]:
    """Errors of Spark as one line about something."""
    try:
        with speaking(what):
            yield
    except ServingError as error:
        raise PipelineError(str(error)) from None


def _tell(label: str, done: int, rows: int | None) -> None:
    """Tell the progress bar how many rows are done."""
    if label and rows is not None:
        _log.debug("%s: %d of %d rows", label, done, rows, extra=Progress(f"{label}, rows", done, rows).extra())
