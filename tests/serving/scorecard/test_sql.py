"""The scorecard as SQL, on real databases: the pipeline's answers, and NULL exactly where the scorecard refuses."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from serving.scorecard import Cleaning, Input, InputError, Scorecard, ScorecardError, compile, exports, parity
from serving.scorecard.exports import sql
from tests.effort import times
from tests.serving.scorecard import databases, generated

pytestmark = pytest.mark.filterwarnings("ignore")

DIALECTS = ("duckdb", "postgres", "sqlite")


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(30), suppress_health_check=list(HealthCheck))
@given(generated.problems())
def test_generated_pipelines(dialect: str, opened, problem) -> None:
    assume(problem is not None)
    pipeline, table = problem
    try:
        card = compile(pipeline)
    except ScorecardError:
        assume(False)

    found = parity.measure(
        pipeline, card, table, others={dialect: lambda rows: databases.answers(card, opened(dialect), rows)}
    )

    assert found["passed"], json.dumps(found)
    assert dialect in found["paths"]


ODD = "a\"\n'\\ {0} %s #"
RNG = np.random.default_rng(1)
TABLE = pd.DataFrame({ODD: RNG.normal(3, 1, 80) ** 2, "n": RNG.integers(0, 9, 80) * 1.0, "w": RNG.normal(size=80)})
TABLE["c"] = pd.Series(RNG.choice(["it's", '"', "x\n\\y", "日本😀"], 80), dtype="str")
TABLE["d"] = pd.Series(RNG.choice(["A1", "B22", "1"], 80), dtype="str")
TARGET = TABLE[ODD] + TABLE.n
LABELS = np.select([TARGET < 10, TARGET < 16], ["lo'w", "mid"], 'hi"gh\n')


def features():
    return ColumnTransformer(
        [
            ("a", make_pipeline(SimpleImputer(add_indicator=True), PowerTransformer(), MinMaxScaler(clip=True)), [ODD]),
            ("b", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["n"]),
            ("c", OneHotEncoder(handle_unknown="error", min_frequency=12), ["c"]),
            ("d", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["d"]),
            ("e", FunctionTransformer(np.log1p), ["n"]),
            ("f", make_pipeline(SimpleImputer(), StandardScaler(), PolynomialFeatures(2)), ["w", ODD]),
        ]
    )


def between_edges():
    """Splines, quantiles and norms of some columns of ``features``: -8 is ``d``, the last are of ``w`` and ODD."""
    return ColumnTransformer(
        [
            ("a", SplineTransformer(3, knots="quantile", extrapolation="continue"), [-5, -4]),
            ("b", SplineTransformer(4, extrapolation="error"), [-8]),
            ("c", SplineTransformer(4, degree=2, extrapolation="linear", include_bias=False), [-5, -1]),
            ("d", QuantileTransformer(n_quantiles=9, subsample=None), [-4, -2]),
            ("e", make_pipeline(FunctionTransformer(np.reciprocal), MinMaxScaler(clip=True)), [-5]),
            ("f", Normalizer(), [-5, -4]),
        ],
        remainder="passthrough",
    )


MODELS = {
    "regression": (Ridge(), TARGET),
    "sparse": (Lasso(alpha=0.8), TARGET),
    "nothing but a constant": (Lasso(alpha=1e9), TARGET),
    "log link": (PoissonRegressor(), TARGET),
    "target": (TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), TARGET),
    "target log": (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), TARGET),
    "components": (make_pipeline(PCA(6, whiten=True, svd_solver="full"), Ridge()), TARGET),
    "splines": (make_pipeline(between_edges(), Ridge()), TARGET),
    "two classes": (LogisticRegression(), TARGET > 13),
    "softmax": (LogisticRegression(), LABELS),
    "calibrated": (CalibratedClassifierCV(LinearSVC(random_state=0), ensemble=False, cv=2), LABELS),
    "isotonic": (CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False, cv=2), LABELS),
    "ensemble": (CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), LABELS),
    "isotonic ensemble": (CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=2), TARGET > 13),
    "clipped": (SGDClassifier(loss="modified_huber", random_state=0), TARGET > 13),
    "mlp": (MLPClassifier((5, 3), max_iter=15, random_state=0), LABELS),
    "mlp tanh": (MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", max_iter=15, random_state=0), TARGET),
    "mlp logistic": (MLPClassifier((4,), activation="logistic", max_iter=15, random_state=0), TARGET > 13),
    "threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.4, pos_label=False), TARGET > 13),
    "margin": (LinearSVC(random_state=0), TARGET > 13),
}
INPUTS = [
    *(Input(ODD, "number"), Input("n", "number", integer=True), Input("w", "number")),
    *(Input("c", "category"), Input("d", "category")),
]
HARD = (
    *({ODD: None}, {ODD: "?"}, {ODD: " ? "}, {ODD: 1e30}, {ODD: "1e999"}, {ODD: -1e200}, {ODD: 1e300}, {"n": 2.5}),
    *({"n": None}, {"n": -4}, {"n": "3"}, {"n": " 4 "}, {"n": "3.5"}, {"c": "never seen"}, {"c": None}),
    *({"c": " it's "}, {"d": "unseen"}, {"d": " A1\t"}, {"d": "?"}, {"d": ""}, {"w": "x"}, {"w": "1_0"}, {"w": 1e308}),
    *({"w": -1e308}, {"w": "-0"}, {"w": "nan"}, {"w": float("inf")}, {"w": ""}, {"n": 1e15}, {"n": -1}),
)  # fmt: skip


def scorecard(name: str) -> Scorecard:
    estimator, target = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make_pipeline(features(), estimator).fit(TABLE, target)
    return compile(fitted, INPUTS, cleaning=Cleaning(missing=frozenset({"?", ""})))


def agree(card: Scorecard, rows: list[dict], answers: list) -> int:
    """Compares answers with the scorecard's; how many rows are refused."""
    refused = 0
    for row, answer in zip(rows, answers, strict=True):
        try:
            expected = card.predict_row(row)
        except InputError:
            expected = None
        if expected is None:
            assert isinstance(answer, InputError), (row, answer)
            refused += 1
            continue
        assert not isinstance(answer, InputError), (row, expected)
        if card.task == "regression":
            assert answer["predict"] == pytest.approx(expected, rel=1e-11), row
        else:
            assert answer["predict"] == expected, row
        if card.has_probabilities:
            assert answer["predict_proba"] == pytest.approx(card.probabilities_row(row), abs=1e-12), row
    return refused


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_on_columns_of_text(name: str, dialect: str, opened) -> None:
    """A raw CSV's values: text in all columns, with blanks, words for missing values and words that are no numbers."""
    card = scorecard(name)
    first = TABLE.iloc[0].to_dict()
    rows = TABLE.head(25).to_dict("records") + [{**first, **changed} for changed in HARD]
    raw = [{key: None if value is None else str(value) for key, value in row.items()} for row in rows]
    text = {"duckdb": "VARCHAR", "postgres": "TEXT", "sqlite": "TEXT"}[dialect]

    found = databases.answers(card, opened(dialect), raw, {"number": text})

    assert agree(card, raw, found) >= 8


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["regression", "softmax", "mlp"])
def test_every_kind_of_model_on_columns_of_numbers(name: str, dialect: str, opened) -> None:
    card = scorecard(name)
    first = TABLE.iloc[0].to_dict()
    numbers = {"n", "w", ODD}
    hard = [changed for changed in HARD if not any(isinstance(changed[key], str) for key in numbers & set(changed))]
    rows = TABLE.head(25).to_dict("records") + [{**first, **changed} for changed in hard]

    found = databases.answers(card, opened(dialect), rows)

    assert agree(card, rows, found) >= 6


