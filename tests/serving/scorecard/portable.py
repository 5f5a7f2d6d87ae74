"""Models and raw rows for the tests of exports that other engines run."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
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

from serving.scorecard import Cleaning, Input, InputError, Scorecard, compile, document

COUNT = 90
RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {
        "amount": RNG.normal(3, 1, COUNT) ** 2,
        "rooms": RNG.integers(1, 6, COUNT) * 1.0,
        "flag": RNG.integers(0, 2, COUNT) * 1.0,
        "town": pd.Series(RNG.choice(["York", "Ham", "New\nTown", "it's (1)", "日本 a", "x.y|z"], COUNT), dtype=object),
        "grade": pd.Series(RNG.choice(["low", "high"], COUNT), dtype=object),
    }
)
TABLE.loc[::7, "amount"] = np.nan
TABLE.loc[::9, "town"] = None
SIGNAL = (TABLE.amount.fillna(4.0) + TABLE.rooms + 3 * TABLE.flag + (TABLE.town == "York")).to_numpy()
SEVERAL = np.select([SIGNAL < 11, SIGNAL < 15], ["lo'w", "mid"], 'hi"gh\n')
INPUTS = [
    Input("amount", "number"),
    Input("rooms", "number", integer=True),
    Input("flag", "boolean"),
    Input("town", "category"),
    Input("grade", "category"),
]
#: What a raw row may hold: each of these in an otherwise good row.
VALUES = {
    "amount": (None, math.inf, -math.inf, 1e300, -1e300, 1e-300, -0.0, 7.5),
    "rooms": (2.5, None, 3.0, -2.0, 2147483648.0, 4503599627370495.5, 4503599627370497.0, 1e300, math.inf),
    "flag": (0.0, 1.0, 2.0, 0.5, -1.0, None, math.inf),
    "town": (
        *(None, "", "  ", "?", " ? ", "NA", "None\t", "n/a", "unseen", "missing", "York", " York ", "york", "Yo rk"),
        *("\u3000Ham\n", "Ham\x1f", "\x85 Ham\xa0", "New\nTown", "New \nTown", "\nNew\nTown\r", "it's (1)", "日本  a"),
        *("x.y|z", "x-y|z", "x.y", " x.y|z\u2028", "\u200bHam", "Ham\x00", "\x00"),
    ),
    "grade": ("low", " low", "LOW", "unseen", None, "?", " nan ", ""),
}
GOOD = {"amount": 4.0, "rooms": 3.0, "flag": 1.0, "town": "Ham", "grade": "high"}
RAW = [GOOD, *({**GOOD, name: value} for name, values in VALUES.items() for value in values)]


def features():
    """Steps of many kinds; ``rooms``, ``flag`` and ``grade`` have to be there."""
    return ColumnTransformer(
        [
            (
                "a",
                make_pipeline(SimpleImputer(add_indicator=True), PowerTransformer(), MinMaxScaler(clip=True)),
                ["amount"],
            ),
            ("b", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["amount"]),
            ("c", make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=True)), ["rooms"]),
            ("d", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["rooms"]),
            ("e", "passthrough", ["flag"]),
            (
                "f",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"),
                    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=12),
                ),
                ["town"],
            ),
            ("g", make_pipeline(OrdinalEncoder(), StandardScaler()), ["grade"]),
        ]
    )


def between_edges():
    """Splines, quantiles and norms of the columns of ``features``: 2 is the amount, 4 the rooms, both scaled."""
    return ColumnTransformer(
        [
            ("a", SplineTransformer(3, degree=2, knots="quantile", extrapolation="continue", include_bias=False), [2]),
            ("b", SplineTransformer(5, extrapolation="error"), [4]),
            ("c", SplineTransformer(4, extrapolation="linear"), [0, 2]),
            ("d", QuantileTransformer(n_quantiles=9, subsample=None), [2, 5]),
            ("e", make_pipeline(FunctionTransformer(np.reciprocal), MinMaxScaler(clip=True)), [4]),
            ("f", Normalizer(), [0, 2, 9]),
            ("g", make_pipeline(SplineTransformer(degree=1), PCA(4, svd_solver="full")), [0, 2]),
        ],
        remainder="passthrough",
    )


MODELS = {
    "regression": (Ridge(), SIGNAL),
    "sparse": (Lasso(alpha=0.4), SIGNAL),
    "log link": (PoissonRegressor(), SIGNAL),
    "power target": (TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), SIGNAL),
    "logarithmic target": (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), SIGNAL),
    "components": (make_pipeline(PCA(5, whiten=True, svd_solver="full"), StandardScaler(), Ridge()), SIGNAL),
    "splines": (make_pipeline(between_edges(), Ridge()), SIGNAL),
    "splines softmax": (make_pipeline(between_edges(), LogisticRegression()), SEVERAL),
    "binary": (LogisticRegression(), SIGNAL > 13),
    "softmax": (LogisticRegression(), SEVERAL),
    "one-vs-rest": (OneVsRestClassifier(LogisticRegression()), SEVERAL),
    "calibrated": (CalibratedClassifierCV(LinearSVC(random_state=0), ensemble=False, cv=2), SEVERAL),
    "calibrated binary": (CalibratedClassifierCV(LinearSVC(random_state=0), ensemble=False, cv=2), SIGNAL > 13),
    "isotonic": (CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False, cv=2), SEVERAL),
    "isotonic binary": (
        CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False, cv=2),
        SIGNAL > 13,
    ),
    "clipped": (SGDClassifier(loss="modified_huber", alpha=0.1, random_state=0), SEVERAL),
    "clipped binary": (SGDClassifier(loss="modified_huber", alpha=0.1, random_state=0), (SIGNAL > 13) + 3),
    "ensemble": (CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC(random_state=0)), cv=2), SEVERAL),
    "isotonic ensemble": (
        FixedThresholdClassifier(
            CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=3), threshold=0.3
        ),
        SIGNAL > 13,
    ),
    "voting": (
        VotingClassifier(
            [
                ("softmax", LogisticRegression()),
                ("clipped", SGDClassifier(loss="modified_huber", random_state=0)),
                ("lines", CalibratedClassifierCV(LinearSVC(random_state=0), ensemble=False, cv=2)),
            ],
            voting="soft",
            weights=[2, 1, 0.5],
        ),
        SEVERAL,
    ),
    "threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.7, pos_label=False), SIGNAL > 13),
    "score threshold": (
        FixedThresholdClassifier(LinearSVC(random_state=0), threshold=0.4, pos_label=3),
        (SIGNAL > 13) + 3,
    ),
    "margin": (LinearSVC(random_state=0), SEVERAL),
    "whole labels": (LogisticRegression(), np.digitize(SIGNAL, [11, 15]) * 10 - 10),
    "real labels": (LogisticRegression(), np.digitize(SIGNAL, [11, 15]) * 1.0),
    "mlp": (MLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=0), SIGNAL),
    "mlp with a log link": (MLPRegressor(hidden_layer_sizes=(3,), loss="poisson", max_iter=20, random_state=0), SIGNAL),
    "mlp binary": (MLPClassifier((3,), activation="logistic", max_iter=9, random_state=0), SIGNAL > 13),
    "mlp softmax": (MLPClassifier((4, 3), activation="tanh", max_iter=9, random_state=0), SEVERAL),
    "mlp identity": (MLPClassifier((4, 3), activation="identity", max_iter=9, random_state=0), SEVERAL),
}


def scorecard(name: str) -> Scorecard:
    """One of ``MODELS``, which reads raw rows as this project's own models do."""
    estimator, target = MODELS[name]
    pipeline = make_pipeline(features(), estimator).fit(TABLE, target)
    return compile(pipeline, INPUTS, cleaning=Cleaning())


