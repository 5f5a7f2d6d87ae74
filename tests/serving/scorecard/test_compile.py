"""What a pipeline becomes, and what is refused with the step's path and name."""

from operator import methodcaller

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from serving.scorecard import Cleaning, Input, InputError, ScorecardError, Unsupported, compile
from serving.scorecard.parity import measure

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

X, Y = load_diabetes(return_X_y=True, as_frame=True)
FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)


def frame(**columns):
    return pd.DataFrame(columns)


def agrees(pipeline, table, **options):
    found = measure(pipeline, compile(pipeline, **options), table)
    assert found["passed"], found
    return found


PIPELINES = {
    "bare": LinearRegression(),
    "numpy positions": make_pipeline(ColumnTransformer([("a", StandardScaler(), [0, -1])]), Ridge()),
    "slice": make_pipeline(
        ColumnTransformer([("a", StandardScaler(), slice("bmi", "s3"))], remainder="passthrough"), Ridge()
    ),
    "mask": make_pipeline(
        ColumnTransformer([("a", "passthrough", [True, False] * 5)], remainder=StandardScaler()), Ridge()
    ),
    "twice": make_pipeline(
        ColumnTransformer([("a", "passthrough", ["age"]), ("b", "passthrough", ["age", "bmi"])]), Ridge()
    ),
    "weights": make_pipeline(
        ColumnTransformer(
            [("a", StandardScaler(), ["age"]), ("b", "passthrough", ["bmi"])], transformer_weights={"a": 3.5}
        ),
        Ridge(),
    ),
    "union": make_pipeline(
        FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler()), ("c", "drop")], transformer_weights={"b": 0.5}),
        Ridge(),
    ),
    "nested": Pipeline([("a", Pipeline([("b", StandardScaler()), ("c", "passthrough")])), ("d", None), ("e", Ridge())]),
    "selected": make_pipeline(VarianceThreshold(), SelectKBest(k=4), StandardScaler(), Ridge()),
    "binarized": make_pipeline(Binarizer(threshold=0.01), Ridge()),
    "cubic": make_pipeline(PolynomialFeatures((2, 3), interaction_only=False), StandardScaler(), Ridge()),
    "bins": make_pipeline(
        KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), StandardScaler(with_mean=False), Ridge()
    ),
    "poly of bins": make_pipeline(
        KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        PolynomialFeatures(2, interaction_only=True),
        Ridge(),
    ),
    "log": make_pipeline(FunctionTransformer(np.exp), FunctionTransformer(np.log1p), FunctionTransformer(), Ridge()),
    "search": GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}),
    "target": TransformedTargetRegressor(
        make_pipeline(StandardScaler(), Ridge()), func=np.sqrt, inverse_func=np.square
    ),
    "power target": TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()),
    "box-cox target": TransformedTargetRegressor(Ridge(), transformer=PowerTransformer(method="box-cox")),
    "plain power target": TransformedTargetRegressor(Ridge(), transformer=PowerTransformer(standardize=False)),
    "scaled target": TransformedTargetRegressor(
        Ridge(), transformer=make_pipeline(StandardScaler(), MinMaxScaler((1, 3)), RobustScaler(), MaxAbsScaler())
    ),
    "indicator": make_pipeline(
        FeatureUnion([("value", SimpleImputer()), ("missing", MissingIndicator(features="all"))]), Ridge()
    ),
    "sentinel": make_pipeline(SimpleImputer(missing_values=0.0506801187398187, add_indicator=True), Ridge()),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_regression_pipelines_of_many_shapes(name):
    agrees(PIPELINES[name].fit(X, Y), X)


@pytest.mark.parametrize("name", ["bare", "numpy positions", "union", "selected", "cubic", "search"])
def test_pipelines_trained_on_an_array_name_their_inputs_by_position(name):
    pipeline = clone(PIPELINES[name]).fit(X.to_numpy(), Y)
    agrees(pipeline, X.to_numpy())
    assert [item.name for item in compile(pipeline).inputs] == [f"x{place}" for place in range(10)]
    named = compile(pipeline, [Input(column, "number") for column in X])
    assert [item.name for item in named.inputs] == list(X)


