"""Keeps a worker within its memory limit, which is divided among models, bodies, large requests and everything else.

Estimates (``serving.contract.costs``) decide what is answered. If one is wrong, the operating system refuses the worker
more memory, which fails one request or, at worst, ends the worker; without a limit of its own it would grow until its
whole container was killed.
"""

import contextlib
import ctypes
import gc
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.contract import Limits, RequestError

#: Default and minimum memory limit of a worker, in bytes.
MAX_MEMORY, LEAST = 256 * 2**20, 128 * 2**20

#: Default memory limit of a process that answers for a model without a scorecard, in bytes.
PYFUNC_MEMORY = 2 * 2**30

#: Bytes that a container needs beside its one worker: the supervisor, the follower of fixed models, and the system's
#: buffers for files and sockets.
BESIDE = 128 * 2**20

# Shares of the memory beyond the worker itself and its models: for bodies and unsent answers, and for large requests.
# The rest is for small requests, connections, and memory that is freed later.
_BODIES, _WORK = 1 / 6, 0.6
#: Size of an idle connection, in bytes.
CONNECTION = 6 * 1024
# Shares of that rest for connections, and for incomplete headers.
_CONNECTIONS, _HEADS = 0.4, 0.2
#: Bytes that a compiled scorecard takes for each byte of its document.
SCORECARD = 16
#: Freed memory that a process keeps, in bytes: getting it from the system again takes as long as parsing a request.
KEPT = 16 * 2**20
#: Bytes that a worker reserves and hardly uses: 32 MiB of BLAS for each thread that multiplies, and stacks.
RESERVED = 96 * 2**20
#: Stacks of threads that this process starts, in bytes.
_STACK = 1024 * 1024
#: Minimum size of a request after which freed memory is returned to the system, which takes some milliseconds.
_LARGE = 8 * 2**20


@dataclass(frozen=True)
class Shares:
    """How a worker's memory is divided, in bytes.

    Parameters
    ----------
    models : for all scorecards.
    bodies : for bodies of requests, and unsent answers.
    work : for large requests, from their parsing to their answer.
    heads : for incomplete headers.
    connections : maximum number of open connections.
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
        own : memory of the worker without models.
        models : memory of its models.
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
    """Memory that requests in several threads share; a request that needs more than is left waits.

    If all that hold some wait for more, none would ever release any: then the last one is refused.

    Parameters
    ----------
    most : total size in bytes; it may be changed at any time.
    busy : returns the error of a refused request.
    """

    def __init__(self, most: int, busy: Callable[[], RequestError]):
        self.most, self._busy = most, busy
        self.used = 0
        self._changed = threading.Condition()
        self._leases: list[Lease] = []

    def lease(self, limits: Limits, wait: float) -> "Lease":
        """A lease for one request.

        Parameters
        ----------
        wait : maximum seconds that the request waits for others.
        """
        return Lease(limits, self, time.monotonic() + wait)

    def take(self, lease: "Lease", size: int) -> None:
        """Take bytes for a lease.

        Raises
        ------
        RequestError
            if they do not become free in time.
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
        """Release all that a lease holds."""
        with self._changed:
            if lease in self._leases:
                self._leases.remove(lease)
            self.used -= lease.held
            lease.held = 0
            self._changed.notify_all()


class Lease(Limits):
    """A request's limits, and the memory that it holds of a pool; a context manager."""

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
    """Pause garbage collection while parsing: it would scan all values again and again, and find no garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def confine(most: int) -> int:
    """Limit the memory of this process and its children, and return what it takes now, in bytes.

    Linux enforces ``RLIMIT_DATA``, which counts all writable memory, used or not; so ``RESERVED`` is added. Other
    systems have the setting and do not enforce it.
    """
    threading.stack_size(_STACK)
    # Imported modules stay: the garbage collector need not scan them.
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
    """Resident memory of this process, in bytes; its peak where the system does not report the present value."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def let_go(error: BaseException | None) -> None:
    """Release what an exception's frames hold: the refused request."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def give_back() -> None:
    """Return freed memory to the system."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


def _found_trim():
    """glibc's ``malloc_trim``; None for other libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


_trim = _found_trim()
