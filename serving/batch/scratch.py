"""Folders for what is temporary, and files beside those that they become: what killed processes left is removed."""

import contextlib
import errno
import functools
import hashlib
import itertools
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serving.errors import ServingError

#: What a disk says that is full: no space, a quota, a limit of the size of files.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PREFIX = "lifecycle-score-"
# Characters of a name that are kept, so that it is no longer than file systems allow.
_NAME = 100
# Two jobs of one process may write one file.
_COUNT = itertools.count()


def _here() -> str:
    """This machine in a few letters: ids of processes mean nothing on another one that shares a folder."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder; those of processes that were killed are removed."""
    folder = Path(tempfile.gettempdir())
    for left in folder.glob(f"{_PREFIX}{_here()}-*"):
        if _is_dead(left.name.removeprefix(f"{_PREFIX}{_here()}-").partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"{_PREFIX}{owner()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as made:
        yield Path(made)


@contextlib.contextmanager
def kept(address: str, folder: Path) -> Iterator[None]:
    """A copy of an input is kept in a temporary folder: a disk that is full is told as one line about that folder.

    Parameters
    ----------
    address : what messages call the input.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ServingError(
            f"{address}: its rows cannot be kept in {folder.parent}: {error.strerror or error}; free some space "
            "there, or name another folder by TMPDIR"
        ) from None


def owner() -> str:
    """What names a file or folder of this process, where others may find what a killed process left."""
    return f"{_here()}-{os.getpid()}"


def is_left(mark: str) -> bool:
    """Whether a process has ended that ``owner`` named: one of this machine."""
    here, _, process = mark.rpartition("-")
    return here == _here() and _is_dead(process)


def aside(path: Path) -> Path:
    """Where a file is written before it takes its place; what killed processes left in its folder is removed."""
    _clean(path.parent)
    name = path.name
    if len(name) > _NAME:
        name = f"{name[:_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return path.with_name(f".{name}.{owner()}-{next(_COUNT)}")


@functools.cache
def _clean(folder: Path) -> None:
    mark = re.compile(rf"\..+\.{_here()}-(\d+)(-\d+)?(\.rejects)?", re.DOTALL)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (match := mark.fullmatch(entry.name)) and _is_dead(match[1]):
                Path(entry.path).unlink(missing_ok=True)


def _is_dead(process: str) -> bool:
    if not re.fullmatch(r"\d{1,9}", process):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False
