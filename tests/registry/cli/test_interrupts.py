"""Signals: heard wherever they fall, told once, and never in the middle of what must be whole."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from registry.cli import interrupts

ROOT = Path(__file__).parents[3]


def python(body: str, *signals: signal.Signals, pause: float = 0.1, ignored: tuple = ()) -> tuple[int, str, str]:
    """Run a script in a process; send it signals once it has printed a line. Its exit code, output and errors."""
    head = (
        "import gc, os, signal, sys, time\nfrom registry.cli import interrupts\n"
        "def ready(): print('ready', flush=True)\n"
    )
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        script = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(body)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert script.stdout is not None
    assert script.stdout.readline() == "ready\n"
    for number in signals:
        script.send_signal(number)
        time.sleep(pause)
    out, err = script.communicate(timeout=30)
    return script.returncode, out, err


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_raises_where_the_block_is(number):
    code, out, err = python(
        """
        try:
            with interrupts.interruptible():
                ready()
                time.sleep(20)
        except interrupts.Interrupted as error:
            print(error)
        """,
        number,
    )
    assert (code, err) == (0, "")
    assert out.startswith(f"interrupted by {number.name}: ")


def test_a_command_says_what_an_interrupt_leaves_undone():
    code, out, _ = python(
        """
        try:
            with interrupts.interruptible():
                interrupts.undone("no answer is written")
                ready()
                time.sleep(20)
        except interrupts.Interrupted as error:
            print(error, interrupts.message(), sep="; ")
        """,
        signal.SIGINT,
    )
    told = "interrupted by SIGINT: no answer is written; run the command again"
    assert (code, out) == (0, f"{told}; interrupted: what was not finished is not registered; run the command again\n")


@pytest.mark.parametrize("package", ["pipelines", "registry", "serving"])
def test_an_interrupt_of_the_first_import_is_one_line(package: str, tmp_path: Path):
    (tmp_path / "click.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(20)\n")
    program = subprocess.Popen(
        [sys.executable, "-m", package], env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "importing\n"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    said = "error: interrupted by SIGINT: nothing was begun; run the command again\n"
    assert (program.returncode, err) == (2, said)


def test_an_interrupt_that_a_library_swallows_comes_again():
    code, out, err = python(
        """
        with interrupts.interruptible():
            try:
                try:
                    ready()
                    time.sleep(20)
                except:
                    print("swallowed")
                time.sleep(20)
            except interrupts.Interrupted:
                print("heard")
        """,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "swallowed\nheard\n", "")


def test_an_interrupt_in_a_database_transaction_comes_after_it():
    code, out, err = python(
        """
        from mlflow.store.tracking import sqlalchemy_store
        # Runs as a method of the store does, which holds a transaction open.
        exec(
            "def write(ready):\\n"
            "    import time\\n"
            "    ready()\\n"
            "    end = time.monotonic() + 0.5\\n"
            "    while time.monotonic() < end: pass\\n"
            "    print('written')\\n",
            sqlalchemy_store.__dict__,
        )
        try:
            with interrupts.interruptible():
                sqlalchemy_store.write(ready)
                time.sleep(20)
        except interrupts.Interrupted:
            print("heard")
        """,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "written\nheard\n", "")


def test_an_interrupt_while_a_folder_is_removed_comes_after_it(tmp_path: Path):
    for number in range(100):
        (tmp_path / "folder" / str(number)).mkdir(parents=True)
    code, out, err = python(
        f"""
        import shutil
        removed = []
        def halfway(event, _):
            if event == "os.rmdir":
                removed.append(event)
                if len(removed) == 50:
                    os.kill(os.getpid(), signal.SIGINT)
        sys.addaudithook(halfway)
        ready()
        try:
            with interrupts.interruptible():
                shutil.rmtree({str(tmp_path / "folder")!r})
                time.sleep(20)
        except interrupts.Interrupted:
            print("heard")
        """
    )
    assert (code, out, err) == (0, "heard\n", "")
    assert not (tmp_path / "folder").exists()


def test_an_interrupt_in_a_destructor_comes_again_and_python_prints_nothing():
    code, out, err = python(
        """
        class Slow:
            def __del__(self):
                ready()
                time.sleep(0.3)
        try:
            with interrupts.interruptible():
                del [Slow()][0]
                print("ignored")
                time.sleep(20)
        except interrupts.Interrupted:
            print("heard")
        """,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "ignored\nheard\n", "")


def test_an_interrupt_while_python_tells_of_a_broken_destructor_comes_after_that():
    code, out, err = python(
        """
        def slow(found):
            ready()
            time.sleep(0.3)
        sys.unraisablehook = slow
        class Broken:
            def __del__(self):
                raise ValueError
        try:
            with interrupts.interruptible():
                del [Broken()][0]
                print("told")
                time.sleep(20)
        except interrupts.Interrupted:
            print("heard")
        """,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "told\nheard\n", "")


def test_a_second_signal_does_not_disturb_what_the_first_began():
    code, out, err = python(
        """
        try:
            with interrupts.interruptible():
                try:
                    ready()
                    time.sleep(20)
                finally:
                    time.sleep(0.7)
                    print("cleaned")
        except interrupts.Interrupted as error:
            print(type(error).__name__)
        """,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "cleaned\nInterrupted\n", "")


def test_what_begins_with_holding_is_done_though_the_signal_falls_just_before():
    # At the first function that is called once the block is over: there is no code before it but this module's.
    code, out, err = python(
        """
        def interrupt(frame, event, argument):
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGINT)
        done = []
        ready()
        try:
            with interrupts.interruptible():
                try:
                    sys.settrace(interrupt)
                finally:
                    with interrupts.held():
                        done.append("written")
                time.sleep(20)
        except interrupts.Interrupted:
            print(*done, "heard")
        """
    )
    assert (code, out, err) == (0, "written heard\n", "")


def test_what_is_held_is_finished_first():
    code, out, err = python(
        """
        try:
            with interrupts.interruptible():
                interrupts.hold()
                ready()
                time.sleep(0.7)
                print("written", interrupts.asked())
                interrupts.release()
                print("never")
        except interrupts.Interrupted:
            print("heard")
        """,
        signal.SIGTERM,
    )
    assert (code, out, err) == (0, "written True\nheard\n", "")


def test_a_signal_that_is_too_late_stops_the_next_piece_of_work_only():
    code, out, err = python(
        """
        try:
            with interrupts.interruptible():
                interrupts.close()
                ready()
                time.sleep(0.7)
                print("told", interrupts.asked())
                interrupts.reopen()
                print("never")
        except interrupts.Interrupted:
            print("stopped")
        """,
        signal.SIGINT,
    )
    assert (code, out, err) == (0, "told False\nstopped\n", "")


def test_a_signal_that_is_ignored_stays_so():
    code, out, err = python(
        """
        with interrupts.interruptible():
            ready()
            time.sleep(0.4)
        print("went on")
        """,
        signal.SIGHUP,
        ignored=(signal.SIGHUP,),
    )
    assert (code, out, err) == (0, "went on\n", "")


def test_the_end_of_a_program_is_not_interrupted():
    code, out, err = python(
        """
        import atexit
        atexit.register(lambda: (ready(), time.sleep(0.4), print("ended")))
        with interrupts.interruptible(last=True):
            pass
        """,
        signal.SIGINT,
        signal.SIGTERM,
    )
    assert (code, out, err) == (0, "ended\n", "")


def test_handlers_are_put_back():
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    hook = sys.unraisablehook
    with interrupts.interruptible(), interrupts.interruptible():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in interrupts.SIGNALS} == before
    assert sys.unraisablehook is hook


def test_nothing_is_asked_outside_of_a_block():
    interrupts.check()
    assert not interrupts.asked()


PROGRAM = """
import click
from registry.cli.commands import Group, run
@click.group(cls=Group)
def cli(): pass
@cli.command()
def work():
    try:
        ready()
        time.sleep(20)
    except KeyboardInterrupt:
        {caught}
    {after}
{before}
sys.argv = ["program", "work"]
run(cli)
"""
SAID = "error: interrupted by SIGINT: what was not finished is not registered; run the command again\n"


def test_a_signal_on_the_way_out_of_a_program_leaves_its_one_line_alone():
    # With each leaving of a context manager there is another one.
    again = (
        "def again(frame, event, argument):\n"
        "    if frame.f_code.co_name == '__exit__': os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    program = PROGRAM.format(caught="sys.settrace(again); raise", after="", before=again)
    assert python(program, signal.SIGINT) == (2, "", SAID)


def test_an_interrupt_of_which_a_library_kept_no_trace_is_told_as_one():
    program = PROGRAM.format(caught="pass", after="raise RuntimeError('cannot build')", before="")
    assert python(program, signal.SIGINT) == (2, "", SAID)
