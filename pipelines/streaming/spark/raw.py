"""A raw table as Spark reads it: how many rows it has, their digest, and a sample of them."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.sources.options import ReadOptions
from pipelines.sources.table import Origin, Table, named
from pipelines.streaming.raw import joined, sample_table
from pipelines.streaming.spark.partitions import Done, Sampling
from pipelines.streaming.spark.passes import Passes
from serving.batch.sources import form_of, stem
from serving.batch.spark import source
from serving.batch.spark.errors import speaking
from serving.batch.spark.expression import quoted
from serving.batch.spark.session import apart
from serving.batch.texts import ReadSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Into how many partitions files are cut at least; unless it is set, as many as there are cores by now.
_CUT = "spark.sql.files.minPartitionNum"
_PROBE = 100_000
# Types that Spark makes no hash of.
_UNHASHED = ("map<", "variant", "interval")


@dataclass(frozen=True)
class RawFrame:
    """A table of Spark's: nothing is typed, trimmed or left out yet.

    Parameters
    ----------
    names : of its columns, trimmed, in order.
    before : partition -> how many rows are in those before it.
    options, separator, notes : see :class:`pipelines.streaming.raw.RawTable`.
    """

    passes: Passes
    names: tuple[str, ...]
    origin: Origin
    before: Mapping[int, int]
    options: ReadOptions
    separator: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.origin.rows

    def sample(self, most: int) -> pa.Table:
        """Rows that are evenly spread over the table, at most so many; all, if there are no more."""
        job = Sampling(-(-self.rows // most), self.before)
        found = self.passes.collected(job, self.names, label="sampling", rows=self.rows)
        return joined([part for part in found if not isinstance(part, Done)])

    def table(self, columns: pa.Table) -> Table:
        """Some of the rows, with what is known of the whole."""
        return sample_table(columns, self.origin, self.options, self.separator, self.notes)


@contextlib.contextmanager
def partitioned_alike(session: "SparkSession") -> Iterator[None]:
    """Files are cut into the same partitions throughout, also where the cluster grows or shrinks meanwhile."""
    from pyspark.sql import functions as f

    with speaking("Spark"):
        before = session.conf.get(_CUT, None)
        if before is None:
            tasks = session.range(_PROBE).select(f.spark_partition_id().alias("partition")).distinct().count()
            session.conf.set(_CUT, str(tasks))
    try:
        yield
    finally:
        if before is None:
            apart(lambda: session.conf.unset(_CUT))


def opened(session: "SparkSession", data: str, options: ReadOptions) -> RawFrame:
    """The table at an address that Spark knows.

    Parameters
    ----------
    data : files of any file system of Spark's, or ``table:NAME`` of its catalog.

    Raises
    ------
    PipelineError, ServingError
        if there is nothing to read, or it cannot be read as a table.
    """
    settings = ReadSettings(options.sep, options.encoding, options.header, options.skip_rows)
    table = source.read(session, data, settings)
    frame = table.frame
    names = tuple(named(pa.table({name: pa.array([]) for name in frame.columns}), table.address).column_names)
    frame = frame.toDF(*names)
    separator = table.layout.delimiter if table.layout else None
    if separator is None:
        options.refuse_for("a table with types", allowed=("decimal", "thousands", "missing", "encoding"))
    passes = Passes(session, frame, table.address)
    counts, digest = _counted(passes, frame)
    if not counts:
        raise PipelineError(f"expected rows, found an empty table: {table.address}")
    before, rows = {}, 0
    for partition in sorted(counts):
        before[partition] = rows
        rows += counts[partition]
    origin = Origin(_name(data), table.address, digest, rows, len(names))
    notes = (f"read as {table.layout.told()}", *table.layout.notes) if table.layout else ()
    return RawFrame(passes, names, origin, before, options, separator, notes)


def _name(data: str) -> str:
    """What a model of the table is called unless told otherwise."""
    name = source.table_name(data)
    if name is not None:
        return name.rpartition(".")[2]
    last = PurePosixPath(data.rstrip("/")).name
    return last if form_of(PurePosixPath(last)) is None else stem(last)


def _counted(passes: Passes, frame: "DataFrame") -> tuple[dict[int, int], str]:
    """How many rows each partition has, and the digest of names, types and rows, in whatever order these come."""
    from pyspark.sql import functions as f

    hashed = [quoted(name) for name, kind in frame.dtypes if not any(word in kind for word in _UNHASHED)]
    counts = frame.groupBy(f.spark_partition_id().alias("partition")).agg(
        f.count(f.lit(1)).alias("rows"), f.sum(f.xxhash64(*hashed).cast("decimal(38,0)")).alias("sum")
    )
    found: list = []
    passes.do(lambda: found.extend(counts.collect()))
    rows = {row["partition"]: row["rows"] for row in found}
    whole = [frame.dtypes, sum(rows.values()), str(sum(int(row["sum"] or 0) for row in found))]
    return rows, f"sha256:{hashlib.sha256(json.dumps(whole).encode()).hexdigest()}"
