"""What the passes over a table gave, kept on disk: a training that was killed goes on where it was."""

import contextlib
import hashlib
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pipelines.errors import PipelineError
from registry import filelock, logs

_log = logs.get_logger(__name__)

Found = TypeVar("Found")

# Journals that nobody came back to are removed after so many seconds.
_KEPT = 7 * 24 * 3600


@dataclass(frozen=True)
class Journal:
    """Results of passes by what was asked for.

    Parameters
    ----------
    folder : for files of this training; those of an earlier attempt at it are still there.
    within : what all results hang on.
    """

    folder: Path
    within: str = ""

    def inside(self, *facts: object) -> "Journal":
        """The journal of results that hang on further facts."""
        return replace(self, within=_digest(self.within, facts))

    def remember(self, asked: object, find: Callable[[], Found]) -> Found:
        """What was found when this was asked before, or what is found now.

        Parameters
        ----------
        asked : can be pickled, and tells all that the result hangs on.
        """
        path = self.folder / f"{_digest(self.within, asked)}.found"
        # What another release wrote may not be read: then it is found again.
        with contextlib.suppress(Exception), path.open("rb") as file:
            return pickle.load(file)
        found = find()
        aside = path.with_suffix(".new")
        with aside.open("wb") as file:
            pickle.dump(found, file, protocol=5)
        aside.replace(path)
        return found

    def remember_files(self, asked: object, find: Callable[[], Found]) -> Found:
        """As :meth:`remember`, of what writes files, too: what was found counts as long as the files are its own."""
        last, key = self.folder / "last", _digest(self.within, asked)
        if not last.exists() or last.read_text() != key:
            last.unlink(missing_ok=True)
            (self.folder / f"{key}.found").unlink(missing_ok=True)
        found = self.remember(asked, find)
        last.write_text(key)
        return found


@contextlib.contextmanager
def opened(*facts: object) -> Iterator[Journal]:
    """The journal of one training, which these facts tell from all others.

    It is removed once the training has ended, or was refused; it stays where the training was interrupted or killed,
    or its results could not be logged. Of two at once, the second has a journal of its own that does not stay.
    """
    parent = _private(Path(tempfile.gettempdir()) / f"lifecycle-training-{os.getuid()}")
    _clean(parent)
    with contextlib.ExitStack() as stack:
        folder = parent / _digest("", facts)[:24]
        try:
            stack.enter_context(filelock.held(folder, wait=0))
        except filelock.Held:
            yield Journal(Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent))))
            return
        if any(folder.glob("*.found")):
            _log.info("going on with a training that was stopped: what it found is in %s", folder)
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        try:
            yield Journal(folder)
        except PipelineError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except BaseException:
            _log.info("stopped: the same command goes on from %s", folder)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _private(folder: Path) -> Path:
    """A folder that nobody else can write to: what is in it is trusted."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    known = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or known.st_uid != os.getuid() or known.st_mode & 0o022:
        raise PipelineError(f"{folder}: expected a folder that only this user can write to; remove it, or set TMPDIR")
    return folder


def _clean(parent: Path) -> None:
    """Remove journals that nobody came back to, and their locks."""
    for path in parent.iterdir():
        if time.time() - path.stat().st_mtime < _KEPT:
            continue
        if not path.is_dir():
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(filelock.Held), filelock.held(path, wait=0):
            shutil.rmtree(path, ignore_errors=True)


def _digest(within: str, asked: object) -> str:
    return hashlib.sha256(within.encode() + pickle.dumps(asked, protocol=5)).hexdigest()
