"""``lifecycle``, the console command: every command of every package, and nothing heavy to start."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.command import ROOT

PROGRAM = Path(sysconfig.get_path("scripts")) / "lifecycle"


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("package", ["pipelines", "registry", "serving"])
def test_it_has_the_commands_of_every_package(package):
    listed = subprocess.run(
        [sys.executable, "-m", package, "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.partition("Commands:\n")[2]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
    assert names
    help_text = run("--help").stdout
    for name in names:
        assert f"\n  {name} " in help_text
        done = run(name, "--help")
        assert (done.returncode, done.stdout.startswith(f"Usage: lifecycle {name} ")) == (0, True), done


def test_its_errors_are_one_line():
    done = run("nosuch")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: No such command 'nosuch'. (see lifecycle --help)\n",
    )


def test_it_says_its_version():
    assert run("--version").stdout.startswith("lifecycle, version ")
