"""Where answers and rejects are written: each output appears whole, or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Protocol

from registry import s3
from serving.batch import s3_files, scratch
from serving.batch.errors import JobStopped
from serving.errors import ServingError

PARQUET, CSV = ENDINGS = (".parquet", ".csv")


class Output(Protocol):
    """A file, or something that is filled from one, such as an object in S3 or a table of a database.

    Attributes
    ----------
    address : what messages call it.
    key : equal to the key of the input that is the same file.
    csv : whether the file is CSV; Parquet otherwise.
    """

    address: str
    key: str
    csv: bool

    def check(self) -> None:
        """Raise ServingError if nothing can be written there."""

    def size(self) -> int | None:
        """In bytes; None if it is not there."""

    def read(self) -> bytes:
        """Its content; raises OSError if it cannot be read."""

    def writing(self) -> contextlib.AbstractContextManager[Path]:
        """A path of this machine to write to; what was written takes its place when the block ends without an error.

        Raises
        ------
        ServingError
            if it cannot be written.
        """

    def remove(self) -> None:
        """Remove it, if it is there."""

    def rejects(self) -> "Output":
        """Where the rejected rows go that belong to it."""


class LocalOutput:
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address, self.key = str(path), str(path.resolve())
        self.csv = path.suffix.lower() == CSV

    def check(self) -> None:
        """Raise ServingError if its folder is not there, or it is a folder."""
        folder = self.path.resolve().parent
        if not folder.is_dir():
            raise ServingError(f"--output {self.address}: no folder {folder}; make it first")

    def size(self) -> int | None:
        """In bytes; None if it is not there."""
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    def read(self) -> bytes:
        """Its content; raises OSError if it cannot be read."""
        return self.path.read_bytes()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A path beside it, which is renamed at the end."""
        aside = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside = scratch.aside(self.path)
            yield aside
            os.replace(aside, self.path)
        except OSError as error:
            kind = JobStopped if error.errno in (errno.ENOSPC, errno.EDQUOT) else ServingError
            raise kind(f"{self.address} cannot be written: {error.strerror or error}") from None
        finally:
            if aside is not None:
                aside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove it, if it is there."""
        self.path.unlink(missing_ok=True)

    def rejects(self) -> Output:
        """A CSV file beside it."""
        return output(beside(self.address, ".rejects.csv"))


def output(address: str) -> Output:
    """The output that an address means."""
    if s3.is_address(address):
        return s3_files.S3Output(address, csv=address.lower().endswith(CSV))
    return LocalOutput(Path(address))


def below(address: str, relative: PurePath) -> str:
    """The address of a file below a folder."""
    return s3_files.below(address, relative) if s3.is_address(address) else str(Path(address, relative))


def beside(address: str, ending: str) -> str:
    """The address of a file beside another, with another ending."""
    return s3_files.beside(address, ending) if s3.is_address(address) else str(Path(address).with_suffix(ending))


def is_file(address: str) -> bool:
    """Whether there is a file where a folder is wanted."""
    if s3.is_address(address):
        return s3_files.is_file(address)
    return Path(address).exists() and not Path(address).is_dir()