CLASSIFIERS = {
    "threshold around a pipeline": FixedThresholdClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.2
    ),
    "first label positive": FixedThresholdClassifier(LogisticRegression(), threshold=0.7, pos_label="blue"),
    "score of the first label": FixedThresholdClassifier(
        LogisticRegression(), threshold=-0.4, pos_label="blue", response_method="decision_function"
    ),
    "tuned": TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=3),
    "calibrated pipeline": CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC()), ensemble=False),
    "perceptron-like": SGDClassifier(loss="hinge", random_state=0),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_decisions_between_two_classes(name):
    labels = np.where(Y.gt(Y.median()), "red", "blue")
    pipeline = CLASSIFIERS[name].fit(X, labels)
    agrees(pipeline, X)
    scorecard = compile(pipeline)
    assert scorecard.classes == ["blue", "red"]
    assert scorecard.positive == ("blue" if "first label" in name else "red")


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(["a", "b"], str), ([0, 1], int), ([False, True], bool), ([0.0, 2.0], float), ([3, -4, 12], int)],
)
def test_labels_keep_the_type_they_had_in_training(labels, kind):
    target = np.array(labels)[np.arange(len(X)) % len(labels)]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, target)
    scorecard = compile(pipeline)
    assert [type(label) for label in scorecard.classes] == [kind] * len(labels)
    row = X.iloc[0].to_dict()
    assert type(scorecard.predict_row(row)) is kind
    assert scorecard.predict(X).dtype.kind == {str: "O", int: "i", bool: "b", float: "f"}[kind]
    assert (scorecard.predict(X) == pipeline.predict(X)).all()


@pytest.mark.parametrize("positive", [False, True])
def test_ties_go_where_scikit_learn_lets_them_go(positive):
    table, labels = X[["age", "bmi"]], Y.gt(Y.median()).to_numpy()
    plain = LogisticRegression().fit(table, labels)
    three = np.arange(len(X)) % 3
    for model in (plain, LinearSVC().fit(table, labels), LogisticRegression().fit(table, three)):
        model.coef_[:], model.intercept_[:] = 0.0, 0.0
        assert list(compile(model).predict(table)) == list(model.predict(table))
        assert compile(model).predict_row(table.iloc[0]) == model.predict(table)[0]
    for response, tie in (("predict_proba", 0.5), ("decision_function", 0.0)):
        chosen = FixedThresholdClassifier(
            FrozenEstimator(plain), threshold=tie, pos_label=positive, response_method=response
        )
        chosen.fit(table, labels)
        assert chosen.predict(table)[0] == positive
        assert compile(chosen).predict_row(table.iloc[0]) is positive
        assert compile(chosen).predict(table)[0] == positive


def test_categories_that_the_cleaning_would_change_are_refused():
    table = frame(c=pd.Series(["a", " b", "NA"] * 4, dtype="str"))
    pipeline = make_pipeline(OneHotEncoder(), Ridge()).fit(table, np.arange(12.0))
    with pytest.raises(ScorecardError, match="a category of 'c' that the cleaning changes"):
        compile(pipeline, [Input("c", "category")], cleaning=Cleaning())
    assert compile(pipeline).predict_row({"c": " b"}) == pytest.approx(pipeline.predict(table)[1])
    filled = make_pipeline(SimpleImputer(strategy="constant", fill_value="NA"), OneHotEncoder(), Ridge())
    filled.fit(frame(c=pd.Series(["a", None, "b"] * 4, dtype="str")), np.arange(12.0))
    assert compile(filled, [Input("c", "category")], cleaning=Cleaning()).predict_row({"c": "?"}) == pytest.approx(
        filled.predict(frame(c=["NA"]))[0]
    )


REFUSED = {
    "forest": (
        make_pipeline(StandardScaler(), RandomForestClassifier(3)),
        "randomforestclassifier",
        "RandomForestClassifier",
    ),
    "kernel": (SVC(), "the model", "SVC"),
    "knn": (make_pipeline(KNNImputer(), LogisticRegression()), "knnimputer", "KNNImputer"),
    "rows": (make_pipeline(Normalizer("max"), LogisticRegression()), "normalizer", "Normalizer"),
    "own function": (
        Pipeline(
            [("outer", Pipeline([("mine", FunctionTransformer(lambda x: x + 1))])), ("model", LogisticRegression())]
        ),
        "outer / mine",
        "FunctionTransformer",
    ),
    "in a column transformer": (
        make_pipeline(
            ColumnTransformer([("odd", QuantileTransformer(n_quantiles=5, output_distribution="normal"), [0])]),
            LogisticRegression(),
        ),
        "columntransformer / odd",
        "QuantileTransformer",
    ),
    "a method of pandas": (
        make_pipeline(FunctionTransformer(methodcaller("clip", 0.0)), LogisticRegression()),
        "functiontransformer",
        "FunctionTransformer",
    ),
    "a method with names": (
        make_pipeline(FunctionTransformer(methodcaller("fillna", value=0.0)), LogisticRegression()),
        "functiontransformer",
        "FunctionTransformer",
    ),
    "single precision": (
        make_pipeline(FunctionTransformer(np.asarray, kw_args={"dtype": "float32"}), LogisticRegression()),
        "functiontransformer",
        "float32",
    ),
}


