"""Typed columns -> one scikit-learn ColumnTransformer: cast, impute, scale; impute, one-hot."""

from collections.abc import Sequence

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from serving.scorecard.inputs import CATEGORY, Input

#: Categories in fewer than this share of the training rows are grouped into one.
RARE = 0.01
#: What a missing category is called.
MISSING = "missing"


def build(inputs: Sequence[Input]) -> ColumnTransformer:
    """The transformer of a table with these inputs; its output has shape (n_rows, n_features), float64.

    Numbers are cast to float64, their missing values replaced by the median with an indicator column where any were
    missing, and standardised. Categories are one-hot encoded, rare ones as one group; one that training never saw
    is all zeros.
    """
    numbers = [column.name for column in inputs if column.type != CATEGORY]
    categories = [column.name for column in inputs if column.type == CATEGORY]
    parts = []
    if numbers:
        parts.append(("numbers", _numbers(), numbers))
    if categories:
        parts.append(("categories", _categories(), categories))
    return ColumnTransformer(parts, verbose_feature_names_out=True)


def _numbers() -> Pipeline:
    # numpy's own function, so that the pipeline loads where this project is not installed.
    cast = FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}, feature_names_out="one-to-one")
    return Pipeline(
        [
            ("cast", cast),
            ("impute", SimpleImputer(strategy="median", add_indicator=True)),
            ("scale", StandardScaler()),
        ]
    )


def _categories() -> Pipeline:
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="constant", fill_value=MISSING)),
            ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=RARE)),
        ]
    )
