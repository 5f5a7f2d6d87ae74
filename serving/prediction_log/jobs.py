"""The rows of a batch job in a prediction log: all rows of a file that was scored, or none.

They are written beside the log while the file is scored, and become part of it when its answers are in their place. A
job has one id however often it is run: its rows take the place of those of an earlier run.
"""

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.functions.sampling import sampled
from serving.prediction_log import parquet
from serving.prediction_log.database import DatabaseSink
from serving.prediction_log.schema import BATCH, LogSchema, is_database
from serving.prediction_log.sink import LogError

#: The status of an answered row, as HTTP has it.
ANSWERED = 200
#: Rows that a database gets at a time.
SOME = 10_000
# How the names of the files begin.
_PREFIX = "job-"


class JobRows:
    """The rows of one file of a job; see :func:`opened`.

    Parameters
    ----------
    request_id : of the job.
    moment : when it began, in UTC.
    share : of the rows that is recorded.
    folder : of the log that they are written to.
    """

    def __init__(self, schema: LogSchema, request_id: str, moment: datetime.datetime, share: float, folder: Path):
        self.schema, self.request_id = schema, request_id
        self._moment, self._share = moment, share
        self._target, self._name = parquet.partition(schema.model, moment.date()), _PREFIX + request_id
        parquet.clean(folder, _PREFIX)
        self._file = parquet.LogFile(folder, self._target, self._name, schema.arrow())

    def add(self, numbers: pa.Array, arrays: Mapping[str, pa.Array]) -> None:
        """Write answered rows.

        Parameters
        ----------
        numbers : of the rows in their file, from 0.
        arrays : their columns but the common ones.

        Raises
        ------
        LogError
        """
        count, arrow = len(numbers), self.schema.arrow()
        same: dict[str, Any] = {
            "request_id": self.request_id, "time": self._moment, "model": self.schema.model,
            "version": self.schema.version, "role": BATCH, "status": ANSWERED, "latency_ms": None,
            "sampling": self._share,
        }  # fmt: skip
        made = {name: pa.repeat(pa.scalar(value, arrow.field(name).type), count) for name, value in same.items()}
        made |= {"row": numbers.cast(pa.int64()), **arrays}
        table = pa.Table.from_arrays([made[name] for name in arrow.names], schema=arrow)
        if self._share < 1.0:
            kept = [sampled(f"{self.request_id}/{row}", self._share) for row in numbers.to_pylist()]
            table = table.filter(pa.array(kept, pa.bool_()))
        with _explained():
            self._file.add(table)

    def finish(self) -> None:
        """Let the log have the rows.

        Raises
        ------
        LogError
        """
        with _explained():
            self._file.finish()

    def close(self) -> None:
        """Leave nothing, unless it is finished."""
        self._file.drop()


class _DatabaseRows(JobRows):
    """The rows for a database, which takes them at the end in one transaction."""

    def __init__(
        self, schema: LogSchema, request_id: str, moment: datetime.datetime, share: float, folder: Path,
        sink: DatabaseSink,
    ):  # fmt: skip
        super().__init__(schema, request_id, moment, share, folder)
        self._folder, self._sink = folder, sink
        sink.table(self.schema)  # whether it can be reached, before anything is scored

    def finish(self) -> None:
        super().finish()
        self._sink.replace(self.schema, self.request_id, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        # A whole file at once would be in memory as a whole.
        with pq.ParquetFile(self._folder / self._target / f"{self._name}.parquet", pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group).to_batches(SOME)


@contextlib.contextmanager
def opened(
    destination: str, schema: LogSchema, request_id: str, moment: datetime.datetime, share: float, scratch: Path
) -> Iterator[JobRows]:
    """The rows of a file of a job: in the log once ``finish`` was called in the block, else never.

    Parameters
    ----------
    destination : a folder, or the SQLAlchemy URL of a database.
    scratch : an empty folder for what a database is to get.

    Raises
    ------
    LogError
        if they cannot be written.
    """
    with contextlib.ExitStack() as running:
        with _explained():
            if is_database(destination):
                sink = running.enter_context(contextlib.closing(DatabaseSink(destination)))
                rows: JobRows = _DatabaseRows(schema, request_id, moment, share, scratch, sink)
            else:
                rows = JobRows(schema, request_id, moment, share, Path(destination).expanduser().absolute())
        running.callback(rows.close)
        yield rows


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LogError(f"the prediction log cannot be written: {reason}") from None
    except pa.ArrowException as error:
        raise LogError(f"the prediction log cannot be written: {type(error).__name__}") from None
