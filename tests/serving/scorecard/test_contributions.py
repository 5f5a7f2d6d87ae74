"""The share of each input in the scores of a table: what ``explain`` tells of each row."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from pipelines.score_sums import measured, terms_of
from serving.scorecard.compiler import compile_pipeline
from serving.scorecard.contributions import Contributions


def table(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": random.normal(5, 2, rows),
            "b": random.normal(1e6, 3, rows),
            "c": random.choice(["red", "blue", "green"], rows),
        }
    )


def fitted(kind: str, rows: pd.DataFrame):
    before = make_column_transformer(
        (make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False)), ["a", "b"]),
        (OneHotEncoder(handle_unknown="ignore"), ["c"]),
    )
    if kind == "regression":
        return make_pipeline(before, LinearRegression()).fit(rows, 3 * rows["a"] + (rows["c"] == "red"))
    target = (rows["a"] > 5).astype(int) + (rows["c"] == "red") * (kind == "three")
    return make_pipeline(before, LogisticRegression()).fit(rows, target)


@pytest.mark.parametrize("kind", ["regression", "two", "three"])
def test_the_shares_are_those_that_explain_gives(kind: str) -> None:
    rows = table()
    card = compile_pipeline(fitted(kind, rows))
    terms = Contributions(card)
    assert set(terms.inputs) == {("a",), ("b",), ("a", "b"), ("c",)}
    scores, shares, refused = terms.of(rows)
    assert not refused.any()
    for place, label in enumerate(terms.labels):
        for number, row in enumerate(rows.to_dict("records")[:10]):
            told = card.explain_row(row, label=label, reasons=99)
            assert scores[place, number] == pytest.approx(told["score"], rel=1e-12)
            by_inputs = {tuple(one["inputs"]): one["contribution"] for one in told["reasons"]}
            for group, inputs in enumerate(terms.inputs):
                assert shares[place, group, number] == pytest.approx(by_inputs.get(inputs, 0.0), rel=1e-9, abs=1e-12)


def test_means_and_spreads_over_rows_that_come_in_parts() -> None:
    rows = table(5000)
    card = compile_pipeline(fitted("regression", rows))
    (found,) = measured(card, rows)
    scores, shares, _ = Contributions(card).of(rows)
    assert found.rows == 5000
    assert found.mean == pytest.approx(float(scores.mean()), rel=1e-12)
    assert found.std == pytest.approx(float(scores.std()), rel=1e-9)
    for share, values in zip(found.shares, shares[0], strict=True):
        assert share.mean == pytest.approx(float(values.mean()), abs=1e-9)
        assert share.std == pytest.approx(float(values.std()), rel=1e-9)
    constant = card.explain_row(rows.iloc[0].to_dict())["baseline"]
    assert found.mean == pytest.approx(constant + math.fsum(share.mean for share in found.shares), abs=1e-9)


def test_rows_that_are_refused_do_not_count() -> None:
    rows = table()
    card = compile_pipeline(fitted("two", rows))
    broken = pd.concat([rows, rows.head(2).assign(a=np.nan)])
    (clean,), (found,) = measured(card, rows), measured(card, broken)
    assert found.rows == clean.rows == 60
    assert (found.mean, found.std) == pytest.approx((clean.mean, clean.std), rel=1e-9)


def test_without_a_scorecard_there_are_no_terms() -> None:
    assert terms_of(None) is None
    assert measured(None, table()) == []
