"""The stable holdout, by a hash of each row's key, and the folds of cross-validation."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines import dates
from pipelines.dataset import CLASSIFICATION, Dataset, Roles
from pipelines.errors import PipelineError
from registry.text import listed

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15))
_FEWEST_TRAINING = 10
_FEWEST_HELD_OUT = 2
_FEW_DIFFERENT = 50
_MOST_STRATIFIED_GROUPS = 20_000


@dataclass(frozen=True)
class Split:
    """Which rows are held out.

    Parameters
    ----------
    training, holdout : row positions, ascending.
    keys : shape (n_rows,), uint64: the hash of each row's key.
    by : ``"row"``, ``"id"``, ``"group"`` or ``"time"``.
    columns : the columns that decide which rows are held out.
    key_columns : the columns whose values make the key: the ids, else the features.
    cut : for a split by time, the last moment of the training rows, as text.
    """

    training: np.ndarray
    holdout: np.ndarray
    keys: np.ndarray
    by: str
    columns: tuple[str, ...]
    test_size: float
    cut: str | None = None
    key_columns: tuple[str, ...] = ()


def split(dataset: Dataset, roles: Roles, *, test_size: float) -> Split:
    """Hold rows out by the hash of their key, or those after a moment.

    A row's place depends on its key alone: not on a seed, the order of the rows or the rows around it, so that it
    stays held out when the table grows, and duplicates stay on one side.

    Parameters
    ----------
    test_size : the share of rows to hold out, between 0 and 1.

    Raises
    ------
    PipelineError
        where there are too few rows, or a class would be on one side only.
    """
    features = dataset.features
    row_columns = tuple(roles.id) or tuple(features.columns)
    keys = hash_rows(pd.DataFrame({name: dataset.column(name) for name in roles.id}) if roles.id else features)
    cut = None
    by: str
    columns: tuple[str, ...]
    if roles.time:
        by, columns = "time", (roles.time,)
        moments = dates.moments(dataset.column(roles.time), roles.time)
        held, cut = _after_cut(moments, test_size)
    elif roles.group:
        by, columns = "group", (roles.group,)
        held = _share(hash_rows(dataset.column(roles.group).to_frame())) < test_size
    else:
        by, columns = ("id" if roles.id else "row"), row_columns
        held = _share(keys) < test_size
    result = Split(np.flatnonzero(~held), np.flatnonzero(held), keys, by, columns, test_size, cut, row_columns)
    _check(result, dataset)
    return result


def hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """A hash of each row's values and their columns' names, shape (n_rows,), uint64; columns in any order.

    Numbers are hashed as float64 (-0.0 as 0.0, every NaN alike), text as UTF-8 by BLAKE2b (missing as empty); the
    columns' hashes are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014) and added modulo 2**64.
    """
    total = np.zeros(len(frame), dtype="uint64")
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind == "f":
            numbers = values.to_numpy(dtype="float64") + 0.0
            bits = np.where(np.isnan(numbers), np.nan, numbers).view("uint64")
        else:
            codes, distinct = pd.factorize(values)
            words = np.array([*(_text_hash(str(text)) for text in distinct), _text_hash("")], dtype="uint64")
            bits = words[codes]
        total += _mixed(_mixed(bits) ^ np.uint64(_text_hash(str(name))))
    return _mixed(total)


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = bits + _MIX[2]
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    return bits ^ (bits >> np.uint64(31))


def _share(keys: np.ndarray) -> np.ndarray:
    """Hashes as numbers uniform in [0, 1)."""
    return (keys >> np.uint64(11)) * 2.0**-53


def _after_cut(moments: np.ndarray, test_size: float) -> tuple[np.ndarray, str]:
    """Which rows come after the cut, and the cut: the last training moment. Rows of one moment stay together."""
    ordered = np.sort(moments)
    cut = ordered[max(int(np.ceil(len(ordered) * (1 - test_size))) - 1, 0)]
    if cut == ordered[-1] and ordered[0] < cut:
        cut = ordered[np.searchsorted(ordered, cut) - 1]
    return moments > cut, dates.shown(cut)


def _check(result: Split, dataset: Dataset) -> None:
    rows, held = len(dataset.features), len(result.holdout)
    by = _told(result, dataset)
    if len(result.training) < _FEWEST_TRAINING or held < _FEWEST_HELD_OUT:
        raise PipelineError(
            f"expected at least {_FEWEST_TRAINING} training and {_FEWEST_HELD_OUT} held-out rows, found "
            f"{len(result.training)} and {held} of {rows} ({by}); add rows or change --test-size"
        )
    if dataset.task != CLASSIFICATION:
        if dataset.target.iloc[result.training].nunique() < 2:
            raise PipelineError("the target is constant in the training rows; add rows or change --test-size")
        return
    classes = set(dataset.classes)
    for side, positions in (("training", result.training), ("held-out", result.holdout)):
        if absent := classes - set(dataset.target.iloc[positions].unique().tolist()):
            raise PipelineError(
                f"class {listed(sorted(absent))} is absent from the {side} rows ({by}); "
                "add rows of it, merge it with another, or change --test-size"
            )


def _told(result: Split, dataset: Dataset) -> str:
    """How rows are held out, and of how many different values where those are few."""
    if result.by == "row":
        different = len(np.unique(result.keys))
    else:
        different = len(pd.DataFrame({name: dataset.column(name) for name in result.columns}).drop_duplicates())
    if different > _FEW_DIFFERENT or different == len(dataset.features):
        return f"held out by {result.by}"
    return f"held out by {result.by}, {different} different value{'s'[: different > 1]} of {listed(result.columns)}"


def folds(dataset: Dataset, split: Split, *, count: int, seed: int) -> tuple[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Folds over the training rows: their kind, and pairs of positions within the training rows.

    By time where the split is by time; by group where it is by group, or by an id that several rows share; stratified
    for a classification; else shuffled by the seed. Fewer folds where a class, the groups or the moments are too few.

    Raises
    ------
    PipelineError
        where there are not two folds, or the rows beside a fold hold one class only.
    """
    target = dataset.target.iloc[split.training].to_numpy()
    classes = dataset.task == CLASSIFICATION
    if split.by == "time":
        kind, pairs = "time", _by_time(dataset, split, count)
    elif split.by == "group" or (split.by == "id" and len(np.unique(split.keys[split.training])) < len(target)):
        groups = split.keys if split.by == "id" else hash_rows(dataset.column(split.columns[0]).to_frame())
        kind, pairs = "group", _by_group(target, groups[split.training], classes, count, seed)
    else:
        kind, pairs = ("stratified" if classes else "k-fold"), _shuffled(target, classes, count, seed)
    if classes and any(len(pd.unique(target[beside])) < 2 for beside, _ in pairs):
        raise PipelineError(f"the rows beside a fold ({kind}) hold one class only; give --folds 0, or add rows")
    return kind, pairs


