"""The stable holdout, by a hash of each row's key, and the folds of cross-validation."""

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from pipelines import dates
from pipelines.columns import EXACT, TRUTH
from pipelines.dataset import CLASSIFICATION, Dataset, Roles
from pipelines.errors import PipelineError
from registry.cli.text import listed
from registry.holdout import GROUP, ID, ROW, TIME, HoldoutRule
from serving.scorecard.inputs import InputError, number

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15))
# What a number, a moment, true or false begins with.
_BEGINNINGS = frozenset("0123456789+-.iItTfF")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d(?:\.\d+)?))?)?")
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
    rule : what holds rows out.
    """

    training: np.ndarray
    holdout: np.ndarray
    keys: np.ndarray
    rule: HoldoutRule


def split(
    dataset: Dataset,
    roles: Roles,
    *,
    test_size: float,
    key_columns: Sequence[str] = (),
    before: HoldoutRule | None = None,
) -> Split:
    """Hold rows out by the hash of their key, or those after a moment.

    A row's place depends on its key alone: not on a seed, the order of the rows or the rows around it, so that it
    stays held out when the table grows, and duplicates stay on one side.

    Parameters
    ----------
    test_size : the share of rows to hold out, between 0 and 1.
    key_columns : the columns that name a row where no ids do, as an earlier version has them; by default those that
        are features, or would be if none were dropped.
    before : the rule of an earlier version. A cut in time never moves back behind its own, unless a larger share is
        asked for, or too few rows would be left.

    Raises
    ------
    PipelineError
        where there are too few rows, or a class would be on one side only.
    """
    keyed = tuple(roles.id) or tuple(key_columns) or dataset.key_columns
    keys = hash_columns(dataset.column, keyed)
    rule = HoldoutRule(ROW, keyed, named=bool(roles.id), columns=keyed, test_size=test_size)
    if roles.time:
        moments = dates.moments(dataset.column(roles.time), roles.time)
        held, cut = _after_cut(moments, test_size, _least_cut(before, roles.time, test_size, moments))
        rule = msgspec.structs.replace(rule, by=TIME, columns=(roles.time,), cut=cut)
    elif roles.group:
        rule = msgspec.structs.replace(rule, by=GROUP, columns=(roles.group,))
        held = _share(hash_columns(dataset.column, rule.columns)) < test_size
    else:
        rule = msgspec.structs.replace(rule, by=ID if roles.id else ROW)
        held = _share(keys) < test_size
    result = Split(np.flatnonzero(~held), np.flatnonzero(held), keys, rule)
    _check(result, dataset)
    return result


def hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """A hash of each row's values and their columns' names, shape (n_rows,), uint64; columns in any order.

    It hangs on each value alone, not on the type that its column has in this table: a number is hashed as float64
    (-0.0 as 0.0), also one that is written as text; true and false are 1 and 0; other text, trimmed, as UTF-8 by
    BLAKE2b; all missing values alike. The columns' hashes are mixed by the finaliser of SplitMix64 (Steele, Lea and
    Flood 2014) and added modulo 2**64. Whoever changes this raises ``registry.holdout.SCHEME``.
    """
    total = np.zeros(len(frame), dtype="uint64")
    for name in frame.columns:
        total += _mixed(_mixed(_bits(frame[name])) ^ np.uint64(_text_hash(str(name))))
    return _mixed(total)


def hash_columns(column: Callable[[str], pd.Series], names: Sequence[str]) -> np.ndarray:
    """The hash of each row's values in some columns of a table, see :func:`hash_rows`.

    Parameters
    ----------
    column : name -> that column, typed; shape (n_rows,).
    """
    return hash_rows(pd.DataFrame({name: column(name) for name in names}, copy=False))


def _bits(values: pd.Series) -> np.ndarray:
    """Each value as 64 bits."""
    if values.dtype.kind in "fiub":
        return _number_bits(values.to_numpy(dtype="float64"))
    codes, distinct = pd.factorize(values)
    read = [_read(value) for value in distinct]
    words = _number_bits(np.array([*(value if isinstance(value, float) else 0.0 for value in read), np.nan]))
    for place, value in enumerate(read):
        if isinstance(value, str):
            words[place] = _text_hash(value)
    return words[codes]


def _number_bits(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(numbers), np.nan, numbers + 0.0).view("uint64")


def _read(value: object) -> float | str:
    """A value that is no number by its type: what number it is, else its text."""
    text = str(value).strip()
    if text[:1] not in _BEGINNINGS:
        return text
    if found := _MOMENT.fullmatch(text):
        # The same moment as date, timestamp and text of a file.
        day, clock, seconds = found.groups()
        if seconds and "." in seconds:
            seconds = seconds.rstrip("0").rstrip(".")
        clock = f"{clock or '00:00'}:{seconds or '00'}"
        return day if clock == "00:00:00" else f"{day} {clock}"
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    try:
        read = number(text, "")
    except InputError:
        return text
    beyond = abs(read) >= EXACT and _WHOLE.fullmatch(text) and int(text) != read
    return str(int(text)) if beyond else read


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


def _after_cut(moments: np.ndarray, test_size: float, least: np.generic | None) -> tuple[np.ndarray, str]:
    """Which rows come after the cut, and the cut: the last training moment. Rows of one moment stay together."""
    ordered = np.sort(moments)
    cut = ordered[max(int(np.ceil(len(ordered) * (1 - test_size))) - 1, 0)]
    if cut == ordered[-1] and ordered[0] < cut:
        cut = ordered[np.searchsorted(ordered, cut) - 1]
    if (
        least is not None
        and cut < least
        and (moments > least).sum() >= max(_ENOUGH_AFTER_CUT * (moments > cut).sum(), _FEWEST_HELD_OUT)
    ):
        cut = least
    return moments > cut, dates.shown(cut)


# Of the rows that a share would hold out, those that a later cut has to leave.
_ENOUGH_AFTER_CUT = 0.5


def _least_cut(before: HoldoutRule | None, name: str, test_size: float, moments: np.ndarray) -> np.generic | None:
    """The cut of an earlier version, where it was by this column and of no smaller share."""
    if before is None or before.by != TIME or before.columns != (name,) or test_size > before.share:
        return None
    try:
        return _moment(before, moments)
    except PipelineError:  # the column held something else then: nothing of it is known
        return None


def _moment(rule: HoldoutRule, moments: np.ndarray) -> np.generic:
    """The cut of a rule, to be compared with moments.

    Raises
    ------
    PipelineError
        where one of them is a number and the other a date.
    """
    try:
        cut: float | None = float(str(rule.cut))
    except ValueError:
        cut = None
    if (cut is None) == (moments.dtype.kind == "f"):
        raise PipelineError(
            f"--time {rule.columns[0]}: the cut {rule.cut} and the column are not both dates or numbers"
        )
    return np.float64(cut) if cut is not None else np.datetime64(rule.cut).astype(moments.dtype)


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
    rule = result.rule
    if rule.by == ROW:
        different = len(np.unique(result.keys))
    else:
        different = len(pd.DataFrame({name: dataset.column(name) for name in rule.columns}).drop_duplicates())
    if different > _FEW_DIFFERENT or different == len(dataset.features):
        return f"held out by {rule.by}"
    return f"held out by {rule.by}, {different} different value{'s'[: different > 1]} of {listed(rule.columns)}"


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
    by, columns = split.rule.by, split.rule.columns
    if by == TIME:
        kind, pairs = "time", _by_time(dataset, split, count)
    elif by == GROUP or (by == ID and len(np.unique(split.keys[split.training])) < len(target)):
        groups = split.keys if by == ID else hash_columns(dataset.column, columns)
        kind, pairs = "group", _by_group(target, groups[split.training], classes, count, seed)
    else:
        kind, pairs = ("stratified" if classes else "k-fold"), _shuffled(target, classes, count, seed)
    if classes and any(len(pd.unique(target[beside])) < 2 for beside, _ in pairs):
        raise PipelineError(f"the rows beside a fold ({kind}) hold one class only; give --folds 0, or add rows")
    return kind, pairs


def held_out_as(rule: HoldoutRule, column: Callable[[str], pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the rows of any table, and which of them an earlier split would hold out.

    Parameters
    ----------
    rule : one that applies.
    column : name -> that column of the table, typed; shape (n_rows,).

    Returns
    -------
    keys, shape (n_rows,), uint64; held, shape (n_rows,), bool.

    Raises
    ------
    PipelineError
        where the rule is by time, and the column has no times that can be compared with its cut.
    """
    keys = hash_columns(column, rule.key_columns)
    if rule.by == TIME:
        name = rule.columns[0]
        moments = dates.moments(column(name), name)
        return keys, moments > _moment(rule, moments)
    if rule.by == GROUP:
        return keys, _share(hash_columns(column, rule.columns)) < rule.share
    return keys, _share(keys) < rule.share


def _by_time(dataset: Dataset, split: Split, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
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
