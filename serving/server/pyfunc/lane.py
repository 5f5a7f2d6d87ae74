"""A lane: the process that loads one model of MLflow's, and answers the workers over a Unix socket.

``lane MODEL SOCKET REASON MEMORY LIFE``: the folder of the model, where to listen, the file for the reason of a
failure, the limit of its memory in bytes, and a pipe that closes when the supervisor ends. It may run in an environment
that has only what the model wants: MLflow, and nothing of this project but the modules that it imports.

One thread does everything: what has arrived while the model was busy is answered next, several requests by one call of
the model where that gives the same answers. No request waits for others to arrive.
"""

import contextlib
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from serving.functions.failures import places
from serving.functions.loaded import InvalidInput, LoadedPyfunc, encoded
from serving.models import requirements
from serving.server.pyfunc import framing
from serving.server.pyfunc.framing import FrameReader

#: Exit codes: the model does not load (the reason is in a file), and it needs more memory than it may take.
UNLOADABLE, NO_MEMORY = 2, 4
#: Seconds after the last of a call's requests is late until the model is given up.
_MARGIN = 1.0
#: Seconds that a worker may take to read a reply.
_READING = 10.0
#: Rows that are answered by one call of the model, unless a request alone has more.
_TOGETHER = 4096
_READ = 1 << 18


class Request:
    """A request of a worker that waits."""

    __slots__ = ("asked", "connection", "header")

    def __init__(self, connection: socket.socket, header: dict[str, Any], body: bytes) -> None:
        self.connection, self.header, self.asked = connection, header, framing.asked(header, body)

    @property
    def late(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return time.monotonic() > self.header["until"]


class Lane:
    """Answers requests until its supervisor ends, or until it is told to end and all workers have left.

    Parameters
    ----------
    listener : where workers connect.
    life : a pipe that closes when the supervisor ends.
    """

    def __init__(self, model: LoadedPyfunc, listener: socket.socket, life: int) -> None:
        self._model, self._listener, self._life = model, listener, life
        self._readers: dict[socket.socket, FrameReader] = {}
        self._urgent: deque[Request] = deque()
        self._idle: deque[Request] = deque()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(life, selectors.EVENT_READ)
        self._ending = False
        self._process = os.getpid()

    def end(self) -> None:
        """End once all workers have left."""
        self._ending = True

    def run(self) -> int:
        """Answer; the exit code."""
        while True:
            waits = not (self._urgent or self._idle)
            for key, _ in self._selector.select(0.5 if waits else 0):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._life:
                    os.killpg(os.getpgrp(), signal.SIGKILL)  # with the processes that the model has started
                else:
                    self._receive(key.fileobj)  # type: ignore[arg-type]
            if self._ending and not self._readers:
                return 0
            if not self._answer(self._next()):
                return NO_MEMORY

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.settimeout(_READING)
            self._readers[connection] = FrameReader()
            self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_READ)
        except OSError:
            data = b""
        if not data:
            self._leave(connection)
            return
        for header, body in self._readers[connection].feed(data):
            queue = self._idle if header.get("low") else self._urgent
            queue.append(Request(connection, header, body))

    def _leave(self, connection: socket.socket) -> None:
        if self._readers.pop(connection, None) is not None:
            self._selector.unregister(connection)
            connection.close()

    def _next(self) -> list[Request]:
        """The requests to answer by the next call of the model."""
        found: list[Request] = []
        rows = 0
        while self._urgent:
            request = self._urgent[0]
            if request.late or request.connection not in self._readers:
                self._urgent.popleft()
                continue
            if found and (not self._model.by_row or rows + request.asked.count > _TOGETHER):
                break
            found.append(self._urgent.popleft())
            rows += request.asked.count
        while not found and self._idle:
            request = self._idle.popleft()
            if not request.late and request.connection in self._readers:
                found.append(request)
        return found

    def _answer(self, requests: list[Request]) -> bool:
        """Answer requests; False if the model has no memory left."""
        if len(requests) > 1:
            with contextlib.suppress(Exception, SystemExit), self._limited(requests):
                parts = self._model.predict_all([request.asked for request in requests])
                if parts is not None:
                    for request, part in zip(requests, parts, strict=True):
                        self._reply(request, part)
                    return True
        for request in requests:
            if request.late:
                continue
            try:
                with self._limited([request]):
                    found = self._model.predict(request.asked)
                self._reply(request, found)
            except InvalidInput:
                self._refuse(request, framing.INVALID)
            except MemoryError:
                self._refuse(request, framing.MEMORY)
                return False
            except (Exception, SystemExit) as error:
                self._refuse(request, framing.FAILED, what=type(error).__name__, at=places(error))
        return True

    @contextlib.contextmanager
    def _limited(self, requests: Iterable[Request]):
        """Have this process killed if the model does not answer in time, whatever it does."""
        until = max(request.header["until"] for request in requests)
        signal.setitimer(signal.ITIMER_REAL, max(0.01, until - time.monotonic()) + _MARGIN)
        try:
            yield
        finally:
            if os.getpid() != self._process:
                os._exit(0)  # a process that the model has forked, and that does not know it
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _reply(self, request: Request, found: Any) -> None:
        code, content = encoded(found)
        if len(content) > request.header["most"]:
            self._refuse(request, framing.TOO_LARGE)
        else:
            self._send(request, {"kind": framing.FOUND, "code": code}, content)

    def _refuse(self, request: Request, kind: str, **more: Any) -> None:
        self._send(request, {"kind": kind, **more})

    def _send(self, request: Request, header: dict[str, Any], body: bytes = b"") -> None:
        try:
            request.connection.sendall(framing.frame({"id": request.header["id"], **header}, body))
        except OSError:
            self._leave(request.connection)


