"""Notebook 02_promote: it runs from top to bottom, and shows what its text says."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said, shown


def test_promote(tmp_path: Path) -> None:
    cells = executed(tmp_path, "02_promote.ipynb")
    assert said(cells["gates"]).rstrip().endswith("passed")
    assert "alias champion → version 1" in said(cells["first"])
    assert "version 2 of" in said(cells["refused"])
    assert "accuracy 0.6667 is below 0.9" in said(cells["refused"])
    assert "by hand:    {'1': 'Archived', '2': 'Production', '3': 'None'}" in said(cells["by-hand"])
    assert "by watch:   {'1': 'Production', '2': 'None', '3': 'None'}" in said(cells["by-hand"])
    assert float(re.search(r"after ([\d.]+) s", said(cells["by-hand"]))[1]) < 10
    assert "alias champion → version 3" in said(cells["promote"])
    assert "alias champion → version 1" in said(cells["rollback"])
    assert [
        word for word in shown(cells["ledger"]).split() if word in ("promote", "by-hand", "revert", "rollback")
    ] == [*("promote", "by-hand", "revert", "promote", "rollback")]
    assert pictures(cells["compare"]) == 1
