"""Small models for the tests of the server, trained in a moment: as versions, and as all that is served."""

from functools import lru_cache
from types import MappingProxyType

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from serving.scorecard import Input, Scorecard
from serving.scorecard import compile as compile_pipeline
from serving.scorecard.inputs import Cleaning
from serving.server.state import Served, ServedModel, ServedVersion, TrafficSplit

SIZES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
FLOWERS = ("setosa", "versicolor", "virginica")


@lru_cache
def line(slope: float = 2.0) -> Scorecard:
    """A regression of one number: 1 + slope x."""
    x = np.array([[0.0], [1.0], [2.0]])
    return compile_pipeline(LinearRegression().fit(x, 1 + slope * x[:, 0]), [Input("x", "number", null=False)])


@lru_cache
def flowers(seed: int = 0) -> Scorecard:
    """Three species by four numbers, all required."""
    rng = np.random.default_rng(seed)
    middle = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    species = rng.integers(0, 3, 150)
    table = pd.DataFrame(middle[species] + rng.normal(0, 0.4, (150, 4)), columns=list(SIZES))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, np.array(FLOWERS)[species])
    return compile_pipeline(pipeline, [Input(name, "number", null=False) for name in SIZES], cleaning=Cleaning())


@lru_cache
def people(seed: int = 0, *, estimator: str = "linear") -> Scorecard:
    """Yes or no by a number, a whole number, a truth and a category, some of which may be missing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 200),
            "number of rooms": rng.integers(1, 9, 200).astype(float),
            "owner": rng.random(200) < 0.5,
            "été": rng.choice(["red", "dark blue", 'say "x"'], 200),
        }
    )
    table.loc[::9, "age"] = np.nan
    noise = rng.normal(0, 5, 200)
    answer = table["age"].fillna(40) + 3 * table["number of rooms"] + 4 * (table["été"] == "red") + noise > 52
    numbers = make_pipeline(FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}), SimpleImputer())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer((numbers, ["age", "number of rooms", "owner"]), (words, ["été"]))
    made = {
        "linear": lambda: LogisticRegression(),
        "svm": lambda: LinearSVC(),
        "mlp": lambda: MLPClassifier((3,), solver="lbfgs", random_state=0),
    }[estimator]()
    pipeline = make_pipeline(columns, StandardScaler(), made).fit(table, np.where(answer, "yes", "no"))
    inputs = [
        Input("age", "number"),
        Input("number of rooms", "number", integer=True),
        Input("owner", "boolean"),
        Input("été", "category"),
    ]
    return compile_pipeline(pipeline, inputs, cleaning=Cleaning())


#: A row that ``people`` answers.
PERSON = {"age": 51.5, "number of rooms": 3, "owner": True, "été": "red"}
#: A row that ``flowers`` answers.
FLOWER = dict(zip(SIZES, (6.8, 2.8, 4.8, 1.4), strict=True))


def version(name: str, card: Scorecard, *, number: str = "1", stage: str = "Production", example=None) -> ServedVersion:
    """A version of a model."""
    return ServedVersion(name, number, stage, card, MappingProxyType(dict(example or {})))


def model(name: str, card: Scorecard, *, challenger: Scorecard | None = None, mode: str = "none", weight: float = 0.0):
    """Version 3 of a model, and version 4 where it is challenged."""
    beside = version(name, challenger, number="4", stage="Staging") if challenger else None
    return ServedModel(name, version(name, card, number="3"), beside, TrafficSplit(mode, weight))


def served(*models: ServedModel, default: str | None = None, generation: int = 1) -> Served:
    """All that is served: these."""
    return Served(MappingProxyType({one.name: one for one in models}), default, generation)