def main(words: list[str]) -> int:
    """Run the program; its exit code."""
    folder, path, reason, memory, life = Path(words[0]), Path(words[1]), Path(words[2]), int(words[3]), int(words[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # standard output is the server's log
    _confine(memory)
    try:
        model = _loaded(folder)
    except MemoryError:
        return _failed(reason, f"it needs more than the {memory / 2**20:,.0f} MiB of memory of --pyfunc-memory")
    except (Exception, SystemExit) as error:
        return _failed(reason, _unloadable(folder, error))
    # What a model prints may hold data of requests.
    nothing = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nothing, number)
    with socket.socket(socket.AF_UNIX) as listener:
        new = path.with_name(f".{path.name}")
        new.unlink(missing_ok=True)
        listener.bind(str(new))
        listener.listen(256)
        lane = Lane(model, listener, life)
        signal.signal(signal.SIGTERM, lambda *_: lane.end())
        os.rename(new, path)
        return lane.run()


def _loaded(folder: Path) -> LoadedPyfunc:
    """The model, after it has answered its example: what it imports late is then there."""
    import mlflow.pyfunc

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    model = LoadedPyfunc(mlflow.pyfunc.load_model(str(folder)))
    example = folder / "serving_input_example.json"
    with contextlib.suppress(Exception, SystemExit):
        import json

        model.predict(model.signature.question(json.loads(example.read_text(encoding="utf-8"))).table)
    return model


def _unloadable(folder: Path, error: BaseException) -> str:
    """Why a model does not load, without paths: the first error, which MLflow may have wrapped."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    if isinstance(error, ModuleNotFoundError):
        return _missing(folder, error)
    said = " ".join(str(error).replace(f"{folder}/", "").split())[:300]
    return (
        f"it cannot be loaded ({type(error).__name__}: {said}); install what its requirements.txt lists, in the "
        "releases it names"
    )


def _missing(folder: Path, error: ModuleNotFoundError) -> str:
    """A message about a package that is not installed, with the release that the model wants."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return f"{requirements.missing(error.name or '', lines)}, or set `serve: {{env: uv}}` in the policy"


def _failed(reason: Path, text: str) -> int:
    reason.write_text(text, encoding="utf-8")
    return UNLOADABLE


def _confine(memory: int) -> None:
    """Limit the memory of this process, and of each that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
