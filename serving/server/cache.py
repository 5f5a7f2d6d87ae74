"""The on-disk cache between follower and workers: scorecards by their digest, and one state document.

Each file is written beside its place, flushed to the disk and moved there: whoever reads finds the old one whole or the
new one whole. The state document begins with a hash of itself, a scorecard holds one; what is not as it was written is
no file of ours.
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

from serving.errors import ServingError
from serving.scorecard import Scorecard, ScorecardError
from serving.server.memory import SCORECARD
from serving.server.state import NOTHING, Model, Served, Traffic, Version

FORMAT = 1

#: A scorecard that no state names is kept this long, in seconds: a rollback finds it.
KEPT = 7 * 24 * 3600.0


class CacheError(ServingError):
    """The cache cannot be written, or holds what was not written by this server."""


@dataclass(frozen=True)
class Entry:
    """A version in the state document; ``card`` is the digest of its scorecard."""

    version: str
    stage: str
    card: str
    example: Mapping[str, Any] = field(default_factory=dict)
    #: When the registry made it: a number may come again after a model was deleted.
    created: int = 0


@dataclass(frozen=True)
class Kept:
    """A model in the state document; without a champion it is not served, and ``refused`` says why."""

    name: str
    champion: Entry | None
    challenger: Entry | None = None
    traffic: Traffic = field(default_factory=Traffic)
    refused: str = ""


@dataclass(frozen=True)
class Document:
    """The state document.

    Parameters
    ----------
    generation : one more each time that it changes.
    """

    models: tuple[Kept, ...] = ()
    generation: int = 0

    def dumps(self) -> bytes:
        """The document as it is stored: a line with its SHA-256, and JSON."""
        body = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=True).encode()
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"

    @classmethod
    def loads(cls, content: bytes) -> "Document":
        """The document that ``dumps`` wrote.

        Raises
        ------
        CacheError
            where it is torn, changed, or of another release.
        """
        digest, _, body = content.partition(b"\n")
        body = body.removesuffix(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise CacheError("the cache's state document is damaged, or no such document")
        values = json.loads(body)
        if values["format"] != FORMAT:
            raise CacheError(f"the cache's state document has format {values['format']}, expected {FORMAT}")
        return cls(tuple(_kept(one) for one in values["models"]), values["generation"])


def _kept(values: dict) -> Kept:
    entries = {name: values[name] and Entry(**values[name]) for name in ("champion", "challenger")}
    return Kept(**{**values, **entries, "traffic": Traffic(**values["traffic"])})


class Cache:
    """A cache's folder, and in it the state of one kind of server.

    Servers that share a folder share scorecards; those that serve the same of the same registry share the state, too.

    Parameters
    ----------
    source : what is served, in words that are the same for servers that serve the same.
    """

    def __init__(self, folder: Path, source: str):
        self.folder = folder
        self._cards = folder / "cards"
        key = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._state, self._lock, self._seen = (folder / f"{kind}-{key}" for kind in ("state", "lock", "seen"))

    def make(self) -> None:
        """Make the folder, and see that it can be written.

        Raises
        ------
        CacheError
            where it cannot.
        """
        try:
            # What is in it is for nobody else; a folder that is there already stays as it is.
            for folder in (self.folder, self._cards):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._cards), tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self._unwritable(error) from None

    @contextlib.contextmanager
    def leading(self) -> Iterator[bool]:
        """Whether this process is the one that writes the state; it stays so to the end of the block, or its own."""
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
        """Keep a scorecard."""
        path = self._card(card.digest)
        if not path.exists() or self._broken(card.digest):
            self._write(path, card.dumps().encode("utf-8"))

    def mark_of(self, digest: str) -> tuple | None:
        """What tells a scorecard's file from another in its place without reading it; None where there is none."""
        return _mark(self._card(digest))

    def card(self, digest: str) -> Scorecard:
        """A scorecard by its digest.

        Raises
        ------
        CacheError
            where it is not there, or not as it was written.
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
        """Bytes of a scorecard's document; 0 where there is none."""
        mark = self.mark_of(digest)
        return mark[-1] if mark else 0

    def mark(self) -> tuple | None:
        """What tells one state document from the next without reading it; None where there is none."""
        return _mark(self._state)

    def read(self) -> Document:
        """The state document; an empty one where there is none yet.

        Raises
        ------
        CacheError
            where there is a file that is none.
        """
        try:
            return Document.loads(self._state.read_bytes())
        except FileNotFoundError:
            return Document()
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"the cache's state document cannot be read: {type(error).__name__}") from None

    def write(self, document: Document) -> None:
        """Replace the state document; its scorecards are there already.

        Raises
        ------
        CacheError
            where it cannot be written; then the old one stays.
        """
        self._write(self._state, document.dumps())

    def touch(self) -> None:
        """Remember that the registry was seen just now."""
        with contextlib.suppress(OSError):
            self._seen.touch()

    def age(self) -> float | None:
        """How long ago the registry was seen, in seconds; None where it never was."""
        try:
            return max(0.0, time.time() - self._seen.stat().st_mtime)
        except OSError:
            return None

    def clean(self) -> None:
        """Remove scorecards that no state in the folder names and that are old, and what a kill left behind."""
        named: set[str] = set()
        for state in self.folder.glob("state-*"):
            # One that cannot be read names nothing: what it needed is fetched anew.
            named.update(re.findall(r"sha256:[0-9a-f]{64}", state.read_text(encoding="utf-8", errors="replace")))
        names = {self._card(digest).name for digest in named}
        for path in [*self._cards.iterdir(), *self.folder.glob(".new-*")]:
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
            file, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            try:
                with os.fdopen(file, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            # Without this a crash of the machine may bring the old name back.
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> CacheError:
        return CacheError(
            f"the cache {self.folder} cannot be written: {error.strerror or error}; "
            "--cache is a folder with the rights and the room for it"
        )


def _mark(path: Path) -> tuple | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Reader:
    """What a worker serves, out of a cache; scorecards that stay are not loaded again.

    Parameters
    ----------
    default : the name of the model that answers where a path names none; None for the only one there is.
    most : bytes of memory that the models may take; None for any number.
    """

    def __init__(self, cache: Cache, default: str | None = None, *, most: int | None = None):
        self._cache, self._default, self._most = cache, default, most
        #: Bytes of memory that the models take.
        self.taken = 0
        self._mark: tuple | None = None
        self._cards: dict[str, Scorecard] = {}
        self.served = NOTHING
        #: Models of the state whose scorecards could not be loaded: what was served before goes on.
        self.broken: dict[str, str] = {}

    def changed(self) -> bool:
        """Whether there is a state document other than the one that was read last; costs one call of the system."""
        return self._cache.mark() != self._mark

    def read(self) -> Served:
        """Read the state document, and make its scorecards ready.

        Raises
        ------
        CacheError
            where it is none; then all that was served stays, and it is not read again until it changes.
        """
        self._mark = self._cache.mark()
        document = self._cache.read()
        before, self.broken = self._cards, {}
        cards: dict[str, Scorecard] = {}
        models: dict[str, Model] = {}
        refused: dict[str, str] = {}

        def version(name: str, entry: Entry) -> Version:
            card = cards.get(entry.card) or before.get(entry.card)
            if card is None:
                # Old versions are there until the new ones are: both count.
                self._fits(name, entry.card, {*cards, *before})
                card = self._ready(entry.card)
            cards[entry.card] = card
            return Version(name, entry.version, entry.stage, card, MappingProxyType(dict(entry.example)))

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
            models[kept.name] = Model(kept.name, champion, challenger, kept.traffic, kept.refused)
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
                f"it needs some {needed / 2**20:,.0f} MiB of memory, and --max-memory leaves {self._most / 2**20:,.0f} "
                "MiB for all models; give more"
            )

    def _ready(self, digest: str) -> Scorecard:
        """A scorecard that answers its first request as quickly as any other."""
        card = self._cache.card(digest)
        _ = card.rows, card.tables
        return card

    def _chosen(self, models: Iterable[str]) -> str | None:
        names = list(models)
        if self._default is not None:
            return self._default if self._default in names else None
        return names[0] if len(names) == 1 else None
