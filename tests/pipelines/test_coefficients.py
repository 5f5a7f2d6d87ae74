"""Coefficients in raw units: exact, with honest intervals, named for people."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as statsmodels
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures

from pipelines import estimators, features
from pipelines.coefficients import INTERCEPT, importances, score_name, table
from pipelines.coefficients.linear import has_log_link
from serving.scorecard.inputs import CATEGORY, NUMBER, Input
from tests.effort import times

LINEAR = [entry for entry in estimators.CATALOGUE if not entry.name.startswith("mlp")]


def pipeline(frame: pd.DataFrame, estimator) -> Pipeline:
    inputs = [Input(str(name), NUMBER if values.dtype.kind == "f" else CATEGORY) for name, values in frame.items()]
    return Pipeline([("features", features.build(inputs)), ("estimator", estimator)])


def mixed(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Columns of very different units, some of them missing here and there, and a category with a rare value."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "grams": rng.normal(4200, 800, n),
            "share": rng.beta(2, 5, n) / 100,
            "year": rng.integers(1990, 2020, n).astype(float),
            "member": rng.integers(0, 2, n).astype(float),
            "colour": rng.choice(["red", "green", "blue"], n),
        }
    )
    frame.loc[rng.choice(n, 20, replace=False), "grams"] = np.nan
    frame.loc[rng.choice(n, 15, replace=False), "colour"] = np.nan
    frame.loc[0, "colour"] = "seen once"
    return frame


def linear_score(frame: pd.DataFrame) -> np.ndarray:
    filled = frame.fillna({"grams": 4200.0})
    return ((filled["grams"] - 4200) / 800 + 0.1 * (filled["year"] - 2005) + (frame["colour"] == "red")).to_numpy()


def fitted(entry: estimators.EstimatorEntry, frame: pd.DataFrame, *, classes: int = 2, threshold=None) -> tuple:
    rng = np.random.default_rng(1)
    z = linear_score(frame)
    if entry.task == "regression":
        if entry.target == "positive":
            target = np.exp(z / 3) * rng.gamma(2, size=len(z))
        else:
            target = rng.poisson(np.exp(z / 3)) * 1.0 if entry.target else 20 + 5 * z + rng.normal(size=len(z))
    else:
        cuts = np.quantile(z, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.array(["low", "high", "top"])[np.digitize(z + rng.logistic(size=len(z)), cuts)]
    estimator = estimators.build(entry, {}, seed=0, threshold=threshold)
    return pipeline(frame, estimator).fit(frame, target), target


def model_scores(model: Pipeline, frame: pd.DataFrame) -> np.ndarray:
    """The model's own linear scores, (rows, scores), by scikit-learn."""
    matrix, estimator = model[:-1].transform(frame), model[-1]
    while not hasattr(estimator, "coef_"):
        estimator = getattr(estimator, "estimator_", None) or estimator.calibrated_classifiers_[0].estimator
    if hasattr(estimator, "decision_function"):
        scores = estimator.decision_function(matrix)
    else:
        scores = estimator.predict(matrix)
        scores = np.log(scores) if has_log_link(estimator) else scores
    return scores.reshape(len(frame), -1)


def by_hand(rows: list, frame: pd.DataFrame, fills: dict[str, float]) -> np.ndarray:
    """The score that a table of coefficients says each raw row has, by nothing but the features' names."""
    known = {row.feature for row in rows}
    total = np.zeros(len(frame))
    for row in rows:
        if row.feature == INTERCEPT:
            total += row.value
        elif row.feature == row.column:
            total += row.value * frame[row.column].fillna(fills.get(row.column, 0.0)).to_numpy()
        elif row.feature == f"{row.column} missing":
            total += row.value * frame[row.column].isna().to_numpy()
        elif row.feature == f"{row.column} = (rare values)":
            common = {name.removeprefix(f"{row.column} = ") for name in known}
            total += row.value * (frame[row.column].notna() & ~frame[row.column].isin(common)).to_numpy()
        else:
            total += row.value * (frame[row.column] == row.feature.removeprefix(f"{row.column} = ")).to_numpy()
    return total


