"""Notebook 04_package: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said
from tests.system import need


def test_package(tmp_path: Path) -> None:
    need("java")
    need("node")
    cells = executed(tmp_path, "04_package.ipynb")
    size = re.search(r"function\.zip: ([\d,]+) bytes", said(cells["plan"]))
    assert int(size[1].replace(",", "")) < 60_000
    assert "569 rows in" in said(cells["sql"])
    assert "left out" not in said(cells["javascript"]) + said(cells["pmml"])
    for cell in ("compare", "chart"):
        assert pictures(cells[cell]) == 1, cell
