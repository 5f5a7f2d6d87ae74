"""Fitted transformers beyond scalers and encoders: projections, splines, quantiles, target means, selections."""

import math

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    f_regression,
)
from sklearn.impute import IterativeImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from serving.scorecard import InputError, Scorecard, Unsupported, compile
from serving.scorecard.parity import measure
from tests.effort import times

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

X, Y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X, Y = X[:120], Y[:120]
#: Rows of which some lie outside of what was seen in training.
ROWS = pd.concat([X[:40], X[:40] * 1.5 - 30.0], ignore_index=True)


def agrees(pipeline, table) -> dict:
    card = compile(pipeline)
    found = measure(pipeline, Scorecard.loads(card.dumps()), table, rows=40)
    assert found["passed"], found
    assert found["paths"]["table"], found
    return found


TRANSFORMERS = {
    "components": PCA(3),
    "whitened": PCA(0.99, whiten=True),
    "incremental": IncrementalPCA(2, whiten=True),
    "singular vectors": TruncatedSVD(3, random_state=0),
    "sources": FastICA(3, random_state=0),
    "sources of what is white": make_pipeline(PCA(3, whiten=True), FastICA(whiten=False, random_state=0)),
    "factors": FactorAnalysis(2),
    "random directions": GaussianRandomProjection(4, random_state=0),
    "few of them": SparseRandomProjection(4, random_state=0),
    "cosines": make_pipeline(StandardScaler(), RBFSampler(gamma=0.1, n_components=8, random_state=0)),
    "means of columns": FeatureAgglomeration(3),
    "norm": Normalizer(),
    "sum of sizes": Normalizer("l1"),
    "components of components": make_pipeline(StandardScaler(), PCA(5), TruncatedSVD(2, random_state=0)),
    "union of components": FeatureUnion([("a", PCA(2)), ("b", SplineTransformer(3))], transformer_weights={"a": 0.5}),
    "splines of components": make_pipeline(PCA(2), SplineTransformer(4)),
    "bins of components": make_pipeline(PCA(2), KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf")),
    "quantiles": QuantileTransformer(n_quantiles=20),
    "quantiles of few values": make_pipeline(FunctionTransformer(np.sign), QuantileTransformer(n_quantiles=20)),
    "reciprocal": FunctionTransformer(np.reciprocal),
    "sizes": make_pipeline(FunctionTransformer(np.fabs), FunctionTransformer(np.positive)),
    "best": SelectKBest(f_regression, k=3),
    "best tenth": SelectPercentile(f_regression, percentile=30),
    "those of a model": SelectFromModel(Lasso(0.1)),
    "those of a forest": SelectFromModel(RandomForestRegressor(3, random_state=0)),
    "eliminated": RFE(LinearRegression(), n_features_to_select=4),
    "eliminated by folds": RFECV(LinearRegression(), cv=2),
    "one by one": SequentialFeatureSelector(LinearRegression(), n_features_to_select=2, cv=2),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_and_a_linear_model_behind_it(name):
    agrees(make_pipeline(clone(TRANSFORMERS[name]), Ridge()).fit(X, Y), ROWS)


@pytest.mark.parametrize("name", ["components", "union of components", "quantiles", "best", "means of columns"])
def test_tables_between_the_steps_change_nothing(name):
    pipeline = make_pipeline(clone(TRANSFORMERS[name]).set_output(transform="pandas"), Ridge())
    agrees(pipeline.fit(X, Y), ROWS)


@pytest.mark.parametrize("step", [LinearDiscriminantAnalysis(), NeighborhoodComponentsAnalysis(2, random_state=0)])
def test_directions_that_tell_classes_apart(step):
    labels = np.digitize(Y, np.quantile(Y, (0.3, 0.7)))
    agrees(make_pipeline(StandardScaler(), step, LogisticRegression()).fit(X, labels), ROWS)


def test_components_far_from_zero_are_as_exact_as_scikit_learn():
    """Their mean is taken off after the product: a difference of large numbers, whose digits the measure knows."""
    table = X + 1e4
    found = agrees(make_pipeline(PCA(3), Ridge(1e-9)).fit(table, Y), table)
    assert found["ill_conditioned"] == 0


def test_a_component_is_a_term_of_an_explanation():
    pipeline = make_pipeline(PCA(2), Ridge()).fit(X, Y)
    (row,) = X[:1].to_dict("records")
    found = compile(pipeline).explain_row(row)
    assert [(term["term"], term["inputs"]) for term in found["terms"]] == [("pca0", list(X)), ("pca1", list(X))]
    total = math.fsum([found["baseline"], *(term["contribution"] for term in found["terms"])])
    assert total == found["score"] == pytest.approx(pipeline.predict(X[:1])[0])


@pytest.mark.parametrize("extrapolation", ["error", "constant", "linear", "continue"])
@pytest.mark.parametrize("sparse", [False, True])
@settings(max_examples=times(40), deadline=None)
@given(data=st.data())
def test_splines_are_those_of_scikit_learn(extrapolation, sparse, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scale, middle = data.draw(st.sampled_from((1e-6, 1.0, 1e6))), data.draw(st.sampled_from((0.0, -3.0)))
    table = pd.DataFrame({"a": rng.normal(middle, 1.0, 40), "b": rng.integers(0, 4, 40) * 1.0}) * scale
    missing = data.draw(st.sampled_from(("error", "zeros")))
    if missing == "zeros":
        table.loc[::6, "a"] = np.nan
    spline = SplineTransformer(
        data.draw(st.integers(2, 6)),
        degree=data.draw(st.integers(1, 4)),
        knots=data.draw(st.sampled_from(("uniform", "quantile"))),
        extrapolation=extrapolation,
        include_bias=data.draw(st.booleans()),
        handle_missing=missing,
        sparse_output=sparse,
    )
    pipeline = make_pipeline(spline, Ridge(1e-3)).fit(table, rng.normal(size=40))
    try:
        card = compile(pipeline)
    except Unsupported as error:
        assert "knots" in str(error)  # noqa: PT017
        return
    found = measure(pipeline, card, pd.concat([table, table * 2.0 + 0.5 * scale], ignore_index=True))
    assert found["passed"], found


@settings(max_examples=times(60), deadline=None)
@given(st.lists(st.sampled_from((-2.0, 0.0, 0.25, 1.0, 1.5, 7.0)) | st.floats(-5, 5), min_size=3, max_size=30))
def test_quantiles_of_equal_values_are_the_middle_of_their_shares(values):
    values = [round(value, 3) for value in values]
    table = pd.DataFrame({"x": [*values, None]})
    steps = QuantileTransformer(n_quantiles=min(7, len(values)), subsample=None), SimpleImputer(strategy="median")
    pipeline = make_pipeline(*steps, Ridge()).fit(table, np.arange(len(table)))
    around = [one for value in values for one in (value, math.nextafter(value, 9.0), value + 0.2, value - 9.0)]
    found = measure(pipeline, compile(pipeline), pd.DataFrame({"x": [*around, None]}))
    assert found["passed"], found


def test_values_beyond_the_knots_are_refused_where_the_spline_refuses_them():
    """Also where the model gives its columns no weight."""
    for model in (Ridge(), Lasso(1e9)):
        pipeline = make_pipeline(SplineTransformer(3, extrapolation="error"), model).fit(X[["bmi"]], Y)
        card = compile(pipeline)
        for edge in (X.bmi.min(), X.bmi.max()):
            expected = pipeline.predict(pd.DataFrame({"bmi": [edge]}))[0]
            assert card.predict_row({"bmi": edge}) == pytest.approx(expected)
            beyond = edge + (1e-9 if edge == X.bmi.max() else -1e-9)
            with pytest.raises(InputError, match="bmi"):
                card.predict_row({"bmi": beyond})
            with pytest.raises(InputError, match=r"row 0.*bmi"):
                card.predict({"bmi": [beyond]})


COLOURS = pd.DataFrame(
    {
        "c": pd.Categorical(["red", "blue", "red", "green"] * 15),
        "s": pd.array(["x", "z", "y"] * 20, dtype="string"),
        "t": pd.Series(["u", "v"] * 30, dtype="str"),
        "n": pd.array([1, 2, None, 4, 5] * 12, dtype="Int64"),
    }
)
SPECIES = np.array(["a", "b", "c", "b", "a", "a"] * 10)


@pytest.mark.parametrize("labels", [SPECIES, SPECIES == "a", np.arange(60.0) + 0.5], ids=["several", "two", "numbers"])
def test_target_means_of_known_unknown_and_missing_categories(labels):
    table = COLOURS[["c", "s", "t"]].astype(object)
    model = Ridge() if labels.dtype == float else LogisticRegression()
    pipeline = make_pipeline(TargetEncoder(random_state=0), model).fit(table, labels)
    asked = pd.concat([table[:12], table[:6].assign(c="unseen"), table[:6].assign(t=None)], ignore_index=True)
    agrees(pipeline, asked)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(
    "encoder",
    [
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=16),
        OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, min_frequency=16),
        TargetEncoder(target_type="continuous", random_state=0),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_encoders_fitted_on_tables_of_pandas_types(encoder, everywhere, names):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    chosen = ("numbers", numbers, make_column_selector("n")), ("words", encoder, ["c", "t"])
    features = ColumnTransformer(chosen, remainder=clone(encoder), verbose_feature_names_out=names)
    pipeline = make_pipeline(features, Ridge())
    if everywhere:
        with sklearn.config_context(transform_output="pandas"):
            agrees(pipeline.fit(COLOURS, np.arange(60.0)), COLOURS)
    else:
        pipeline[0].set_output(transform="pandas")
        agrees(pipeline.fit(COLOURS, np.arange(60.0)), COLOURS)


CHOICES = {
    "names": ["age", "bp"],
    "an index": pd.Index(["bmi"]),
    "positions": (0, -1),
    "a slice": slice(1, 4),
    "a slice of names": slice("bmi", "s2"),
    "a mask": [True, False] * 5,
    "a function": lambda table: list(table.columns[:2]),
    "a selector": make_column_selector("^s"),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_columns_are_chosen_in_every_way(choice):
    inner = ColumnTransformer([("a", PCA(1), CHOICES[choice])], remainder=SplineTransformer(3))
    agrees(make_pipeline(inner, Ridge()).fit(X, Y), ROWS)


def test_columns_whose_names_are_numbers_are_taken_by_position():
    table = X.set_axis(range(X.shape[1]), axis=1)
    pipeline = make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 2]), ("b", PCA(1), [3])], remainder="passthrough"), Ridge()
    ).fit(table, Y)
    found = compile(pipeline).predict(X.to_numpy())
    assert found == pytest.approx(pipeline.predict(table), rel=1e-12)


