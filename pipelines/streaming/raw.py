"""A raw table as Parquet files of this machine, which are read in parts as often as it takes."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import marks
from pipelines.errors import PipelineError, TableChanged
from pipelines.raw_values import decoded
from pipelines.sources.options import ReadOptions
from pipelines.sources.table import Origin, Table, named
from pipelines.spread import Spread
from pipelines.streaming.prefetch import prefetched
from registry import logs, redaction
from registry.cli.text import listed
from serving.batch import duckdb_session, inputs, texts
from serving.batch.queries import run
from serving.batch.quoting import path_of
from serving.batch.sources import PARQUET, InputFile, SourceFile, stem
from serving.batch.texts import ReadSettings
from serving.errors import ServingError

_log = logs.get_logger(__name__)

#: Rows of a part: enough for BLAS, and few enough that some parts of a hundred columns are small beside a gigabyte.
ROWS = 65_536
_CHUNK = 1 << 20
# Rows of a group of a file that is made here.
_GROUP = 262_144


@dataclass(frozen=True)
class RawFile:
    """A Parquet file of this machine.

    Parameters
    ----------
    address : what messages call it.
    rows : how many it has.
    names : its columns as it calls them.
    identity : its size in bytes, and when it was changed last, in nanoseconds.
    partitions : column -> the value that its folders tell.
    """

    path: Path
    address: str
    rows: int
    names: tuple[str, ...]
    identity: tuple[int, int]
    partitions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RawTable:
    """A table that is not in memory: nothing is typed, trimmed or left out yet.

    Parameters
    ----------
    names : of its columns, trimmed, in order.
    origin : where it came from.
    options : how its text is written.
    separator : of delimited text, whose numbers' marks are found out; None of other tables.
    notes : what was found while it was read, a sentence each.
    """

    files: tuple[RawFile, ...]
    names: tuple[str, ...]
    origin: Origin
    options: ReadOptions
    separator: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.origin.rows

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows in order, at most ``ROWS`` at a time; each call cuts them alike.

        Parameters
        ----------
        columns : the names of those that are wanted; all by default.
        """
        wanted = list(self.names if columns is None else columns)
        return prefetched(part for file in self.files for part in self._of(file, wanted))

    def _of(self, file: RawFile, wanted: Sequence[str]) -> Iterator[pa.Table]:
        own = dict(zip((name.strip() for name in file.names), file.names, strict=True))
        told = dict(file.partitions)
        asked = [own[name] for name in wanted if name in own]
        try:
            if _identity(file.path) != file.identity:
                raise TableChanged(f"{file.address} has changed since it was first read; start again")
            # A file that is buffered beforehand is in memory as a whole in the end.
            with pq.ParquetFile(file.path, pre_buffer=False) as opened:
                for batch in opened.iter_batches(ROWS, columns=asked):
                    yield pa.table(
                        [
                            batch[own[name]] if name in own else pa.array([told[name]] * batch.num_rows, pa.string())
                            for name in wanted
                        ],
                        names=list(wanted),
                    )
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise TableChanged(f"{file.address} cannot be read any more: {reason}; start again") from None

    def sample(self, most: int) -> pa.Table:
        """Rows that are evenly spread over the table, at most so many; all, if there are no more."""
        spread = Spread(self.rows, most)
        found = (part.take(np.arange(part.num_rows)[spread.next(part.num_rows)]) for part in self.parts())
        # Each part has a dictionary of its own, of all texts of a row group.
        return joined([pa.table({name: decoded(part[name]) for name in part.column_names}) for part in found])

    def table(self, columns: pa.Table) -> Table:
        """Some of the rows, with what is known of the whole."""
        return sample_table(columns, self.origin, self.options, self.separator, self.notes)


def sample_table(
    columns: pa.Table, origin: Origin, options: ReadOptions, separator: str | None, notes: Sequence[str]
) -> Table:
    """Some rows of a table, with what is known of the whole; see :class:`RawTable`."""
    if separator is not None and options.decimal is None and options.thousands is None:
        marked = marks.find(columns, separator, options.cleaning)
    else:
        marked = marks.given(columns, options.decimal, options.thousands, options.cleaning)
    return Table(
        columns,
        origin.name,
        origin.source,
        origin.digest,
        marks=marked.by_column,
        notes=(*notes, *marked.notes),
        cleaning=options.cleaning,
        total_rows=origin.rows,
    )


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows of several tables as one; a column of several types is of one that holds them, else of text.

    Raises
    ------
    PipelineError
        if a column holds lists or objects in one table, and something else in another.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        pass
    names = tables[0].column_names
    mixed = {name for name in names if len({one.schema.field(name).type for one in tables}) > 1}
    try:
        texts_of = [
            pa.table([one[name].cast(pa.string()) if name in mixed else one[name] for name in names], names=names)
            for one in tables
        ]
        return pa.concat_tables(texts_of, promote_options="permissive")
    except pa.ArrowException:
        raise PipelineError(
            f"column {listed(sorted(mixed))} has one type in some files and another in others; write it alike"
        ) from None


