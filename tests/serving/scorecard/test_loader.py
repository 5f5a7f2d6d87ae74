"""The ``python_function`` model: a short DataFrame is answered row by row, as a long one is all at once."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline

from pipelines import features
from serving.scorecard import Cleaning, Input, InputError, Scorecard, compile
from serving.scorecard.loader import FEW, ScorecardModel

INPUTS = [
    Input("age", "number", integer=True),
    Input("x", "number"),
    Input("owns", "boolean"),
    Input("kind", "category"),
]
DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "age": DRAW.integers(18, 90, 300).astype(float),
        "x": DRAW.normal(1e6, 10, 300),
        "owns": DRAW.integers(0, 2, 300).astype(float),
        "kind": pd.Series(DRAW.choice(["a", "b", "c"], 300), dtype="str"),
    }
).mask(DRAW.random((300, 4)) < 0.05)
SCORE = TABLE["x"].fillna(1e6) - 1e6 + TABLE["age"].fillna(50) / 10 - 5
TARGETS = {
    "texts": np.where(SCORE > 0, "yes", "no"),
    "whole numbers": np.where(SCORE > 0, 7, -1),
    "truth": (SCORE > 0).to_numpy(),
    "three": np.select([SCORE > 5, SCORE > -5], ["high", "middle"], "low"),
    "a number": SCORE.to_numpy(),
}


def scorecard(target: str, estimator=None) -> Scorecard:
    estimator = estimator or (LinearRegression() if target == "a number" else LogisticRegression())
    pipeline = Pipeline([("features", features.build(INPUTS)), ("estimator", estimator)])
    return compile(pipeline.fit(TABLE, TARGETS[target]), INPUTS, cleaning=Cleaning())


@pytest.mark.parametrize("target", TARGETS)
def test_few_rows_are_answered_as_many_are(target: str) -> None:
    card = scorecard(target)
    model = ScorecardModel(card)
    whole = card.predict(TABLE)

    for rows in (1, 2, FEW, FEW + 1):
        part = TABLE.iloc[40 : 40 + rows]
        found = model.predict(part)
        assert found.dtype == whole.dtype
        if target == "a number":
            np.testing.assert_allclose(found, whole[40 : 40 + rows], rtol=1e-12, atol=1e-9)
        else:
            assert found.tolist() == whole[40 : 40 + rows].tolist()
            likely = model.predict(part, params={"output": "probabilities"})
            assert list(likely.columns) == [str(label) for label in card.classes or ()]
            np.testing.assert_allclose(likely, card.probabilities(part), atol=1e-12)


def test_the_columns_may_be_of_any_type_and_order() -> None:
    model = ScorecardModel(scorecard("texts"))
    plain = TABLE.dropna().head(FEW)
    expected = model.scorecard.predict(plain).tolist()
    odd = pd.DataFrame(
        {
            "kind": plain["kind"].astype("category"),
            "owns": plain["owns"].astype(bool).astype("boolean"),
            "not a column of the model": pd.Timestamp("2024-01-01"),
            "age": plain["age"].astype("Int64"),
            "x": [Decimal(repr(x)) for x in plain["x"]],
        }
    )

    assert len(set(expected)) == 2
    assert model.predict(odd).tolist() == model.scorecard.predict(odd).tolist() == expected
    assert model.predict(plain.astype({"age": "uint8", "owns": bool})).tolist() == expected
    texts = plain.astype({"owns": bool}).astype(str).map(lambda text: f" {text} ")
    assert model.predict(texts).tolist() == model.scorecard.predict(texts).tolist() == expected
    assert model.predict(plain[:0]).tolist() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("age", 40.5), ("age", "forty"), ("x", np.inf), ("x", True), ("owns", 2), ("kind", b"a"), ("kind", ["a"])],
)
def test_a_refusal_is_the_same_for_few_rows_and_for_many(column: str, value: object) -> None:
    model = ScorecardModel(scorecard("texts"))
    table = TABLE.head(FEW + 1).astype({"age": object, "x": object, "owns": object, "kind": object})
    table.at[3, column] = value

    with pytest.raises(InputError) as few:
        model.predict(table.head(FEW))
    with pytest.raises(InputError) as many:
        model.predict(table)

    assert str(few.value) == str(many.value)
    assert (few.value.row, few.value.column) == (3, column)


def test_a_column_that_is_not_there_or_there_twice_is_refused() -> None:
    model = ScorecardModel(scorecard("texts"))

    with pytest.raises(InputError, match=r"^column 'kind': the column is required, found no such column$"):
        model.predict(TABLE.head(2).drop(columns="kind"))
    with pytest.raises(InputError, match="'x': expected one column of this name, found several"):
        model.predict(pd.concat([TABLE, TABLE[["x"]]], axis="columns").head(2))


def test_a_threshold_holds_for_one_row_too() -> None:
    strict = FixedThresholdClassifier(LogisticRegression(), threshold=0.9, pos_label="yes")
    model = ScorecardModel(scorecard("texts", strict))

    found = [model.predict(TABLE.iloc[[place]])[0] for place in range(60)]

    likely = model.predict(TABLE.head(60), params={"output": "probabilities"})["yes"]
    assert found == ["yes" if p >= 0.9 else "no" for p in likely]
    assert 0 < found.count("yes") < (likely >= 0.5).sum()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_answers_one_row() -> None:
    card = scorecard("a number", MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0))

    np.testing.assert_allclose(ScorecardModel(card).predict(TABLE[:1]), card.predict(TABLE)[:1], rtol=1e-9)


def test_what_is_asked_for_is_told_when_the_model_has_it_not() -> None:
    with pytest.raises(ValueError, match="this model is a regression"):
        ScorecardModel(scorecard("a number")).predict(TABLE[:1], params={"output": "probabilities"})
    with pytest.raises(ValueError, match="output is one of predictions, probabilities, explain, found 'all'"):
        ScorecardModel(scorecard("texts")).predict(TABLE[:1], params={"output": "all"})
    assert ScorecardModel(scorecard("texts")).predict(TABLE[:1], params={"output": "explain"})[0]["reasons"]
