"""The notebooks as they are kept: with the outputs of their own code, nothing of one machine, and working links."""

import re
from pathlib import Path

import nbformat
import pytest

from tests.command import ROOT
from tests.notebooks.running import EXECUTE, said, shown

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_outputs_are_those_of_its_code(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.get("executed") == EXECUTE["digest"](notebook), (
        f"its code was changed after it was executed: python notebooks/execute.py {path.stem}"
    )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_holds_nothing_of_one_machine_or_moment(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            text = f"{cell.source}{said(cell.outputs)}{shown(cell.outputs)}"
            for found in (str(ROOT), str(Path.home()), "/tmp/", "Traceback", "Warning:"):
                assert found not in text, f"cell {cell.id}: {found}"
            assert not re.search(r"\b20\d\d-\d\d-\d\d|:\d{5}\b|\b[0-9a-f]{32}\b", text), cell.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_links_lead_somewhere(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert target.startswith("http") or (path.parent / target).exists(), target
