"""The on-disk cache between follower and workers: scorecards by their digest, and one state document.

Files are replaced as a whole and survive a crash of the machine. The state document begins with a hash of itself, and a
scorecard contains one, so that a damaged file is noticed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from serving.errors import ServingError
from serving.scorecard import Scorecard, ScorecardError
from serving.server.files import TEMPORARY, replace, stamp
from serving.server.memory import SCORECARD
from serving.server.state import NOTHING, Served, ServedModel, ServedVersion, TrafficSplit

FORMAT = 1

#: Seconds for which a scorecard that no state names is kept, for a rollback.
KEPT = 7 * 24 * 3600.0


class CacheError(ServingError):
    """The cache cannot be written, or is damaged."""


@dataclass(frozen=True)
class CachedVersion:
    """A version in the state document; ``card`` is the digest of its scorecard."""

    version: str
    stage: str
    card: str
    example: Mapping[str, Any] = field(default_factory=dict)
    #: When the registry created it: a number may be used again after a model was deleted.
    created: int = 0


@dataclass(frozen=True)
class CachedModel:
    """A model in the state document; ``refused`` says why it, or its newest version, is not served."""

    name: str
    champion: CachedVersion | None
    challenger: CachedVersion | None = None
    traffic: TrafficSplit = field(default_factory=TrafficSplit)
    refused: str = ""


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
        self._cards = folder / "cards"
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
            for folder in (self.folder, self._cards):
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
        """Remove old scorecards that no state names, and temporary files of killed processes."""
        named: set[str] = set()
        for state in self.folder.glob("state-*"):
            # What an unreadable state needs is fetched again.
            named.update(re.findall(r"sha256:[0-9a-f]{64}", state.read_text(encoding="utf-8", errors="replace")))
        names = {self._card(digest).name for digest in named}
        for path in [*self._cards.iterdir(), *self.folder.glob(f"{TEMPORARY}*")]:
            with contextlib.suppress(OSError):
                if path.name not in names and time.time() - path.stat().st_mtime > KEPT:
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


class CacheReader:
    """Reads from a cache what a worker serves; scorecards that stay are not loaded again.

    Parameters
    ----------
    default : the model that answers on paths that name none; None for the only one, if there is one.
    most : maximum memory of all models, in bytes; None for no limit.
    """

    def __init__(self, cache: Cache, default: str | None = None, *, most: int | None = None):
        self._cache, self._default, self._most = cache, default, most
        #: Memory that the models take, in bytes.
        self.taken = 0
        self._mark: tuple | None = None
        self._cards: dict[str, Scorecard] = {}
        self.served = NOTHING
        #: Models whose scorecards could not be loaded, and why: what was served before stays.
        self.broken: dict[str, str] = {}

    def changed(self) -> bool:
        """Whether the state document has changed since it was last read, by one system call."""
        return self._cache.mark() != self._mark

    def read(self) -> Served:
        """Read the state document, and prepare its scorecards.

        Raises
        ------
        CacheError
            if it is damaged; then what was served stays, and it is not read again until it changes.
        """
        self._mark = self._cache.mark()
        document = self._cache.read()
        before, self.broken = self._cards, {}
        cards: dict[str, Scorecard] = {}
        models: dict[str, ServedModel] = {}
        refused: dict[str, str] = {}

        def version(name: str, entry: CachedVersion) -> ServedVersion:
            card = cards.get(entry.card) or before.get(entry.card)
            if card is None:
                # Old versions stay until the new ones are ready: both count.
                self._fits(name, entry.card, {*cards, *before})
                card = self._ready(entry.card)
            cards[entry.card] = card
            return ServedVersion(name, entry.version, entry.stage, card, MappingProxyType(dict(entry.example)))

        for kept in document.models:
            if kept.champion is None:
                refused[kept.name] = kept.refused
                continue
            try:
                champion = version(kept.name, kept.champion)
                challenger = version(kept.name, kept.challenger) if kept.challenger else None
            except CacheError as error:
                self.broken[kept.name] = str(error)
                if old := self.served.models.get(kept.name):
                    models[kept.name] = old
                    cards |= {one.card.digest: one.card for one in (old.champion, old.challenger) if one}
                continue
            models[kept.name] = ServedModel(kept.name, champion, challenger, kept.traffic, kept.refused)
        self._cards = cards
        self.taken = sum(map(self._needs, cards))
        self.served = Served(
            MappingProxyType(models), self._chosen(models), document.generation, MappingProxyType(refused)
        )
        return self.served

    def _needs(self, digest: str) -> int:
        return SCORECARD * self._cache.size(digest)

    def _fits(self, name: str, digest: str, beside: set[str]) -> None:
        needed = self._needs(digest)
        if self._most is not None and needed + sum(map(self._needs, beside)) > self._most:
            raise CacheError(
                f"it needs about {needed / 2**20:,.0f} MiB of memory, and --max-memory leaves "
                f"{self._most / 2**20:,.0f} MiB for all models; increase it"
            )

    def _ready(self, digest: str) -> Scorecard:
        """Load a scorecard and compile it, so that its first request is as fast as any other."""
        card = self._cache.card(digest)
        _ = card.rows, card.tables
        return card

    def _chosen(self, models: Iterable[str]) -> str | None:
        names = list(models)
        if self._default is not None:
            return self._default if self._default in names else None
        return names[0] if len(names) == 1 else None
