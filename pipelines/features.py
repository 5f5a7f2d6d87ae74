"""Typed columns -> one scikit-learn ColumnTransformer: fill, cast, impute, scale; fill, one-hot.

The pipeline loads where this project is not installed, so its functions are pandas' own methods, called by their names.
"""

from collections.abc import Mapping, Sequence
from operator import methodcaller

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
    is all zeros. None, NaN, ``pandas.NA`` and ``NaT`` are missing, whatever the type of their column.
    """
    numbers = [column.name for column in inputs if column.type != CATEGORY]
    categories = [column.name for column in inputs if column.type == CATEGORY]
    parts = []
    if numbers:
        parts.append(("numbers", _numbers(), numbers))
    if categories:
        parts.append(("categories", _categories(), categories))
    return ColumnTransformer(parts, verbose_feature_names_out=True)


def most_columns(inputs: Sequence[Input], levels: Mapping[str, int]) -> int:
    """How many columns the transformer of these inputs makes at most, where a category has so many levels."""
    encoded = [min(levels[column.name], round(1 / RARE)) + 2 for column in inputs if column.type == CATEGORY]
    return 2 * (len(inputs) - len(encoded)) + sum(encoded)


def _numbers() -> Pipeline:
    return Pipeline(
        [
            # A column of objects is cast to numbers where none of them is pandas.NA or NaT.
            ("missing", _method("fillna", np.nan)),
            ("cast", _method("astype", "float64")),
            ("impute", SimpleImputer(strategy="median", add_indicator=True)),
            ("scale", StandardScaler()),
        ]
    )


def _categories() -> Pipeline:
    return Pipeline(
        [
            # SimpleImputer knows one missing value, and takes None for a category. As objects all can be NaN.
            ("objects", _method("astype", "object")),
            ("missing", _method("fillna", np.nan)),
            ("impute", SimpleImputer(strategy="constant", fill_value=MISSING)),
            ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=RARE)),
        ]
    )


def _method(name: str, value) -> FunctionTransformer:
    """A method of pandas.DataFrame with one argument as a step."""
    return FunctionTransformer(methodcaller(name, value), feature_names_out="one-to-one")
