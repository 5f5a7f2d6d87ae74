"""The stable holdout: rows are held out by a hash of their key or group, or by time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from pipelines import dates, row_keys
from pipelines.dataset import CLASSIFICATION, Dataset, Roles
from pipelines.errors import PipelineError
from pipelines.holdout_share import HoldoutShare
from registry.cli.text import listed
from registry.holdout import GROUP, ID, ROW, TIME, HoldoutRule

_FEWEST_TRAINING = 10
_FEWEST_HELD_OUT = 2


@dataclass(frozen=True)
class Split:
    """Which rows are held out.

    Parameters
    ----------
    training, holdout : row positions, ascending.
    keys : shape (n_rows,), uint64: the hash of each row's key.
    rule : what holds rows out.
    notes : what a person should know of it, a sentence each.
    """

    training: np.ndarray
    holdout: np.ndarray
    keys: np.ndarray
    rule: HoldoutRule
    notes: tuple[str, ...] = ()


def split(
    dataset: Dataset,
    roles: Roles,
    *,
    test_size: float,
    key_columns: Sequence[str] = (),
    before: HoldoutRule | None = None,
    sample: bool = False,
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
    sample : whether these rows are a sample of the table, in which a class may be on one side only.

    Raises
    ------
    PipelineError
        where there are too few rows, or a class would be on one side only.
    """
    keyed = tuple(roles.id) or tuple(key_columns) or dataset.key_columns
    keys = row_keys.hash_columns(dataset.key_column, keyed)
    rule = HoldoutRule(ROW, keyed, named=bool(roles.id), columns=keyed, test_size=test_size)
    if roles.time:
        moments = dates.moments(dataset.column(roles.time), roles.time)
        distinct = np.unique(moments, return_counts=True)
        cut = cut_of(*distinct, name=roles.time, test_size=test_size, before=before)
        held, units = moments > cut, moments
        rule = msgspec.structs.replace(rule, by=TIME, columns=(roles.time,), cut=dates.shown(cut))
    elif roles.group:
        rule = msgspec.structs.replace(rule, by=GROUP, columns=(roles.group,))
        units = row_keys.hash_columns(dataset.key_column, rule.columns)
        held = row_keys.share(units) < test_size
    else:
        rule, units = msgspec.structs.replace(rule, by=ID if roles.id else ROW), keys
        held = row_keys.share(keys) < test_size
    share = HoldoutShare.of(rule, units, held)
    notes = (share.note(dataset.row_names),) if share.doubtful else ()
    result = Split(np.flatnonzero(~held), np.flatnonzero(held), keys, rule, notes)
    if not sample:
        _check(result, dataset)
    return result


# Of the rows that a share would hold out, those that a later cut has to leave.
_ENOUGH_AFTER_CUT = 0.5


def cut_of(
    moments: np.ndarray, counts: np.ndarray, *, name: str, test_size: float, before: HoldoutRule | None
) -> np.generic:
    """The last training moment: rows after it are held out. Rows of one moment stay together.

    Parameters
    ----------
    moments, counts : shape (n_moments,): different ones, ascending, and how many rows each has.
    name : of the column of times.
    before : the rule of an earlier version, see :func:`split`.
    """
    ends = np.cumsum(counts)
    place = int(np.searchsorted(ends, max(int(np.ceil(ends[-1] * (1 - test_size))), 1)))
    if place == len(moments) - 1 and place > 0:
        place -= 1
    cut, least = moments[place], _least_cut(before, name, test_size, moments)
    if least is not None and cut < least:
        later, asked = (int(counts[moments > each].sum()) for each in (least, cut))
        if later >= max(_ENOUGH_AFTER_CUT * asked, _FEWEST_HELD_OUT):
            cut = least
    return cut


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


def as_held(rule: HoldoutRule, dataset: Dataset) -> Split:
    """The split that a rule makes of a table."""
    keys, held = held_out_as(rule, dataset.key_column)
    return Split(np.flatnonzero(~held), np.flatnonzero(held), keys, rule)


def _check(result: Split, dataset: Dataset) -> None:
    sides = [dataset.target.iloc[positions] for positions in (result.training, result.holdout)]
    labels = None
    if dataset.task == CLASSIFICATION:
        labels = np.array([side.value_counts().reindex(dataset.classes, fill_value=0) for side in sides])
    check_sides(
        result, dataset.classes, (len(result.training), len(result.holdout)), labels, varies=sides[0].nunique() > 1
    )


def check_sides(
    split: Split, classes: Sequence, sizes: tuple[int, int], labels: np.ndarray | None, *, varies: bool
) -> None:
    """Raise PipelineError if too few rows are on a side, or nothing can be learned from those that are there.

    Parameters
    ----------
    sizes : how many rows are trained on, and how many are held out.
    labels : shape (2, n_classes), how many of them each class has; None of a regression.
    varies : whether the target of the training rows has two values.
    """
    training, held = sizes
    # Few different rows are split badly however many rows there are.
    by, note = f"held out by {split.rule.by}", "; ".join(split.notes)
    if training < _FEWEST_TRAINING or held < _FEWEST_HELD_OUT:
        raise PipelineError(
            f"expected at least {_FEWEST_TRAINING} training and {_FEWEST_HELD_OUT} held-out rows, found "
            f"{training} and {held} of {training + held} ({by}); {note or 'add rows or change --test-size'}"
        )
    if labels is None:
        if not varies:
            remedy = note or "add rows or change --test-size"
            raise PipelineError(f"the target is constant in the training rows; {remedy}")
        return
    for side, counts in zip(("training", "held-out"), labels, strict=True):
        if absent := [label for label, count in zip(classes, counts, strict=True) if not count]:
            remedy = note or "add rows of it, merge it with another, or change --test-size"
            raise PipelineError(f"class {listed(absent)} is absent from the {side} rows ({by}); {remedy}")


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
    keys = row_keys.hash_columns(column, rule.key_columns)
    if rule.by == TIME:
        name = rule.columns[0]
        return keys, after_cut(rule, dates.moments(column(name), name))
    if rule.by == GROUP:
        return keys, row_keys.share(row_keys.hash_columns(column, rule.columns)) < rule.share
    return keys, row_keys.share(keys) < rule.share


def after_cut(rule: HoldoutRule, moments: np.ndarray) -> np.ndarray:
    """Which moments, shape (n_rows,), a rule by time holds out.

    Raises
    ------
    PipelineError
        where they cannot be compared with its cut.
    """
    return moments > _moment(rule, moments)
