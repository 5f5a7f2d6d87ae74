"""The access log: one line of JSON for each request, which never contains request data or answers."""

import contextlib
import fcntl
import itertools
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

#: Bytes of one write. Each write lets other threads run and then waits for its turn: a few large ones are faster.
_PIECE = 1024 * 1024

#: Maximum number of lines that wait for the reader of the log; further ones are dropped and counted.
MOST = 20_000

_LONGEST_PATH = 200
_GIVEN = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_SECRET = re.compile(r"mlk_[A-Za-z0-9_-]*", re.ASCII)


class Ids:
    """Request ids: the client's own if it is valid, otherwise one that is unique over all workers."""

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count(1)

    def id(self, given: bytes | None = None) -> str:
        """The id of a request with ``given`` as its header ``X-Request-Id``."""
        if given is not None and len(given) <= 64:
            text = given.decode("latin-1")
            if _GIVEN.fullmatch(text):
                return text
        return f"{self._prefix}-{next(self._numbers):x}"


class Line(msgspec.Struct, omit_defaults=True):
    """The fields of a line; those with their default value are omitted."""

    time: str
    id: str
    method: str
    path: str
    status: int
    ms: float
    client: str = ""
    key: str = ""
    protocol: str = ""
    model: str = ""
    version: str = ""
    rows: int = 0
    error: str = ""


class AccessLog:
    """Queues lines, which ``flush`` writes; only ``flush`` waits for the reader of the log.

    Parameters
    ----------
    file : the descriptor to write to.
    turns : a file that workers which share the descriptor lock, so that their lines do not mix; None for one process.
    """

    def __init__(self, file: int = 1, turns: Path | None = None):
        self._file = file
        self._turns = None if turns is None else os.open(turns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Another thread takes from the other end.
        self._lines: deque[bytes] = deque()
        self._flushing = threading.Lock()
        self._second, self._stamp = -1, ""
        #: Number of lines that were dropped.
        self.dropped = 0

    def write(self, *, method: str, path: str, seconds: float, **fields: Any) -> None:
        """Queue a line.

        Parameters
        ----------
        path : without the query, which may contain data; it is cut to 200 characters, and keys in it are masked.
        fields : further fields of ``Line``.
        """
        if len(self._lines) >= MOST:
            self.dropped += 1
            return
        if len(path) > _LONGEST_PATH:
            path = path[:_LONGEST_PATH] + "..."
        if "mlk_" in path:
            path = _SECRET.sub("mlk_***", path)
        line = Line(time=self._now(), method=method, path=path, ms=round(seconds * 1000, 3), **fields)
        try:
            self._lines.append(_ENCODER.encode(line))
        except UnicodeEncodeError:
            line.path = path.encode("utf-8", "replace").decode()
            self._lines.append(_ENCODER.encode(line))

    def flush(self) -> None:
        """Write the queued lines; drop them if the reader is gone."""
        with self._flushing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if not lines:
                return
            try:
                with self._turn():
                    for piece in _pieces(lines):
                        _write(self._file, piece)
            except OSError:
                self.dropped += len(lines)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock of the workers."""
        if self._turns is None:
            yield
            return
        fcntl.lockf(self._turns, fcntl.LOCK_EX)
        try:
            if os.pread(self._turns, 1, 0) == _BEGUN:
                # The last worker was killed in the middle of a line.
                _write(self._file, b"\n")
            os.pwrite(self._turns, _BEGUN, 0)
            yield
            os.pwrite(self._turns, _DONE, 0)
        finally:
            fcntl.lockf(self._turns, fcntl.LOCK_UN)

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"


_ENCODER = msgspec.json.Encoder()
_BEGUN, _DONE = b"1", b"0"


def _pieces(lines: list[bytes]):
    """Join lines to pieces of at most ``_PIECE`` bytes."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) + 1 > _PIECE:
            yield b"".join(piece)
            piece, size = [], 0
        piece += (line, b"\n")
        size += len(line) + 1
    if piece:
        yield b"".join(piece)


def _write(file: int, piece: bytes) -> None:
    while piece:
        try:
            piece = piece[os.write(file, piece) :]
        except BlockingIOError:
            select.select((), (file,), ())
