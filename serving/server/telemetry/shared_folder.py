"""The folder that the workers of a server share while it runs: counts, rate limits, and the last valid keys."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_MEMORY = "/dev/shm"
_PREFIX = "serving-"
_OWNER = "owner"


@contextlib.contextmanager
def shared(parent: str | None = None) -> Iterator[Path]:
    """Create a folder until the end of the block, and remove those of servers that were killed.

    Parameters
    ----------
    parent : by default a file system in memory if there is one, since small files in it are replaced every second.
    """
    place = Path(parent or (_MEMORY if os.access(_MEMORY, os.W_OK) else tempfile.gettempdir()))
    for left in place.glob(f"{_PREFIX}*"):
        _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    owner = os.open(folder / ".new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # The lock ends with this process, however that ends; nobody finds the file before it is locked.
        fcntl.flock(owner, fcntl.LOCK_EX)
        os.rename(folder / ".new", folder / _OWNER)
        yield folder
    finally:
        os.close(owner)
        shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a folder of this user whose owner has ended."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # Another user's, gone already, or just being created.
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