def test_a_word_for_missing_values_has_its_indicator():
    table = COLOURS[["c", "t"]].astype(object)
    pipeline = make_pipeline(MissingIndicator(missing_values="red", features="all"), Ridge())
    agrees(pipeline.fit(table, np.arange(60.0)), table)


REFUSED = {
    "periodic": (SplineTransformer(extrapolation="periodic"), "its splines are periodic"),
    "jumping": (SplineTransformer(degree=0), "degree 0"),
    "one value": (make_pipeline(FunctionTransformer(np.sign), SplineTransformer(extrapolation="error")), "coincide"),
    "edges after a logarithm": (
        make_pipeline(FunctionTransformer(np.log), SplineTransformer(extrapolation="error")),
        r"'log\(age\)' went through a function",
    ),
    "equal quantiles after a logarithm": (
        make_pipeline(FunctionTransformer(np.log), QuantileTransformer(n_quantiles=20)),
        "some of its quantiles are equal",
    ),
    "categories of sums": (make_pipeline(PCA(2), OneHotEncoder(handle_unknown="ignore")), "are numbers to equal"),
    "normal quantiles": (QuantileTransformer(n_quantiles=9, output_distribution="normal"), "normal distribution"),
    "largest": (Normalizer("max"), "the largest value of a row"),
    "medians": (FeatureAgglomeration(3, pooling_func=np.median), "other than numpy.mean"),
    "iterative": (IterativeImputer(max_iter=1), "IterativeImputer"),
    "kernel": (KernelPCA(2), "KernelPCA"),
    "other function": (FunctionTransformer(np.nan_to_num), "'nan_to_num' is its own"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_exactly_is_refused_by_name(name):
    step, reason = REFUSED[name]
    with pytest.raises(Unsupported, match=reason):
        compile(make_pipeline(step, Ridge()).fit(X, Y))
