"""Features that are the target under another name, or determine it: which are told, and which are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import leaks

DRAW = np.random.default_rng(0)
NUMBERS = pd.Series(DRAW.standard_normal(300))
LABELS = pd.Series(DRAW.choice(["a", "b", "c"], 300), dtype=object)


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (NUMBERS, NUMBERS),
        (1.8 * NUMBERS + 32, NUMBERS),
        (-NUMBERS, NUMBERS),
        (np.exp(NUMBERS), NUMBERS),
        (NUMBERS.round(1), NUMBERS.round(1)),
        (NUMBERS.where(NUMBERS > -1), NUMBERS),
        (LABELS.map({"a": "3", "b": "1", "c": "2"}), LABELS),
        (LABELS.map({"a": 3.0, "b": 1.0, "c": 2.0}), LABELS),
    ],
)
def test_the_target_under_another_name_is_told(values, target):
    told = leaks.note("y copy", values, target)
    assert "is the target under another name" in told
    assert told.endswith("--drop 'y copy' leaves it out")


def test_a_feature_that_determines_the_target_is_told():
    finer = pd.Series(DRAW.integers(0, 20, 300).astype(float))
    assert "determines the target exactly" in leaks.note("x", finer, (finer % 3).map({0: "a", 1: "b", 2: "c"}))


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (NUMBERS, pd.Series(DRAW.standard_normal(300))),  # values that do not recur show nothing
        (NUMBERS, 2 * NUMBERS + DRAW.standard_normal(300) * 0.01),
        (LABELS, pd.Series(DRAW.choice([0, 1], 300))),
        (pd.Series(["u", "v"] * 8), pd.Series([0, 1] * 8)),  # by chance in one table of 60,000
        (pd.Series(np.arange(300.0)), LABELS),
        (LABELS.where(LABELS == "a"), LABELS),  # what is known of it has one target
    ],
)
def test_what_is_no_leak_is_not_told(values, target):
    assert leaks.note("x", values, target) == ""


@given(st.integers(0, 10**6), st.integers(20_001, 30_000))
def test_a_row_beyond_the_first_ones_that_differs_is_seen(seed, place):
    values = pd.Series(np.random.default_rng(seed).integers(0, 50, 30_001).astype(float))
    assert leaks.note("x", values, values)
    assert not leaks.note("x", values, values.mask(values.index == place, -1.0))
