"""Notebook 04_package: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said
from tests.system import need


def test_package(tmp_path: Path, warm_python: Path) -> None:
    need("java")
    need("node")
    cells = executed(tmp_path, "04_package.ipynb", warm_python)
    size = re.search(r"zipped +([\d,]+)", said(cells["plan"]))
    assert int(size[1].replace(",", "")) < 60_000
    assert "skipped" not in said(cells["javascript"]) + said(cells["pmml"])
    assert [pictures(cells[cell]) for cell in ("compare", "sizes")] == [1, 1]