@pytest.mark.parametrize("fill", [np.nan, None, pd.NA, 0.0, 2, np.float32(0.5)], ids=repr)
def test_a_fill_of_pandas_is_a_step(fill):
    fill = FunctionTransformer(methodcaller("fillna", fill))
    cast = FunctionTransformer(methodcaller("astype", "float64"))
    pipeline = make_pipeline(fill, cast, SimpleImputer(), LogisticRegression())
    table = FLOWERS.mask(np.random.default_rng(0).random(FLOWERS.shape) < 0.2)
    card = compile(pipeline.fit(table, SPECIES))
    assert card.predict(table).tolist() == pipeline.predict(table).tolist()
    assert card.predict_row(dict.fromkeys(table, None)) == pipeline.predict(table[:1] * np.nan)[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_exactly_is_refused_by_path_and_name(name):
    pipeline, path, step = REFUSED[name]
    with pytest.raises(Unsupported, match=step) as refused:
        compile(pipeline.fit(FLOWERS, SPECIES))
    assert str(refused.value).startswith(path)
    assert "mlflow models serve" in str(refused.value)


def test_a_subclass_of_a_known_step_may_do_anything_and_is_refused():
    class Mine(StandardScaler):
        def transform(self, X, copy=None):
            return super().transform(X, copy) + 1

    with pytest.raises(Unsupported, match=r"mine.*Mine"):
        compile(Pipeline([("mine", Mine()), ("model", Ridge())]).fit(X, Y))


def test_several_targets_are_refused():
    with pytest.raises(Unsupported, match="2 targets at once"):
        compile(LinearRegression().fit(X, np.column_stack([Y, Y])))


def test_what_is_not_fitted_is_refused():
    with pytest.raises(ScorecardError, match="expected a fitted"):
        compile(make_pipeline(StandardScaler(), Ridge()))
    with pytest.raises(ScorecardError, match="expected a fitted"):
        compile("a pipeline")

    class Nameless(BaseEstimator):
        def __init__(self, depth=1):
            pass  # so that it cannot even be shown

    with pytest.raises(ScorecardError, match="expected a fitted"):
        compile(Nameless())


def test_weights_put_into_a_model_by_hand_say_how_many_columns_there_are():
    model = LinearRegression()
    model.coef_, model.intercept_ = np.array([2.0, -1.0]), 0.5
    assert compile(model).predict_row({"x0": 3.0, "x1": 1.0}) == 5.5


def test_types_and_missing_values_are_found_out_from_the_steps():
    table = frame(
        plain=[1.0, 2.0, 3.0, 4.0] * 5,
        filled=[1.0, np.nan, 3.0, 4.0] * 5,
        word=["a", "b", "c", "c"] * 5,
        flag=[True, False, True, False] * 5,
        grade=[1, 2, 3, 1] * 5,
        unused=["z"] * 20,
    )
    features = ColumnTransformer(
        [
            ("filled", SimpleImputer(), ["filled"]),
            ("plain", StandardScaler(), ["plain"]),
            ("word", OneHotEncoder(handle_unknown="ignore"), ["word"]),
            ("flag", OneHotEncoder(), ["flag"]),
            ("grade", OrdinalEncoder(), ["grade"]),
        ]
    )
    pipeline = make_pipeline(features, Ridge()).fit(table, np.arange(20.0))
    scorecard = compile(pipeline)
    assert {item.name: (item.type, item.null) for item in scorecard.inputs} == {
        "plain": ("number", False),
        "filled": ("number", True),
        "word": ("category", True),
        "flag": ("boolean", False),
        "grade": ("number", False),
        "unused": ("number", True),
    }
    assert scorecard.optional == {"unused"}
    agrees(pipeline, table)


def test_given_inputs_are_kept_and_only_told_to_refuse_what_the_pipeline_refuses():
    pipeline = make_pipeline(
        ColumnTransformer([("a", SimpleImputer(), ["age"]), ("b", "passthrough", ["bmi"])]), Ridge()
    )
    pipeline.fit(X[["age", "bmi"]], Y)
    given = [Input("extra", "category"), Input("bmi", "number", integer=True), Input("age", "number", null=False)]
    cleaning = Cleaning(trim=True, missing=frozenset({"?"}))
    scorecard = compile(pipeline, given, cleaning=cleaning)
    assert [item.name for item in scorecard.inputs] == ["extra", "bmi", "age"]
    assert [item.null for item in scorecard.inputs] == [True, False, False]
    assert scorecard.inputs[1].integer
    assert scorecard.cleaning == cleaning
    assert scorecard.optional == {"extra"}


def test_inputs_that_do_not_fit_are_refused():
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X[["age", "bmi"]], Y)
    with pytest.raises(ScorecardError, match="'bmi', which is not among them"):
        compile(pipeline, [Input("age", "number")])
    with pytest.raises(Unsupported, match="it takes numbers, and 'bmi' is text"):
        compile(pipeline, [Input("age", "number"), Input("bmi", "category")])
    with pytest.raises(ScorecardError, match="2 columns, found 1 inputs"):
        compile(make_pipeline(StandardScaler(), Ridge()).fit(X[["age", "bmi"]].to_numpy(), Y), [Input("a", "number")])