def held_out_as(holdout: Mapping, column: Callable[[str], pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the rows of any table, and which of them an earlier split would hold out.

    Parameters
    ----------
    holdout : the ``holdout`` section of evidence.
    column : name -> that column of the table, typed; shape (n_rows,).

    Returns
    -------
    keys, shape (n_rows,), uint64; held, shape (n_rows,), bool.
    """
    keys = hash_rows(pd.DataFrame({name: column(name) for name in holdout["key_columns"]}, copy=False))
    if holdout["by"] == "time":
        name = holdout["columns"][0]
        moments = dates.moments(column(name), name)
        return keys, moments > np.array(holdout["cut"]).astype(moments.dtype)
    if holdout["by"] == "group":
        return keys, _share(hash_rows(column(holdout["columns"][0]).to_frame())) < holdout["test_size"]
    return keys, _share(keys) < holdout["test_size"]


def _by_time(dataset: Dataset, split: Split, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each fold later than the rows before it; rows of one moment stay together."""
    from sklearn.model_selection import TimeSeriesSplit

    name = split.columns[0]
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


def _by_group(
    target: np.ndarray, groups: np.ndarray, classes: bool, count: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    codes = pd.factorize(groups, sort=True)[0]
    many = int(codes.max()) + 1
    count = _enough(count, many)
    # The stratified one looks at each group in Python.
    fewest = int(pd.Series(target).value_counts().min()) if classes else 0
    stratified = classes and many <= _MOST_STRATIFIED_GROUPS and fewest >= count
    maker = (StratifiedGroupKFold if stratified else GroupKFold)(count, shuffle=True, random_state=seed)
    return [(beside, within) for beside, within in maker.split(np.zeros(len(target)), target, codes) if len(within)]


def _shuffled(target: np.ndarray, classes: bool, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
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
