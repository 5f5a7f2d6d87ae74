"""What each column of the matrix that an estimator sees is in terms of the raw columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

#: So many rows show whether a function changes values.
_ROWS_TRIED = 50


@dataclass(frozen=True)
class Feature:
    """One transformed column: (raw - centre) / scale of a raw column, or of a yes/no question about it.

    Parameters
    ----------
    column : the raw column.
    label : what it says of a row, for people.
    filler : the text that stands for a missing value; None where there is none.
    """

    column: str
    label: str
    centre: float = 0.0
    scale: float = 1.0
    filler: str | None = None


class _Unreadable(Exception):
    """A step whose effect on raw units is not known here."""


def features(pipeline: Pipeline, frame: pd.DataFrame) -> list[Feature] | None:
    """What each column of the transformed matrix is; None where that is not known.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline whose only step before the estimator is a ColumnTransformer.
    frame : rows as the pipeline takes them; a few are used to see whether a function changes values.
    """
    if len(pipeline) != 2 or not isinstance(pipeline[0], ColumnTransformer):
        return None
    head = frame.head(_ROWS_TRIED)
    found: list[Feature] = []
    try:
        for _, transformer, columns in pipeline[0].transformers_:
            part = _part(head, columns)
            if part.shape[1] and not (isinstance(transformer, str) and transformer == "drop"):
                start = [Feature(str(name), str(name)) for name in part.columns]
                found += _through(transformer, start, part)[0]
    except _Unreadable:
        return None
    return found


def _part(head: pd.DataFrame, columns: object) -> pd.DataFrame:
    """The columns that a transformer was fitted on: a list of names or positions, or a mask."""
    if isinstance(columns, (str, slice)):
        raise _Unreadable
    chosen = list(columns)  # type: ignore[call-overload]
    return head[chosen] if all(isinstance(each, str) for each in chosen) else head.loc[:, head.columns[chosen]]


def _through(step, before: list[Feature], head) -> tuple[list[Feature], object]:
    """The features, and the rows at `head`, after one fitted step."""
    if isinstance(step, str) and step == "passthrough":
        return before, head
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            before, head = _through(inner, before, head)
        return before, head
    tried = step.transform(head)
    if isinstance(step, FunctionTransformer) and _same(head, tried):
        return before, tried
    if isinstance(step, SimpleImputer):
        return _imputed(step, before), tried
    if isinstance(step, StandardScaler):
        return _scaled(step, before), tried
    if isinstance(step, OneHotEncoder) and step.drop is None:
        return _encoded(step, before), tried
    raise _Unreadable


def _same(before: object, after: object) -> bool:
    """Whether a function left all values as they were, whatever it did to their type."""
    one, two = np.asarray(before, dtype=object), np.asarray(after, dtype=object)
    return one.shape == two.shape and bool(np.all((one == two) | (pd.isna(one) & pd.isna(two))))


def _imputed(imputer: SimpleImputer, before: Sequence[Feature]) -> list[Feature]:
    """The columns that have any value, then the indicators of missing values."""
    filler = imputer.fill_value if imputer.strategy == "constant" and isinstance(imputer.fill_value, str) else None
    filled = [
        replace(feature, filler=filler)
        for feature, value in zip(before, imputer.statistics_, strict=True)
        if not pd.isna(value)
    ]
    asked = imputer.indicator_.features_ if imputer.add_indicator else []
    return filled + [Feature(before[place].column, f"{before[place].label} missing") for place in asked]


def _scaled(scaler: StandardScaler, before: Sequence[Feature]) -> list[Feature]:
    centres = scaler.mean_ if scaler.with_mean else np.zeros(len(before))
    scales = scaler.scale_ if scaler.with_std else np.ones(len(before))
    return [
        replace(feature, centre=float(centre), scale=float(scale))
        for feature, centre, scale in zip(before, centres, scales, strict=True)
    ]


def _encoded(encoder: OneHotEncoder, before: Sequence[Feature]) -> list[Feature]:
    """A yes/no question for each category, and behind them one for all that are rare."""
    rare = getattr(encoder, "infrequent_categories_", [None] * len(before))
    found = []
    for feature, categories, together in zip(before, encoder.categories_, rare, strict=True):
        apart = categories if together is None else [category for category in categories if category not in together]
        labels = [
            f"{feature.label} missing" if category == feature.filler else f"{feature.label} = {category}"
            for category in apart
        ]
        if together is not None:
            labels.append(f"{feature.label} = (rare values)")
        found += [Feature(feature.column, label) for label in labels]
    return found
