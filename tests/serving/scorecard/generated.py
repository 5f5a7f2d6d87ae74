"""Fitted pipelines and hostile tables for the tests of the scorecard, drawn by hypothesis."""

import warnings

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

NAMES = (
    *("age", "a b", "x.y", "it's", 'quo"te', "été", "new\nline", "a = b", "1", "age (2)", "__class__", "{x}"),
    *("\\", "%s", "'''", "x" * 70, "日本", " lead", ""),
)
WORDS = ("red", "Green", "", " ", "it's", 'say "x"', "naïve", "a\nb", "1", "NaN?", "missing", "\\n", "日本", "None ")

CAST = ("cast", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}))


@st.composite
def number_steps(draw) -> list:
    """Steps for number columns that leave no missing value."""
    steps = [CAST] if draw(st.booleans()) else []
    strategy = draw(st.sampled_from(("mean", "median", "most_frequent", "constant")))
    imputer = SimpleImputer(
        strategy=strategy,
        fill_value=-1.5 if strategy == "constant" else None,
        add_indicator=draw(st.booleans()),
        keep_empty_features=draw(st.booleans()),
    )
    scaler = draw(
        st.sampled_from(
            (
                None,
                StandardScaler(),
                StandardScaler(with_mean=False),
                MinMaxScaler(),
                MinMaxScaler((-2, 3), clip=True),
                MaxAbsScaler(),
                RobustScaler(),
                RobustScaler(with_scaling=False),
                PowerTransformer(),
                FunctionTransformer(np.cbrt),
                Pipeline([("positive", FunctionTransformer(np.abs)), ("log", FunctionTransformer(np.log1p))]),
                KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
                KBinsDiscretizer(4, encode="ordinal", strategy="uniform"),
                SplineTransformer(4, extrapolation="linear"),
                SplineTransformer(3, degree=2, knots="quantile", extrapolation="continue", include_bias=False),
                SplineTransformer(degree=1, extrapolation="error"),
                QuantileTransformer(n_quantiles=10, subsample=None),
                PCA(whiten=True, svd_solver="full"),
                TruncatedSVD(1, random_state=0),
            )
        )
    )
    order = [("impute", imputer)] if scaler is None else [("impute", imputer), ("scale", scaler)]
    if isinstance(scaler, StandardScaler | RobustScaler | MaxAbsScaler) and draw(st.booleans()):
        order.reverse()
    steps += order
    if draw(st.integers(0, 4)) == 0:
        steps.append(
            ("poly", PolynomialFeatures(2, interaction_only=draw(st.booleans()), include_bias=draw(st.booleans())))
        )
        if draw(st.booleans()):
            steps.append(("again", StandardScaler()))
    return steps


@st.composite
def category_steps(draw) -> list:
    """Steps for category columns."""
    steps = []
    filled = draw(st.sampled_from(("missing", "most_frequent", None)))
    if filled == "missing":
        steps.append(("impute", SimpleImputer(strategy="constant", fill_value="missing")))
    elif filled:
        steps.append(("impute", SimpleImputer(strategy="most_frequent", add_indicator=False)))
    if draw(st.integers(0, 3)) == 0:
        steps.append(
            (
                "encode",
                OrdinalEncoder(
                    handle_unknown="use_encoded_value",
                    unknown_value=-1,
                    encoded_missing_value=draw(st.sampled_from((-2, np.nan))),
                    min_frequency=draw(st.sampled_from((None, 3))),
                ),
            )
        )
        return steps
    if draw(st.integers(0, 3)) == 0:
        steps.append(("encode", TargetEncoder(target_type="continuous", random_state=0)))
        return steps
    rare = draw(st.sampled_from(({}, {"min_frequency": 0.1}, {"max_categories": 3}, {"min_frequency": 4})))
    unknown = draw(st.sampled_from(("ignore", "error", "infrequent_if_exist")))
    drop = draw(st.sampled_from((None, "first", "if_binary")))
    steps.append(
        ("encode", OneHotEncoder(handle_unknown=unknown, drop=drop, sparse_output=draw(st.booleans()), **rare))
    )
    if draw(st.integers(0, 4)) == 0:
        steps.append(("scale", StandardScaler(with_mean=False)))
    return steps


