"""What each worker counts, in its own memory, and how the counts of all become one.

A request costs a dictionary look-up and some additions. A few times a second each worker replaces one small file with
all that it has counted; whoever is asked adds the files up. ``prometheus_client`` writes to mapped memory at each
increment instead, a file more for every process that ever was: it costs ten times as much a request, and grows.
"""

import contextlib
import fcntl
import os
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

#: Upper bounds of the latency histogram, in seconds; a last one, infinite, follows.
BOUNDS = (
    *(0.00005, 0.0001, 0.00015, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_FIRST = 2

#: More series than this are no use to anybody; what comes after is counted under ``OTHER``.
MOST = 10_000
OTHER = "(other)"

#: A worker that has not written for so many seconds is gone.
GONE = 10.0

#: (protocol, model, version, status) and (name, labels...).
Answered = tuple[str, str, str, int]
Counted = tuple[str, ...]


@dataclass
class Counts:
    """What was counted, by one worker or by all.

    Parameters
    ----------
    answers : rows, seconds, and one number a bucket, of the requests of a protocol, model, version and status.
    events : how often what else happened.
    """

    answers: dict[Answered, list[float]] = field(default_factory=dict)
    events: dict[Counted, float] = field(default_factory=dict)

    def copy(self) -> "Counts":
        """The same counts, which no longer grow; another thread may count meanwhile."""
        # The list of a dictionary's items is made in one step.
        return Counts({key: list(found) for key, found in list(self.answers.items())}, dict(self.events))

    def add(self, other: "Counts") -> None:
        """Count what another has counted, too."""
        for key, found in other.answers.items():
            mine = self.answers.get(key)
            self.answers[key] = [a + b for a, b in zip(mine, found, strict=True)] if mine else list(found)
        for name, number in other.events.items():
            self.events[name] = self.events.get(name, 0) + number


@dataclass(frozen=True)
class Told:
    """What one worker's file says.

    Parameters
    ----------
    slot : the worker's place; one that dies is followed by another in the same place, which goes on with its counts.
    time : when it was written, in seconds since 1970.
    gauges : what is so now, by name.
    """

    slot: int
    counts: Counts
    time: float
    gauges: dict[str, float]

    @property
    def lives(self) -> bool:
        """Whether the worker has written of late."""
        return time.time() - self.time < GONE


class Tally:
    """The counts of this worker.

    Parameters
    ----------
    folder : that all workers share; on ``/dev/shm``, say, where writing costs no disk. None to count for this process
        alone.
    """

    def __init__(self, folder: Path | None = None):
        self.counts = Counts()
        #: What is so now; the caller sets them.
        self.gauges: dict[str, float] = {}
        #: Whether something was counted since it was last published.
        self.fresh = True
        #: When the server began, in seconds since 1970.
        self.since = time.time()
        self._folder, self._lock, self.slot = folder, -1, 0
        if folder is not None:
            self.since = _since(folder)
            self.slot, self._lock = _claim(folder)
            if (before := _read(folder / _name(self.slot))) is not None:
                self.counts = before.counts

    def observe(self, protocol: str, model: str, version: str, status: int, seconds: float, rows: int) -> None:
        """Count a request that was answered."""
        key = (protocol, model, version, status)
        found = self.counts.answers.get(key)
        if found is None:
            if len(self.counts.answers) >= MOST or not _sane(model + version):
                key = (protocol, OTHER, OTHER, status)
            found = self.counts.answers.setdefault(key, [0.0] * (_FIRST + len(BOUNDS) + 1))
        self.fresh = True
        found[0] += rows
        found[1] += seconds
        found[_FIRST + bisect_left(BOUNDS, seconds)] += 1

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Count something else."""
        events = self.counts.events
        key = (name, *labels)
        if key not in events and (len(events) >= MOST or not _sane("".join(labels))):
            key = (name, *(OTHER for _ in labels))
        events[key] = events.get(key, 0) + by
        self.fresh = True

    def publish(self) -> None:
        """Let the others know; what is between two calls is lost with a worker that is killed."""
        if self._folder is None:
            return
        self.fresh = False
        path = self._folder / _name(self.slot)
        part = path.with_suffix(".part")
        counts = self.counts.copy()
        answers = [(*key, found) for key, found in counts.answers.items()]
        part.write_bytes(_ENCODER.encode((time.time(), answers, list(counts.events.items()), self.gauges)))
        os.replace(part, path)

    def all(self) -> list[Told]:
        """What every worker told, this one up to now."""
        mine = Told(self.slot, self.counts.copy(), time.time(), dict(self.gauges))
        if self._folder is None:
            return [mine]
        others = (told for told in _each(self._folder) if told.slot != self.slot)
        return sorted([mine, *others], key=lambda told: told.slot)

    def close(self) -> None:
        """Publish a last time, and leave the place to another."""
        self.publish()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def together(told: list[Told]) -> Counts:
    """The sum of what workers told, of those that are gone too."""
    found = Counts()
    for one in told:
        found.add(one.counts)
    return found


def buckets(found: list[float]) -> list[float]:
    """The numbers of the histogram, one a bucket, of an entry of ``answers``."""
    return found[_FIRST:]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(
    tuple[
        float,
        list[tuple[str, str, str, int, list[float]]],
        list[tuple[tuple[str, ...], float]],
        dict[str, float],
    ]
)


def _sane(labels: str) -> bool:
    """Whether text can be written at all: what the command line cannot decode, say, cannot."""
    try:
        labels.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(slot: int) -> str:
    return f"worker-{slot}.counts"


def _since(folder: Path) -> float:
    """When the first worker came."""
    path = folder / "since"
    with contextlib.suppress(FileExistsError):
        path.touch(exist_ok=False)
    return path.stat().st_mtime


def _claim(folder: Path) -> tuple[int, int]:
    """The first place that no living worker has, and the lock that holds it."""
    slot = 0
    while True:
        lock = os.open(folder / f"worker-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            slot += 1
        else:
            return slot, lock


def _each(folder: Path) -> Iterator[Told]:
    for path in folder.glob("worker-*.counts"):
        if (told := _read(path)) is not None:
            yield told


def _read(path: Path) -> Told | None:
    try:
        moment, answers, events, gauges = _DECODER.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    # A release with other buckets counts anew.
    known = {tuple(key): found for *key, found in answers if len(found) == _FIRST + len(BOUNDS) + 1}
    return Told(int(path.stem.partition("-")[2]), Counts(known, dict(events)), moment, gauges)  # type: ignore[arg-type]
