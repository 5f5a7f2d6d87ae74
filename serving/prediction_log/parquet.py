"""Writes the log as Parquet files: ``DIR/model=NAME/date=YYYY-MM-DD/*.parquet``.

A Parquet file cannot be read before it is finished, and what its writer holds is lost with it. So batches are first
appended to a spool, a stream of Arrow in ``DIR/_recording``, which survives the end of its process. After some minutes,
or when it is large, a spool becomes a Parquet file that appears as a whole. Whoever opens the log next does the same
with the spools of a process that was killed. DuckDB, Spark and PyArrow pass over ``_recording``.
"""

import contextlib
import datetime
import fcntl
import math
import mmap
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from serving.prediction_log.schema import LogSchema
from serving.prediction_log.sink import LogError

#: A spool of this size, in bytes, becomes a file.
SIZE = 32 * 2**20
#: Seconds between two attempts to finish a file that could not be written.
AGAIN = 10.0

SPOOLS, SUFFIX = "_recording", ".arrows"
_TARGET = b"prediction_log"
_DATE = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


@dataclass
class Spool:
    """A stream of batches that is being written.

    Parameters
    ----------
    file : its descriptor, locked as long as its process lives.
    size : in bytes, up to the end of the last whole batch.
    due : when it becomes a Parquet file, by the monotonic clock.
    """

    path: Path
    file: int
    size: int
    due: float

    def append(self, content: bytes | memoryview) -> None:
        """Write all of it, or nothing."""
        done = 0
        try:
            while done < len(content):
                done += os.write(self.file, content[done:])
        except OSError:
            os.ftruncate(self.file, self.size)
            os.lseek(self.file, self.size, os.SEEK_SET)
            raise
        self.size += done


class ParquetSink:
    """A log in a folder.

    Parameters
    ----------
    seconds : age at which a spool becomes a file.
    size : in bytes, at which it does.
    """

    def __init__(self, folder: Path, *, seconds: float, size: int = SIZE):
        self._folder, self._seconds, self._size = folder, seconds, size
        self._spools: dict[tuple[LogSchema, datetime.date], Spool] = {}
        #: When spools of processes that have ended are looked for, by the monotonic clock; never again once they were.
        self._recovery = 0.0

    def write(self, schema: LogSchema, date: datetime.date, batch: pa.RecordBatch) -> int:
        with self._explained():
            spool = self._spools.get((schema, date))
            if spool is None:
                spool = self._spools[schema, date] = self._begin(schema, date)
            spool.append(memoryview(batch.serialize()))
        return batch.num_rows

    def tick(self) -> None:
        with self._explained():
            now = time.monotonic()
            if now >= self._recovery:
                self._recovery = now + AGAIN
                self._recover()
                self._recovery = math.inf
            for key, spool in list(self._spools.items()):
                # Of a log that somebody has removed, what was spooled is still there until it is closed.
                if now >= spool.due or spool.size >= self._size or not spool.path.exists():
                    # Whatever happens, it is not tried again at once.
                    spool.due = now + AGAIN
                    self._finish(spool)
                    del self._spools[key]

    def expire(self, before: datetime.date) -> None:
        with self._explained():
            for folder in self._folder.glob("model=*/date=*"):
                found = _DATE.fullmatch(folder.name)
                if found is None or _day(found[1]) is None or _day(found[1]) >= before:  # type: ignore[operator]
                    continue
                for file in folder.glob("*.parquet"):
                    file.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # something else is in it
                    folder.rmdir()

    def close(self) -> None:
        for spool in self._spools.values():
            with contextlib.suppress(OSError, pa.ArrowException):
                self._finish(spool)
        self._spools = {}

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LogError(f"the prediction log in {self._folder} cannot be written: {reason}") from None
        except pa.ArrowException as error:
            raise LogError(f"the prediction log in {self._folder} cannot be written: {type(error).__name__}") from None

    def _begin(self, schema: LogSchema, date: datetime.date) -> Spool:
        spools = self._folder / SPOOLS
        spools.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.datetime.now(datetime.UTC):%H%M%S}-{secrets.token_hex(8)}"
        path, new = spools / (name + SUFFIX), spools / (name + ".new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Nobody finds it before it is locked.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            target = partition(schema.model, date)
            spool = Spool(path, file, 0, time.monotonic() + self._seconds)
            spool.append(memoryview(schema.arrow().with_metadata({_TARGET: target.encode()}).serialize()))
            os.rename(new, path)
        except BaseException:
            os.close(file)
            new.unlink(missing_ok=True)
            raise
        return spool

    def _finish(self, spool: Spool) -> None:
        self._convert(spool.path, spool.file)
        os.close(spool.file)

    def _recover(self) -> None:
        """Finish the spools of processes that have ended."""
        for path in sorted((self._folder / SPOOLS).glob("*" + SUFFIX)):
            try:
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._convert(path, file)
            finally:
                os.close(file)

    def _convert(self, path: Path, file: int) -> None:
        """Turn a spool, by its descriptor, into a Parquet file; doing it again has the same result."""
        table = _table(file)
        if table is None:
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_suffix(".unreadable"))
            return
        if table.num_rows:
            write_file(table, self._folder, table.schema.metadata[_TARGET].decode(), path.stem)
        path.unlink(missing_ok=True)


