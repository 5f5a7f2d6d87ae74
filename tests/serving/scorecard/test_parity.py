"""The scorecard answers as scikit-learn does, by every way of asking it."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from serving.scorecard import Scorecard, Unsupported, compile, exports
from serving.scorecard.parity import measure
from tests.effort import times
from tests.serving.scorecard import generated

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")


def exported(scorecard):
    """The exported Python file as a way of answering, for ``measure``."""
    space: dict = {"__name__": "exported"}
    exec(exports.write(scorecard, "python"), space)
    names = {"predict": "predict", "predict_proba": "probabilities", "decision_function": "decision"}

    def answer(row):
        try:
            return {method: space[name](row) for method, name in names.items() if name in space}
        except space["InputError"] as error:
            return error

    return lambda rows: [answer(row) for row in rows]


def judged(pipeline, table, **options) -> dict:
    """The measure of all three ways, over a document that was written and read again."""
    scorecard = Scorecard.loads(compile(pipeline, **options).dumps())
    found = measure(pipeline, scorecard, table, refused=len(table), others={"python": exported(scorecard)})
    json.dumps(found, allow_nan=False)
    return found


@settings(max_examples=times(150), suppress_health_check=list(HealthCheck))
@given(generated.problems())
def test_every_path_answers_as_scikit_learn(problem):
    assume(problem is not None)
    pipeline, table = problem
    found = judged(pipeline, table)
    assert found["passed"], found
    assert found["refusals"]["stricter"] == 0, found
    assert found["refusals"]["checked"] == found["refusals"]["refused"]


def project(numbers, categories, estimator):
    """The pipeline that this project trains."""
    number_steps = [
        ("cast", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"})),
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
    category_steps = [
        ("impute", SimpleImputer(strategy="constant", fill_value="missing")),
        ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=0.01)),
    ]
    blocks = [("numbers", Pipeline(number_steps), numbers), ("categories", Pipeline(category_steps), categories)]
    return Pipeline([("features", ColumnTransformer(blocks)), ("estimator", estimator)])


@pytest.mark.parametrize("name", ["diabetes", "iris", "wine", "breast_cancer"])
@pytest.mark.parametrize("framed", [True, False])
def test_real_tables_have_no_ill_conditioned_row(name, framed):
    bunch = getattr(datasets, f"load_{name}")(as_frame=framed)
    estimator = LinearRegression() if name == "diabetes" else LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator).fit(bunch.data, bunch.target)
    found = judged(pipeline, bunch.data)
    assert found["passed"], found
    assert found["ill_conditioned"] == 0
    assert found["rows"] == len(bunch.data)


@pytest.mark.parametrize("width", [np.float32, "Float64", "Float32", "Int64"])
def test_the_projects_pipeline_takes_single_precision_and_nullable_columns(width):
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"a": rng.integers(0, 90, 200) * 1.0, "b": rng.integers(0, 5, 200) * 1.0})
    table["c"] = pd.Series(rng.choice(["x", "y", "z"], 200), dtype="str")
    table.loc[::7, ["a", "c"]] = None
    pipeline = project(["a", "b"], ["c"], PoissonRegressor()).fit(table, rng.poisson(3, 200))
    narrow = table.astype({"b": width} if width == np.float32 else {"a": width, "b": width})
    found = judged(pipeline, narrow)
    assert found["passed"], found
    assert found["refusals"]["refused"] == 0


def test_an_mlp_over_many_classes_and_blocks_of_rows():
    rng = np.random.default_rng(11)
    table = rng.normal(size=(20_000, 30))
    labels = np.array(["a", "b", "c", "d"])[table[:, :4].argmax(axis=1)]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=5, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(table[:1000], labels[:1000])
    found = measure(pipeline, compile(pipeline), table, rows=200)
    assert found["passed"], found
    assert found["rows"] == found["paths"]["table"]["predict_proba"]["compared"] == 20_000
    assert found["rows_one_by_one"] == 200


@pytest.mark.parametrize("change", [1e-9, -1e-9])
def test_a_scorecard_of_another_model_fails(change):
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), LinearRegression()).fit(table, target)
    scorecard = compile(pipeline)
    pipeline[-1].intercept_ *= 1 + change
    found = measure(pipeline, scorecard, table)
    assert not found["passed"]
    assert found["paths"]["row"]["predict"]["outside"] == found["paths"]["table"]["predict"]["outside"] == len(table)


def test_a_scorecard_that_answers_where_scikit_learn_raises_fails():
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    lenient = compile(make_pipeline(SimpleImputer(strategy="mean"), LinearRegression()).fit(table, target))
    pipeline = make_pipeline(LinearRegression()).fit(table, target)
    holes = table.head(20).copy()
    holes.loc[[3, 11], "bmi"] = np.nan
    found = measure(pipeline, lenient, holes)
    assert found["refusals"]["missed"] == 2
    assert not found["passed"]


def test_a_scorecard_that_refuses_where_scikit_learn_answers_fails():
    table = pd.DataFrame({"c": pd.Series(["x", "y"] * 10, dtype="str")})
    target = np.arange(20.0)
    strict = make_pipeline(OneHotEncoder(handle_unknown="error"), LinearRegression()).fit(table, target)
    lenient = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(table, target)
    found = measure(lenient, compile(strict), pd.DataFrame({"c": pd.Series(["x", "new", "y"], dtype="str")}))
    assert found["refusals"]["needless"] == 1
    assert not found["passed"]


def test_a_way_of_asking_that_answers_what_others_refuse_fails():
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(LinearRegression()).fit(table, target)
    holes = table.head(5).copy()
    holes.loc[2, "bmi"] = np.nan
    found = measure(pipeline, compile(pipeline), holes, others={"zero": lambda rows: [{"predict": 0.0} for _ in rows]})
    assert found["refusals"]["paths_differ"] == 1
    assert found["paths"]["zero"]["predict"]["outside"] == 4


def test_a_huge_column_is_ill_conditioned_and_says_so():
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, target > target.median())
    table = table.head(10).copy()
    table.loc[4, "bmi"] = 1e30
    found = measure(pipeline, compile(pipeline), table)
    assert found["ill_conditioned"] == 1
    assert found["paths"]["table"]["predict"]["compared"] == 9
    assert found["passed"]


@pytest.mark.parametrize("estimator", [LinearRegression(), MLPRegressor(hidden_layer_sizes=(4,), random_state=0)])
@pytest.mark.parametrize("size", [1.0, 1e6, 1e100])
def test_a_prediction_that_is_the_score_is_compared_whatever_its_size(estimator, size):
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(table, target / 100)
    last = pipeline[-1]
    if isinstance(last, LinearRegression):
        last.coef_, last.intercept_ = last.coef_ * size, last.intercept_ * size
    else:
        last.coefs_[-1], last.intercepts_[-1] = last.coefs_[-1] * size, last.intercepts_[-1] * size
    table.loc[4, "bmi"] = 1e30
    scorecard = compile(pipeline)
    off = {"off": lambda rows: [{"predict": scorecard.predict_row(row) * (1 + 1e-9)} for row in rows]}
    found = measure(pipeline, scorecard, table, others=off)
    assert found["ill_conditioned"] == 0
    assert found["paths"]["table"]["predict"]["compared"] == found["rows"] == len(table)
    assert found["paths"]["table"]["predict"]["outside"] == found["paths"]["row"]["predict"]["outside"] == 0
    assert found["paths"]["off"]["predict"]["outside"] > len(table) / 2


def test_it_wants_what_the_scorecard_has():
    table, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    scorecard = compile(LinearRegression().fit(table, target))
    with pytest.raises(Unsupported, match="no probabilities"):
        scorecard.probabilities(table)
    with pytest.raises(Unsupported, match="no decision function"):
        scorecard.decision_row({})
