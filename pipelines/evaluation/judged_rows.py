"""The rows of a table that a version is judged on, and what is true of them."""

import contextlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from pipelines import columns, row_keys, splitting
from pipelines.dataset import CLASSIFICATION, REGRESSION
from pipelines.errors import PipelineError
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from pipelines.targets import usual_name
from pipelines.versions import Version
from registry.cli.text import listed
from registry.holdout import GIVEN, TIME, HoldoutRule
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

#: Which rows of a table are judged: ``auto`` is ``holdout`` where the version was trained on rows of it, else ``all``.
ROWS = ("auto", "all", "holdout")


@dataclass(frozen=True)
class JudgedRows:
    """The rows of a table that are judged.

    Parameters
    ----------
    positions, keys, truth : of each row; its place in the table, its key, its target.
    rule : what the keys are made of: the candidate's own rule where it has one.
    unseen : which of them both versions' trainings would have held out; none where one of them does not tell.
    notes : what a person should know.
    """

    positions: np.ndarray
    keys: np.ndarray
    rule: HoldoutRule
    unseen: np.ndarray
    truth: np.ndarray
    target: str
    task: str
    classes: tuple
    notes: tuple[str, ...]


def choose(table: Table, version: Version, other: Version | None, *, which: str, target: str | None) -> JudgedRows:
    """Choose the rows.

    Parameters
    ----------
    other : the version that is judged beside, on the same rows.
    which : one of ``ROWS``.
    target : the column that holds the truth; None for the one of training.

    Raises
    ------
    PipelineError
        where there are none, or the truth is nothing that the version could answer.
    """
    target = _target_name(table, version, target)
    column = _truth(table, target, version)
    known = column.values.notna().to_numpy()
    notes = [f"{(~known).sum()} rows without a value of {target!r} are left out"] if not known.all() else []
    task, classes = _task(version, column, known)
    chosen = known.copy()
    ours = _seen(table, version)
    chosen &= _allowed(table, version, ours, which, notes)
    unseen = np.zeros(len(known), dtype=bool)
    if other is not None:
        theirs = _seen(table, other)
        chosen &= _allowed(table, other, theirs, which, notes)
        if ours.held is not None and theirs.held is not None:
            unseen = ours.held & theirs.held
        if version.rule is None and theirs.held is not None:
            # It has no names of its own for rows: with the other's the two can be compared.
            ours = theirs
    positions = np.flatnonzero(chosen)
    if len(positions) < 2:
        raise PipelineError(
            f"expected rows to judge, found {len(positions)} of {len(known)} "
            f"({'; '.join(notes) or 'none is held out'}); give more rows, or --rows all"
        )
    if task == REGRESSION and column.type not in (NUMBER, BOOLEAN):
        raise PipelineError(f"target {target!r} holds {column.type} values, {version.title} predicts numbers")
    truth = column.values.iloc[positions]
    labels = _labels(truth, classes, target, version) if task == CLASSIFICATION else truth.to_numpy(dtype="float64")
    keys, rule = ours.keys[positions], ours.rule
    if version.rule is None:
        rule = HoldoutRule(GIVEN, rule.key_columns, scheme=rule.scheme)
    return JudgedRows(positions, keys, rule, unseen[positions], labels, target, task, classes, tuple(notes))


def _target_name(table: Table, version: Version, asked: str | None) -> str:
    known = version.document.model.target if version.document else table.target
    name = asked or known or usual_name(table.columns.column_names)
    if not name:
        raise PipelineError(f"--target is needed: {version.title} does not tell what it predicts")
    if name not in table.columns.column_names:
        raise PipelineError(f"no column {name!r} to judge by; the table has {listed(table.columns.column_names)}")
    return name


def _truth(table: Table, target: str, version: Version) -> columns.TypedColumn:
    """The target by its type: as text where the version answers text, though all that is here may look like numbers."""
    classes = version.document.model.classes if version.document else version.classes
    if classes and isinstance(classes[0], str):
        return columns.text(target, table.columns[target], table.cleaning)
    try:
        return columns.infer(target, table.columns[target], table.cleaning, table.marks_of(target))
    except PipelineError as error:
        raise PipelineError(f"target: {str(error).partition(', or leave')[0]}") from None


