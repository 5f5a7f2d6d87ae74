"""Clients that ask without a pause, and look at every answer."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.serving.server.servers import Server

#: Of a row of zeros the models of ``servers.regression`` answer the number that they were made with.
BODY = b'{"dataframe_records": [{"age": 0, "weight": 0}]}'


class Load:
    """Clients that each keep a connection; use it in a ``with``.

    Parameters
    ----------
    right : whether an answer is that of the version that its header names: ``right(label, value)``.
    answered : how often each version answered.
    failed : what went wrong with requests: a status, or an exception's name.
    mixed : answers that are not their version's.
    """

    def __init__(self, server: Server, path: str, right: Callable[[str, float], bool], *, clients: int = 16):
        self._server, self._path, self._right = server, path, right
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self.mixed: list[tuple[str, float]] = []
        self.slowest = 0.0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client still waits for an answer"

    @property
    def total(self) -> int:
        """How many were answered."""
        return sum(self.answered.values())

    def more(self, count: int = 50, *, within: float = 60) -> None:
        """Wait until so many more were answered."""
        goal, deadline = self.total + count, time.monotonic() + within
        while self.total < goal:
            assert time.monotonic() < deadline, f"{self.total} of {goal} answered, failed: {Counter(self.failed)}"
            time.sleep(0.01)

    def _client(self) -> None:
        head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        connection = None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._server.port), timeout=30)
                began = time.monotonic()
                connection.sendall(request)
                status, label, body = _read(connection)
                with self._lock:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    if status != 200:
                        self.failed.append(f"{status} {json.loads(body)['message']}")
                        continue
                    value = json.loads(body)["predictions"][0]
                    self.answered[label] += 1
                    if not self._right(label, value):
                        self.mixed.append((label, value))
            except OSError as error:
                with self._lock:
                    self.failed.append(type(error).__name__)
                if connection is not None:
                    connection.close()
                    connection = None
        if connection is not None:
            connection.close()


def _read(connection: socket.socket) -> tuple[int, str, bytes]:
    found = b""
    while b"\r\n\r\n" not in found:
        found += _more(connection)
    head, _, body = found.partition(b"\r\n\r\n")
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    headers = {name.lower(): value for name, _, value in lines}
    while len(body) < int(headers[b"content-length"]):
        body += _more(connection)
    return int(head.split()[1]), headers.get(b"x-model-version", b"").decode(), body


def _more(connection: socket.socket) -> bytes:
    found = connection.recv(65536)
    if not found:
        raise ConnectionResetError("closed by the server")
    return found
