"""Rate limits, exact over all workers: the generic cell rate algorithm in shared memory.

The rate limiters on PyPI count in one process, or ask Redis or SQLite for each request; eight bytes for each caller, in
a file that all workers map, take a few microseconds and no server.
"""

import fcntl
import hashlib
import mmap
import os
import re
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ServingError

_PERIODS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600}
_SHORT = {1: "s", 60: "m", 3600: "h"}
_NANO = 1_000_000_000

#: Callers are stored in sets of this size; a set is found by hash, and locked separately.
_WAYS = 8
_SETS = 4096
_ENTRY = struct.Struct("<16sq")
_SET = struct.Struct("<" + "16sq" * _WAYS)
_NOBODY = bytes(16)


@dataclass(frozen=True)
class Rate:
    """A rate limit.

    Parameters
    ----------
    count, period : number of requests, and the seconds in which they are allowed.
    burst : number of requests at once after a pause.
    """

    count: int
    period: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Parse ``100/s``, ``6000/minute``, or ``10/s:50`` with a burst of 50.

        Raises
        ------
        ServingError
            if the text is no rate.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*([a-z]+)\s*(?::\s*(\d{1,9}))?\s*", text, re.ASCII)
        if match and match[2] in _PERIODS and int(match[1]) and (match[3] is None or int(match[3])):
            return cls(int(match[1]), _PERIODS[match[2]], int(match[3] or match[1]))
        raise ServingError("a rate is written as 100/s, 6000/m, 10000/h, or 10/s:50 for 50 at once")

    def __str__(self) -> str:
        burst = "" if self.burst == self.count else f":{self.burst}"
        return f"{self.count}/{_SHORT[self.period]}{burst}"


class Rates:
    """The theoretical arrival time of each caller's next request.

    Each request moves a caller's time on by period / count; one that would move it further than burst * period / count
    beyond now is refused. Once the time has passed, the caller can be forgotten, and its entry reused. This is the
    virtual scheduling algorithm of ITU-T I.371.

    Parameters
    ----------
    path : the file that the workers share, created if it does not exist; it must not survive a reboot, since its clock
        starts there. None for one process.
    """

    def __init__(self, path: Path | None = None):
        size = _SETS * _SET.size
        self._thread = threading.Lock()
        self._file: int | None = None
        if path is None:
            self._memory = mmap.mmap(-1, size)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, size)  # equal for all workers: later calls change nothing
            self._memory = mmap.mmap(self._file, size)

    def take(self, caller: bytes, rate: Rate, *, now: int | None = None) -> float:
        """Count a request of a caller.

        Parameters
        ----------
        caller : 16 bytes, of ``caller``.
        now : nanoseconds of ``time.monotonic_ns``.

        Returns
        -------
        float
            0.0 if the request is allowed, otherwise the seconds until the next one is; a refused one is not counted.
        """
        start = int.from_bytes(caller[:4], "little") % _SETS * _SET.size
        # The lock of the file belongs to the process, and ends with it; threads need their own.
        with self._thread:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX, _SET.size, start)
            try:
                return self._take(caller, rate, start, time.monotonic_ns() if now is None else now)
            finally:
                if self._file is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, _SET.size, start)

    def _take(self, caller: bytes, rate: Rate, start: int, now: int) -> float:
        step = rate.period * _NANO // rate.count
        patience = (rate.burst - 1) * step
        entries = _SET.unpack_from(self._memory, start)
        try:
            way = entries.index(caller) // 2
            # At most what this rate allows: the key may have had a slower rate before.
            due = min(max(entries[2 * way + 1], now), now + patience + step)
        except ValueError:
            # Replace the earliest time, which has passed already except in a flood of callers.
            way = min(range(_WAYS), key=lambda place: entries[2 * place + 1])
            due = now
        if due - now > patience:
            return (due - now - patience) / _NANO
        _ENTRY.pack_into(self._memory, start + way * _ENTRY.size, caller, due + step)
        return 0.0

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()
        if self._file is not None:
            os.close(self._file)


def caller(kind: str, name: str) -> bytes:
    """Identify a caller by 16 bytes of a hash."""
    found = hashlib.blake2b(f"{kind}:{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return found if found != _NOBODY else b"\x01" * 16