def opened(data: str, *, query: str | None, options: ReadOptions, memory: int, folder: Path) -> RawTable:
    """A table of any size; what is no Parquet file of this machine is written as one.

    Parameters
    ----------
    data : a file, a folder, a pattern, ``s3://``, a database's URL, a Delta or Iceberg table.
    memory : in bytes, for what is converted.
    folder : for files that are made here, which are needed as long as the table is.

    Raises
    ------
    PipelineError
        if there is nothing to read, or it cannot be read as a table.
    """
    try:
        found = inputs.find(data, query)
        settings = ReadSettings(options.sep, options.encoding, options.header, options.skip_rows)
        files: list[RawFile] = []
        notes: list[str] = []
        digests: list[tuple[str, str]] = []
        separators: set[str | None] = set()
        for place, file in enumerate(found.files):
            made, digest, separator, told = _local(file, settings, memory, folder / f"{place}.parquet")
            files.append(made)
            digests.append((str(file.relative), digest))
            separators.add(separator)
            notes += [note for note in told if note not in notes]
    except ServingError as error:
        raise PipelineError(str(error).replace("--input", "--data")) from None
    names = _names(files)
    rows = sum(file.rows for file in files)
    if not rows or not names:
        raise PipelineError(f"expected rows, found an empty table: {redaction.url(data)}")
    name = stem(found.files[0].relative.name) if found.single else PurePath(data.rstrip("/")).name
    digest = digests[0][1] if len(digests) == 1 else _together(digests)
    source = redaction.url(data) + (f"#{redaction.redacted(query)}" if query else "")
    separator = separators.pop() if len(separators) == 1 else None
    if separator is None:
        options.refuse_for("Parquet or a database", allowed=("decimal", "thousands", "missing", "encoding"))
    return RawTable(
        tuple(files), names, Origin(name, source, digest, rows, len(names)), options, separator, tuple(notes)
    )


def _names(files: Sequence[RawFile]) -> tuple[str, ...]:
    """The columns of the files, which have the same."""

    def of(file: RawFile) -> list[str]:
        empty = pa.table({place: pa.array([]) for place in map(str, range(len(file.names)))})
        return [*named(empty.rename_columns(list(file.names)), file.address).column_names, *dict(file.partitions)]

    first = of(files[0])
    for file in files[1:]:
        own = of(file)
        if lacks := [name for name in first if name not in own]:
            raise PipelineError(f"{file.address} lacks the column {listed(lacks)}, which {files[0].address} has")
        if more := [name for name in own if name not in first]:
            raise PipelineError(f"{file.address} has the column {listed(more)}, which {files[0].address} lacks")
    return tuple(first)


def _together(digests: Sequence[tuple[str, str]]) -> str:
    """The digest of a table of several files: of their names and digests."""
    return "sha256:" + hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in digests).encode()).hexdigest()


def _local(
    file: InputFile, settings: ReadSettings, memory: int, target: Path
) -> tuple[RawFile, str, str | None, list[str]]:
    """The file as Parquet on this machine, its digest, the separator of delimited text, and notes."""
    with contextlib.ExitStack() as stack:
        local = stack.enter_context(file.fetched())
        digest = _digest(local.path)
        partitions = tuple(
            (name, value) for name, _, value in (p.partition("=") for p in local.relative.parts[:-1] if "=" in p)
        )
        if local.form == PARQUET:
            if local.path != Path(file.address):  # it is there only while it is fetched
                local.path.replace(target)
                local = replace(local, path=target)
            return _parquet(local, file.address, partitions), digest, None, []
        _log.info("converting %s", file.address)
        read = stack.enter_context(texts.readable(local, file.address, settings, ()))
        database = stack.enter_context(duckdb_session.connected(memory))
        stack.enter_context(duckdb_session.speaking(file.address))
        relation = duckdb_session.reader(database, replace(read, partitions=()), ())
        run(database, f"COPY (SELECT * FROM {relation}) TO {path_of(target)} (FORMAT parquet, ROW_GROUP_SIZE {_GROUP})")
        separator = read.layout.delimiter if read.layout else None
        notes = [f"read as {read.layout.told()}", *read.layout.notes] if read.layout else []
        return _parquet(SourceFile(target, local.relative, PARQUET), file.address, partitions), digest, separator, notes


def _parquet(file: SourceFile, address: str, partitions: tuple[tuple[str, str], ...]) -> RawFile:
    try:
        with pq.ParquetFile(file.path) as opened_file:
            names = tuple(opened_file.schema_arrow.names)
            rows = opened_file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise PipelineError(f"{address} cannot be read as Parquet: {str(error).splitlines()[0][:200]}") from None
    # A folder's value goes where the file has no column of that name.
    told = tuple((name, value) for name, value in partitions if name not in names)
    return RawFile(file.path, address, rows, names, _identity(file.path), told)


def _identity(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_size, known.st_mtime_ns


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return f"sha256:{total.hexdigest()}"
