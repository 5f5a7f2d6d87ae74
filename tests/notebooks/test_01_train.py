"""Notebook 01_train: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said, shown


def test_train(tmp_path: Path, warm_python: Path) -> None:
    cells = executed(tmp_path, "01_train.ipynb", warm_python)
    assert "all 55 expectations met" in said(cells["validate"])
    assert {"critical", "bmi", "bp"} <= set(shown(cells["broken"]).split())
    assert re.search(r"rmse +56\.24 +50\.02 to 62\.75 +83\.34", said(cells["train"]))
    assert "Best, trial" in said(cells["tune"])
    for cell in ("table", "metrics", "residuals", "coefficients", "trials", "paired"):
        assert pictures(cells[cell]) == 1, cell
