"""Files that several processes share: seeing that one has changed, and replacing one as a whole."""

import contextlib
import os
import tempfile
from pathlib import Path

#: Temporary files beside the ones that are replaced start with this.
TEMPORARY = ".new-"


def stamp(path: str | Path) -> tuple[int, int, int] | None:
    """Return a value that differs once a file is another one, without reading it; None if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def replace(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that readers see the old content or the new one, never a part; its permissions stay.

    Parameters
    ----------
    durable : whether the new content also survives a crash of the machine.

    Raises
    ------
    OSError
        if it cannot be written; then the old file stays.
    """
    file, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        # Without this a crash of the machine may bring the old name back.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