@pytest.mark.parametrize(
    ("entry", "classes"),
    [(entry, classes) for entry in LINEAR for classes in ((0,) if entry.task == "regression" else (2, 3))],
    ids=lambda value: getattr(value, "name", value),
)
def test_raw_rows_times_coefficients_are_the_models_own_score(entry, classes):
    frame = mixed()
    model, target = fitted(entry, frame, classes=classes)
    found = table(model, frame, target, seed=0, resamples=0)
    scores = model_scores(model, frame)
    labels = list(dict.fromkeys(row.class_label for row in found))
    assert len(labels) == scores.shape[1]
    assert labels == {0: [None], 2: ["low"], 3: ["high", "low", "top"]}[classes]
    for place, label in enumerate(labels):
        mine = [row for row in found if row.class_label == label]
        expected = by_hand(mine, frame, {"grams": frame["grams"].median()})
        assert expected == pytest.approx(scores[:, place], rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("entry", LINEAR, ids=lambda entry: entry.name)
def test_one_raw_unit_more_moves_the_score_by_the_coefficient(entry):
    frame = mixed()
    model, target = fitted(entry, frame)
    values = {row.feature: row.value for row in table(model, frame, target, seed=0, resamples=0)}
    for column in ("grams", "share", "year", "member"):
        moved = frame.assign(**{column: frame[column] + 1})
        some = frame[column].notna().to_numpy()
        difference = (model_scores(model, moved) - model_scores(model, frame))[some, -1]
        assert difference == pytest.approx(np.full(some.sum(), values[column]), rel=1e-6, abs=1e-9)


@settings(max_examples=times(25), deadline=None)
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_a_column_in_other_units_has_its_coefficient_in_those_units(scale, shift):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60)})
    target = 3 * frame["x"] - 2 * frame["y"] + rng.normal(size=60)
    other = frame.assign(x=frame["x"] * scale + shift * scale)
    one, two = (
        {
            row.feature: row
            for row in table(pipeline(f, LinearRegression()).fit(f, target), f, target, seed=1, resamples=20)
        }
        for f in (frame, other)
    )
    for end in ("value", "low", "high"):
        assert getattr(two["x"], end) * scale == pytest.approx(getattr(one["x"], end), rel=1e-6)
    assert two["x"].effect == pytest.approx(one["x"].effect, rel=1e-6)
    assert two[INTERCEPT].value == pytest.approx(one[INTERCEPT].value - shift * one["x"].value, rel=1e-6, abs=1e-6)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = {"grams": 0.002, "share": -40.0, INTERCEPT: 7.0}
    held = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"grams": rng.normal(4000, 500, 200), "share": rng.beta(2, 5, 200) / 50})
        target = 7 + 0.002 * frame["grams"] - 40 * frame["share"] + rng.normal(0, 0.5, 200)
        model = pipeline(frame, LinearRegression()).fit(frame, target)
        rows = table(model, frame, target, seed=seed, resamples=120)
        held += [row.low <= truth[row.feature] <= row.high for row in rows]
    # 90 intervals of 95 %: fewer than 85 % or all of them would be the intervals' fault, not chance.
    assert 0.85 < np.mean(held) < 1


def test_coefficients_of_made_classes_are_recovered():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(50, 10, 4000), "dose": rng.gamma(2, 0.01, 4000)})
    z = -6 + 0.1 * frame["age"] + 50 * frame["dose"]
    target = np.where(rng.random(4000) < 1 / (1 + np.exp(-z)), "ill", "healthy")
    model = pipeline(frame, LogisticRegression(C=1e6)).fit(frame, target)
    found = {row.feature: row for row in table(model, frame, target, seed=0, resamples=200, positive="ill")}
    for feature, value in ((INTERCEPT, -6), ("age", 0.1), ("dose", 50)):
        row = found[feature]
        assert row.class_label == "ill"
        assert row.low <= value <= row.high
        assert row.high - row.low < abs(value)


