"""A model's own code, run in a process of its own: the one place where a pickle is ever read.

The process loads the model, answers tables, compiles its pipeline and measures parity (``process``). This side hands it
files and reads files back, so that nothing that a model's code is or gives is ever unpickled here.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

import serving
from registry import logs
from registry.client import said_by
from serving.errors import ServingError
from serving.models import mlmodel, requirements
from serving.models.files import Files
from serving.models.mlmodel import LoggedModel
from serving.models.native import inside, messages
from serving.models.native.messages import Layout, Loaded
from serving.scorecard import Scorecard
from serving.scorecard.errors import ELSEWHERE
from serving.scorecard.inputs import AS_IS, Cleaning, Input

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from serving.models.native.answering import Answers

R = TypeVar("R", bound=messages.Reply)

#: How text is read by a model that was logged without this platform: as training reads it; where the pipeline knows a
#: category that this changes, only an empty text is missing; or nothing is.
CLEANINGS = (Cleaning(), Cleaning(trim=False, missing=("",)), AS_IS)

_log = logs.get_logger(__name__)
# How often it is seen whether the process still lives: one that it started may hold its files open. In seconds.
_LOOK = 0.5
_MODULE = "serving.models.native.process"
# The file of rows that the process is asked about.
_ROWS = "rows.arrow"


class ProcessEnded(ServingError):
    """The process that ran a model's own code is gone; the model answers nothing more."""


class NativeModel:
    """A model that is loaded in a process of its own; see :func:`opened`.

    Parameters
    ----------
    logged : what its MLmodel file says.
    """

    def __init__(self, called: str, logged: LoggedModel, exchange: Path, process: "_Process"):
        self.called, self.logged = called, logged
        self._exchange, self._process = exchange, process
        #: What the loaded model shows of itself.
        self.loaded = self._checked(process.reply(), Loaded, "cannot be loaded")

    def compile(
        self, inputs: Iterable[Input] | None, cleanings: Iterable[Cleaning] = CLEANINGS
    ) -> tuple[Scorecard | None, str]:
        """The scorecard of its pipeline; or None, and why there is none.

        Parameters
        ----------
        inputs : of the scorecard, in order; None for those that the pipeline was fitted on.
        cleanings : how text is read: the first that changes no category which the pipeline knows.
        """
        compiled = self._ask(messages.CompileRequest.of(inputs, cleanings), messages.Compiled, "cannot be compiled")
        if compiled.why:
            return None, compiled.why
        return Scorecard.loads((self._exchange / messages.CARD).read_text(encoding="utf-8")), ""

    def answer(self, rows: "pd.DataFrame | pa.Table", layout: Layout, *, probabilities: bool = True) -> "Answers":
        """Its answers to the rows of a table.

        Parameters
        ----------
        probabilities : whether they are wanted, too, if it has them.

        Raises
        ------
        ServingError
            if it fails, or answers what is not one number or label a row; ProcessEnded if it ended its process.
        """
        from serving.models.native import answering

        with self._exchanged(rows) as name:
            request = messages.AnswerRequest(name, layout, probabilities)
            found = self._ask(request, messages.Answered, "does not answer these rows")
            return answering.read(self._exchange / found.answers)

    def parity(self, card: Scorecard, frame: "pd.DataFrame", layout: Layout) -> dict[str, Any]:
        """How far a scorecard's answers are from its own on these rows; see ``serving.scorecard.parity.measure``.

        Raises
        ------
        ServingError
            if that cannot be measured.
        """
        path = self._exchange / "measured.json"
        path.write_text(card.dumps(), encoding="utf-8")
        with self._exchanged(frame) as name:
            request = messages.ParityRequest(name, layout, str(path))
            return self._ask(request, messages.Measured, "cannot be compared with its scorecard").parity

    @contextmanager
    def _exchanged(self, rows: "pd.DataFrame | pa.Table") -> Iterator[str]:
        """The name of a file with these rows, which goes away with the block, and so does that of their answers."""
        import pyarrow as pa

        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
        try:
            with pa.OSFile(str(self._exchange / _ROWS), "wb") as out, pa.ipc.new_file(out, table.schema) as file:
                file.write_table(table)
        except OSError as error:
            where = self._exchange.parent
            raise ServingError(f"no rows can be handed to {self.called} in {where}: {said_by(error)}") from None
        try:
            yield _ROWS
        finally:
            for name in (_ROWS, messages.answers_to(_ROWS)):
                (self._exchange / name).unlink(missing_ok=True)

    def _ask(self, request: messages.Request, wanted: type[R], what: str) -> R:
        self._process.send(msgspec.json.encode(request))
        return self._checked(self._process.reply(), wanted, what)

    def _checked(self, reply: "messages.Reply | str", wanted: type[R], what: str) -> R:
        if isinstance(reply, wanted):
            return reply
        if isinstance(reply, messages.Failed):
            raise ServingError(f"{self.called} {what}: {self._why(reply)}")
        raise ProcessEnded(f"{self.called} {what}: the process that ran its code {reply}")

    def _why(self, failed: messages.Failed) -> str:
        """Why its code failed: the module that is missing, or its own words and what is installed in other releases."""
        if failed.module:
            return requirements.missing(failed.module, self.logged.requirements)
        if failed.error is None:
            return failed.message
        said = f"{failed.error}: {failed.message}"
        other = requirements.differing(self.logged.requirements)
        if not other:
            return said
        return f"{said}; its requirements.txt wants other releases than those here: {', '.join(other[:5])}"


