"""Where answers and rejects are written: each output appears whole, or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Protocol

from registry import s3
from serving.batch import s3_files, scratch
from serving.batch.errors import JobStopped, OutputChanged
from serving.errors import ServingError

PARQUET, CSV = ENDINGS = (".parquet", ".csv")
# What a file system says that has no second names of a file.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


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

    def check(self, option: str = "--output") -> None:
        """Raise ServingError if nothing can be written there; ``option`` named it."""

    def guard(self) -> bool:
        """Whether it is there now; from now on, what another job puts there is neither replaced nor removed."""

    def size(self) -> int | None:
        """In bytes; None if it is not there."""

    def read(self) -> bytes:
        """Its content; raises OSError if it cannot be read."""

    def writing(self) -> contextlib.AbstractContextManager[Path]:
        """A path of this machine to write to; what was written takes its place when the block ends without an error.

        Raises
        ------
        ServingError
            if it cannot be written, or it is guarded, and another job has written it.
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
        self._guarded = False
        self._before: tuple[int, ...] | None = None

    def check(self, option: str = "--output") -> None:
        """Raise ServingError if its folder is not there, or it is a folder."""
        folder = self.path.resolve().parent
        if not folder.is_dir():
            raise ServingError(f"{option} {self.address}: no folder {folder}; make it first")
        if self.path.is_dir():
            raise ServingError(f"{option} {self.address}: expected the name of a file, found a folder")

    def guard(self) -> bool:
        """Whether it is there now; from now on, what another job puts there is neither replaced nor removed."""
        self._guarded, self._before = True, self._state()
        return self._before is not None

    def _state(self) -> tuple[int, ...] | None:
        """What changes with the file; None if it is not there."""
        try:
            known = self.path.lstat()
        except OSError:
            return None
        return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns

    def _check_guard(self) -> None:
        if self._guarded and self._state() not in (None, self._before):
            raise OutputChanged(self.address)

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
        self._check_guard()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside = scratch.aside(self.path)
            yield aside
            self._place(aside)
        except OSError as error:
            full = error.errno in scratch.FULL
            kind, advice = (JobStopped, "; free some, or name another folder") if full else (ServingError, "")
            reason = os.strerror(error.errno) if error.errno else error
            raise kind(f"{self.address} cannot be written: {reason}{advice}") from None
        finally:
            if aside is not None:
                aside.unlink(missing_ok=True)

    def _place(self, aside: Path) -> None:
        """Give a file its name; from then on it is this job's."""
        self._check_guard()
        self._put(aside)
        self._guarded = False

    def _put(self, aside: Path) -> None:
        if self._guarded and self._before is None:
            try:
                os.link(aside, self.path)  # unlike a rename, it fails if the file is there
                return
            except FileExistsError:
                raise OutputChanged(self.address) from None
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
        os.replace(aside, self.path)

    def remove(self) -> None:
        """Remove it, if it is there."""
        self._check_guard()
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


@contextlib.contextmanager
def undoing(placed: list[Output]) -> Iterator[None]:
    """Remove what is in its place already if the block fails: rejects without their answers, where another job wins."""
    try:
        yield
    except BaseException:
        for one in placed:
            one.remove()
        raise


def place(address: str) -> str:
    """An address to compare with another: one is within the other if it begins with that and a slash."""
    return address.rstrip("/") if "://" in address else str(Path(address).resolve())


def is_folder(address: str) -> bool:
    """Whether there is a folder of this machine."""
    return "://" not in address and Path(address).is_dir()


def is_file(address: str) -> bool:
    """Whether there is a file where a folder is wanted."""
    if s3.is_address(address):
        return s3_files.is_file(address)
    return Path(address).exists() and not Path(address).is_dir()
