"""A table from a file, or the bytes of one: its digest, its compression, its format."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from pipelines.errors import PipelineError
from pipelines.sources import delimited, jsonlines
from pipelines.sources.bundled import BUNDLED
from pipelines.sources.table import Table
from registry.text import one_line

PARQUET, LINES, DELIMITED = "Parquet", "JSON lines", "CSV"
_FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".data"), DELIMITED),
    **dict.fromkeys((".parquet", ".pq"), PARQUET),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), LINES),
}
_DELIMITERS = {".tsv": "\t", ".tab": "\t"}

# What a file that is no table begins with, and what to do about it.
_GZIP = b"\x1f\x8b"
_STRANGERS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"SQLite format 3\0": "an SQLite database; give it as sqlite:///PATH with --query",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip",
    b"\xfd7zXZ": "compressed by xz; unpack it, or compress it by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or compress it by gzip",
    b"\xff\xfe": "UTF-16 text; convert it, for example with iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it, for example with iconv -f UTF-16 -t UTF-8",
}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _File:
    """Bytes that can be read again and again, and what they are called."""

    open: Callable[[], pa.NativeFile]
    name: str
    source: str


def read(path: Path) -> Table:
    """A table from the file at a path.

    Raises
    ------
    PipelineError
        where there is no file, or it is no table.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise PipelineError(f"--data takes a file, found the folder {path}; name the file in it")
        if not stat.S_ISREG(mode):  # a pipe can be read once only
            return parse(path.read_bytes(), path.name, str(path))
        with open(path, "rb"):  # its errors carry a reason, Arrow's do not
            pass
    except FileNotFoundError:
        raise PipelineError(
            f"--data {path} is not there; give a file, a database URL, s3://bucket/key or one of {', '.join(BUNDLED)}"
        ) from None
    except (OSError, ValueError) as error:
        raise PipelineError(f"--data {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _parse(_File(partial(pa.OSFile, str(path)), path.name, str(path)))


def parse(content: bytes, filename: str, source: str) -> Table:
    """A table from the bytes of a file, in the format that its first bytes or its name tell.

    Raises
    ------
    PipelineError
        where the bytes are not of that format.
    """
    return _parse(_File(partial(pa.BufferReader, content), filename, source))


def parse_file(path: Path, filename: str, source: str) -> Table:
    """As :func:`parse`, from a file that is a copy of something called ``filename``."""
    return _parse(_File(partial(pa.OSFile, str(path)), filename, source))


def _parse(file: _File) -> Table:
    suffixes = [suffix.lower() for suffix in Path(file.name).suffixes]
    suffix = next((suffix for suffix in reversed(suffixes) if suffix in _FORMATS), "")
    kind = _FORMATS.get(suffix, DELIMITED)
    try:
        with file.open() as stream:
            digest, start, quoted = _scan(stream)
        if not start:
            raise PipelineError(f"expected a table, found an empty file: {file.source}")
        opened = file.open
        if start.startswith(_GZIP):
            opened, quoted = partial(_unzipped, file.open), True
            with opened() as stream:
                start = stream.read(_CHUNK)
        _refuse_strangers(start, file.source)
        if start.startswith(b"PAR1") or kind == PARQUET:
            kind = PARQUET
            columns = _parquet(opened)
        else:
            _refuse_binary(start, file.source)
            if kind == LINES:
                columns = jsonlines.read(opened)
            else:
                columns = delimited.read(opened, _DELIMITERS.get(suffix), quoted=quoted)
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"{file.source} is not UTF-8 text (byte {error.start}); "
            "convert it, for example with iconv -f LATIN1 -t UTF-8"
        ) from None
    except (pa.ArrowException, ValueError, OSError) as error:
        raise PipelineError(f"{file.source} cannot be read as {kind}: {one_line(error)}") from None
    return Table(columns, _short_name(file.name), file.source, digest)


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
        return pa.parquet.ParquetFile(stream).read()


def _refuse_strangers(start: bytes, source: str) -> None:
    for magic, what in _STRANGERS.items():
        if start.startswith(magic):
            raise PipelineError(f"{source} is {what}")


def _refuse_binary(start: bytes, source: str) -> None:
    if b"\0" in start:
        raise PipelineError(
            f"{source} is binary, neither text nor Parquet; give a CSV, TSV, Parquet or JSON lines file"
        )


def _short_name(filename: str) -> str:
    """The file's name without its endings: ``sales.2024.csv.gz`` -> ``sales.2024``."""
    path = Path(filename)
    while path.suffix.lower() in (*_FORMATS, ".gz"):
        path = path.with_suffix("")
    return path.name
