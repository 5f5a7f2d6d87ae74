"""Processes that are forked from one that has imported MLflow: real ones, which are there at once.

Their signals, exit codes, output and ends are those of any process. What they do not show is an interpreter's own
start: imports, the hash seed, variables that a library reads as it is imported. A test of these runs a fresh one.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import TextIO

#: What is imported before the first fork: what nearly every command and server needs, and none that starts a thread.
_IMPORTED = (
    "great_expectations.render.renderer.page_renderer",
    "great_expectations.render.view",
    # MLflow imports them when a run starts.
    "git",
    "IPython",
    "matplotlib.pyplot",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "pyarrow.parquet",
    "pipelines.terminal",
    "pipelines.training",
    "pipelines.tuning.search",
    "registry.cli.terminal",
    "registry.promotion",
    "registry.judging",
    "skops.io",
    "sqlglot",
    "uvicorn.main",
)


def context() -> ForkServerContext:
    """The way of making such processes; the first that is made waits for the imports."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(_IMPORTED))
    return made


class Program:
    """``python -m package words``, with the part of ``subprocess.Popen`` that tests use.

    Parameters
    ----------
    package : str
        the module that is run as ``__main__``.
    words : sequence of str
        its arguments.
    folder : Path
        the working folder.
    environment : mapping of str to str
        all of its environment.
    out, err : int
        the descriptors that it writes to.
    """

    def __init__(
        self, package: str, words: Sequence[str], *, folder: Path, environment: Mapping[str, str], out: int, err: int
    ):
        self.args = [package, *words]
        arguments = (package, list(words), str(folder), dict(environment), DupFd(out), DupFd(err))
        self._process = context().Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the signal that ended it; none while it runs."""
        return self._process.exitcode

    @property
    def sentinel(self) -> int:
        """A descriptor that can be read when it has ended."""
        return self._process.sentinel

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def piped(
    package: str, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> tuple[Program, TextIO, TextIO]:
    """A program, and what it writes to standard output and standard error."""
    out, err = os.pipe(), os.pipe()
    try:
        program = Program(package, words, folder=folder, environment=environment, out=out[1], err=err[1])
    finally:
        # Those of the program are its own: when it ends, so does what is read here.
        os.close(out[1])
        os.close(err[1])
    return program, os.fdopen(out[0], encoding="utf-8"), os.fdopen(err[0], encoding="utf-8")


def _end_with_its_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _run(package: str, words: list[str], folder: str, environment: dict[str, str], out: DupFd, err: DupFd) -> None:
    """Become the program: its files, environment and folder, and its end, for which multiprocessing would not care."""
    import numpy as np

    for target, source in ((1, out.detach()), (2, err.detach())):
        os.dup2(source, target)
        os.close(source)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = [package, *words]
    # However the tests end, nothing of them is left.
    threading.Thread(target=_end_with_its_parent, daemon=True).start()
    # Forked ones would all draw the same.
    np.random.seed()  # noqa: NPY002
    try:
        runpy.run_module(package, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