def _task(version: Version, column: columns.TypedColumn, known: np.ndarray) -> tuple[str, tuple]:
    """The task of a version, and its classes: those of the table where the model does not tell."""
    if version.document:
        return version.document.model.task, tuple(version.document.model.classes or ())
    if version.classes is not None:
        return (CLASSIFICATION if version.classes else REGRESSION), version.classes
    if column.type == CATEGORY:
        return CLASSIFICATION, tuple(sorted(column.values[known].unique().tolist()))
    return REGRESSION, ()


def typed(table: Table, name: str) -> pd.Series:
    """A column of a table by its type."""
    return columns.infer(name, table.columns[name], table.cleaning, table.marks_of(name)).values


@dataclass(frozen=True)
class _Seen:
    """The rows of a table as one version's training would have split them.

    Parameters
    ----------
    held : which it would have held out; None where that cannot be told.
    here : whether it was trained on rows of this table.
    """

    rule: HoldoutRule
    keys: np.ndarray
    held: np.ndarray | None
    here: bool


def _seen(table: Table, version: Version) -> _Seen:
    lineage = version.document.lineage if version.document else None
    same = lineage is not None and lineage.data.digest == table.digest
    rule = version.rule

    @cache
    def column(name: str) -> pd.Series:
        own = table.known_as(name) or name
        return columns.infer_key(name, table.columns[own], USUAL, table.marks_of(own)).values

    if rule is not None and rule.applies and all(map(table.known_as, rule.needed)):
        # JudgedRows of which the column of times tells nothing that can be compared with the cut are as any other rows.
        with contextlib.suppress(PipelineError):
            keys, held = splitting.held_out_as(rule, column)
            # Of the rows it knew a share is held out: where none of those is here, the others are not either.
            known = np.array([int(key, 16) for key in version.held_out.to_pylist()], dtype="uint64")
            return _Seen(rule, keys, held, same or bool(np.isin(keys, known).any()))
    inputs = tuple(one.name for one in version.inputs)
    if missing := [name for name in inputs if table.known_as(name) is None]:
        raise PipelineError(f"{version.title} takes columns that the table lacks: {listed(missing)}")
    keys = row_keys.hash_columns(column, inputs)
    return _Seen(HoldoutRule(GIVEN, inputs), keys, None, same)


def _allowed(table: Table, version: Version, seen: _Seen, rows: str, notes: list[str]) -> np.ndarray:
    """Which rows may be judged by: all, or those that the version's training held out."""
    every = np.ones(table.columns.num_rows, dtype=bool)
    if rows == "holdout" and seen.held is None:
        raise PipelineError(f"--rows holdout: {version.title} does not tell which of them it held out; use --rows all")
    if seen.held is not None and (rows == "holdout" or (rows == "auto" and seen.here)):
        notes.append(
            f"{version.title} held out {seen.held.sum()} of these {len(every)} rows; the others are not judged"
        )
        return seen.held
    if seen.here:
        which = "" if seen.held is not None else ", and which of them it held out is not known"
        notes.append(f"{version.title} was trained on rows of this table{which}: its metrics flatter it")
    elif seen.held is None:
        notes.append(f"{version.title} does not tell what it was trained on: these rows may be among it")
    elif seen.rule.by == TIME and not seen.held.all():
        notes.append(
            f"{(~seen.held).sum()} of these {len(every)} rows are not later than {seen.rule.cut}, up to where "
            f"{version.title} was trained: they may be among it"
        )
    return every


def _labels(truth: pd.Series, classes: tuple, target: str, version: Version) -> np.ndarray:
    """The truth as labels of the version's own type."""
    by_text = {str(label): label for label in classes}
    by_text |= {str(float(label)): label for label in classes if isinstance(label, (int, float))}
    texts = truth.map(str)
    if unknown := sorted(set(texts.unique()) - by_text.keys()):
        raise PipelineError(
            f"target {target!r} holds classes that {version.title} does not know: {listed(unknown)}; "
            f"it knows {listed(classes)}"
        )
    labels = texts.map(by_text)
    return labels.to_numpy(dtype=object if isinstance(classes[0], str) else np.asarray(classes).dtype)
