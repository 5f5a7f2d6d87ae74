"""Records the requests that tests send, for ``requests.jsonl``.

``python -m pytest -n 0 -p tests.serving.server.recording tests/serving/server``, without ``test_fuzz.py``. Requests of
one line and the same names of headers are alike, and some of them are kept.
"""

import contextlib
import json
import re
import socket
from pathlib import Path

PATH = Path(__file__).parent / "requests.jsonl"
#: Longer requests than this, and more than so many of one shape, show nothing new.
LONGEST, ALIKE = 600, 2

_SENT: dict[socket.socket, bytearray] = {}
_FOUND: list[bytes] = []


def _record(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET and sock.getpeername()[0] == "127.0.0.1":
            _SENT.setdefault(sock, bytearray()).extend(data)


def pytest_configure() -> None:
    """Listen in on all sockets of this process."""

    class Socket(socket.socket):
        def sendall(self, data, *words):
            _record(self, bytes(data))
            return super().sendall(data, *words)

        def close(self):
            _FOUND.append(bytes(_SENT.pop(self, b"")))
            return super().close()

    socket.socket = Socket  # type: ignore[misc]


def pytest_unconfigure() -> None:
    """Write what was found."""
    shapes: dict[tuple, int] = {}
    lines = []
    for sent in dict.fromkeys([*_FOUND, *map(bytes, _SENT.values())]):
        if not 0 < len(sent) <= LONGEST or not re.match(rb"[A-Z]+ \S+ HTTP/1.1\r\n", sent):
            continue
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", sent.decode("latin-1"))
        text = re.sub(r"(?i)(authorization: )[^\r]*", r"\1Bearer none", text)
        head = text.partition("\r\n\r\n")[0]
        line, *headers = head.split("\r\n")
        shape = (line, *sorted(header.partition(":")[0].lower() for header in headers))
        shapes[shape] = shapes.get(shape, 0) + 1
        if shapes[shape] <= ALIKE and "mlk_" not in text:
            lines.append(json.dumps(text))
    PATH.write_text("\n".join(dict.fromkeys(lines)) + "\n")
