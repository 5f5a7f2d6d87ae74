"""How often somebody may ask, exact over all workers: the generic cell rate algorithm on memory that they share.

The rate limiters on PyPI count in one process, or ask Redis or SQLite for each request; a number of eight bytes a
caller, in a file that all workers have mapped, costs a few microseconds and no server.
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

#: Callers are kept in sets of this many; a set is found by hash, and locked by itself.
_WAYS = 8
_SETS = 4096
_ENTRY = struct.Struct("<16sq")
_SET = struct.Struct("<" + "16sq" * _WAYS)
_NOBODY = bytes(16)


@dataclass(frozen=True)
class Rate:
    """So many requests a period in the long run, and so many at once after a rest.

    Parameters
    ----------
    count, period : the requests, and the seconds.
    burst : the requests at once.
    """

    count: int
    period: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """The rate that a text says: ``100/s``, ``6000/minute``, ``10/s:50`` with a burst of 50.

        Raises
        ------
        ServingError
            where it says none.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*([a-z]+)\s*(?::\s*(\d{1,9}))?\s*", text, re.ASCII)
        if match and match[2] in _PERIODS and int(match[1]) and (match[3] is None or int(match[3])):
            return cls(int(match[1]), _PERIODS[match[2]], int(match[3] or match[1]))
        raise ServingError("a rate is written as 100/s, 6000/m, 10000/h, or 10/s:50 for 50 at once")

    def __str__(self) -> str:
        burst = "" if self.burst == self.count else f":{self.burst}"
        return f"{self.count}/{_SHORT[self.period]}{burst}"


class Rates:
    """When each caller's requests will have been worked off, at its rate.

    Of a caller one moment is kept, its *theoretical arrival time*: each request moves it on by period / count, and
    one that would move it further than burst * period / count beyond now is refused. Once it has passed, the caller
    is as good as unknown, and its place may be another's. (ITU-T I.371, the virtual scheduling algorithm.)

    Parameters
    ----------
    path : the file that the workers share, made where there is none; it must not outlive the machine's start, since
        its clock counts from there. None for a process by itself.
    """

    def __init__(self, path: Path | None = None):
        size = _SETS * _SET.size
        self._thread = threading.Lock()
        self._file: int | None = None
        if path is None:
            self._memory = mmap.mmap(-1, size)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, size)  # the same for all: whoever comes later changes nothing
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
            0.0 where it may pass; else the seconds until one will, and it was not counted.
        """
        start = int.from_bytes(caller[:4], "little") % _SETS * _SET.size
        # The lock of the file is the process's, and ends with it; threads need one of their own.
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
            # Never further than this rate could have brought it: the key may have had a slower one.
            due = min(max(entries[2 * way + 1], now), now + patience + step)
        except ValueError:
            # Whoever is soonest worked off makes room; in all but a flood of callers they are already.
            way = min(range(_WAYS), key=lambda place: entries[2 * place + 1])
            due = now
        if due - now > patience:
            return (due - now - patience) / _NANO
        _ENTRY.pack_into(self._memory, start + way * _ENTRY.size, caller, due + step)
        return 0.0

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
        if self._file is not None:
            os.close(self._file)


def caller(kind: str, name: str) -> bytes:
    """What stands for somebody: 16 bytes of a hash."""
    found = hashlib.blake2b(f"{kind}:{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return found if found != _NOBODY else b"\x01" * 16
