"""The reference profile: what a column looked like, in plain finite JSON."""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import profile


def of(values, dtype="float64") -> dict:
    found = msgspec.to_builtins(profile.of(pd.DataFrame({"c": pd.Series(values, dtype=dtype)}))["c"])
    json.dumps(found, allow_nan=False)
    return found


def test_numbers():
    draw = np.random.default_rng(0).standard_normal(1000)
    found = of([*draw, np.nan, np.nan])
    assert (found["type"], found["count"], found["missing"]) == ("number", 1002, 2)
    assert found["mean"] == pytest.approx(draw.mean())
    assert found["std"] == pytest.approx(draw.std())
    assert (found["min"], found["max"]) == (draw.min(), draw.max())
    assert found["quantiles"]["0.5"] == pytest.approx(np.median(draw))
    assert found["histogram"]["counts"] == [50] * 20
    assert len(found["histogram"]["edges"]) == 21


@given(st.lists(st.one_of(st.none(), st.floats(-1e150, 1e150), st.sampled_from([0.0, 1.0])), max_size=40))
def test_whatever_the_numbers_the_profile_holds_together(values):
    found = of([np.nan if value is None else value for value in values])
    known = [value for value in values if value is not None]
    assert found["count"] - found["missing"] == len(known)
    if not known:
        assert found["mean"] is found["histogram"] is None
        return
    assert found["min"] <= found["mean"] <= found["max"] or found["min"] == pytest.approx(found["mean"])
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
    assert sum(counts) == len(known)
    assert len(counts) == max(len(edges) - 1, 1)
    assert edges == sorted(set(edges))
    quantiles = list(found["quantiles"].values())
    assert quantiles == sorted(quantiles)


def test_an_outlier_does_not_empty_the_bins():
    counts = of([*np.arange(999.0), 1e12])["histogram"]["counts"]
    assert min(counts) > 40


def test_a_frequent_number_has_a_bin_of_its_own():
    found = of([0.0] * 700 + list(np.linspace(0.001, 3, 300)))["histogram"]
    place = found["edges"].index(0.0)
    assert found["counts"][place] == 700
    assert found["edges"][place + 1] == np.nextafter(0.0, 1.0)
    few = of([0.0, 1.0, 2.0, 3.0] * 50)["histogram"]
    assert [count for count in few["counts"] if count] == [50] * 4


def test_many_rows_are_profiled_by_a_sample_spread_over_them():
    found = of(np.arange(250_000.0))
    assert sum(found["histogram"]["counts"]) <= 100_000
    assert found["quantiles"]["0.5"] == pytest.approx(125_000, rel=0.01)
    assert (found["count"], found["max"]) == (250_000, 249_999)


def test_texts():
    found = of(["a"] * 3 + ["b"] * 2 + [None] + [f"t{place}" for place in range(60)], "str")
    assert (found["type"], found["count"], found["missing"], found["distinct"]) == ("category", 66, 1, 62)
    assert list(found["top"].items())[:2] == [("a", 3), ("b", 2)]
    assert len(found["top"]) == 50


def test_texts_of_equal_count_are_in_one_order():
    assert list(of(["b", "a", "c"], "str")["top"]) == list(of(["c", "b", "a"], "str")["top"]) == ["a", "b", "c"]


def test_columns_of_nothing():
    assert of([None, None], "str")["top"] == {}
    assert profile.of(pd.DataFrame()) == {}
