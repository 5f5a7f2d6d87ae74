"""Where Spark writes answers: a folder of Parquet or CSV files, or a table of its catalog."""

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from registry.cli import interrupts
from registry.redaction import url
from serving.batch import outputs, scratch, sources
from serving.batch.spark import source
from serving.batch.spark.errors import speaking
from serving.batch.spark.session import SparkCall, apart
from serving.errors import ServingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    Write = Callable[[DataFrame], None]

#: How the names of folders end that are written aside, and of those that are replaced.
_SCORING, _OLD = "scoring", "old"
#: Seconds between looks at tasks that are told to stop.
_PAUSE = 0.05
#: File systems in which a folder is renamed at once; elsewhere Spark's committer writes in place, ``_SUCCESS`` last.
_RENAMING = ("", "file", "hdfs", "viewfs", "abfs", "abfss")
_CSV = {"header": "true", "escape": '"', "ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}


class SparkOutput(Protocol):
    """Where answers go.

    Attributes
    ----------
    address : what messages call it.
    csv : whether times are written as text.
    is_undoable : whether what was written can still be left out before the end of ``writing``.
    """

    address: str
    csv: bool
    is_undoable: bool

    def check(self) -> None:
        """Raise ServingError if it is there and is not to be replaced."""

    def writing(self) -> contextlib.AbstractContextManager["Write"]:
        """What writes answers; they are in their place when the block ends without an error."""


def output(
    session: "SparkSession", address: str, table: source.SparkTable, *, remote: bool, overwrite: bool
) -> SparkOutput:
    """The output that an address means.

    Parameters
    ----------
    table : the input: its folders are kept, and its form, unless the address ends otherwise.
    remote : whether the session is one of Spark Connect.
    overwrite : whether an output that is there is replaced.
    """
    name = source.table_name(address)
    if name is not None:
        return CatalogTable(session, name, overwrite=overwrite)
    plain = address.rstrip("/").lower()
    csv = plain.endswith(outputs.CSV) or (table.form == sources.CSV and not plain.endswith(outputs.PARQUET))
    renamed = not remote and urlsplit(address).scheme in _RENAMING
    kind = RenamedFolder if renamed else CommittedFolder
    return kind(session, address.rstrip("/"), csv=csv, partitions=table.partitions, overwrite=overwrite)


class CommittedFolder:
    """A folder that Spark's committer fills: the file ``_SUCCESS`` comes last."""

    is_undoable = False

    def __init__(
        self, session: "SparkSession", path: str, *, csv: bool, partitions: tuple[str, ...], overwrite: bool
    ) -> None:
        self._session, self._path, self._partitions, self._overwrite = session, path, partitions, overwrite
        self.address, self.csv = url(path), csv
        self._mode = "overwrite"

    def check(self) -> None:
        """Raise ServingError if files are there already."""
        if self._overwrite:
            return
        found = self._files()
        # What holds no file is an attempt that was cut short.
        self._mode = "error" if found is None else "overwrite"
        if found:
            raise ServingError(f"{self.address} is there already; give --overwrite, or another --output")

    @contextlib.contextmanager
    def writing(self) -> Iterator["Write"]:
        """Write into the folder; an attempt that was cut short before has left nothing that is read."""
        yield lambda frame: self._write(frame, self._path)

    def _write(self, frame: "DataFrame", path: str) -> None:
        writer = frame.write.mode(self._mode)
        if self._partitions:
            writer = writer.partitionBy(*self._partitions)
        with speaking(self.address, writes=True):
            if self.csv:
                writer.options(**_CSV).csv(path)
            else:
                writer.parquet(path)

    def _files(self) -> list[str] | None:
        """The files that are there; None if there is no such folder."""
        from pyspark.errors import PySparkException

        with speaking(self.address):
            try:
                return source.files(self._session, self._path)
            except PySparkException as error:
                if error.getCondition() != "PATH_NOT_FOUND":
                    raise
                return None


class RenamedFolder(CommittedFolder):
    """A folder that is written aside, and takes its place by a rename."""

    is_undoable = True

    def check(self) -> None:
        """Raise ServingError if something is there already."""
        with speaking(self.address):
            if not self._overwrite and self._file_system.exists(self._hadoop(self._path)):
                raise ServingError(f"{self.address} is there already; give --overwrite, or another --output")

    @contextlib.contextmanager
    def writing(self) -> Iterator["Write"]:
        """Write beside the folder."""
        aside, job = self._beside(_SCORING), SparkCall()
        with speaking(self.address):
            self._clean()
        try:
            yield lambda frame: job.do(lambda: self._write(frame, aside))
            with interrupts.held(), speaking(self.address):
                self._replace(aside)
        except BaseException:
            apart(lambda: self._forget(aside, job))
            raise

    def _forget(self, aside: str, job: SparkCall) -> None:
        """Remove what was written, once nothing writes: neither the job nor tasks that are told to stop."""
        status = self._session.sparkContext._jsc.sc().statusTracker()
        while job.is_busy() or any(executor.numRunningTasks() for executor in status.getExecutorInfos()):
            self._session.interruptAll()
            time.sleep(_PAUSE)
        self._file_system.delete(self._hadoop(aside), True)

    def _replace(self, aside: str) -> None:
        system, place, old = self._file_system, self._hadoop(self._path), self._beside(_OLD)
        self.check()
        if replaced := self._overwrite and system.exists(place):
            self._rename(self._path, old)
        try:
            self._rename(aside, self._path)
        except ServingError:
            if replaced:
                system.rename(self._hadoop(old), place)
            raise
        system.delete(self._hadoop(old), True)

    def _rename(self, path: str, target: str) -> None:
        system = self._file_system
        done = system.rename(self._hadoop(path), self._hadoop(target))
        # Where another job was quicker, the folder was moved into that job's.
        inside = self._hadoop(f"{target}/{path.rpartition('/')[2]}")
        if done and system.exists(inside):
            system.delete(inside, True)
            done = False
        if not done:
            raise ServingError(f"{self.address} cannot be put into its place: another job has written it meanwhile")

    def _beside(self, ending: str) -> str:
        folder, slash, name = self._path.rpartition("/")
        return f"{folder}{slash}.{name}.{scratch.owner()}.{uuid.uuid4().hex[:8]}.{ending}"

    def _clean(self) -> None:
        """Remove what killed processes of this machine left beside the folder."""
        system, place = self._file_system, self._hadoop(self._path)
        parent = system.makeQualified(place).getParent()
        if not system.exists(parent):
            return
        # What was replaced is removed only if what replaced it is there.
        endings = f"{_SCORING}|{_OLD}" if system.exists(place) else _SCORING
        mark = re.compile(rf"\.{re.escape(place.getName())}\.([0-9a-f]+-\d+)\.[0-9a-f]+\.({endings})")
        for found in system.listStatus(parent):
            match = mark.fullmatch(found.getPath().getName())
            if match and scratch.is_left(match[1]):
                system.delete(found.getPath(), True)

    @property
    def _file_system(self) -> Any:
        return self._hadoop(self._path).getFileSystem(self._session._jsparkSession.sessionState().newHadoopConf())

    def _hadoop(self, path: str) -> Any:
        java: Any = self._session._jvm
        return java.org.apache.hadoop.fs.Path(path)


class CatalogTable:
    """A table of Spark's catalog."""

    csv = False
    is_undoable = False

    def __init__(self, session: "SparkSession", name: str, *, overwrite: bool) -> None:
        self._session, self._name, self._overwrite = session, name, overwrite
        self.address = f"{source.TABLE}{name}"

    def check(self) -> None:
        """Raise ServingError if the table is there already."""
        with speaking(self.address):
            if not self._overwrite and self._session.catalog.tableExists(self._name):
                raise ServingError(f"{self.address} is there already; give --overwrite, or another --output")

    @contextlib.contextmanager
    def writing(self) -> Iterator["Write"]:
        """Write into the table, which is made by this."""
        yield self._write

    def _write(self, frame: "DataFrame") -> None:
        with speaking(self.address, writes=True):
            frame.write.saveAsTable(self._name, mode="overwrite" if self._overwrite else "error")


def rejects_address(request_output: str) -> str:
    """Where the rejected rows go unless told otherwise: beside an output of this machine, else in this folder."""
    name = source.table_name(request_output)
    if name is None and "://" not in request_output:
        return outputs.beside(request_output.rstrip("/"), ".rejects.csv")
    last = (name or request_output).rstrip("/").rpartition("/")[2]
    return str(Path(f"{last.removesuffix(outputs.PARQUET).removesuffix(outputs.CSV)}.rejects.csv"))
