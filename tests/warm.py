"""A ``python`` for scripts and notebooks, which forks the commands of the platform and of MLflow (``tests/forked.py``).

It is found on ``PATH`` before the real one. ``python -m registry list`` is answered by a process that has imported
MLflow, with the caller's folder, environment, output and signals; whatever else is asked of it the real one does.
"""

import array
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

from tests import forked

#: What is forked where it follows ``-m``.
PACKAGES = ("mlflow", "pipelines", "registry", "serving")

_PROGRAM = """\
#!/bin/sh
case "$1 $2" in {cases}) exec "{python}" -IS "{folder}/ask.py" "$@";; esac
exec "{python}" "$@"
"""

# What takes the place of the process that the caller started: it hands over what it was given, passes signals on, and
# ends as the forked one does. It starts in a few milliseconds, for it imports next to nothing.
_ASK = """\
import array, json, os, signal, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
given = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
server.sendmsg([len(given).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2]))])
server.sendall(given)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
code = int(server.recv(16) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""

#: Of multiprocessing's list of processes, which is not made for several threads.
_LOCK = threading.Lock()


@contextlib.contextmanager
def python() -> Iterator[Path]:
    """The folder of such a ``python``, as long as the block runs; what it started ends with it."""
    # Not in a folder of the test: the address of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="warm-") as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        listener.bind(f"{name}/socket")
        listener.listen(64)
        (folder / "ask.py").write_text(_ASK.format(address=f"{name}/socket"))
        program = folder / "bin" / "python"
        program.parent.mkdir()
        cases = "|".join(f'"-m {package}"' for package in PACKAGES)
        program.write_text(_PROGRAM.format(cases=cases, python=sys.executable, folder=folder))
        program.chmod(0o755)
        callers: list[socket.socket] = []
        threading.Thread(target=_accept, args=(listener, callers), daemon=True).start()
        try:
            yield program.parent
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for caller in callers:
                with contextlib.suppress(OSError):
                    caller.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, callers: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):  # it is shut
        while True:
            caller, _ = listener.accept()
            callers.append(caller)
            threading.Thread(target=_answer, args=(caller,), daemon=True).start()


def _answer(caller: socket.socket) -> None:
    """Run what a caller asks for: its signals are passed on, and when it is gone, the program is killed."""
    with caller:
        (package, *words), folder, environment, (out, err) = _asked(caller)
        with _LOCK:
            program = forked.Program(package, words, folder=Path(folder), environment=environment, out=out, err=err)
        os.close(out)
        os.close(err)
        while caller in wait([program.sentinel, caller]):
            numbers = caller.recv(16)
            for number in numbers or [signal.SIGKILL]:
                os.kill(program.pid, number)
            if not numbers:
                break
        with _LOCK:
            code = program.wait()
        with contextlib.suppress(OSError):
            caller.sendall(str(code).encode())


def _asked(caller: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]]:
    """The words, the folder and the environment of a caller, and where it writes to."""
    head, ancillary, _, _ = caller.recvmsg(8, socket.CMSG_LEN(2 * array.array("i").itemsize))
    descriptors = array.array("i", ancillary[0][2])
    with caller.makefile("rb") as stream:
        words, folder, environment = json.loads(stream.read(int.from_bytes(head, "big")))
    return words, folder, environment, list(descriptors)