def test_the_largest_of_equals_is_the_first() -> None:
    """As NumPy's argmax has it; all weights are zero, and all classes equally likely."""
    document = json.loads(scorecard("softmax").dumps())
    for term in document["model"]["terms"]:
        term["weights"] = [0.0] * 3
    document["model"]["intercepts"] = [0.5, 1.0, 1.0]
    card = Scorecard(databases.document.seal(document))
    row = TABLE.iloc[0].to_dict()
    for dialect in ("duckdb", "sqlite"):
        with databases.opened(dialect) as database:
            (answer,) = databases.answers(card, database, [row])
            assert answer["predict"] == card.predict_row(row) == card.classes[1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_of_thousands_of_terms(dialect: str, opened) -> None:
    """Parsers give up near a thousand chained terms; these are added as a balanced tree."""
    words = [f"word {place}" for place in range(1500)]
    weights = np.random.default_rng(0).normal(size=len(words)).tolist()
    column = {"input": "w", "steps": [], "one_hot": [{"name": word, "of": [word]} for word in words], "zero": []}
    product = [{"name": f"p{place}", "product": ["x", f"word {place}"]} for place in range(750)]
    names = [*words, *(item["name"] for item in product)]
    document = {
        "task": "regression",
        "inputs": [
            {"name": "w", "type": "category", "integer": False, "null": True},
            {"name": "x", "type": "number", "integer": False, "null": True},
        ],
        "cleaning": {"trim": False, "missing": []},
        "columns": [{"name": "x", "input": "x", "steps": []}, {**column, "otherwise": {"do": "zero"}}, *product],
        "model": {
            "kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.25],
            "terms": [{"column": name, "weights": [weight]} for name, weight in zip(names, weights * 2, strict=False)],
        },
        "decision": None,
    }  # fmt: skip
    card = Scorecard(databases.document.seal(document))
    rows = [{"w": f"word {place}", "x": place - 2.0} for place in (7, 749, 1499, 1500)]

    assert agree(card, rows, databases.answers(card, opened(dialect), rows)) == 0


def test_the_comment_says_what_the_file_is() -> None:
    card = scorecard("softmax")
    text = exports.write(card, "sql", exports.About("churn", "3"), dialect="postgres", keep=["id"])
    comment = [line for line in text.splitlines() if line.startswith("-- ")]

    assert comment[0] == "-- churn version 3: its answers in PostgreSQL."
    assert card.digest in comment[1]
    assert 'probability_lo_w of "lo\'w"' in "\n".join(comment)
    assert not re.search(r"[^\n]-- ", text)
    assert text.index("WITH ") > text.index(comment[-1])


def network(*widths: int) -> Scorecard:
    """A regression over three numbers."""
    draw = np.random.default_rng(0)
    layers = [
        {"weights": draw.normal(size=(units, inputs)).tolist(), "intercepts": [0.5] * units}
        for inputs, units in zip((3, *widths), (*widths, 1), strict=True)
    ]
    names = ["a", "b", "c"]
    model = {"kind": "mlp", "link": "identity", "calibration": None, "target": [], "columns": names}
    document = {
        "task": "regression",
        "inputs": [{"name": name, "type": "number", "integer": False, "null": False} for name in names],
        "cleaning": {"trim": False, "missing": []},
        "columns": [{"name": name, "input": name, "steps": []} for name in names],
        "model": {**model, "activation": "tanh", "layers": layers},
        "decision": None,
    }
    return Scorecard(databases.document.seal(document))


@pytest.mark.parametrize("dialect", sql.DIALECTS)
def test_nothing_is_said_twice_that_is_computed_once(dialect: str) -> None:
    """A layer's columns are used by name: the file grows with the weights, and not with the products of its layers."""
    small, large = (len(exports.write(network(*[8] * layers), "sql", dialect=dialect)) for layers in (2, 6))
    assert large < 4.5 * small


def test_a_network_too_wide_for_the_engine_is_refused() -> None:
    assert exports.write(network(1700), "sql", dialect="duckdb")
    with pytest.raises(ScorecardError, match=r"SQL for PostgreSQL.*a SELECT of 1,700 columns, and 1,600 are the most"):
        exports.write(network(1700), "sql", dialect="postgres")


def test_what_is_no_dialect_is_refused() -> None:
    with pytest.raises(ScorecardError, match=r"dialect: expected one of duckdb, postgres.* found 'oracle'"):
        exports.write(scorecard("regression"), "sql", dialect="oracle")
    assert sql.DIALECTS == ("duckdb", "postgres", "sqlite", "spark", "bigquery", "snowflake", "mysql", "mariadb")
