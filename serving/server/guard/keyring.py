"""The API keys that are valid now: read from a file, which may change while the server runs, and the environment."""

import os
from pathlib import Path

from registry.troubles import Troubles
from serving.errors import ServingError
from serving.server.files import replace, stamp
from serving.server.guard.keys import Key, Keys, distinct, read
from serving.server.log import say
from serving.server.settings import KEYS, ServerSettings


class Keyring:
    """Keys of a file, which ``refresh`` reads again after it has changed, and of a document that does not change.

    If the file becomes unreadable or invalid, the old keys stay valid and the log says so once.

    Parameters
    ----------
    path : the file; None if there is none.
    document : the text of the variable ``SERVING_KEYS``; None if it is not set.
    memory : a file that keeps the last valid keys, for a worker that starts while ``path`` is invalid.

    Raises
    ------
    ServingError
        if the keys cannot be read, and ``memory`` has none.
    """

    def __init__(self, path: Path | None, document: str | None = None, *, memory: Path | None = None):
        self._path, self._memory = path, memory
        self._fixed = read(document, KEYS) if document else ()
        self._seen: tuple | None = None
        self._troubles = Troubles(say)
        try:
            self._keys = self._load()
        except ServingError:
            if memory is None or not memory.exists():
                raise
            self._keys = Keys(read(memory.read_text(), str(memory)))
            self._seen = None

    @classmethod
    def of(cls, settings: ServerSettings) -> "Keyring | None":
        """The keys that the settings and the environment name; None if they name none."""
        if not settings.keyed:
            return None
        memory = Path(settings.metrics_folder) / "keys.json" if settings.metrics_folder else None
        return cls(Path(settings.keys) if settings.keys else None, os.environ.get(KEYS), memory=memory)

    def find(self, secret: bytes) -> Key | None:
        """The key that a secret belongs to; None if it belongs to none."""
        return self._keys.find(secret)

    @property
    def all(self) -> tuple[Key, ...]:
        """The keys that are valid now."""
        return self._keys.all

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        if self._path is None:
            return
        try:
            if self._seen is not None and stamp(self._path) == self._seen:
                return
            self._keys = self._load()
        except ServingError as error:
            self._troubles.has("keys", str(error), after="; the previous keys stay valid")
        else:
            self._troubles.over("keys", f"{self._path}: read again, {len(self._keys.all)} keys")

    def _load(self) -> Keys:
        found = self._fixed
        if self._path is not None:
            seen = stamp(self._path)
            try:
                if seen is not None and not self._path.is_file():
                    raise ValueError  # reading a pipe would wait for whoever writes to it
                text = self._path.read_text()
            except (OSError, ValueError) as error:
                cause = (error.strerror or "none") if isinstance(error, OSError) else "something else"
                raise ServingError(f"{self._path}: expected a readable file of keys, found {cause}") from None
            # An invalid file is not read again until it changes.
            self._seen = seen
            found += read(text, str(self._path))
            distinct(found, f"{self._path} and {KEYS}" if self._fixed else str(self._path))
            if self._memory is not None:
                replace(self._memory, text.encode())
        return Keys(found)
