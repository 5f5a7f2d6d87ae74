"""Notebooks run as a reader runs them, in a copy of the project, and what their cells showed."""

import os
import shutil
import subprocess
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from tests.command import ROOT

#: What would reach the notebook from whoever runs the tests.
_SETTINGS = ("MLFLOW_", "LEDGER_", "LIFECYCLE_", "MPLBACKEND")


def project(folder: Path) -> Path:
    """The project as a stranger gets it, without a store."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def executed(folder: Path, name: str) -> dict[str, list]:
    """What each cell of a notebook showed, by the cell's id; and nothing that it started is left."""
    root = project(folder)
    notebook = nbformat.read(root / "notebooks" / name, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(_SETTINGS)]:
            patch.delenv(variable)
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(root / "notebooks")}}).execute()
    left = _below(root)
    assert not left, f"{name} left running: {left}"
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


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
    return "".join(one.data.get("text/plain", "") for one in outputs if "data" in one)


def pictures(outputs: list) -> int:
    """How many pictures a cell displayed."""
    return sum("image/png" in one.data for one in outputs if "data" in one)
