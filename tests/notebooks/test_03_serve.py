"""Notebook 03_serve: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said, shown


def test_serve(tmp_path: Path, warm_python: Path) -> None:
    cells = executed(tmp_path, "03_serve.ipynb", warm_python)
    assert re.fullmatch(r"\{'predictions': \[203\.678301138\d+\]\}", shown(cells["mlflow-serve"]))
    assert said(cells["serve"]).strip() == f"{shown(cells['mlflow-serve'])} answered by diabetes/1"
    assert "row 1, column 'bmi': expected a number, found text" in shown(cells["refused"])
    assert "answered by diabetes/1\nthe challenger's answers are different\n" in said(cells["shadow"])
    share = int(re.search(r"diabetes/2 +(\d+)", said(cells["canary"]))[1]) / 400
    assert 0.13 <= share <= 0.27
    assert said(cells["canary"]).endswith("asked again, the same version answers: True\n")
    assert [pictures(cells[cell]) for cell in ("explain", "live")] == [1, 1]
