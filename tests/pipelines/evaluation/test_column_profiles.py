"""The profile of columns that come in parts is that of the whole."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from pipelines import profile
from pipelines.errors import PipelineError
from pipelines.evaluation import column_profiles
from pipelines.evaluation.column_profiles import ColumnProfiles
from tests.pipelines.alike import alike


def frame(rows: int) -> pd.DataFrame:
    """Numbers far from zero, many zeros, a column without any value, texts of which some are missing, and days."""
    draw = np.random.default_rng(2)
    table = pd.DataFrame({"far": 1e7 + draw.normal(size=rows), "zeros": draw.normal(size=rows), "none": np.nan})
    table["zeros"] = table["zeros"].where(draw.random(rows) < 0.5, 0.0)
    table["word"] = pd.Series(draw.choice(["a", "b", "c"], rows), dtype="str").where(draw.random(rows) < 0.9)
    table["name"] = pd.Series([f"n{draw.integers(200)}" for _ in range(rows)], dtype="str")
    table["day"] = pd.Timestamp("2026-11-30") + pd.to_timedelta(draw.integers(0, 90, rows), unit="D")
    return table


@pytest.mark.parametrize("rows", [3, 1_000, 230_000])
def test_the_profile_of_parts_is_that_of_the_whole(rows: int) -> None:
    table = frame(rows)
    profiles = ColumnProfiles(rows)
    for start in range(0, rows, 7_001 if rows > 1_000 else 97):
        profiles.add(table.iloc[start : start + (7_001 if rows > 1_000 else 97)])

    alike(msgspec.to_builtins(profiles.profiles()), msgspec.to_builtins(profile.of(table)))


def test_texts_that_are_too_many_to_be_counted_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_profiles, "MOST_LEVELS", 1_000)
    monkeypatch.setattr("pipelines.evaluation.value_counts._FEWEST", 100)
    profiles = ColumnProfiles(10_000)
    parts = [
        pd.DataFrame({"key": [f"k{start + row}" for row in range(500)]}, dtype="str") for start in range(0, 9000, 500)
    ]

    def add() -> None:
        for part in parts:
            profiles.add(part)

    with pytest.raises(PipelineError, match=r"column 'key' has more than 1,000 different texts.*--engine memory"):
        add()
