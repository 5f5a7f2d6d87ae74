"""The on-disk cache between follower and workers: scorecards and models by their digest, and one state document.

Files are replaced as a whole and survive a crash of the machine. The state document begins with a hash of itself, and a
scorecard contains one, so that a damaged file is noticed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from serving.errors import ServingError
from serving.models.files import digest as digest_of
from serving.scorecard import Scorecard, ScorecardError
from serving.server.files import TEMPORARY, replace, stamp
from serving.server.pyfunc.model import CachedPyfunc
from serving.server.state import TrafficSplit
from serving.server.version_facts import UNKNOWN, VersionFacts

FORMAT = 1

#: Seconds for which a scorecard that no state names is kept, for a rollback.
KEPT = 7 * 24 * 3600.0


class CacheError(ServingError):
    """The cache cannot be written, or is damaged."""


@dataclass(frozen=True)
class CachedVersion:
    """A version in the state document.

    Parameters
    ----------
    card : the digest of its scorecard; empty if it has none.
    example : an input row; for a model that takes no named columns, a request.
    created : when the registry created it: a number may be used again after a model was deleted.
    pyfunc : the model, if it has no scorecard.
    facts : for the page.
    """

    version: str
    stage: str
    card: str
    example: Mapping[str, Any] = field(default_factory=dict)
    created: int = 0
    pyfunc: CachedPyfunc | None = None
    facts: VersionFacts = UNKNOWN


@dataclass(frozen=True)
class CachedModel:
    """A model in the state document.

    Parameters
    ----------
    refused : why it, or its newest version, is not served.
    preparing : versions that will be served once they are loaded.
    """

    name: str
    champion: CachedVersion | None
    challenger: CachedVersion | None = None
    traffic: TrafficSplit = field(default_factory=TrafficSplit)
    refused: str = ""
    preparing: tuple[CachedVersion, ...] = ()

    @property
    def served(self) -> tuple[CachedVersion, ...]:
        """The versions that are served, the champion first."""
        return tuple(entry for entry in (self.champion, self.challenger) if entry is not None)

    @property
    def versions(self) -> tuple[CachedVersion, ...]:
        """All versions that have to be there."""
        return (*self.served, *self.preparing)


@dataclass(frozen=True)
class StateDocument:
    """The state document.

    Parameters
    ----------
    generation : incremented with each change.
    """

    models: tuple[CachedModel, ...] = ()
    generation: int = 0

    def dumps(self) -> bytes:
        """The document as it is stored: a line with its SHA-256, then JSON."""
        body = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=True).encode()
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"

    @classmethod
    def loads(cls, content: bytes) -> "StateDocument":
        """Read a document that ``dumps`` wrote.

        Raises
        ------
        CacheError
            if it is damaged, or of another format.
        """
        digest, _, body = content.partition(b"\n")
        body = body.removesuffix(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise CacheError("the cache's state document is damaged")
        values = json.loads(body)
        if values["format"] != FORMAT:
            raise CacheError(f"the cache's state document has format {values['format']}, expected {FORMAT}")
        return msgspec.convert(values, cls)


class Cache:
    """The folder of a cache.

    Servers that share a folder share scorecards; those that also serve the same models share the state document.

    Parameters
    ----------
    source : identifies what is served; see ``source``.
    """

    def __init__(self, folder: Path, source: str):
        self.folder = folder
        self._cards, self._models = folder / "cards", folder / "models"
        key = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._state, self._lock, self._seen = (folder / f"{kind}-{key}" for kind in ("state", "lock", "seen"))

    def make(self) -> None:
        """Create the folder.

        Raises
        ------
        CacheError
            if it cannot be written.
        """
        try:
            # Private; the permissions of an existing folder stay.
            for folder in (self.folder, self._cards, self._models):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._cards), tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self._unwritable(error) from None

    @contextlib.contextmanager
    def leading(self) -> Iterator[bool]:
        """Elect the process that writes the state, until the block or the process ends: True if it is this one."""
        try:
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(file)

    def add(self, card: Scorecard) -> None:
        """Store a scorecard."""
        path = self._card(card.digest)
        if not path.exists() or self._broken(card.digest):
            self._write(path, card.dumps().encode("utf-8"))

    def add_model(self, folder: Path) -> str:
        """Store a model's folder, as a copy or, if nobody here can change it, as a link; its digest."""
        digest = digest_of(folder)
        if not self.has_model(digest):
            place = self.model(digest)
            try:
                if place.is_symlink():
                    place.unlink()
                shutil.rmtree(place, ignore_errors=True)
                if not os.access(folder, os.W_OK):  # in an image
                    place.symlink_to(folder.absolute())
                    return digest
                new = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._models))
                shutil.copytree(folder, new, dirs_exist_ok=True)
                new.rename(place)
            except OSError as error:
                raise self._unwritable(error) from None
        return digest

    def model(self, digest: str) -> Path:
        """The folder of a model."""
        return self._models / digest.removeprefix("sha256:")

    def has_model(self, digest: str) -> bool:
        """Whether a model is there undamaged; this reads all of it."""
        folder = self.model(digest)
        return folder.is_dir() and digest_of(folder) == digest

    def mark_of(self, digest: str) -> tuple | None:
        """The ``stamp`` of a scorecard's file."""
        return stamp(self._card(digest))

    def card(self, digest: str) -> Scorecard:
        """Load a scorecard by its digest.

        Raises
        ------
        CacheError
            if it is missing or damaged.
        """
        try:
            card = Scorecard.loads(self._card(digest).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CacheError(f"the cache has no scorecard {digest[:19]}") from None
        except (OSError, UnicodeDecodeError, ScorecardError) as error:
            raise CacheError(f"the cache's scorecard {digest[:19]} is damaged: {error}") from None
        if card.digest != digest:
            raise CacheError(f"the cache's scorecard {digest[:19]} is another")
        return card

    def size(self, digest: str) -> int:
        """Size of a scorecard's document in bytes; 0 if there is none."""
        mark = self.mark_of(digest)
        return mark[-1] if mark else 0

    def mark(self) -> tuple | None:
        """The ``stamp`` of the state document."""
        return stamp(self._state)

    def read(self) -> StateDocument:
        """Read the state document; an empty one if there is none yet.

        Raises
        ------
        CacheError
            if it is damaged.
        """
        try:
            return StateDocument.loads(self._state.read_bytes())
        except FileNotFoundError:
            return StateDocument()
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"the cache's state document cannot be read: {type(error).__name__}") from None

    def write(self, document: StateDocument) -> None:
        """Replace the state document; its scorecards are there already.

        Raises
        ------
        CacheError
            if it cannot be written; then the old one stays.
        """
        self._write(self._state, document.dumps())

    def touch(self) -> None:
        """Record that the registry was reached just now."""
        with contextlib.suppress(OSError):
            self._seen.touch()

    def age(self) -> float | None:
        """Seconds since the registry was last reached; None if it never was."""
        try:
            return max(0.0, time.time() - self._seen.stat().st_mtime)
        except OSError:
            return None

    def clean(self) -> None:
        """Remove old scorecards and models that no state names, and temporary files of killed processes."""
        named: set[str] = set()
        for state in self.folder.glob("state-*"):
            # What an unreadable state needs is fetched again.
            named.update(re.findall(r"sha256:[0-9a-f]{64}", state.read_text(encoding="utf-8", errors="replace")))
        names = {path.name for digest in named for path in (self._card(digest), self.model(digest))}
        for path in [*self._cards.iterdir(), *self._models.iterdir(), *self.folder.glob(f"{TEMPORARY}*")]:
            with contextlib.suppress(OSError):
                if path.name in names or time.time() - path.stat().st_mtime <= KEPT:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _broken(self, digest: str) -> bool:
        try:
            self.card(digest)
        except CacheError:
            return True
        return False

    def _card(self, digest: str) -> Path:
        return self._cards / f"{digest.removeprefix('sha256:')}.json"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            replace(path, content, durable=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> CacheError:
        return CacheError(
            f"the cache {self.folder} cannot be written: {error.strerror or error}; "
            "--cache needs a writable folder with free space"
        )
