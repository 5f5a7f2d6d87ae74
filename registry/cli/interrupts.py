"""Ctrl-C and SIGTERM: heard wherever they fall, and only once; never in the middle of what must be whole."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

#: The signals by which a person, a terminal or a scheduler asks a program to stop.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# A library's `except:`, or a destructor, may swallow the exception: it is raised again after this time, in seconds.
_REMINDER = 0.5

# Modules whose own cleanup an interrupt would break. Those of databases would leave a transaction open, and this
# process, which has yet to close its run, waiting for a lock of its own; `shutil` would leave half of a temporary
# folder that MLflow is removing. The interrupt waits for them, and looks again after `_AGAIN` seconds, but for no
# longer than `_PATIENCE` seconds.
_CLEANING_UP = (
    "mlflow.store.tracking.sqlalchemy",
    "mlflow.store.model_registry.sqlalchemy",
    "optuna.storages.",
    "shutil",
)
_AGAIN, _PATIENCE = 0.01, 5.0


class Interrupted(KeyboardInterrupt):
    """The process was told to stop."""


class _Listener:
    """What was asked of this process, and whether it may be said now."""

    def __init__(self, before: dict[int, Any]) -> None:
        self.before = before
        self.heard: signal.Signals | None = None
        self.reminding = False
        self.since = 0.0

    def hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard is None:
            self.heard = signal.Signals(number)
            self.since = time.monotonic()
            self._remind()
        # While an interrupt is on its way out, files are removed and the run is closed: a second one waits for that.
        if _held or _late or _unwinding(sys.exc_info()[1]) or _here(frame):
            return
        if self.reminding and time.monotonic() < self.since + _PATIENCE and _in_cleanup(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _REMINDER)
            return
        raise self.interrupted()

    def interrupted(self) -> Interrupted:
        return Interrupted(message())

    def _remind(self) -> None:
        # A timer, not a thread: the code that was interrupted may hold the locks that a thread needs to start.
        if hasattr(signal, "setitimer") and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self.hear)
            signal.setitimer(signal.ITIMER_REAL, _REMINDER, _REMINDER)
            self.reminding = True

    def end(self, *, last: bool) -> None:
        if self.reminding:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_IGN if last else handler)


_listener: _Listener | None = None
_held = 0
_late = False


@contextmanager
def interruptible(*, last: bool = False) -> Iterator[None]:
    """Raise :class:`Interrupted` in the block where the process is told to stop; once, also if it is told twice.

    Blocks may be nested; the outermost listens. Outside the main thread, where no handler can be set, nothing is
    changed. A signal that is ignored (``nohup``, a background job) stays ignored.

    Parameters
    ----------
    last : the process ends after the block; then signals are ignored from its end on, so that Python's own end, which
        would print a trace, is not interrupted.
    """
    global _late, _listener, _undone
    if _listener is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _late = False
    hook = sys.unraisablehook
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    ours = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    _listener = listener = _Listener(ours)
    try:
        sys.unraisablehook = _quiet(hook)
        for number in ours:
            signal.signal(number, listener.hear)
        yield
    finally:
        listener.end(last=last)
        if not last:
            sys.unraisablehook = hook
        _listener, _undone = None, _UNDONE


def asked() -> bool:
    """Whether the process was told to stop, in the present :func:`interruptible` block and before :func:`close`."""
    return _listener is not None and _listener.heard is not None and not _late


#: What an interrupt leaves undone, in words, unless a command says otherwise.
_UNDONE = "what was not finished is not registered"
_undone = _UNDONE


def undone(words: str) -> None:
    """Say what an interrupt leaves undone, in the present :func:`interruptible` block."""
    global _undone
    _undone = words


def message() -> str:
    """What is told of an interrupt, by the signal that was heard if there is one.

    Python's own exception says nothing; an extension module that is interrupted while it is imported raises that.
    """
    by = f" by {_listener.heard.name}" if _listener is not None and _listener.heard is not None else ""
    return f"interrupted{by}: {_undone}; run the command again"


def close() -> None:
    """From here on it is too late to stop: what was asked for is done, and only has to be told.

    A signal that comes now stops the next piece of work, at its :func:`reopen`; there may be none.
    """
    global _late
    _late = True


def reopen() -> None:
    """A new piece of work begins, which can be stopped.

    Raises
    ------
    Interrupted
        where the process was told to stop before.
    """
    global _late
    _late = False
    check()


def hold() -> None:
    """From here to :func:`release`, signals wait: what is being written is finished, or undone, first."""
    global _held
    _held += 1


def release(*, deliver: bool = True) -> None:
    """Let signals in again.

    Raises
    ------
    Interrupted
        where one has come since :func:`hold`, and ``deliver``.
    """
    global _held
    _held -= 1
    if deliver:
        check()


def check() -> None:
    """Raise where the process was told to stop.

    Raises
    ------
    Interrupted
    """
    if _listener is not None and asked():
        raise _listener.interrupted()


def held() -> AbstractContextManager[None]:
    """:func:`hold` for the block; a signal that has come is not raised at its end, but soon after.

    A `finally:` that begins with it is not interrupted: between the end of the block above it and the first line of the
    one below there is no code but this module's.
    """
    return _HELD


class _Held(AbstractContextManager[None]):
    """What :func:`held` gives; a class, for code of ``contextlib`` in between could be interrupted."""

    def __enter__(self) -> None:
        hold()

    def __exit__(self, *_: object) -> None:
        release(deliver=False)


_HELD = _Held()


def _unwinding(error: BaseException | None) -> bool:
    """Whether an interrupt is being handled: itself, or as the cause of another error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _here(frame: FrameType | None) -> bool:
    """Whether this module is at work: it begins to hold, say, or its hook, in which Python forgets errors, runs."""
    while frame is not None:
        if frame.f_code.co_filename == __file__:
            return True
        frame = frame.f_back
    return False


def _in_cleanup(frame: FrameType | None) -> bool:
    """Whether a module is at work whose own cleanup an interrupt would break."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_CLEANING_UP):
            return True
        frame = frame.f_back
    return False


def _quiet(hook):
    """An unraisable hook that does not print an interrupt which fell into a destructor: it comes again."""

    def unraisable(found) -> None:
        if not issubclass(found.exc_type, KeyboardInterrupt):
            hook(found)

    return unraisable
