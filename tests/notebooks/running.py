"""Notebooks run as a reader runs them, in a copy of the project, and what their cells showed.

Only the commands that their cells run are forked from a process that has imported MLflow.
"""

import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nbformat
import psutil
import pytest

from tests.command import ROOT
from tests.patience import soon

#: What would reach the notebook from whoever runs the tests.
_SETTINGS = ("MLFLOW_", "LEDGER_", "LIFECYCLE_", "MPLBACKEND")

EXECUTE = runpy.run_path(str(ROOT / "notebooks" / "execute.py"))


def project(folder: Path) -> Path:
    """The project as a stranger gets it, without a store."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def executed(
    folder: Path, name: str, warm_python: Path, *, changes: Mapping[str, str] | None = None
) -> dict[str, list]:
    """What each cell of a notebook showed, by the cell's id; and nothing that it started is left.

    Unless something of its code is changed, it is what the committed notebook shows, but for the digits of numbers.
    """
    root = project(folder)
    notebook = nbformat.read(root / "notebooks" / name, as_version=4)
    committed = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        for old, new in (changes or {}).items():
            cell.source = cell.source.replace(old, new)
    after = 1 + next(place for place, cell in enumerate(notebook.cells) if cell.id == "setup")
    path = f'import os; os.environ["PATH"] = {str(warm_python)!r} + os.pathsep + os.environ["PATH"]'
    notebook.cells.insert(after, nbformat.v4.new_code_cell(path, id="warm"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(_SETTINGS)]:
            patch.delenv(variable)
        EXECUTE["execute"](notebook, root / "notebooks", seconds=int(soon(50)))
    left = _below(root)
    assert not left, f"{name} left running: {left}"
    cells = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.id != "warm"}
    if not changes:
        for cell, outputs in committed.items():
            assert _without_digits(cells[cell]) == _without_digits(outputs), (
                f"{name}, cell {cell}: not what is committed; run: python notebooks/execute.py {name}"
            )
    return cells


def _without_digits(outputs: list) -> list[str]:
    """What a cell showed, without what hangs on the machine: digits, the width of columns, pictures."""
    found = [f"{shown([one])}{said([one])}" for one in outputs if "image/png" not in one.get("data", {})]
    words = [re.sub(r"-?\b[0-9a-f]*\d[0-9a-f.,]*(e[-+]\d+)?|-{2,}", "#", text).split() for text in found]
    return [*(" ".join(each) for each in words), f"{pictures(outputs)} pictures"]


def _below(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline", "status"]):
        if str(process.info["cwd"] or "").startswith(str(folder)) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"{process.info['pid']} {' '.join(process.info['cmdline'] or [])}")
    return found


def said(outputs: list) -> str:
    """The text that a cell printed."""
    return "".join(one.text for one in outputs if one.output_type == "stream")


def shown(outputs: list) -> str:
    """The text of what a cell displayed."""
    values = [one.data.get("text/plain") or one.data.get("text/html", "") for one in outputs if "data" in one]
    return " ".join(re.sub(r"<[^>]+>", " ", text) for text in values)


def pictures(outputs: list) -> int:
    """How many pictures a cell displayed."""
    return sum("image/png" in one.data for one in outputs if "data" in one)
