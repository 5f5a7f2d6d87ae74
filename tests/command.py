"""The commands as people run them: processes of their own, with what they said and how long they took."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import forked

ROOT = Path(__file__).parents[1]

#: A training that leaves out whatever takes time and can be left out.
BARE = ("--folds", "0", "--intervals", "0", "--pictures", "no", "--suite", "none")


@dataclass(frozen=True)
class Done:
    """A process that has ended.

    Parameters
    ----------
    seconds : from its start to its end.
    """

    code: int
    out: str
    err: str
    seconds: float

    @property
    def line(self) -> str:
        """The last line on standard error."""
        return (self.err.strip().splitlines() or [""])[-1]


class Command:
    """A running process of one of the packages; ``with`` it, so that it is over when the test is.

    Parameters
    ----------
    fresh : bool
        whether it is an interpreter of its own, which imports all anew: for what hangs on its start. Settings of
        ``subprocess.Popen`` want one, too.
    """

    def __init__(
        self,
        *words: str,
        folder: Path,
        package: str = "pipelines",
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
        **popen,
    ):
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        environment |= {"PYTHONPATH": str(ROOT), **(env or {})}
        self._began = time.monotonic()
        self.process: subprocess.Popen | forked.Program
        if fresh or popen:
            self.process = popened = subprocess.Popen(
                [sys.executable, "-m", package, *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                **popen,
            )
            out, err = popened.stdout, popened.stderr
        else:
            self.process, out, err = forked.piped(package, words, folder=folder, environment=environment)
        self._said: dict[str, list[str]] = {"out": [], "err": []}
        self._changed = threading.Condition()
        pipes = {"out": out, "err": err}
        self._readers = [threading.Thread(target=self._read, args=(name, pipe)) for name, pipe in pipes.items()]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe) -> None:
        with pipe:
            for line in pipe:
                with self._changed:
                    self._said[name].append(line)
                    self._changed.notify_all()

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.done()

    def wait_for(self, words: str, *, timeout: float = 60) -> None:
        """Wait until a line on standard error holds the words."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(words in line for line in self._said["err"]) or self.process.poll() is not None, timeout
            )
        assert found, f"did not say {words!r} in {timeout} s: {self._said}"
        assert any(words in line for line in self._said["err"]), f"ended without {words!r}: {self._said}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def done(self, *, timeout: float = 120) -> Done:
        """Wait for its end."""
        self.process.wait(timeout)
        seconds = time.monotonic() - self._began
        for reader in self._readers:
            reader.join()
        return Done(self.process.returncode, "".join(self._said["out"]), "".join(self._said["err"]), seconds)


def run(*words: str, folder: Path, **settings) -> Done:
    """Run a command to its end."""
    with Command(*words, folder=folder, **settings) as command:
        return command.done()


def failed(done: Done, *, says: str) -> str:
    """Assert that a command failed as commands do: exit code 2, and one line that holds the words; the line."""
    assert done.code == 2, done
    assert done.line.startswith("error: "), done.err
    assert says in done.line, done.err
    assert "Traceback" not in done.err, done.err
    assert "Exception ignored" not in done.err, done.err
    # What went before are steps, each of them indented.
    assert all(line.startswith("  ") for line in done.err.strip("\n").splitlines()[:-1]), done.err
    return done.line
