"""A raw table from a name, a file, a SQL database or S3, as an Arrow table with where it came from."""

import os
from dataclasses import replace
from pathlib import Path

from pipelines import marks
from pipelines.errors import PipelineError
from pipelines.sources import bundled, files
from pipelines.sources.bundled import BUNDLED
from pipelines.sources.files import parse
from pipelines.sources.options import FIND, OF_TEXT, ReadOptions
from pipelines.sources.table import Origin, Table, checked

__all__ = ["BUNDLED", "FIND", "Origin", "ReadOptions", "Table", "parse", "read"]


def read(data: str, *, query: str | None = None, options: ReadOptions = FIND) -> Table:
    """Read a table.

    Parameters
    ----------
    data : the name of a bundled table (``diabetes``), the path of a CSV, TSV, Parquet or JSON lines file (text
        also gzipped), a SQLAlchemy URL, or ``s3://bucket/key``.
    query : for a database, the name of a table or a SELECT.
    options : how a delimited file is written; what they do not say is found out, and told in the table's notes.

    Raises
    ------
    PipelineError
        where there is nothing to read, or it cannot be read as a table.
    """
    scheme, separator, rest = data.partition("://")
    scheme = scheme.lower() if separator else ""
    if query and scheme in ("", "s3", "file"):
        raise PipelineError(f"--query goes with a database URL, found --data {data}; leave it out")
    if scheme == "s3":
        from pipelines.sources import s3

        return checked(s3.read(data, options))
    if scheme in ("http", "https"):
        raise PipelineError(f"--data takes a file, a database URL or s3://, found {scheme}://; download the file first")
    if scheme not in ("", "file"):
        from pipelines.sources import sql

        options.refuse_for("a database", allowed=OF_TEXT)
        table = checked(sql.read(data, query))
        marked = marks.given(table.columns, options.decimal, options.thousands, options.cleaning)
        notes = (*table.notes, *marked.notes)
        return replace(table, marks=marked.by_column, notes=notes, cleaning=options.cleaning)
    path = os.path.expanduser(rest if scheme else data)
    name = data.lower().replace("-", "_")
    if name in BUNDLED and not os.path.exists(path):
        options.refuse_for(f"the bundled table {name}")
        return checked(bundled.read(name))
    return checked(files.read(Path(path), options))
