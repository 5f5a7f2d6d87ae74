"""Programs that tests make for themselves, each in an environment of its own below ``build/tools``, and keep there."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.packaging import emulator
from tests import system
from tests.command import ROOT

FOLDER = ROOT / "build" / "tools"

SERVERLESS = "serverless@3.40.0"
#: Seconds for which what could not be installed is not tried again.
_PATIENCE = 600


def sam() -> list[str]:
    """The command ``sam``: it wants an older Click than ours."""
    return [str(python(emulator.WHEEL)), "-m", "samcli"]


def python(*requirements: str) -> Path:
    """The Python of an environment that has packages which are not to be among ours, named after the first of them."""
    folder = FOLDER / requirements[0].replace("==", "-")
    program = folder / "bin" / "python"

    def make() -> None:
        _run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder))
        _run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(program), *requirements)

    _made(folder, make)
    return program


def serverless() -> list[str]:
    """The command ``serverless``, version 3."""
    npm = system.need("npm")
    folder = FOLDER / SERVERLESS.replace("@", "-")

    def make() -> None:
        folder.mkdir()
        _run(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), SERVERLESS)

    _made(folder, make)
    return [system.need("node"), str(folder / "node_modules" / "serverless" / "bin" / "serverless.js")]


def rie() -> Path:
    """AWS's Runtime Interface Emulator; where there is none for this machine, the test is skipped."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with _locked("rie"):
            program = emulator.find(fetch=True, cache=FOLDER)
    except ServingError as error:
        return _unavailable(str(error))
    if program is None:
        return _unavailable("AWS's emulator is not made for this machine")
    return program


def _made(folder: Path, make: Callable[[], None]) -> None:
    """Make what is not there; what was cut short is made anew, and of several that want it one makes it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    done, failed = (folder.with_name(f"{folder.name}.{what}") for what in ("done", "failed"))
    with _locked(folder.name):
        if done.exists():
            return
        if failed.exists() and time.time() - failed.stat().st_mtime < _PATIENCE:
            _unavailable(failed.read_text(encoding="utf-8"))
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        try:
            make()
        except subprocess.CalledProcessError as error:
            failed.write_text(f"{folder.name} cannot be installed: {error.stderr.strip()[-300:]}", encoding="utf-8")
            _unavailable(failed.read_text(encoding="utf-8"))
        done.touch()


class _locked:
    """Holds a lock that other processes respect."""

    def __init__(self, name: str):
        self._file = (FOLDER / f"{name}.lock").open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _unavailable(reason: str):
    """Skip what wants something of the network that cannot be had: that says nothing of this project."""
    pytest.skip(reason)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