@pytest.mark.parametrize("entry", LINEAR, ids=lambda entry: entry.name)
def test_every_interval_holds_its_estimate_and_repeats_by_seed(entry):
    frame = mixed(120)
    model, target = fitted(entry, frame)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    kept = model_scores(model, frame)
    once, again, other = (table(model, frame, target, seed=seed, resamples=30) for seed in (3, 3, 4))
    assert once == again
    assert [row.low for row in once] != [row.low for row in other]
    assert [row.value for row in once] == [row.value for row in other]
    assert all(row.low <= row.value <= row.high for row in once)
    assert any(row.low < row.value < row.high for row in once)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert (model_scores(model, frame) == kept).all(), "refits must leave the model alone"


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=300.0), LogisticRegression(C=0.02)])
def test_fewer_rows_a_refit_leave_the_intervals_as_wide(estimator):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=6000), "y": rng.normal(5, 3, 6000)})
    z = frame["x"] - frame["y"] / 3 + rng.normal(0, 2, 6000)
    target = z > z.mean() if isinstance(estimator, LogisticRegression) else z
    model = pipeline(frame, estimator).fit(frame, target)
    whole = table(model, frame, target, seed=0, resamples=300)
    part = table(model, frame, target, seed=0, resamples=300, max_rows=600)
    for one, two in zip(whole, part, strict=True):
        assert two.value == one.value
        assert 0.7 < (two.high - two.low) / (one.high - one.low) < 1.4
        # A penalty that weighed ten times as much on 600 rows as on 6,000 would pull the interval off the estimate.
        assert two.low < two.value < two.high


def test_an_interval_holds_the_estimate_that_the_resamples_miss():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 20)), columns=[f"x{i}" for i in range(20)])
    # More columns than the rows can bear: a resample has fewer rows of its own, and is fitted with larger weights.
    target = frame["x0"] + rng.normal(0, 0.3, 60) > 0
    model = pipeline(frame, LogisticRegression(C=1e3, max_iter=1000)).fit(frame, target)
    found = table(model, frame, target, seed=0, resamples=100)
    assert all(row.low <= row.value <= row.high for row in found)
    assert any(row.value in (row.low, row.high) for row in found)


def test_no_class_vanishes_from_a_resample():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300)})
    target = np.array(["a"] * 150 + ["b"] * 148 + ["c"] * 2)
    model = pipeline(frame, LogisticRegression()).fit(frame, target)
    found = table(model, frame, target, seed=0, resamples=60)
    assert {row.class_label for row in found} == {"a", "b", "c"}
    assert all(row.low is not None for row in found)
    assert all(row.low is not None for row in table(model, frame, target, seed=0, resamples=60, max_rows=30))


def test_counts_that_are_mostly_zero_have_intervals():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=100)})
    target = np.zeros(100)
    target[:2] = 3.0
    model = pipeline(frame, estimators.find("poisson").load()()).fit(frame, target)
    assert all(row.low is not None for row in table(model, frame, target, seed=0, resamples=50))


def test_of_two_classes_the_positive_one_is_meant():
    frame = mixed()
    entry = estimators.find("linear-svm")
    model, target = fitted(entry, frame, threshold=(0.3, "high"))
    high, low = (table(model, frame, target, seed=0, resamples=40, positive=label) for label in ("high", "low"))
    assert {row.class_label for row in high} == {"high"}
    for one, two in zip(high, low, strict=True):
        assert (one.value, one.low, one.high) == (-two.value, -two.high, -two.low)
    (year,) = [row for row in high if row.feature == "year"]
    assert year.low > 0, "the made score rises with the year"


def test_features_are_named_for_people():
    frame = mixed(400)
    frame["a.b 'c' $x^2$\n"] = np.where(np.arange(400) % 2, "naïve", "<b>")
    target = linear_score(frame)
    model = pipeline(frame, LinearRegression()).fit(frame, target)
    names = [row.feature for row in table(model, frame, target, seed=0, resamples=0)]
    assert names == [
        *("(intercept)", "grams", "share", "year", "member", "grams missing"),
        *("colour = blue", "colour = green", "colour missing", "colour = red", "colour = (rare values)"),
        *("a.b 'c' $x^2$\n = <b>", "a.b 'c' $x^2$\n = naïve"),
    ]


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_that_is_missing_throughout_or_constant_has_its_place():
    frame = mixed().assign(void=np.nan, same=3.0)
    target = linear_score(frame)
    model = pipeline(frame, LinearRegression()).fit(frame, target)
    found = {row.feature: row for row in table(model, frame, target, seed=0, resamples=20)}
    assert "void" not in found
    assert found["same"].deviation == 0
    expected = by_hand(list(found.values()), frame, {"grams": frame["grams"].median()})
    assert expected == pytest.approx(model.predict(frame))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_what_is_not_linear_in_the_raw_columns_has_no_coefficients():
    frame = mixed()[["grams", "year"]].fillna(0.0)
    target = frame["year"].to_numpy()
    assert table(pipeline(frame, MLPRegressor(max_iter=5)).fit(frame, target), frame, target, seed=0) == []
    squares = Pipeline([("features", PolynomialFeatures()), ("estimator", LinearRegression())]).fit(frame, target)
    assert table(squares, frame, target, seed=0) == []
    logs = pipeline(frame.abs(), LinearRegression())
    logs.set_params(features__numbers__cast__func=np.log1p, features__numbers__cast__kw_args=None)
    assert table(logs.fit(frame.abs(), target), frame.abs(), target, seed=0) == []
    assert importances(squares, frame, target, seed=0) == []


