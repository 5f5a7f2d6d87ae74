"""Objects of S3 as files to score, and as places for answers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from registry import s3
from registry.s3 import S3Address
from serving.batch.errors import JobStopped, OutputChanged
from serving.batch.scratch import kept, scratch
from serving.batch.sources import (
    FORMS,
    PATTERN,
    SourceFile,
    SourceFiles,
    below_partitions,
    endings,
    form_of,
    is_visible,
    matches,
    meant_by,
)
from serving.errors import ServingError


@contextlib.contextmanager
def _speaking(address: object, done: str = "fetched") -> Iterator[None]:
    """Errors of S3 as one line about an address; an endpoint that is away stops the whole job."""
    try:
        with s3.speaking(done):
            yield
    except s3.S3Error as error:
        kind = JobStopped if error.away else ServingError
        raise kind(f"{address}: {error}") from None


@dataclass(frozen=True)
class S3File:
    """An object to score.

    Parameters
    ----------
    relative : its path below the prefix that was named; its name if it was named itself.
    form : ``PARQUET``, ``CSV`` or ``JSON_LINES``.
    size : in bytes.
    etag : what S3 calls its content.
    """

    place: S3Address
    relative: PurePath
    form: str
    size: int
    etag: str
    client: Any

    @property
    def address(self) -> str:
        """Its address, ``s3://bucket/key``."""
        return str(self.place)

    @property
    def key(self) -> str:
        """Its address, too."""
        return str(self.place)

    @property
    def identity(self) -> tuple[int | str, ...]:
        """Its size in bytes, and its ETag."""
        return self.size, self.etag

    @property
    def version(self) -> str | None:
        """None."""
        return None

    @contextlib.contextmanager
    def fetched(self) -> Iterator[SourceFile]:
        """A copy, below folders that tell the same columns."""
        if not self.size:
            raise ServingError(f"{self.address} is empty")
        partitions = [part for part in self.relative.parts[:-1] if "=" in part]
        relative = PurePath(*partitions, "object" + endings(self.relative))
        with scratch() as folder:
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with kept(self.address, folder), _speaking(self.address):
                self.client.download_file(self.place.bucket, self.place.key, str(path))
                known = self.client.head_object(Bucket=self.place.bucket, Key=self.place.key)
            if known["ETag"] != self.etag or path.stat().st_size != self.size:
                raise ServingError(f"{self.address} changed while it was fetched; run the command again")
            yield SourceFile(path, relative, self.form)


