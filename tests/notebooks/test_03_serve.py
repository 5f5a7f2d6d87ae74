"""Notebook 03_serve: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said, shown


def test_serve(tmp_path: Path) -> None:
    cells = executed(tmp_path, "03_serve.ipynb")
    assert re.fullmatch(r"\{'predictions': \[203\.678301138\d+\]\}", shown(cells["mlflow-serve"]))
    assert said(cells["serve"]).startswith(f"{shown(cells['mlflow-serve'])} answered by progression_")
    assert "row 1, column 'bmi': expected a number, found text" in shown(cells["refused"])
    assert re.search(r"answered by \{'progression_\w+/1'\}", said(cells["shadow"]))
    assert re.search(r"serving_compared_total\{.*\} [1-9]", said(cells["shadow"]))
    share = re.search(r"(\d+)% were answered by version 2, and asked again by the same: True", said(cells["canary"]))
    assert 13 <= int(share[1]) <= 27
    for cell in ("faster", "explain", "live"):
        assert pictures(cells[cell]) == 1, cell
