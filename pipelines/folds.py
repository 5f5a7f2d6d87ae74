"""Cross-validation folds of the training rows: by time, by group or by row, as the holdout is."""

import warnings

import numpy as np
import pandas as pd

from pipelines import dates, row_keys
from pipelines.dataset import CLASSIFICATION, Dataset
from pipelines.errors import PipelineError
from pipelines.splitting import Split
from registry.holdout import GROUP, ID, TIME

#: Of each fold the rows to fit on, and the rows to judge by, as positions within the training rows.
Pairs = list[tuple[np.ndarray, np.ndarray]]

_MOST_STRATIFIED_GROUPS = 20_000


def make_folds(dataset: Dataset, split: Split, *, count: int, seed: int) -> tuple[str, Pairs]:
    """Make folds of the training rows; return their kind, and pairs of positions within the training rows.

    By time where the split is by time; by group where it is by group, or by an id that several rows share; stratified
    for a classification; else shuffled by the seed. Fewer folds where a class, the groups or the moments are too few.

    Raises
    ------
    PipelineError
        where there are not two folds, or the rows beside a fold hold one class only.
    """
    target = dataset.target.iloc[split.training].to_numpy()
    classes = dataset.task == CLASSIFICATION
    by, columns = split.rule.by, split.rule.columns
    if by == TIME:
        kind, pairs = "time", _by_time(dataset, split, count)
    elif by == GROUP or (by == ID and len(np.unique(split.keys[split.training])) < len(target)):
        groups = split.keys if by == ID else row_keys.hash_columns(dataset.column, columns)
        kind, pairs = "group", _by_group(target, groups[split.training], classes, count, seed)
    else:
        kind, pairs = ("stratified" if classes else "k-fold"), _shuffled(target, classes, count, seed)
    if classes and any(len(pd.unique(target[beside])) < 2 for beside, _ in pairs):
        raise PipelineError(f"the rows beside a fold ({kind}) hold one class only; give --folds 0, or add rows")
    return kind, pairs


def _by_time(dataset: Dataset, split: Split, count: int) -> Pairs:
    """Each fold later than the rows before it; rows of one moment stay together."""
    from sklearn.model_selection import TimeSeriesSplit

    name = split.rule.columns[0]
    moments, codes = np.unique(dates.moments(dataset.column(name), name)[split.training], return_inverse=True)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    pairs = TimeSeriesSplit(_enough(count, len(moments) - 1)).split(moments)
    return [
        (
            order[: np.searchsorted(ordered, after[0])],
            order[slice(*np.searchsorted(ordered, [after[0], after[-1] + 1]))],
        )
        for _, after in pairs
    ]


def _by_group(target: np.ndarray, groups: np.ndarray, classes: bool, count: int, seed: int) -> Pairs:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    codes = pd.factorize(groups, sort=True)[0]
    many = int(codes.max()) + 1
    count = _enough(count, many)
    # The stratified one looks at each group in Python.
    fewest = int(pd.Series(target).value_counts().min()) if classes else 0
    stratified = classes and many <= _MOST_STRATIFIED_GROUPS and fewest >= count
    maker = (StratifiedGroupKFold if stratified else GroupKFold)(count, shuffle=True, random_state=seed)
    return [(beside, within) for beside, within in maker.split(np.zeros(len(target)), target, codes) if len(within)]


def _shuffled(target: np.ndarray, classes: bool, count: int, seed: int) -> Pairs:
    from sklearn.model_selection import KFold, StratifiedKFold

    if not classes:
        return list(KFold(_enough(count, len(target)), shuffle=True, random_state=seed).split(target))
    count = _enough(count, max(int(pd.Series(target).value_counts().min()), 2))
    with warnings.catch_warnings():
        # A class with a single row is in one fold only.
        warnings.simplefilter("ignore", UserWarning)
        return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(target, target))


def _enough(count: int, most: int) -> int:
    if min(count, most) < 2:
        raise PipelineError(
            f"cross-validation needs at least 2 folds, found room for {max(min(count, most), 0)} "
            "(a fold needs groups, moments or rows of its own); give --folds 0"
        )
    return min(count, most)
