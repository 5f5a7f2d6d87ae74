"""The keys that hold now: read from a file, which may change while the server runs, and the environment."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from serving.errors import ServingError
from serving.server.guard.keys import Key, Keys, distinct, read
from serving.server.log import Troubles

#: Where keys may come from, beside a file.
VARIABLE = "SERVING_KEYS"


class Keyring:
    """Keys from a file that ``refresh`` reads again when it has changed, and from a document that stays.

    A file that cannot be read, or is none, changes nothing: the old keys hold, and the log says so once.

    Parameters
    ----------
    path : the file; None for none.
    document : the text of the variable ``SERVING_KEYS``; None for none.
    memory : a file where the last good keys are kept, so that a worker that starts while the file is broken has them.

    Raises
    ------
    ServingError
        where there are none to begin with.
    """

    def __init__(self, path: Path | None, document: str | None = None, *, memory: Path | None = None):
        self._path, self._memory = path, memory
        self._fixed = read(document, VARIABLE) if document else ()
        self._seen: tuple | None = None
        self._troubles = Troubles()
        try:
            self._keys = self._load()
        except ServingError:
            if memory is None or not memory.exists():
                raise
            self._keys = Keys(read(memory.read_text(), str(memory)))
            self._seen = None

    @classmethod
    def of(cls, path: Path | None, environment: Mapping[str, str], *, memory: Path | None = None) -> "Keyring | None":
        """The keys that a file and the environment give; None where neither is there."""
        document = environment.get(VARIABLE) or None
        return cls(path, document, memory=memory) if path or document else None

    def find(self, secret: bytes) -> Key | None:
        """The key whose secret this is."""
        return self._keys.find(secret)

    @property
    def all(self) -> tuple[Key, ...]:
        """The keys that hold."""
        return self._keys.all

    def refresh(self) -> None:
        """Look at the file."""
        if self._path is None:
            return
        try:
            if self._mark() == self._seen:
                return
            self._keys = self._load()
        except ServingError as error:
            self._troubles.has("keys", str(error), after="; the keys of before go on to hold")
        else:
            self._troubles.over("keys", f"{self._path}: read again, {len(self._keys.all)} keys")

    def _load(self) -> Keys:
        found = self._fixed
        if self._path is not None:
            seen = self._mark()
            try:
                text = self._path.read_text()
            except (OSError, ValueError) as error:
                raise ServingError(f"{self._path}: expected a readable file of keys, found {_fault(error)}") from None
            # What is broken is not looked at again until it changes.
            self._seen = seen
            found += read(text, str(self._path))
            distinct(found, f"{self._path} and {VARIABLE}" if self._fixed else str(self._path))
            if self._memory is not None:
                self._remember(text)
        return Keys(found)

    def _mark(self) -> tuple:
        assert self._path is not None
        try:
            found = self._path.stat()
        except OSError as error:
            raise ServingError(f"{self._path}: expected a readable file of keys, found {_fault(error)}") from None
        if not stat.S_ISREG(found.st_mode):  # to read a pipe would wait for whoever writes to it
            raise ServingError(f"{self._path}: expected a readable file of keys, found something else")
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _remember(self, text: str) -> None:
        assert self._memory is not None
        part = self._memory.with_name(f"{self._memory.name}.{os.getpid()}")
        part.write_text(text)
        os.replace(part, self._memory)


def _fault(error: Exception) -> str:
    return (error.strerror or "none") if isinstance(error, OSError) else "something else"
