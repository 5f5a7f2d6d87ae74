"""The numbers of rows in their files, as the file of rejects gives them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from serving.batch.sources import CSV, JSON_LINES, PARQUET
from serving.batch.spark.source import SparkTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    #: The file of a row, and its number there, counted from 0; the row has the columns of ``numbered``.
    Locate = Callable[[Any], tuple[str, int]]

FILE, START, ROW = COLUMNS = ("lifecycle_file", "lifecycle_start", "lifecycle_row")


def is_numbered(table: SparkTable) -> bool:
    """Whether Spark knows from which file and place a row comes."""
    return table.form in (PARQUET, CSV, JSON_LINES)


def numbered(table: SparkTable) -> "DataFrame":
    """The rows of a table with ``COLUMNS``."""
    from pyspark.sql import functions as f

    frame = table.frame
    # Parquet counts its rows. Of a text, the parts that Spark reads at a time are known by where they begin, and their
    # rows come one after another.
    row = f.col("_metadata.row_index") if table.form == PARQUET else f.monotonically_increasing_id()
    place = f.col("_metadata.file_block_start")
    return frame.select("*", f.col("_metadata.file_path").alias(FILE), place.alias(START), row.alias(ROW))


def locator(table: SparkTable, rows: "DataFrame") -> "Locate":
    """What tells the file and the number of a row.

    Parameters
    ----------
    rows : those of ``numbered``: of texts, they are counted.
    """
    if table.form == PARQUET:
        return lambda row: (_path(row[FILE]), row[ROW])
    from pyspark.sql import functions as f

    parts = rows.groupBy(FILE, START).agg(f.min(ROW).alias("first"), f.count(f.lit(1)).alias("count")).collect()
    offsets: dict[tuple[str, int], int] = {}
    before: dict[str, int] = {}
    for part in sorted(parts, key=lambda one: (one[FILE], one[START])):
        above = before.get(part[FILE], 0)
        offsets[part[FILE], part[START]] = above - part["first"]
        before[part[FILE]] = above + part["count"]
    return lambda row: (_path(row[FILE]), row[ROW] + offsets[row[FILE], row[START]])


def _path(uri: str) -> str:
    """The path of a file of this machine; the URI of another."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme in ("", "file") else uri
