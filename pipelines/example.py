"""A made-up row for a model's input example: typical of the training rows, and no row of the table."""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.columns import EXACT
from pipelines.dataset import Dataset
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input

#: A value that fewer training rows hold may tell of a person: a category that occurs once, a single known number.
FEWEST = 2

# What is tried in place of the median where the row of medians is one of the table's.
_QUANTILES = (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7, 0.25, 0.75)
_STEPS = 5
# Numbers of so few values are codes or counts, between which there is nothing.
_FEW = 10
_MOST_CATEGORIES = 10
# Of two columns at a time, so many other rows are tried.
_TRIED = 2000


def make(dataset: Dataset, training: np.ndarray) -> dict[str, Any]:
    """A row that the model takes, as JSON has it: booleans, whole numbers without a fraction, None where missing.

    Numbers are medians, rounded to about a hundredth of the column's range; categories, and numbers of few values, are
    the most frequent ones. If that is a row of the table, one or two columns take another usual value, or are missing.
    If the table holds every such row, as one of a single boolean column may, it is the row of the most frequent values.

    Parameters
    ----------
    training : positions of the training rows, whose values are looked at.
    """
    table = dataset.features
    usual = [_usual(item, table[item.name].iloc[training]) for item in dataset.inputs]
    chosen = first = tuple(values[0] for values in usual)
    if _holds(table, first):
        distinct = table.drop_duplicates()
        chosen = next((row for row in _others(usual, dataset.inputs) if not _holds(distinct, row)), first)
    return {item.name: _plain(item, value) for item, value in zip(dataset.inputs, chosen, strict=True)}


def frame(row: Mapping[str, Any], inputs: Iterable[Input], *, gaps: Collection[str]) -> pd.DataFrame:
    """The row with the types that MLflow's signature wants of a DataFrame; shape (1, n_inputs).

    Parameters
    ----------
    gaps : the boolean columns that may be missing, which the signature calls ``string``.
    """
    types = {NUMBER: "float64", BOOLEAN: "bool", CATEGORY: "str"}
    return pd.DataFrame(
        {
            item.name: pd.Series([row[item.name]], dtype=object if item.name in gaps else types[item.type])
            for item in inputs
        }
    )


def _plain(item: Input, value: Any) -> Any:
    if value != value:
        return None
    if item.type == CATEGORY:
        return str(value)
    if item.type == BOOLEAN:
        return bool(value)
    return int(value) if item.integer and abs(value) <= EXACT else float(value) + 0.0  # of two zeros the plain one


def _usual(item: Input, values: pd.Series) -> list:
    """Values of a column that a request may well hold, the most usual first; NaN, at the end, is a missing one."""
    known = values.dropna()
    usual = _categories(known) if item.type == CATEGORY else _numbers(item, known)
    # MLflow's ``boolean``, as the signature calls a column that is never missing, takes no missing value.
    missing = item.null and (item.type != BOOLEAN or len(known) < len(values))
    return [*usual, math.nan] if missing or not usual else usual


def _categories(known: pd.Series) -> list[str]:
    counts = known.value_counts()
    often = sorted(counts[counts >= FEWEST].items(), key=lambda pair: (-pair[1], str(pair[0])))
    return [str(text) for text, _ in often[:_MOST_CATEGORIES]]


def _numbers(item: Input, known: pd.Series) -> list[float]:
    numbers = known.to_numpy()
    if item.type == BOOLEAN:
        # Both, however rare: that a boolean is true or false tells of nobody.
        return [1.0, 0.0] if numbers.mean() > 0.5 else [0.0, 1.0]
    if len(numbers) < FEWEST:
        return []
    distinct, counts = np.unique(numbers, return_counts=True)
    if len(distinct) <= _FEW:
        often = sorted(
            (-count, value) for value, count in zip(distinct.tolist(), counts, strict=True) if count >= FEWEST
        )
        if often:
            return [value for _, value in often]
    low, high = float(numbers.min()), float(numbers.max())
    digits = 0 if low == high else -math.floor(math.log10((high - low) / 100))
    digits = min(digits, 0) if item.integer else digits
    tried = [_rounded(float(value), digits, low, high) for value in np.quantile(numbers, _QUANTILES)]
    step = 10.0**-digits if low < high and abs(digits) < 300 else 0.0
    steps = (tried[0] + sign * count * step for count in range(1, _STEPS + 1) for sign in (1, -1))
    tried += [_rounded(value, digits, low, high) for value in steps if low <= value <= high]
    return list(dict.fromkeys(value for value in tried if not item.integer or value.is_integer()))


def _rounded(value: float, digits: int, low: float, high: float) -> float:
    """To so many decimals, unless that leaves the column's range."""
    rounded = round(value, digits)
    return rounded if low <= rounded <= high else value


def _others(usual: list[list], inputs: Iterable[Input]) -> Iterator[tuple]:
    """Rows that differ from the most usual one in one column or two; numbers first, and missing values last."""
    first = [values[0] for values in usual]
    # The more values a column has, the less a change of it says.
    order = sorted(range(len(usual)), key=lambda column: -len(usual[column]))
    for missing in (False, True):
        rest = [[(column, value) for value in usual[column][1:] if missing or value == value] for column in order]
        changes: Iterable = itertools.chain(*rest)
        pairs = (pair for left, right in itertools.combinations(rest, 2) for pair in itertools.product(left, right))
        for change in itertools.chain(((single,) for single in changes), itertools.islice(pairs, _TRIED)):
            row = [*first]
            for column, value in change:
                row[column] = value
            yield tuple(row)


def _holds(table: pd.DataFrame, row: tuple) -> bool:
    """Whether a table has a row of these values, NaN being equal to NaN."""
    left = table
    for name, value in zip(table.columns, row, strict=True):
        left = left[left[name].isna() if value != value else left[name] == value]
        if not len(left):
            return False
    return True