@contextmanager
def opened(files: Files, called: str, *, why: str) -> Iterator[NativeModel]:
    """A model's own code, at work in a process that ends with the block.

    Parameters
    ----------
    called : what messages call the model.
    why : what it is run for; a line of the log says so before it is run.

    Raises
    ------
    ServingError
        if it does not load.
    RegistryError
        if its files cannot be fetched.
    """
    logged = mlmodel.read(files, called)
    folder = files.folder()
    with tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True) as exchange:
        _log.info("running the code of %s in a process of its own, %s", called, why)
        with _Process.started(folder, Path(exchange)) as process:
            yield NativeModel(called, logged, Path(exchange), process)


def compiled(files: Files, called: str) -> Scorecard:
    """The scorecard of a model that has none, compiled from its pipeline.

    Raises
    ------
    ServingError
        if it does not load, or no scorecard can be made of it.
    RegistryError
        if its files cannot be fetched.
    """
    if not inside.compilable(mlmodel.read(files, called).flavors):
        raise ServingError(
            f"{called} has no scorecard, and no sklearn or statsmodels flavor to make one of; {ELSEWHERE}"
        )
    with opened(files, called, why="to compile a scorecard from it") as native:
        card, reason = native.compile(native.logged.inputs)
    if card is None:
        raise ServingError(f"{called} has no scorecard, and none can be made: {reason}")
    return card


class _Process:
    """The process, and how it is spoken to.

    Parameters
    ----------
    replies : the descriptor from which its replies are read.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", replies: int):
        self._popen, self._replies = popen, replies
        self._read = b""

    @classmethod
    @contextmanager
    def started(cls, folder: Path, exchange: Path) -> Iterator["_Process"]:
        ours, theirs = os.pipe()
        # Our own packages come first; modules of the working folder, which a pickle may name, after all others.
        command = [sys.executable, "-P", "-m", _MODULE, str(folder), str(exchange), str(theirs)]
        places = [str(Path(serving.__file__).parents[1]), os.environ.get("PYTHONPATH"), os.getcwd()]
        path = os.pathsep.join(filter(None, places))
        try:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # it may be data, of any size
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs],
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        try:
            yield cls(popen, ours)
        finally:
            # With whatever it has started; it may hang.
            with suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            assert popen.stdin is not None
            with suppress(OSError):
                popen.stdin.close()
            os.close(ours)

    def send(self, line: bytes) -> None:
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `reply` tells how
            self._popen.stdin.write(line + b"\n")
            self._popen.stdin.flush()

    def reply(self) -> "messages.Reply | str":
        """Its next reply; or, if it has ended, how."""
        with DefaultSelector() as selector:
            selector.register(self._replies, EVENT_READ)
            while b"\n" not in self._read:
                ended = self._popen.poll() is not None
                if not selector.select(0 if ended else _LOOK):
                    if ended:
                        return self._end()
                    continue
                part = os.read(self._replies, 65536)
                if not part:
                    self._popen.wait()
                    return self._end()
                self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return msgspec.json.decode(line, type=messages.Reply)

    def _end(self) -> str:
        code = self._popen.returncode
        if code >= 0:
            return f"ended by itself, with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (": it may have needed more memory than there is" if name == "SIGKILL" else "")
