"""How the commands take their words and tell their errors."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.errors import PipelineError
from registry.cli.commands import Group, Names, Switch, merged, option, pairs, told
from registry.errors import RegistryError
from tests import command

ROOT = Path(__file__).parents[3]
RAISED: dict[str, BaseException] = {
    "own": PipelineError("expected rows,\nfound none;  add some"),
    "registry": RegistryError("the registry refuses"),
    "unexpected": ZeroDivisionError("division by zero"),
    "full": OSError(errno.ENOSPC, "No space left on device", "/somewhere/model.skops"),
    "memory": MemoryError(),
    "interrupt": KeyboardInterrupt(),
    "cut short": EOFError("marshal data too short"),
    "absent": FileNotFoundError(errno.ENOENT, "No such file or directory", "/somewhere"),
}


@click.group(cls=Group)
def cli() -> None:
    """A group."""


@cli.command()
@option("--error", type=click.Choice(sorted(RAISED)))
@option("--columns", type=Names(), multiple=True)
@option("--draw", type=Switch(), default="yes")
@option("--rows", type=click.IntRange(1), default=3)
def work(error: str | None, columns: tuple, draw: bool, rows: int) -> None:
    """Work."""
    if error:
        raise RAISED[error]
    click.echo(f"{merged(columns)} {draw} {rows}")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, words, prog_name="program")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("own", "error: expected rows, found none; add some"),
        ("registry", "error: the registry refuses"),
        ("unexpected", "error: unexpected ZeroDivisionError: division by zero; --debug shows where"),
        ("cut short", "error: unexpected EOFError: marshal data too short; --debug shows where"),
        ("full", "error: no space left to write /somewhere/model.skops; free some, or set TMPDIR to a larger disk"),
        ("memory", "error: not enough memory for this table; take fewer rows or columns"),
        ("interrupt", "error: interrupted: what was not finished is not registered; run the command again"),
        (
            "absent",
            "error: /somewhere: No such file or directory; see that it is there and may be used (--debug: where)",
        ),
    ],
)
def test_an_error_is_one_line_and_2(error: str, line: str):
    result = invoke("work", "--error", error)
    assert (result.exit_code, result.stderr, result.stdout) == (2, f"{line}\n", "")


@pytest.mark.parametrize("words", [("--debug", "work"), ("work", "--debug")])
def test_debug_shows_the_trace_before_the_line(words: tuple[str, ...]):
    result = invoke(*words, "--error", "own")
    lines = result.stderr.splitlines()
    assert result.exit_code == 2
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "error: expected rows, found none; add some"


def test_debug_of_one_command_is_not_that_of_the_next():
    invoke("--debug", "work", "--error", "own")
    assert "Traceback" not in invoke("work", "--error", "own").stderr


def test_an_error_tells_of_the_full_disk_that_caused_it():
    error = RegistryError("upload failed")
    error.__cause__ = OSError(errno.EFBIG, "File too large", "/somewhere/plot.svg")
    assert told(error).startswith("no space left to write /somewhere/plot.svg")


def test_an_error_that_a_library_made_of_an_interrupt_is_one():
    error = ImportError("numpy failed to import")
    error.__context__ = KeyboardInterrupt()
    assert told(error).startswith("interrupted")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("wrok",), r"No such command 'wrok'. Did you mean 'work'\? \(see program --help\)"),
        (("work", "--colour", "red"), r"No such option '--colour'.*\(see program work --help\)"),
        (("work", "--rows"), "Option '--rows' requires an argument"),
        (("work", "--rows", "many"), r"Invalid value for '--rows': 'many' is not a valid integer"),
        (("work", "--rows", "0"), r"Invalid value for '--rows': 0 is not in the range x>=1"),
        (("work", "--draw", "perhaps"), r"'--draw': expected yes, no, or nothing .*, found 'perhaps'"),
        (("work", "extra"), r"Got unexpected extra argument"),
    ],
)
def test_a_word_that_cannot_be_taken_is_one_line(words: tuple[str, ...], says: str):
    result = invoke(*words)
    assert result.exit_code == 2
    assert re.fullmatch(f"error: .*{says}.*\n", result.stderr)
    assert result.stdout == ""


def test_without_words_the_help_is_shown():
    result = invoke()
    assert result.exit_code == 2
    assert "Usage: program" in result.output
    assert "work" in result.output
    assert "error:" not in result.output


def test_help_and_success_end_with_0():
    assert invoke("--help").exit_code == 0
    assert invoke("work", "--help").exit_code == 0
    assert invoke("work").stdout == "() True 3\n"


def test_an_empty_text_is_an_option_that_is_not_given():
    assert invoke("work", "--rows", "", "--draw", "", "--columns", "").stdout == "() True 3\n"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a,b"], ("a", "b")),
        (["a, b", "c", "a"], ("a", "b", "c")),
        (['"last, first",b'], ("last, first", "b")),
        (['"say ""hi""", 5" pipe'], ('say "hi"', '5" pipe')),
        ([" a ,,b "], ("a", "b")),
    ],
)
def test_names_have_commas_between_them(given: list[str], names: tuple[str, ...]):
    words = [word for text in given for word in ("--columns", text)]
    assert invoke("work", *words).stdout == f"{names} True 3\n"


def test_a_list_with_an_open_quote_is_refused():
    done = invoke("work", "--columns", '"last, first')
    assert done.exit_code == 2
    assert "a double quote is not closed" in done.stderr


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["alpha=0.1"], {"alpha": "0.1"}),
        (["alpha=0.1 tol=1e-3", "C=2"], {"alpha": "0.1", "tol": "1e-3", "C": "2"}),
        (["hidden_layer_sizes=(8, 4), alpha=1"], {"hidden_layer_sizes": "(8, 4)", "alpha": "1"}),
        ([], {}),
    ],
)
def test_pairs(texts: list[str], found: dict[str, str]):
    assert pairs(texts, "--param") == found


@pytest.mark.parametrize("text", ["alpha", "=1", "0.1"])
def test_what_is_no_pair_is_refused(text: str):
    with pytest.raises(click.UsageError, match="--param: expected name=value, found"):
        pairs([text], "--param")


def test_the_program_without_words_prints_its_help(tmp_path: Path):
    done = command.run(folder=tmp_path)
    assert done.code == 2
    assert "Usage: python -m pipelines" in done.out
    assert done.err == ""


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "train", "--help"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert done.stderr == ""
