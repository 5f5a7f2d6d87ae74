"""Text files as DuckDB can read them: the encoding and the layout are found out as in training."""

import codecs
import contextlib
import io
import itertools
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from serving.batch import matching
from serving.batch.scratch import kept, scratch
from serving.batch.sources import CSV, PARQUET, SourceFile
from serving.errors import ServingError
from serving.text_files import encodings, header, json_lines, spelling, strangers
from serving.text_files.errors import TextFileError
from serving.text_files.sniffer import Layout, sniff

_CHUNK = 1 << 20
# Rows of a file that are rewritten at a time.
_ROWS = 65_536
# How compressed files begin, and DuckDB's names of the compressions.
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DELIMITERS = {".tsv": "\t"}


@dataclass(frozen=True)
class ReadSettings:
    """How text files are written; what is None is found out, as in training.

    Parameters
    ----------
    sep : the delimiter of a CSV file.
    encoding : the name of an encoding that Python knows.
    header : whether the first line names the columns.
    skip_rows : how many lines stand above it.

    Raises
    ------
    ServingError
        if an option does not take such a value.
    """

    sep: str | None = None
    encoding: str | None = None
    header: bool | None = None
    skip_rows: int | None = None

    def __post_init__(self) -> None:
        try:
            spelling.settle(self)
        except ValueError as error:
            raise ServingError(str(error)) from None


@dataclass(frozen=True)
class ReadableFile:
    """A file that DuckDB can read.

    Parameters
    ----------
    address : what messages call it.
    form : ``PARQUET``, ``CSV`` or ``JSON_LINES``.
    partitions : names of the columns that its folders tell.
    compression : none, gzip or zstd.
    layout : of a CSV file; None of another.
    line_end : of a CSV file: what ends its lines.
    """

    path: Path
    address: str
    form: str
    partitions: tuple[str, ...]
    compression: str = "none"
    layout: Layout | None = None
    line_end: str = "\n"


class NeedsRewriting(Exception):
    """DuckDB does not read a text that training reads: it has to be rewritten."""


@contextlib.contextmanager
def readable(
    file: SourceFile, address: str, settings: ReadSettings, inputs: Collection[str], *, rewritten: bool = False
) -> Iterator[ReadableFile]:
    """The file, or a copy of it that DuckDB can read, while the block runs.

    Parameters
    ----------
    address : what messages call the file.
    inputs : names of the model's columns, which a line of names holds.
    rewritten : whether delimited text is rewritten in any case.

    Raises
    ------
    ServingError
        if it is no such text. Also where DuckDB fails in the block: with the line that is wrong.
    NeedsRewriting
        if DuckDB fails in the block, and no line is wrong.
    """
    with scratch() as folder:
        with _speaking(address, folder):
            if not file.identity[0]:
                raise TextFileError(f"{address} is empty")
            if file.form == PARQUET:
                file.path.open("rb").close()
                plain = read = ReadableFile(_located(file), address, PARQUET, file.partitions)
            else:
                plain, read = _text(file, address, settings, inputs, folder, rewritten=rewritten)
        if file.form == PARQUET:
            yield read
            return
        import duckdb

        try:
            yield read
        except (duckdb.InvalidInputException, duckdb.BinderException, duckdb.ConversionException):
            check_lines(plain)
            if read.form == CSV:
                raise NeedsRewriting from None
            raise


def _text(
    file: SourceFile, address: str, settings: ReadSettings, inputs: Collection[str], folder: Path, *, rewritten: bool
) -> tuple[ReadableFile, ReadableFile]:
    """A text in UTF-8 with its layout, and as DuckDB can read it."""
    plain, ends = _plain(file, address, settings.encoding, folder)
    if file.form != CSV:
        head = _head(plain)
        json_lines.check_head(head)
        matching.check_names(address, json_lines.names(head))
        return plain, plain
    layout = _layout(file, plain, settings, inputs)
    plain = replace(plain, layout=layout)
    strange = rewritten or ends > 1 or _is_strange(layout)
    return plain, _rewritten(plain, layout, folder) if strange else plain


