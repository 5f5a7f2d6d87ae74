"""The folder that the workers of a server share while it runs: counts, rates, and the last good keys."""

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
    """A folder for as long as the block runs; what servers left behind that were killed is removed.

    Parameters
    ----------
    parent : where it is made; by default in memory that looks like a folder, where there is some, since the few small
        files that are replaced each second then cost no disk.
    """
    place = Path(parent or (_MEMORY if os.access(_MEMORY, os.W_OK) else tempfile.gettempdir()))
    for left in place.glob(f"{_PREFIX}*"):
        _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    owner = os.open(folder / ".new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # The lock ends with this process, however that ends; before it is held, nobody finds the file.
        fcntl.flock(owner, fcntl.LOCK_EX)
        os.rename(folder / ".new", folder / _OWNER)
        yield folder
    finally:
        os.close(owner)
        shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a folder that is ours, and whose owner is gone."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # Not ours, gone already, or just being made.
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
