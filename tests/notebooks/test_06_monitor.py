"""Notebook 06_monitor: it runs from top to bottom, and the report finds what happens in its year, and nothing else."""

import re
from pathlib import Path

from tests.notebooks.running import executed, pictures, said


def test_monitor(tmp_path: Path, warm_python: Path) -> None:
    cells = executed(tmp_path, "06_monitor.ipynb", warm_python)
    # Every month is unlike the year of the training, and only two are unlike the same month of last year.
    assert _alerting(cells["training"]) == 12
    assert _alerting(cells["season"]) == 2
    shifts, change = re.findall(r"-?\d+\.\d{6}", said(cells["shifts"]))
    assert shifts == change
    windows = re.findall(r"^(2025-\d\d) +[\d,]+ +\d+ +([1-9]\d*) ", said(cells["truth"]), re.MULTILINE)
    assert [name for name, _ in windows] == ["2025-04", "2025-07", "2025-10", "2025-11", "2025-12"]
    assert [pictures(cells[cell]) for cell in ("events", "shifts", "accuracy")] == [1, 1, 1]


def _alerting(outputs: list) -> int:
    """In how many months something alerts."""
    (table,) = (output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {}))
    rows = re.findall(r"<tr>\s*<th>.*?</tr>", table, re.DOTALL)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    return sum(any(column) for column in zip(*(row for row in cells if row), strict=True))