@contextlib.contextmanager
def _speaking(address: str, folder: Path) -> Iterator[None]:
    """What is wrong with a text, or keeps a copy of it from being made in a folder, as one line about its file."""
    try:
        with kept(address, folder):
            yield
    except TextFileError as error:
        raise ServingError(str(error)) from None
    except (ValueError, zlib.error, EOFError) as error:
        raise ServingError(f"{address} cannot be read: {error}") from None
    except OSError as error:  # Arrow's of what is damaged, too
        raise ServingError(f"{address} cannot be read: {error.strerror or error}") from None


def _plain(file: SourceFile, address: str, given: str | None, folder: Path) -> tuple[ReadableFile, int]:
    """The file, or a copy of it, as UTF-8 without a byte order mark; and how many kinds of line ends it has."""
    with file.path.open("rb") as stream:
        magic = stream.read(4)
    compression = next((name for start, name in _PACKED.items() if magic.startswith(start)), "none")
    own = ReadableFile(_located(file), address, file.form, file.partitions, compression)
    start = _head(own)
    if not start:
        raise TextFileError(f"{address} is empty")
    encoding = given or encodings.told(start)
    if encoding is None:
        strangers.refuse_strangers(start, address)
    if encoding in (None, encodings.UTF8):
        ends = _LineEnds()
        bad = _not_utf8(own, ends)
        if bad is None and not start.startswith(codecs.BOM_UTF8):
            strangers.refuse_binary(start, address)
            return replace(own, line_end=ends.usual), len(ends.kinds)
        if bad is not None and encoding is not None:
            raise TextFileError(f"{address} is not UTF-8 text (byte {bad}); give its encoding with --encoding")
        if bad is not None:
            encodings.check_western(start, address, bad)
        encoding = encodings.UTF8 if bad is None else encodings.WESTERN
    copy = replace(own, path=_below(folder, file), compression="none")
    ends = _LineEnds()
    _transcode(own, copy.path, encoding, address, ends)
    strangers.refuse_binary(_head(copy), address)
    return replace(copy, line_end=ends.usual), len(ends.kinds)


def _located(file: SourceFile) -> Path:
    """Its path, with the folders that tell columns."""
    return file.path.absolute() if file.partitions else file.path


def _below(folder: Path, file: SourceFile) -> Path:
    """A path for a copy, below folders that tell the same columns."""
    path = folder.joinpath(*(part for part in file.relative.parts[:-1] if "=" in part), "copy")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _opened(file: ReadableFile) -> BinaryIO:
    """The content without its compression."""
    import pyarrow as pa

    if file.compression == "none":
        return file.path.open("rb")
    return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(file.path)), file.compression))


def _head(file: ReadableFile) -> bytes:
    with _opened(file) as stream:
        return stream.read(_CHUNK)


class _LineEnds:
    """Which kinds of line ends a text has, told by its chunks."""

    def __init__(self) -> None:
        self.kinds: set[bytes] = set()
        self._cut = b""

    @property
    def usual(self) -> str:
        """The one that it has; a line feed if it has several, or none."""
        return min(self.kinds).decode() if len(self.kinds) == 1 else "\n"

    def see(self, chunk: bytes) -> None:
        """Look at the next chunk."""
        chunk = self._cut + chunk
        self._cut = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk[: len(chunk) - len(self._cut)]
        pairs = chunk.count(b"\r\n") if b"\r" in chunk else 0
        found = ((b"\r\n", pairs), (b"\r", chunk.count(b"\r") - pairs), (b"\n", chunk.count(b"\n") - pairs))
        self.kinds |= {kind for kind, count in found if count}


