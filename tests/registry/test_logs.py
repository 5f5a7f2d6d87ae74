"""The platform's log: what a library user sees of it, what a command shows, and that no secret is in it."""

import contextlib
import io
import logging
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import logs
from registry.cli import log_output
from registry.logs import Progress

ROOT = Path(__file__).parents[2]
LOGGER = logs.get_logger("tests.steps")


def program(text: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment, check=True)


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("", ["  a warning"]),
        ("logging.getLogger('model_lifecycle').setLevel('INFO')", ["  a step", "  a warning"]),
        ("logging.basicConfig(level='INFO', format='%(message)s')", ["a step", "a warning"]),
        ("logging.getLogger('model_lifecycle').addHandler(logging.NullHandler())", []),
    ],
)
def test_a_library_user_sees_the_steps_as_logging_is_set_up(before: str, shown: list[str]) -> None:
    told = program(
        f"import logging\n{before}\nfrom registry import logs\nlog = logs.get_logger('some.module')\n"
        "log.debug('a detail'); log.info('a step'); log.warning('a warning')"
    )

    assert (told.stdout, told.stderr.splitlines()) == ("", shown)


def test_no_handler_gets_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    LOGGER.warning("reading %s", "postgresql://ann:s3cret@host/db")

    assert caplog.messages == ["reading postgresql://ann:***@host/db"]


def test_a_command_shows_each_step_once_and_leaves_logging_as_it_was(capsys: pytest.CaptureFixture) -> None:
    logger = logging.getLogger(logs.ROOT)
    before = logger.handlers[:], logger.level, logger.propagate
    with contextlib.suppress(ZeroDivisionError), log_output.shown():
        LOGGER.info("a step with \x1b[31m in it")
        LOGGER.debug("a detail")
        raise ZeroDivisionError

    assert capsys.readouterr() == ("", "  a step with \\x1b[31m in it\n")
    assert (logger.handlers, logger.level, logger.propagate) == before


@given(st.lists(st.integers(), max_size=5))
def test_items_are_counted_as_they_are_taken(items: list[int]) -> None:
    kept: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    LOGGER.setLevel("DEBUG")
    with contextlib.ExitStack() as after:
        after.callback(LOGGER.setLevel, logging.NOTSET)
        after.callback(LOGGER.removeHandler, handler)
        assert list(logs.counted(LOGGER, "counting", items)) == items

    found = [Progress.of(record) for record in kept]
    assert found == [Progress("counting", done, len(items)) for done in range(len(items) + 1)]


def test_progress_is_a_bar_at_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with log_output.shown():
            for done in range(3):
                better = logging.INFO if done == 1 else logging.DEBUG
                note = Progress("trials", done, 2, f"best {done}")
                LOGGER.log(better, "trial %d of 2", done, extra=note.extra())
                # Work within it has a bar of its own.
                LOGGER.debug("fitting", extra=Progress("fitting", 0, 7).extra())
            LOGGER.info("over")

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    work()
    assert sys.stderr.getvalue() == "  trial 1 of 2\n  over\n"

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with os.fdopen(theirs, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            work()
            terminal.flush()
            shown = ""
            while not shown.endswith("  over\r\n"):
                shown += screen.read(65536).decode()
        monkeypatch.undo()
    assert "  trials" in shown
    assert "0/2" in shown
    assert "1/2" in shown
    assert shown.count("  fitting") == shown.count("0/7") == 3
    assert "trial 1 of 2" not in shown
