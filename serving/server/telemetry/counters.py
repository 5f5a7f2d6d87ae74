"""Counts of each worker, in its own memory, and the sum over all workers.

A request costs a dictionary look-up and some additions. A few times a second each worker replaces one small file with
all its counts; the worker that is asked for metrics adds the files up. ``prometheus_client`` writes to mapped memory at
each increment instead, with one more file for every process there ever was: it takes ten times as long, and grows.
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

from serving.server.files import replace

#: Upper bounds of the latency histogram, in seconds; an infinite one follows.
BOUNDS = (
    *(0.00005, 0.0001, 0.00015, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_FIRST = 2

#: Maximum number of series; further ones are counted as ``OTHER``.
MOST = 10_000
OTHER = "(other)"

#: Names of processes that count: the workers, and the recorder of the prediction log.
WORKER, RECORDER = "worker", "recorder"

#: The recorder's gauge.
UP = "serving_record_up"

#: A worker that has not written its counts for so many seconds has ended.
GONE = 10.0

#: (protocol, model, version, status) and (name, labels...).
Answered = tuple[str, str, str, int]
Counted = tuple[str, ...]


@dataclass
class Counts:
    """Counts of one worker, or of all.

    Parameters
    ----------
    answers : by protocol, model, version and status: rows, total seconds, and one count for each latency bucket.
    events : counts of everything else.
    """

    answers: dict[Answered, list[float]] = field(default_factory=dict)
    events: dict[Counted, float] = field(default_factory=dict)

    def copy(self) -> "Counts":
        """A snapshot of the counts; another thread may count meanwhile."""
        # Listing a dictionary's items is atomic.
        return Counts({key: list(found) for key, found in list(self.answers.items())}, dict(self.events))

    def add(self, other: "Counts") -> None:
        """Add the counts of another worker."""
        for key, found in other.answers.items():
            mine = self.answers.get(key)
            self.answers[key] = [a + b for a, b in zip(mine, found, strict=True)] if mine else list(found)
        for name, number in other.events.items():
            self.events[name] = self.events.get(name, 0) + number


@dataclass(frozen=True)
class WorkerSnapshot:
    """Counts and gauges of one worker at one moment.

    Parameters
    ----------
    slot : the worker's number; the successor of a worker that dies continues its counts.
    time : of the snapshot, in seconds since 1970.
    gauges : present values, by name.
    """

    slot: int
    counts: Counts
    time: float
    gauges: dict[str, float]

    @property
    def lives(self) -> bool:
        """Whether the worker is running."""
        return time.time() - self.time < GONE


class WorkerCounts:
    """The counts of this worker.

    Parameters
    ----------
    folder : shared by all workers, preferably in memory such as ``/dev/shm``; None to count for this process only.
    name : ``worker`` or ``recorder``.
    """

    def __init__(self, folder: Path | None = None, name: str = WORKER):
        self.counts = Counts()
        #: Present values, which the caller sets.
        self.gauges: dict[str, float] = {}
        #: Whether anything was counted since the last ``publish``.
        self.fresh = True
        #: When the server started, in seconds since 1970.
        self.since = time.time()
        self._folder, self._lock, self.slot, self._process = folder, -1, 0, name
        if folder is not None:
            self.since = _since(folder)
            self.slot, self._lock = _claim(folder, name)
            if (before := _read(folder / _name(self.slot, name))) is not None:
                self.counts = before.counts

    def observe(self, protocol: str, model: str, version: str, status: int, seconds: float, rows: int = 0) -> None:
        """Count an answered request.

        Parameters
        ----------
        protocol : name of the wire format; empty if the request is no prediction.
        model, version : that answered or was asked; empty if there is none. Never a name that a client made up.
        seconds : from the start of the request's processing to its answer.
        """
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
        """Count another event."""
        events = self.counts.events
        key = (name, *labels)
        if key not in events and (len(events) >= MOST or not _sane("".join(labels))):
            key = (name, *(OTHER for _ in labels))
        events[key] = events.get(key, 0) + by
        self.fresh = True

    def publish(self) -> None:
        """Share the counts; those since the last call are lost if the worker is killed."""
        if self._folder is None:
            return
        self.fresh = False
        path = self._folder / _name(self.slot, self._process)
        counts = self.counts.copy()
        answers = [(*key, found) for key, found in counts.answers.items()]
        replace(path, _ENCODER.encode((time.time(), answers, list(counts.events.items()), self.gauges)))

    def all(self) -> list[WorkerSnapshot]:
        """The latest snapshot of each worker."""
        mine = WorkerSnapshot(self.slot, self.counts.copy(), time.time(), dict(self.gauges))
        if self._folder is None:
            return [mine]
        others = (other for other in _each(self._folder) if other.slot != self.slot)
        return sorted([mine, *others], key=lambda snapshot: snapshot.slot)

    def close(self) -> None:
        """Publish a last time, and release the slot."""
        self.publish()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def recorder(folder: Path | None) -> WorkerSnapshot | None:
    """The latest snapshot of the recorder; None if there is none."""
    return None if folder is None else next(_each(folder, RECORDER), None)


def total(snapshots: list[WorkerSnapshot]) -> Counts:
    """The sum of all workers' counts, including those of workers that have ended."""
    counts = Counts()
    for snapshot in snapshots:
        counts.add(snapshot.counts)
    return counts


def buckets(found: list[float]) -> list[float]:
    """The counts of the latency buckets in an entry of ``answers``."""
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
    """Whether text can be encoded; undecodable bytes of a command line cannot."""
    try:
        labels.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(slot: int, name: str) -> str:
    return f"{name}-{slot}.counts"


def _since(folder: Path) -> float:
    """When the first worker started."""
    path = folder / "since"
    with contextlib.suppress(FileExistsError):
        path.touch(exist_ok=False)
    return path.stat().st_mtime


def _claim(folder: Path, name: str) -> tuple[int, int]:
    """The first slot that no running process of this name holds, and the lock that holds it."""
    slot = 0
    while True:
        lock = os.open(folder / f"{name}-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            slot += 1
        else:
            return slot, lock


def _each(folder: Path, name: str = WORKER) -> Iterator[WorkerSnapshot]:
    for path in folder.glob(f"{name}-*.counts"):
        if (snapshot := _read(path)) is not None:
            yield snapshot


def _read(path: Path) -> WorkerSnapshot | None:
    try:
        moment, answers, events, gauges = _DECODER.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    # Counts of a release with other buckets are dropped.
    known = {tuple(key): found for *key, found in answers if len(found) == _FIRST + len(BOUNDS) + 1}
    return WorkerSnapshot(int(path.stem.partition("-")[2]), Counts(known, dict(events)), moment, gauges)  # type: ignore[arg-type]
