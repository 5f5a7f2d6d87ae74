"""The access log: a line of JSON for each request, with nothing of what was asked or answered in it."""

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

#: Bytes of one write. Each lets the threads of requests run, and has to wait for its turn after them: few are better.
_PIECE = 1024 * 1024

#: When the reader of the log does not read, lines beyond so many are dropped, and counted: the server goes on.
MOST = 20_000

_LONGEST_PATH = 200
_GIVEN = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_SECRET = re.compile(r"mlk_[A-Za-z0-9_-]*", re.ASCII)


class Ids:
    """Ids of requests: the client's own where it is a sane one, else one that no other worker makes."""

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count(1)

    def id(self, given: bytes | None = None) -> str:
        """The id of a request whose header ``X-Request-Id`` is ``given``."""
        if given is not None and len(given) <= 64:
            text = given.decode("latin-1")
            if _GIVEN.fullmatch(text):
                return text
        return f"{self._prefix}-{next(self._numbers):x}"


class Line(msgspec.Struct, omit_defaults=True):
    """What a line says; what is empty is left out."""

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
    """Lines are kept, and written by ``flush``, which may wait for whoever reads them; ``write`` never does.

    Parameters
    ----------
    file : the descriptor to write to.
    turns : a file by which workers that share the descriptor take turns, so that no line runs into another; None for
        a process by itself.
    """

    def __init__(self, file: int = 1, turns: Path | None = None):
        self._file = file
        self._turns = None if turns is None else os.open(turns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Another thread takes from its other end.
        self._lines: deque[bytes] = deque()
        self._flushing = threading.Lock()
        self._second, self._stamp = -1, ""
        #: Lines that nobody read in time.
        self.dropped = 0

    def write(self, *, method: str, path: str, seconds: float, **said: Any) -> None:
        """Keep a line.

        Parameters
        ----------
        path : without the query, which may hold data; ours are cut to 200 characters, and keys in them blanked.
        said : further fields of ``Line``.
        """
        if len(self._lines) >= MOST:
            self.dropped += 1
            return
        if len(path) > _LONGEST_PATH:
            path = path[:_LONGEST_PATH] + "..."
        if "mlk_" in path:
            path = _SECRET.sub("mlk_***", path)
        line = Line(time=self._now(), method=method, path=path, ms=round(seconds * 1000, 3), **said)
        try:
            self._lines.append(_ENCODER.encode(line))
        except UnicodeEncodeError:
            line.path = path.encode("utf-8", "replace").decode()
            self._lines.append(_ENCODER.encode(line))

    def flush(self) -> None:
        """Write the lines that are kept; one whose reader is gone is no reason to stop serving."""
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
        """Write while no other worker does."""
        if self._turns is None:
            yield
            return
        fcntl.lockf(self._turns, fcntl.LOCK_EX)
        try:
            if os.pread(self._turns, 1, 0) == _BEGUN:
                # Whoever had the turn before was killed in the middle of a line.
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
    """Whole lines, as many as go into one piece."""
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
