"""Notebook 02_promote: it runs from top to bottom, and shows what its text says."""

from pathlib import Path

from tests.notebooks.running import executed, pictures, said, shown


def test_promote(tmp_path: Path, warm_python: Path) -> None:
    cells = executed(tmp_path, "02_promote.ipynb", warm_python)
    assert "passed" in said(cells["gates"]).splitlines()
    assert "alias champion → version 1" in said(cells["first"])
    assert "version 2 of" in said(cells["refused"])
    assert "accuracy 0.6667 is below 0.95" in said(cells["refused"])
    assert "by hand: {'1': 'Archived', '2': 'Production', '3': 'None'}" in said(cells["by-hand"])
    assert "after the watch: {'1': 'Production', '2': 'None', '3': 'None'}" in said(cells["by-hand"])
    assert "alias champion → version 3" in said(cells["promote"])
    assert "alias champion → version 1" in said(cells["rollback"])
    assert [
        word for word in shown(cells["ledger"]).split() if word in ("promote", "by-hand", "revert", "rollback")
    ] == [*("promote", "by-hand", "revert", "promote", "rollback")]
    assert "'broken': None" in shown(cells["verify"])
    assert pictures(cells["compare"]) == 1