def assert_alike(found: dict, path: str) -> None:
    """Looks that a path of ``parity.measure`` answers as the pipeline does, wherever the scorecard itself does."""
    assert found["refusals"]["paths_differ"] == 0, found
    for method, result in found["paths"][path].items():
        assert result["outside"] <= found["paths"]["row"][method]["outside"], found


def agree(card: Scorecard, rows: list, answers: list) -> int:
    """Looks that another engine refuses the rows that a scorecard refuses and answers the others alike; how many."""
    refused = 0
    for row, answer in zip(rows, answers, strict=True):
        error, expected = None, {}
        try:
            expected["predict"] = card.predict_row(row)
        except InputError as found:
            error, refused = found, refused + 1
        assert isinstance(answer, InputError) == (error is not None), (row, error, answer)
        if error is not None:
            continue
        if card.has_probabilities:
            expected["predict_proba"] = card.probabilities_row(row)
        if card.has_decision and "decision_function" in answer:
            expected["decision_function"] = card.decision_row(row)
        assert answer.keys() == expected.keys()
        if any(isinstance(value, float) and abs(value) > 1e20 for value in row.values()):
            continue  # no two ways to sum such terms agree in many digits
        for method, value in expected.items():
            if method == "predict" and card.classes is not None:
                assert answer[method] == value, (row, method)
            else:
                assert np.asarray(answer[method], dtype=float) == pytest.approx(np.asarray(value), rel=1e-11, abs=1e-12)
    return refused


