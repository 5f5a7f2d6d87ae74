"""Features that are the target under another name, or determine it exactly, as no feature of use does."""

import math

import numpy as np
import pandas as pd

from registry.cli.text import argument

# Most columns show in so many rows that they do not determine the target; only the others are looked at whole.
_HEAD = 10_000
# A column is told if chance alone would let it determine the target in less than one table of a million.
_BY_CHANCE = 1e-6
# So many different numbers are in the order of the target by chance in two tables of 10!, 3.6 million.
_FEWEST_IN_ORDER = 10


def note(name: str, values: pd.Series, target: pd.Series) -> str:
    """What a person should know of a feature that determines the target; empty if it does not.

    Parameters
    ----------
    values, target : shape (n_rows,); NaN missing, in the values alone. Rows without a value do not count.
    """
    for rows in (_HEAD, len(values)):
        what = _relation(values.iloc[:rows], target.iloc[:rows])
        if not what:
            return ""
        if rows >= len(values):
            break
    return (
        f"{name!r} {what}: a model of it only repeats it, and cannot answer where the target is not known yet; "
        f"--drop {argument([name])} leaves it out"
    )


def _relation(values: pd.Series, target: pd.Series) -> str:
    known = values.notna().to_numpy()
    codes, distinct = pd.factorize(values[known])
    answers, labels = pd.factorize(target[known])
    pairs = len(np.unique(codes * np.int64(len(labels)) + answers))
    if len(labels) < 2 or pairs > len(distinct):
        return ""
    # Each row beyond the first of its value could have another target; by chance it has not in `alike` of all cases.
    alike = float(np.square(np.bincount(answers) / len(answers)).sum())
    certain = (len(answers) - len(distinct)) * math.log(alike) < math.log(_BY_CHANCE)
    if pairs > len(labels):
        return "determines the target exactly" if certain else ""
    if certain or _in_order(distinct, labels):
        return "is the target under another name (each value goes with one value of the target)"
    return ""


def _in_order(distinct: pd.Index | np.ndarray, labels: pd.Index | np.ndarray) -> bool:
    """Whether numbers that are paired one by one go up together, or one goes up as the other goes down."""
    if len(distinct) < _FEWEST_IN_ORDER or not all(np.asarray(one).dtype.kind in "if" for one in (distinct, labels)):
        return False
    steps = np.diff(np.asarray(labels, dtype="float64")[np.argsort(np.asarray(distinct))])
    return bool((steps > 0).all() or (steps < 0).all())
