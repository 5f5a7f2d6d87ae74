"""The lines in files of cloud functions' logs: of this machine or in S3, compressed by gzip or not."""

import contextlib
import gzip
import io
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from registry import s3
from registry.s3 import S3Address
from serving.errors import ServingError

_GZIP = b"\x1f\x8b"
#: Larger objects are kept on disk while they are read, in bytes.
_MEMORY = 32 * 2**20


def lines(places: Sequence[str]) -> Iterator[str]:
    """The lines of all files.

    Parameters
    ----------
    places : files, folders, or ``s3://bucket/prefix``; ``-`` is standard input.

    Raises
    ------
    ServingError
        if one cannot be read.
    """
    for place in places:
        if place == "-":
            yield from sys.stdin
        elif s3.is_address(place):
            yield from _objects(place)
        else:
            yield from _files(place)


def _files(place: str) -> Iterator[str]:
    path = Path(place).expanduser()
    found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in found:
        try:
            with file.open("rb") as content:
                yield from _lines(str(file), content)
        except OSError as error:
            raise ServingError(f"{file} cannot be read: {error.strerror}; give files of a function's log") from None


def _objects(place: str) -> Iterator[str]:
    with _speaking(place):
        client, address = s3.client(), s3.parse(place)
        keys = _keys(client, address)
    if not keys:
        raise ServingError(f"{place}: no objects; give the prefix that the function or Firehose writes below")
    for key in keys:
        called = str(S3Address(address.bucket, key))
        with tempfile.SpooledTemporaryFile(_MEMORY) as content:
            with _speaking(called):
                client.download_fileobj(address.bucket, key, content)
            content.seek(0)
            yield from _lines(called, cast(IO[bytes], content))


def _keys(client: Any, address: S3Address) -> list[str]:
    """The keys of the object, or of all below the prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=address.bucket, Prefix=address.key)
    found = [one["Key"] for page in pages for one in page.get("Contents", ()) if not one["Key"].endswith("/")]
    # Another prefix may begin as this one does.
    below = f"{address.key.rstrip('/')}/" if address.key else ""
    return [key for key in found if key == address.key or key.startswith(below)]


def _lines(called: str, content: IO[bytes]) -> Iterator[str]:
    packed = content.read(len(_GZIP)) == _GZIP
    content.seek(0)
    try:
        plain: Any = gzip.GzipFile(fileobj=content) if packed else content
        yield from io.TextIOWrapper(plain, encoding="utf-8", errors="replace")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ServingError(f"{called} is cut, or no gzip; remove it, or fetch it again") from None


@contextlib.contextmanager
def _speaking(place: str) -> Iterator[None]:
    try:
        with s3.speaking():
            yield
    except s3.S3Error as error:
        raise ServingError(f"{place}: {error}") from None
