"""How a worker keeps within its memory: one number, divided among models, bodies, large requests and all else.

Estimates (``serving.contract.costs``) decide what is answered. Should one be wrong, the operating system refuses the
worker more memory, which costs one request its answer, or the worker its life; without a limit of its own the
worker would grow until all of its container was killed.
"""

import contextlib
import ctypes
import gc
import re
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.contract import Limits, RequestError

#: Bytes that a worker may take where nothing else is said, and the least that one can work with.
MAX_MEMORY, LEAST = 256 * 2**20, 128 * 2**20

#: What a container of one worker needs beside the worker: the supervisor, the follower of models by their URI, and
#: what the system keeps for files and sockets.
BESIDE = 128 * 2**20

# Of what a worker has beyond itself and its models: the share for bodies that arrive and answers that are sent, and
# for large requests while they are answered. The rest is for small requests, connections, and what is freed later.
_BODIES, _WORK = 1 / 6, 0.6
#: A connection while it is idle, in bytes.
CONNECTION = 6 * 1024
# The shares of the rest that connections may take, and heads of requests that are not complete.
_CONNECTIONS, _HEADS = 0.4, 0.2
#: What a scorecard takes, made ready, for each byte of its document.
SCORECARD = 16
#: Freed memory that a process keeps, in bytes: to get it from the system again takes as long as to read a request.
KEPT = 16 * 2**20
#: Bytes that a worker reserves and hardly uses: 32 MiB of BLAS for each thread that multiplies, and stacks.
RESERVED = 96 * 2**20
#: Stacks of threads that this process starts, in bytes.
_STACK = 1024 * 1024
#: Requests that took at least so much give it back to the system, which takes some milliseconds.
_LARGE = 8 * 2**20


@dataclass(frozen=True)
class Shares:
    """What of a worker's memory is for what, in bytes.

    Parameters
    ----------
    models : all scorecards may take.
    bodies : bodies that arrive, and answers that are sent.
    work : large requests, from their parsing to their answer.
    heads : heads that are not complete.
    connections : how many may be open.
    """

    models: int
    bodies: int
    work: int
    heads: int
    connections: int

    @classmethod
    def of(cls, most: int, *, own: int, models: int = 0) -> "Shares":
        """The shares of a worker.

        Parameters
        ----------
        most : the worker's limit.
        own : what it takes without any model.
        models : what its models take.
        """
        free = max(0, most - own)
        left = max(0, free - models)
        rest = left * (1 - _BODIES - _WORK)
        return cls(
            models=free // 2,
            bodies=int(left * _BODIES),
            work=int(left * _WORK),
            heads=int(rest * _HEADS),
            connections=max(64, int(rest * _CONNECTIONS / CONNECTION)),
        )


class Pool:
    """Memory that requests in several threads share; who asks for more than is left waits.

    Where all who hold some wait for more, nobody would ever give any back: then the last who came is refused.

    Parameters
    ----------
    most : bytes; it may be changed at any time.
    busy : makes the refusal.
    """

    def __init__(self, most: int, busy: Callable[[], RequestError]):
        self.most, self._busy = most, busy
        self.used = 0
        self._changed = threading.Condition()
        self._leases: list[Lease] = []

    def lease(self, limits: Limits, wait: float) -> "Lease":
        """A request's part.

        Parameters
        ----------
        wait : seconds that the request waits for others at most.
        """
        return Lease(limits, self, time.monotonic() + wait)

    def take(self, lease: "Lease", size: int) -> None:
        """Take bytes for a lease.

        Raises
        ------
        RequestError
            where there are none in time.
        """
        with self._changed:
            if lease not in self._leases:
                self._leases.append(lease)
            try:
                while self.used + size > self.most and self.used > lease.held:
                    lease.waits = True
                    holders = [one for one in self._leases if one.held]
                    if holders and all(one.waits for one in holders):
                        holders[-1].refused = True
                        self._changed.notify_all()
                    if lease.refused or not self._changed.wait(max(0.0, lease.until - time.monotonic())):
                        raise self._busy()
            finally:
                lease.waits = False
            self.used += size
            lease.held += size

    def give(self, lease: "Lease") -> None:
        """Take back all that a lease holds."""
        with self._changed:
            if lease in self._leases:
                self._leases.remove(lease)
            self.used -= lease.held
            lease.held = 0
            self._changed.notify_all()


class Lease(Limits):
    """A request's limits, and the memory that it holds of a pool; use it in a ``with``."""

    __slots__ = ("_pool", "held", "refused", "until", "waits")

    def __init__(self, limits: Limits, pool: Pool, until: float):
        super().__init__(limits.body, limits.rows, limits.memory)
        self._pool, self.until = pool, until
        self.held, self.waits, self.refused = 0, False, False

    def claim(self, size: int) -> None:
        super().claim(self.held + size)
        self._pool.take(self, size)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            let_go(error)
        if self.held >= _LARGE:
            give_back()
        self._pool.give(self)


@contextlib.contextmanager
def uncollected():
    """Parse without the garbage collector: it would look at all values again and again, and finds no garbage there."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def confine(most: int) -> int:
    """Keep this process, and those that it starts, to a number of bytes; those that it takes now.

    Linux enforces ``RLIMIT_DATA``, which counts all that a process could write to, used or not; so it is larger than
    the number by what is reserved and hardly used. Other systems have the setting and do not enforce it.
    """
    threading.stack_size(_STACK)
    # What was imported stays: the collector need not look at it.
    gc.collect()
    gc.freeze()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wall = most + RESERVED
    if hard != resource.RLIM_INFINITY:
        wall = min(wall, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wall, hard))
    return taken()


def taken() -> int:
    """The bytes of memory that this process takes now, or, where the system does not say, has ever taken."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def let_go(error: BaseException | None) -> None:
    """Let go of what an exception's frames hold, which is the request that was refused."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def give_back() -> None:
    """Give freed memory back to the system."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


def _found_trim():
    """glibc's ``malloc_trim``; other libraries give back by themselves, or never."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


_trim = _found_trim()


def parse_size(text: str) -> int:
    """Bytes as they are written: ``268435456``, ``256MiB``, ``256Mi``, ``256m``, ``1G``; units are powers of 1,024.

    Raises
    ------
    ValueError
        where they are written otherwise.
    """
    match = re.fullmatch(r"(\d{1,15}) ?(?:([KMG])i?B?|B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[(match[2] or "").upper()]
