"""A table from a file, or the bytes of one: its digest, its compression, its format."""

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from pipelines import marks
from pipelines.errors import PipelineError
from pipelines.sources import delimited, jsonlines, scalars
from pipelines.sources.bundled import BUNDLED
from pipelines.sources.options import FIND, OF_TEXT, ReadOptions
from pipelines.sources.table import Table, named
from registry.cli.text import one_line
from serving.text_files import encodings, strangers
from serving.text_files.errors import TextFileError

PARQUET, LINES, DELIMITED = "Parquet", "JSON lines", "CSV"
_FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".data"), DELIMITED),
    **dict.fromkeys((".parquet", ".pq"), PARQUET),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), LINES),
}
_DELIMITERS = {".tsv": "\t", ".tab": "\t"}

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _File:
    """Bytes that can be read again and again, and what they are called."""

    open: Callable[[], pa.NativeFile]
    name: str
    source: str


def read(path: Path, options: ReadOptions = FIND) -> Table:
    """A table from the file at a path.

    Raises
    ------
    PipelineError
        where there is no file, or it is no table.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise PipelineError(
                f"--data takes a file, found the folder {path}; name the file in it, or --engine stream"
            )
        if not stat.S_ISREG(mode):  # a pipe can be read once only
            return parse(path.read_bytes(), path.name, str(path), options)
        with open(path, "rb"):  # its errors carry a reason, Arrow's do not
            pass
    except FileNotFoundError:
        raise PipelineError(
            f"--data {path} is not there; give a file, a database URL, s3://bucket/key or one of {', '.join(BUNDLED)}"
        ) from None
    except (OSError, ValueError) as error:
        raise PipelineError(f"--data {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _parse(_File(partial(pa.OSFile, str(path)), path.name, str(path)), options)


def parse(content: bytes, filename: str, source: str, options: ReadOptions = FIND) -> Table:
    """A table from the bytes of a file, in the format that its first bytes or its name tell.

    Raises
    ------
    PipelineError
        where the bytes are not of that format.
    """
    return _parse(_File(partial(pa.BufferReader, content), filename, source), options)


def parse_file(path: Path, filename: str, source: str, options: ReadOptions = FIND) -> Table:
    """As :func:`parse`, from a file that is a copy of something called ``filename``."""
    return _parse(_File(partial(pa.OSFile, str(path)), filename, source), options)


def _parse(file: _File, options: ReadOptions) -> Table:
    suffixes = [suffix.lower() for suffix in Path(file.name).suffixes]
    suffix = next((suffix for suffix in reversed(suffixes) if suffix in _FORMATS), "")
    kind = _FORMATS.get(suffix, DELIMITED)
    try:
        with file.open() as stream:
            digest, start, quoted = _scan(stream)
        if not start:
            raise PipelineError(f"expected a table, found an empty file: {file.source}")
        if start.startswith(_GZIP):
            file, quoted = replace(file, open=partial(_unzipped, file.open)), True
            with file.open() as stream:
                start = stream.read(_CHUNK)
        encoding = options.encoding or encodings.told(start)
        if encoding is None:
            strangers.refuse_strangers(start, file.source)
        if start.startswith(b"PAR1") or kind == PARQUET:
            kind = PARQUET
            options.refuse_for("Parquet", allowed=OF_TEXT)
            contents = _Found(_parquet(file.open))
        else:
            contents = _text(file, kind, options, encoding, _DELIMITERS.get(suffix), quoted)
    except TextFileError as error:
        raise PipelineError(str(error)) from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{file.source} is not UTF-8 text (byte {error.start}); give --encoding") from None
    except (pa.ArrowException, ValueError, OSError) as error:
        raise PipelineError(f"{file.source} cannot be read as {kind}: {one_line(error)}") from None
    columns = named(contents.columns, file.source, delimited=contents.separator is not None)
    renamed = dict(zip(contents.columns.column_names, columns.column_names, strict=True))
    marked = _marked(columns, contents.separator, options, commas=quoted or contents.separator != ",")
    return Table(
        columns,
        _short_name(file.name),
        file.source,
        digest,
        marks=marked.by_column,
        notes=(*contents.notes, *marked.notes),
        scalars=frozenset(renamed[name] for name in contents.scalars),
        cleaning=options.cleaning,
    )


@dataclass(frozen=True)
class _Found:
    """A table's columns, what to say of how they were read, the separator, and the columns of several types."""

    columns: pa.Table
    notes: tuple[str, ...] = ()
    separator: str | None = None
    scalars: frozenset[str] = frozenset()