REGRESSORS = (
    LinearRegression(),
    Ridge(alpha=0.5),
    Lasso(alpha=0.3),
    ElasticNet(alpha=0.1, fit_intercept=False),
    HuberRegressor(),
    LinearSVR(max_iter=200, random_state=0),
    PoissonRegressor(),
    GammaRegressor(),
    TweedieRegressor(power=1.5),
    TweedieRegressor(power=0),
    TweedieRegressor(power=1.5, link="identity"),
    PassiveAggressiveRegressor(max_iter=50, random_state=0),
    SVR(kernel="linear", max_iter=500),
    VotingRegressor([("ridge", Ridge()), ("lasso", Lasso())], weights=[1, 3]),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=15, random_state=0),
    MLPRegressor(hidden_layer_sizes=(3, 2), activation="tanh", max_iter=15, random_state=0),
    MLPRegressor(loss="poisson", hidden_layer_sizes=(3,), max_iter=15, random_state=0),
    TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler()),
    TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()),
    TransformedTargetRegressor(Ridge(), transformer=Pipeline([("l", MinMaxScaler((1, 2))), ("r", RobustScaler())])),
)
CLASSIFIERS = (
    LogisticRegression(),
    LogisticRegression(C=100.0, fit_intercept=False),
    LinearSVC(max_iter=200, random_state=0),
    CalibratedClassifierCV(LinearSVC(max_iter=200, random_state=0), ensemble=False, method="sigmoid", cv=2),
    MLPClassifier(hidden_layer_sizes=(4,), max_iter=15, random_state=0),
    MLPClassifier(hidden_layer_sizes=(3, 3), activation="logistic", max_iter=15, random_state=0),
    SGDClassifier(loss="log_loss", random_state=0, max_iter=50),
    OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    CalibratedClassifierCV(Pipeline([("s", StandardScaler()), ("m", LinearSVC(max_iter=200, random_state=0))]), cv=2),
    CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2),
    CalibratedClassifierCV(LogisticRegression(), method="isotonic", ensemble=False, cv=2),
    CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2),
    SGDClassifier(loss="modified_huber", random_state=0, max_iter=50),
    PassiveAggressiveClassifier(max_iter=50, random_state=0),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5),
    RidgeClassifier(),
    VotingClassifier(
        [("a", LogisticRegression()), ("b", SGDClassifier(loss="modified_huber", random_state=0, max_iter=50))],
        voting="soft",
        weights=[2, 1],
    ),
)
BINARY = (
    FixedThresholdClassifier(LogisticRegression(), threshold=0.3),
    FixedThresholdClassifier(LinearSVC(max_iter=200, random_state=0), threshold=0.1, pos_label=None),
    FixedThresholdClassifier(
        CalibratedClassifierCV(LinearSVC(max_iter=200, random_state=0), ensemble=False, cv=2), threshold=0.6
    ),
    FixedThresholdClassifier(CalibratedClassifierCV(LinearSVC(max_iter=200, random_state=0), cv=2), threshold=0.3),
    TunedThresholdClassifierCV(LogisticRegression(), response_method="decision_function", cv=2, thresholds=5),
    SVC(kernel="linear", max_iter=500),
)
LABELS = (("no", "yes", "perhaps"), (0, 1, 2), (3, -1, 7), (False, True), (0.0, 1.0, 2.0))