def test_two_rows_are_enough_not_to_fail():
    frame = pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]})
    for estimator, target in ((LinearRegression(), [1.0, 2.0]), (LogisticRegression(), ["n", "y"])):
        found = table(pipeline(frame, estimator).fit(frame, target), frame, target, seed=0, resamples=20)
        assert [row.feature for row in found] == ["(intercept)", "x", "c = a", "c = b"]
        assert all(row.low <= row.value <= row.high for row in found)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_importances_find_the_columns_that_matter(task):
    frame = mixed(600)
    frame["noise"] = np.random.default_rng(9).normal(size=600)
    z = linear_score(frame)
    if task == "regression":
        estimator, target = MLPRegressor(hidden_layer_sizes=(16,), random_state=0, max_iter=300), z
    else:
        estimator, target = MLPClassifier(hidden_layer_sizes=(16,), random_state=0), np.where(z > 0, "up", "down")
    model = pipeline(frame, estimator).fit(frame, target)
    found = importances(model, frame, target, seed=0, resamples=200)
    assert [row.feature for row in found] == [*frame.columns[:4], "noise", "colour"]
    values = {row.feature: row for row in found}
    assert sorted(values, key=lambda name: -values[name].value)[:2] == ["grams", "year"]
    assert values["grams"].low > values["noise"].high
    assert all(row.low <= row.value <= row.high and row.class_label is None for row in found)
    assert found == importances(model, frame, target, seed=0, resamples=200)
    shuffled = frame.assign(year=np.random.default_rng(0).permutation(frame["year"]))
    if task == "regression":
        rise = np.sqrt(np.mean((model.predict(shuffled) - z) ** 2)) - np.sqrt(np.mean((model.predict(frame) - z) ** 2))
        assert values["year"].value == pytest.approx(rise, rel=0.1)


def test_the_score_is_named():
    frame = mixed(60)
    names = {}
    for entry in LINEAR:
        names[entry.name] = score_name(fitted(entry, frame)[0], "price")
    assert names["ridge"] == "price"
    assert names["logistic"] == "log-odds"
    assert names["linear-svm"] == "margin"
    assert names["poisson"] == "log of the mean of price"


@pytest.mark.parametrize("estimator", [LinearRegression(), LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)])
def test_standard_errors_are_those_of_a_regression_on_the_raw_columns(estimator) -> None:
    draw = np.random.default_rng(5)
    frame = pd.DataFrame({"a": draw.normal(1e3, 7, 400), "b": draw.exponential(3, 400)})
    score, matrix = 0.1 * (frame.a - 1e3) - 0.2 * frame.b, np.column_stack([np.ones(400), frame])
    if isinstance(estimator, LinearRegression):
        target = (score + draw.normal(size=400)).to_numpy()
        expected = statsmodels.OLS(target, matrix).fit()
    else:
        target = (score + draw.logistic(size=400) > 0).astype(int).to_numpy()
        expected = statsmodels.Logit(target, matrix).fit(disp=False, tol=1e-12)
    found = table(pipeline(frame, estimator).fit(frame, target), frame, target, seed=0, resamples=0)
    np.testing.assert_allclose([one.error for one in found], expected.bse, rtol=1e-6)
    np.testing.assert_allclose([one.z for one in found], expected.tvalues, rtol=1e-4)