def test_a_column_of_nothing_but_missing_values():
    table = frame(a=[np.nan] * 8, b=np.arange(8.0))
    for keep in (False, True):
        pipeline = make_pipeline(SimpleImputer(keep_empty_features=keep, add_indicator=True), Ridge())
        agrees(pipeline.fit(table, np.arange(8.0)), table)


def test_a_sentinel_for_missing_values_leaves_no_room_for_real_ones():
    table = frame(a=[1.0, -1.0, 3.0, 4.0] * 5, c=pd.Series(["x", "?", "y", "x"] * 5, dtype="str"))
    numbers = SimpleImputer(missing_values=-1, add_indicator=True)
    words = make_pipeline(SimpleImputer(missing_values="?", strategy="most_frequent"), OneHotEncoder())
    pipeline = make_pipeline(ColumnTransformer([("n", numbers, ["a"]), ("c", words, ["c"])]), Ridge())
    pipeline.fit(table, np.arange(20.0))
    assert [item.null for item in compile(pipeline).inputs] == [False, False]
    rows = pd.concat([table.head(4), frame(a=[np.nan, 2.0], c=["x", None])], ignore_index=True)
    found = agrees(pipeline, rows)
    assert found["refusals"]["refused"] == 2
    assert found["refusals"]["stricter"] == 0


def test_missing_values_that_are_a_category_of_their_own():
    table = frame(c=pd.Series(["a", None, "b", "a", None, "c"] * 4, dtype="str"))
    for encoder in (
        OneHotEncoder(drop="first"),
        OneHotEncoder(drop=[np.nan]),
        OneHotEncoder(max_categories=2),
        OrdinalEncoder(encoded_missing_value=-7),
    ):
        pipeline = make_pipeline(encoder, Ridge()).fit(table, np.arange(24.0))
        assert agrees(pipeline, table)["refusals"]["refused"] == 0
        assert compile(pipeline).inputs[0].null


def test_an_ordinal_encoder_that_leaves_missing_values_missing_refuses_them():
    table = frame(c=pd.Series(["a", None, "b", "a"] * 4, dtype="str"))
    pipeline = make_pipeline(OrdinalEncoder(), SimpleImputer(), Ridge()).fit(table, np.arange(16.0))
    assert compile(pipeline).inputs[0].null
    agrees(pipeline, table)
    strict = make_pipeline(OrdinalEncoder(), Ridge()).fit(table.dropna(), np.arange(12.0))
    assert not compile(strict).inputs[0].null
    with pytest.raises(InputError, match="'c'"):
        compile(strict).predict_row({"c": None})