@st.composite
def problems(draw):
    """(fitted pipeline, table to answer): a DataFrame of odd names and hard values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(40, 70))
    names = draw(st.permutations(NAMES))
    numbers = list(names[: draw(st.integers(1, 4))])
    categories = list(names[4 : 4 + draw(st.integers(0, 3))])
    kinds = {
        name: draw(st.sampled_from(("normal", "whole", "far", "constant", "single", "nullable", "Int64")))
        for name in numbers
    }
    words = draw(st.permutations(WORDS))
    table = pd.DataFrame(
        {name: _numbers(rng, kinds[name], count) for name in numbers}
        | {
            name: pd.Series(rng.choice(words[:5], count, p=(0.5, 0.3, 0.1, 0.07, 0.03)), dtype="str")
            for name in categories
        }
    )
    holes = draw(st.sampled_from((0.0, 0.1)))
    for name in table:
        table.loc[rng.random(count) < holes, name] = None
    blocks = [("numbers", Pipeline(draw(number_steps())), numbers)]
    if categories:
        blocks.append(("categories", Pipeline(draw(category_steps())), categories))
    extra = names[-1]
    passed = draw(st.sampled_from(("drop", "passthrough")))
    table[extra] = rng.normal(size=count)
    features = ColumnTransformer(draw(st.permutations(blocks)), remainder=passed)
    signal = table[numbers].astype("float64").fillna(0.0).to_numpy().sum(axis=1) * 0.0 + rng.normal(size=count)
    signal += (table[numbers[0]].astype("float64").rank().fillna(0.0) / count).to_numpy()
    if draw(st.booleans()):
        estimator, target = draw(st.sampled_from(REGRESSORS)), np.abs(signal) + 0.1
    else:
        labels = draw(st.sampled_from(LABELS))
        several = len(labels) > 2 and draw(st.booleans())
        estimator = draw(st.sampled_from(CLASSIFIERS if several else CLASSIFIERS + BINARY))
        places = np.digitize(signal, np.quantile(signal, (0.3, 0.7) if several else (0.5,)))
        target = np.array(labels)[places]
    pipeline = Pipeline([("features", features), ("estimator", estimator)])
    hard = _hardened(draw, table, numbers, categories, extra)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pipeline.fit(table, target)
        except (ValueError, TypeError):  # scikit-learn does not fit this combination: missing values, say
            table = table.ffill().bfill()
            try:
                pipeline.fit(table, target)
            except (ValueError, TypeError):
                return None
    fitted = pipeline["features"].named_transformers_["numbers"]
    if any(np.asarray(step.lambdas_).dtype != np.float64 for _, step in fitted.steps if hasattr(step, "lambdas_")):
        return None  # in single precision, which a scorecard refuses
    splines = [spline for _, step in fitted.steps for spline in getattr(step, "bsplines_", ())]
    if any((np.diff(spline.t[spline.k : -spline.k]) == 0.0).any() for spline in splines):
        return None  # between knots that coincide, which a scorecard refuses
    return pipeline, hard


def _numbers(rng, kind, count):
    values = {
        "normal": lambda: rng.normal(size=count),
        "whole": lambda: rng.integers(0, 5, count).astype(float),
        "far": lambda: 1e6 + rng.normal(size=count),
        "constant": lambda: np.full(count, 3.25),
        "single": lambda: rng.normal(size=count).astype(np.float32),
        "nullable": lambda: pd.array(rng.normal(size=count), dtype="Float64"),
        "Int64": lambda: pd.array(rng.integers(-3, 9, count), dtype="Int64"),
    }
    return values[kind]()


def _hardened(draw, table, numbers, categories, extra):
    """Some rows of the table, with cells exchanged for hard values."""
    hard = table.head(14).reset_index(drop=True)
    for name in (*numbers, extra):
        if hard[name].dtype in ("Int64", "Float64", np.float32):
            hard[name] = hard[name].astype("float64" if draw(st.booleans()) else hard[name].dtype)
    for row in range(len(hard) // 2):
        name = draw(st.sampled_from(list(hard.columns)))
        if name in categories:
            hard.loc[row, name] = draw(st.sampled_from((None, "", "unseen", *WORDS)))
        else:
            values = (None, 0.0, -0.0, 1e30, -1e30, np.inf, -np.inf, 1e300, 1e-300, 5.0, -7.0)
            value = draw(st.sampled_from(values))
            hard.loc[row, name] = (
                int(value)
                if hard[name].dtype == "Int64" and value in (0.0, 5.0, -7.0)
                else (None if hard[name].dtype == "Int64" else value)
            )
    return hard