def _not_utf8(file: ReadableFile, ends: _LineEnds) -> int | None:
    """The place of the first byte that is not UTF-8; None if all of the file is."""
    decoder = codecs.getincrementaldecoder(encodings.UTF8)()
    place = held = 0
    with _opened(file) as stream:
        while chunk := stream.read(_CHUNK):
            ends.see(chunk)
            try:
                if held or not chunk.isascii():
                    decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return place - held + error.start
            place += len(chunk)
            held = len(decoder.getstate()[0])
    return place - held if held else None


def _transcode(file: ReadableFile, target: Path, encoding: str, address: str, ends: _LineEnds) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    done, first = False, True
    try:
        with _opened(file) as stream, target.open("wb") as copy:
            while not done:
                chunk = stream.read(_CHUNK)
                done = not chunk
                text = decoder.decode(chunk, final=done)
                if first and text:
                    text, first = text.removeprefix("\ufeff"), False
                content = text.encode(encodings.UTF8)
                ends.see(content)
                copy.write(content)
    except UnicodeError:
        hint = ", nor UTF-8" if encoding == encodings.WESTERN else ""
        raise TextFileError(f"{address} is not {encoding} text{hint}; give its encoding with --encoding") from None


def _layout(file: SourceFile, plain: ReadableFile, settings: ReadSettings, inputs: Collection[str]) -> Layout:
    """How the lines of a CSV file are cut, and what its columns are called."""
    start = _head(plain)
    complete = len(start) < _CHUNK
    head = codecs.getincrementaldecoder(encodings.UTF8)().decode(start, final=complete).removeprefix("\ufeff")
    strangers.refuse_strange_text(start, plain.address)
    usual = next((mark for ending, mark in _DELIMITERS.items() if ending in file.path.suffixes), None)

    def found(named: bool | None) -> Layout:
        return sniff(head, complete, sep=settings.sep, named=named, skip_rows=settings.skip_rows, usual=usual)

    layout = found(settings.header)
    if settings.header is None and not layout.named and not set(inputs).intersection(layout.names):
        # What looks like values may be the model's names.
        other = found(True)
        layout = other if set(inputs).intersection(other.names) else layout
    return replace(layout, names=tuple(header.distinct(layout.names, plain.address, delimited=True)))


def _is_strange(layout: Layout) -> bool:
    """Whether DuckDB does not read a layout as training does."""
    blanks = layout.delimiter == spelling.BLANKS or layout.spaced
    return blanks or layout.width != len(layout.names) or layout.width == 1


def _lines(file: ReadableFile) -> io.TextIOWrapper:
    return io.TextIOWrapper(cast(Any, _opened(file)), encoding="utf-8-sig", newline="")


def _rewritten(plain: ReadableFile, layout: Layout, folder: Path) -> ReadableFile:
    """A copy of the rows as Parquet, all of it text: what DuckDB's parser does not read, it need not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = len(layout.names)
    path = plain.path.with_name("rows") if folder in plain.path.parents else folder / "rows"
    schema = pa.schema([(name, pa.string()) for name in layout.names])

    def rows(lines: io.TextIOWrapper) -> Iterator[list[str | None]]:
        for line, row in layout.body(lines):
            if any(row[count:]):
                raise ValueError(
                    f"line {line} has {len(row)} values, the first line names {count} columns; correct the line"
                )
            yield [cell or None for cell in row[:count]] + [None] * (count - len(row))

    with _lines(plain) as lines, pq.ParquetWriter(path, schema) as copy:
        source = rows(lines)
        while batch := list(itertools.islice(source, _ROWS)):
            columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            copy.write_batch(pa.record_batch(columns, schema=schema))
    return replace(plain, form=PARQUET, path=path, compression="none", layout=None)


def check_lines(file: ReadableFile) -> None:
    """Look at each line of a text: slow, and only for those of which DuckDB made nothing.

    Raises
    ------
    ServingError
        with the line that is wrong, if there is one.
    """
    try:
        with _lines(file) as lines:
            for _ in json_lines.records(lines) if file.layout is None else file.layout.body(lines):
                pass
    except ValueError as error:
        raise ServingError(f"{file.address} cannot be read: {error}") from None