def test_terms_are_named_for_people():
    table = frame(age=[20.0, 30.0, 40.0, np.nan] * 5, color=["red", "blue", "pale", "blue"] * 5)
    numbers = make_pipeline(
        SimpleImputer(add_indicator=True), PolynomialFeatures(2, interaction_only=True, include_bias=False)
    )
    colors = OneHotEncoder(max_categories=2)
    pipeline = make_pipeline(ColumnTransformer([("n", numbers, ["age"]), ("c", colors, ["color"])]), Ridge())
    terms = compile(pipeline.fit(table, np.arange(20.0))).document.content["model"]["terms"]
    assert [term["column"] for term in terms] == [
        "age",
        "age is missing",
        "age × age is missing",
        "color = blue",
        "color is rare",
    ]


def test_the_same_pipeline_makes_the_same_document():
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    assert compile(pipeline).dumps() == compile(pipeline).dumps()
    assert compile(pipeline).digest != compile(make_pipeline(StandardScaler(), Ridge(2.0)).fit(X, Y)).digest


@pytest.mark.parametrize("last", [Ridge(), MLPRegressor(hidden_layer_sizes=(2,), max_iter=5, random_state=0)])
def test_what_a_step_looks_at_and_drops_is_refused_as_it_refuses_it(last):
    table = X.assign(constant=2.0, empty=np.nan, word="one")
    features = ColumnTransformer(
        [
            (
                "best",
                make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(np.log1p), SelectKBest(k=2)),
                ["age", "bmi", "s1", "constant"],
            ),
            ("varied", make_pipeline(VarianceThreshold(), SimpleImputer()), ["constant", "s2"]),
            ("filled", SimpleImputer(), ["empty", "s3"]),
            ("word", OneHotEncoder(drop="first"), ["word"]),
            ("ignored", "drop", ["s4"]),
        ]
    )
    pipeline = make_pipeline(features, last).fit(table, Y)
    rows = table.head(12).reset_index(drop=True)
    rows.loc[1, "age"] = np.nan
    rows.loc[2, "s1"] = np.nan
    rows.loc[3, "constant"] = np.nan
    rows.loc[4, "constant"] = np.inf
    rows.loc[5, "empty"] = np.inf
    rows.loc[6, "word"] = "two"
    rows.loc[7, "s4"] = np.nan
    rows.loc[8, "s2"] = np.nan
    rows.loc[9, "bmi"] = -np.inf
    found = agrees(pipeline, rows)
    assert found["refusals"]["refused"] == 7
    assert found["refusals"]["missed"] == found["refusals"]["stricter"] == 0


@pytest.mark.parametrize("method", ["box-cox", "yeo-johnson"])
@pytest.mark.parametrize("standardize", [True, False])
def test_power_transforms(method, standardize):
    table = frame(a=np.exp(np.linspace(-2, 3, 50)), b=np.linspace(1, 2, 50) ** 3)
    pipeline = make_pipeline(PowerTransformer(method=method, standardize=standardize), Ridge()).fit(
        table, np.arange(50.0)
    )
    rows = pd.concat([table, frame(a=[0.0, -1.0, 1e-300, np.nan, 1e30], b=[1.0] * 5)], ignore_index=True)
    found = agrees(pipeline, rows)
    assert found["refusals"]["refused"] == (3 if method == "box-cox" else 1)


def test_a_category_that_is_infinite_is_refused_in_a_group_of_one():
    table = frame(a=[2.0] * 6, b=np.arange(6.0))
    features = ColumnTransformer([("a", OneHotEncoder(handle_unknown="ignore"), ["a"])], remainder="passthrough")
    pipeline = make_pipeline(features, Ridge()).fit(table, np.arange(6.0))
    pipeline[-1].coef_[0] = 1.5
    found = agrees(pipeline, frame(a=[2.0, np.inf, 7.0, np.nan], b=[1.0] * 4))
    assert found["refusals"]["refused"] == 1


def test_a_power_that_computes_in_single_precision_is_refused():
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50).astype(np.float32)})
    target = np.abs(table["x"].to_numpy(float)) + 1
    with pytest.raises(Unsupported, match="single precision, it computes in it: cast its input to float64"):
        compile(make_pipeline(PowerTransformer(), Ridge()).fit(table, target), [Input("x", "number")])
    compile(make_pipeline(PowerTransformer(), Ridge()).fit(table.astype(float), target), [Input("x", "number")])