def _table(file: int) -> pa.Table | None:
    """The batches of a spool up to where its process was killed; None if it is no spool."""
    batches: list[pa.RecordBatch] = []
    try:
        content = pa.py_buffer(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
        with pa.ipc.open_stream(content) as stream:
            schema = stream.schema
            if _TARGET not in (schema.metadata or {}):
                return None
            with contextlib.suppress(pa.ArrowException, OSError):
                batches.extend(stream)
            return pa.Table.from_batches(batches, schema)
    except (pa.ArrowException, OSError, ValueError):  # nothing can be mapped of an empty file
        return None


def partition(model: str, date: datetime.date) -> str:
    """The folder of the rows of a model and a day, below the log's."""
    return f"model={quote(model, safe='')}/date={date:%Y-%m-%d}"


class LogFile:
    """A file of a log that is written batch by batch, and appears as a whole when it is finished.

    Parameters
    ----------
    log : the folder of the log.
    target : as ``partition`` gives it.
    name : of the file, without its suffix; one of the same name is replaced.
    schema : of the batches.

    Raises
    ------
    OSError
        if it cannot be written, or another process is writing it.
    """

    def __init__(self, log: Path, target: str, name: str, schema: pa.Schema):
        self._log, self._target, self._name = log, target, name
        self._path = log / SPOOLS / (name + ".tmp")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _locked(self._path)
        # Readers that take the model from the path have it as a dictionary, and refuse a file that has it otherwise.
        self._place = schema.get_field_index("model")
        coded = pa.field("model", pa.dictionary(pa.int32(), pa.string()))
        self._schema = schema.set(self._place, coded).remove_metadata()
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def add(self, rows: pa.Table) -> None:
        """Write rows."""
        model = rows.column(self._place).dictionary_encode()
        self._writer.write_table(rows.set_column(self._place, "model", model).cast(self._schema))

    def finish(self) -> None:
        """Let the file be seen, in place of those of its name, also of other days."""
        final = self._log / self._target / (self._name + ".parquet")
        final.parent.mkdir(parents=True, exist_ok=True)
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._path, final)
        self._file.close()
        for other in final.parent.parent.glob(f"date=*/{final.name}"):
            if other != final:
                other.unlink(missing_ok=True)

    def drop(self) -> None:
        """Leave nothing of it."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError, pa.ArrowException):
                self._writer.close()
            self._file.close()


def _locked(path: Path) -> BinaryIO:
    """A new file that nobody else writes; what a killed process left of it is gone."""
    while True:
        file = open(path, "ab")  # noqa: SIM115  # whoever asks closes it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            # Another process may have renamed or removed it before it was locked.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def clean(log: Path, prefix: str) -> None:
    """Remove what killed processes left of files whose names begin with a prefix."""
    for path in (log / SPOOLS).glob(f"{prefix}*.tmp"):
        with contextlib.suppress(OSError), open(path, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


def write_file(table: pa.Table, log: Path, target: str, name: str) -> None:
    """Write a whole file of a log; parameters, and errors raised, as of ``LogFile``."""
    file = LogFile(log, target, name, table.schema)
    try:
        file.add(table)
        file.finish()
    finally:
        file.drop()


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None