def _text(
    file: _File, kind: str, options: ReadOptions, encoding: str | None, usual: str | None, quoted: bool
) -> _Found:
    """A table of text; of another encoding than UTF-8 by way of it."""
    told = "UTF-8"
    if encoding not in (None, encodings.UTF8):
        content = encodings.decoded(_content(file), encoding, file.source)
        file, told = replace(file, open=partial(pa.BufferReader, content)), encoding
    try:
        return _parsed_text(file, kind, options, told, usual, quoted)
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        if encoding is not None:
            raise
        content = _content(file)
        try:
            content.decode(encodings.UTF8)
        except UnicodeDecodeError as place:
            content = encodings.western(content, file.source, place.start)
        else:
            raise error from None
    file = replace(file, open=partial(pa.BufferReader, content))
    told = f"{encodings.WESTERN} (assumed: it is not UTF-8; --encoding overrules)"
    return _parsed_text(file, kind, options, told, usual, quoted)


def _parsed_text(
    file: _File, kind: str, options: ReadOptions, encoding: str, usual: str | None, quoted: bool
) -> _Found:
    with file.open() as stream:
        start = stream.read(_CHUNK)
    strangers.refuse_binary(start, file.source)
    if kind == LINES:
        options.refuse_for(LINES, allowed=(*OF_TEXT, "encoding"))
        columns, mixed = jsonlines.read(file.open)
        return _Found(columns, scalars.told(mixed), scalars=frozenset(mixed))
    strangers.refuse_strange_text(start, file.source)
    columns, layout = delimited.read(file.open, options, usual=usual, quoted=quoted)
    return _Found(columns, (f"read as {layout.told()}, encoding {encoding}", *layout.notes), layout.delimiter)


def _marked(columns: pa.Table, separator: str | None, options: ReadOptions, *, commas: bool) -> marks.FoundMarks:
    """The marks of the columns: as they are given, or found in a delimited file."""
    if separator is None or options.decimal is not None or options.thousands is not None:
        return marks.given(columns, options.decimal, options.thousands, options.cleaning)
    return marks.find(columns, separator, options.cleaning, commas=commas)


def _content(file: _File) -> bytes:
    with file.open() as stream:
        return stream.read()


def _scan(stream: pa.NativeFile) -> tuple[str, bytes, bool]:
    """In one pass: the digest, the first bytes, and whether there is a quotation mark anywhere."""
    digest, start, quoted = hashlib.sha256(), b"", False
    while chunk := stream.read(_CHUNK):
        start = start or chunk
        digest.update(chunk)
        quoted = quoted or b'"' in chunk
    return f"sha256:{digest.hexdigest()}", start, quoted


def _unzipped(opened: Callable[[], pa.NativeFile]) -> pa.NativeFile:
    return pa.CompressedInputStream(opened(), "gzip")


def _parquet(opened: Callable[[], pa.NativeFile]) -> pa.Table:
    with opened() as stream:
        if not stream.seekable():
            stream = pa.BufferReader(stream.read())
        file = pa.parquet.ParquetFile(stream)
        columns = file.read()
        # Parquet itself has categories of text only; of numbers the program that wrote the file tells.
        for index, kind in enumerate(_written_types(file)):
            if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(columns.schema.field(index).type):
                columns = columns.set_column(index, columns.column_names[index], columns[index].dictionary_encode())
        return columns


def _written_types(file: pa.parquet.ParquetFile) -> list[pa.DataType]:
    """The types that the columns had in the Arrow table that was written; none where no such table is told."""
    told = (file.metadata.metadata or {}).get(b"ARROW:schema")
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(told))) if told else None
    except (ValueError, pa.ArrowException, OSError):
        return []
    return schema.types if schema is not None and schema.names == file.schema_arrow.names else []


def _short_name(filename: str) -> str:
    """The file's name without its endings: ``sales.2024.csv.gz`` -> ``sales.2024``."""
    path = Path(filename)
    while path.suffix.lower() in (*_FORMATS, ".gz"):
        path = path.with_suffix("")
    return path.name