def strict() -> tuple[Scorecard, list]:
    """A scorecard that knows no category but its own, of text and of numbers; and rows, seven of them unknown."""
    table = pd.DataFrame({"c": pd.Series(["x", "y", "z"] * 5, dtype=object), "n": [0.0, 2.0, 3.0] * 5})
    pipeline = make_pipeline(OneHotEncoder(drop="first"), Ridge()).fit(table, np.arange(15))
    texts = [{"c": text, "n": 0.0} for text in ("x", "y", "z", "new", "", None)]
    return compile(pipeline), [
        *texts,
        *({"c": "x", "n": number} for number in (2.0, 3.0, 4.0, 1.5, None, math.inf, -0.0)),
    ]


def oddly_cleaned() -> tuple[Scorecard, list]:
    """A scorecard whose words for missing are hard to tell from its categories, and rows to try it on."""
    words = ["gone", "a", "a b", "[ab]", "(?i)A", "x" * 50, *(f"w{place}" for place in range(2000))]
    table = pd.DataFrame({"c": pd.Series([*words, None], dtype=object)})
    steps = (SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore"))
    pipeline = make_pipeline(*steps, Ridge(alpha=0.1)).fit(table, np.arange(len(table)) ** 0.5)
    missing = frozenset({" gone ", "x|y", "w5?", "\\", ".*", "b"})
    card = compile(pipeline, [Input("c", "category")], cleaning=Cleaning(trim=True, missing=missing))
    texts = [
        *words[:40],
        *missing,
        *(f" {word}\t" for word in (*words[:40], *missing)),
        "",
        " ",
        "A",
        "w",
        "zz",
        "ab",
        "w1999 ",
    ]
    return card, [{"c": text} for text in (*texts, None)]


def of_many_categories(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A table of so many categories, each there thrice, and a target."""
    words = [f"{place:05d}" for place in range(count)]
    return pd.DataFrame({"c": pd.Series(words * 3, dtype=object)}), np.sin(np.arange(3.0 * count))


def without_weight() -> Scorecard:
    """A scorecard that says 0.25 to everything; its input ``a`` would be a whole number that is never missing."""
    body = {
        "task": "regression",
        "inputs": [Input("a", "number", integer=True, null=False).to_dict()],
        "cleaning": {"trim": True, "missing": [""]},
        "columns": [],
        "model": {
            **{"kind": "linear", "link": "identity", "calibration": None, "target": []},
            **{"intercepts": [0.25], "terms": []},
        },
        "decision": None,
    }
    return Scorecard(document.seal(body))


NAMES = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "square", "abs")
NAMES += ("sin", "cos", "tanh", "arcsinh", "sign", "negative", "reciprocal")
#: Numbers at the edges of functions.
EDGES = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 1e-20, -1e-20, 1e-9, -1e-9, 1e-5, 1.0000001, 0.9999999, 3.0, 27.0, -8.0),
    *(37.0, -37.0, 700.0, -700.0, 709.9, 746.0, -746.0, 1e5, 1e9, -1e9, 1e16, 1e155, -1e155, 1e300, -1e300, 5e-324),
    *(math.nan, math.inf, -math.inf),
)


def of_function(name: str):
    """A pipeline whose one column goes through a function, and then where it is missing through an imputer."""
    table = pd.DataFrame({"x": RNG.uniform(0.5, 3.0, 40)})
    return make_pipeline(
        FunctionTransformer(getattr(np, name)), SimpleImputer(strategy="constant", fill_value=0.25), LinearRegression()
    ).fit(table, table.x)


def edges() -> pd.DataFrame:
    """``EDGES`` as a table."""
    return pd.DataFrame({"x": pd.Series(EDGES, dtype="float64")})