class S3Output:
    """An object that is written whole: S3 shows it when all of it has arrived.

    Parameters
    ----------
    csv : whether the file is CSV; Parquet otherwise.
    """

    def __init__(self, address: str, *, csv: bool) -> None:
        self._place = _parsed(address, "--output")
        if not self._place.key or self._place.key.endswith("/"):
            raise ServingError(f"--output {address}: expected the address of an object, s3://bucket/key")
        self.address = self.key = str(self._place)
        self.csv = csv
        self._guarded = False
        self._before: str | None = None
        with _speaking(self.address):
            self._client = s3.client()

    @property
    def _named(self) -> dict[str, str]:
        return {"Bucket": self._place.bucket, "Key": self._place.key}

    def check(self, option: str = "--output") -> None:
        """Raise ServingError if it cannot be written: by an upload that is begun and given up."""
        with _speaking(self.address, "written"):
            begun = self._client.create_multipart_upload(**self._named, **s3.upload_arguments())
        with contextlib.suppress(s3.S3Error), s3.speaking():
            self._client.abort_multipart_upload(**self._named, UploadId=begun["UploadId"])

    def guard(self) -> bool:
        """Whether it is there now; from now on, what another job puts there is neither replaced nor removed."""
        self._guarded, self._before = True, self._etag()
        return self._before is not None

    def _etag(self) -> str | None:
        """What S3 calls its content; None if it is not there."""
        known = _head(self._client, self._place)
        return None if known is None else known["ETag"]

    def _check_guard(self) -> None:
        if self._guarded and self._etag() not in (None, self._before):
            raise OutputChanged(self.address)

    def size(self) -> int | None:
        """In bytes; None if it is not there."""
        known = _head(self._client, self._place)
        return None if known is None else known["ContentLength"]

    def read(self) -> bytes:
        """Its content; raises FileNotFoundError if it is not there."""
        try:
            with s3.speaking():
                return self._client.get_object(**self._named)["Body"].read()
        except s3.S3Error as error:
            if error.absent:
                raise FileNotFoundError(self.address) from None
            raise ServingError(f"{self.address}: {error}") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A temporary file, which is uploaded at the end."""
        with scratch() as folder:
            path = folder / "answers"
            yield path
            self._check_guard()
            if not (self._guarded and self._before is None and self._is_created(path)):
                with _speaking(self.address, "written"):
                    self._upload(path)
            self._guarded = False  # it is this job's own

    def _upload(self, path: Path) -> None:
        self._client.upload_file(str(path), *self._named.values(), ExtraArgs=s3.upload_arguments())

    def _is_created(self, path: Path) -> bool:
        """Upload a file as an object that is not there; False if the endpoint knows no such condition."""
        try:
            with s3.speaking("written"), s3.exclusive(self._client):
                self._upload(path)
        except s3.S3Error as error:
            if error.changed:
                raise OutputChanged(self.address) from None
            if error.unknown:
                return False
            raise (JobStopped if error.away else ServingError)(f"{self.address}: {error}") from None
        return True

    def remove(self) -> None:
        """Remove it, if it is there."""
        self._check_guard()
        if self.size() is not None:
            with _speaking(self.address, "removed"):
                self._client.delete_object(**self._named)

    def rejects(self) -> "S3Output":
        """A CSV object beside it."""
        return S3Output(beside(self.address, ".rejects.csv"), csv=True)


def find(given: str) -> SourceFiles:
    """The objects of an address, a pattern such as ``s3://bucket/day=*/*.parquet``, or a prefix.

    Raises
    ------
    ServingError
        if there is no such object, or none of a form that is read.
    """
    place = _parsed(given, "--input")
    with _speaking(f"--input {given}"):
        client = s3.client()
    if place.key and not place.key.endswith("/") and (known := _head(client, place)) is not None:
        relative = below_partitions(PurePosixPath(place.key))
        form = form_of(relative)
        if form is None:
            raise ServingError(f"--input {place}: expected a name that ends with {', '.join(FORMS)}")
        return SourceFiles((S3File(place, relative, form, known["ContentLength"], known["ETag"], client),), single=True)
    is_pattern = bool(PATTERN.intersection(place.key))
    fixed = _fixed(place.key) if is_pattern else f"{place.key.rstrip('/')}/".lstrip("/")
    files = []
    for key, size, etag in _listed(client, S3Address(place.bucket, fixed)):
        if key.endswith("/") or (is_pattern and not matches(key.split("/"), place.key.split("/"))):
            continue
        relative = _relative(place.bucket, key, fixed)
        form = form_of(relative)
        is_meant = meant_by(relative, place.key) if is_pattern else is_visible(relative)
        if form is not None and is_meant:
            files.append(S3File(S3Address(place.bucket, key), relative, form, size, etag, client))
    if not files:
        raise ServingError(f"--input {place}: expected objects that end with {', '.join(FORMS)}, found none")
    return SourceFiles(tuple(files), single=False)


def below(address: str, relative: PurePath) -> str:
    """The address of an object below a prefix."""
    return f"{address.rstrip('/')}/{relative.as_posix()}"


def beside(address: str, ending: str) -> str:
    """The address of an object beside another, with another ending."""
    folder, slash, name = address.rpartition("/")
    return folder + slash + PurePosixPath(name).with_suffix(ending).name


def is_file(address: str) -> bool:
    """Whether there is an object where a prefix is wanted."""
    place = _parsed(address, "--output")
    if not place.key or address.endswith("/"):
        return False
    with _speaking(address):
        client = s3.client()
    return _head(client, place) is not None


def is_prefix(address: str) -> bool:
    """Whether any object's key begins with an address and a slash."""
    place = _parsed(address, "--input")
    with _speaking(f"--input {address}"):
        client = s3.client()
        found = client.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.key.rstrip('/')}/", MaxKeys=1)
    return bool(found.get("Contents"))


def _parsed(given: str, option: str) -> S3Address:
    try:
        return s3.parse(given)
    except s3.S3Error as error:
        raise ServingError(f"{option} {given}: {error}") from None


def _head(client: Any, place: S3Address) -> dict | None:
    """What is known of an object; None if it is not there."""
    try:
        with s3.speaking():
            return client.head_object(Bucket=place.bucket, Key=place.key)
    except s3.S3Error as error:
        if error.absent:
            return None
        raise (JobStopped if error.away else ServingError)(f"{place}: {error}") from None


def _listed(client: Any, prefix: S3Address) -> Iterator[tuple[str, int, str]]:
    """Key, size and ETag of all objects below a prefix."""
    with _speaking(f"--input {prefix}"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        for page in pages:
            yield from ((one["Key"], one["Size"], one["ETag"]) for one in page.get("Contents", ()))


def _relative(bucket: str, key: str, fixed: str) -> PurePosixPath:
    parts = key[len(fixed) :].split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ServingError(
            f"--input: the key {S3Address(bucket, key)} has an empty part, or one of dots, which is no path; rename it"
        )
    return PurePosixPath(*parts)


def _fixed(pattern: str) -> str:
    """What stands before the first part that is a pattern."""
    parts = pattern.split("/")[:-1]
    count = next((place for place, part in enumerate(parts) if PATTERN.intersection(part)), len(parts))
    return "".join(f"{part}/" for part in parts[:count])
