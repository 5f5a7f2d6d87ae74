"""The rows of a table that a version is judged on, and what is true of them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines import columns, splitting
from pipelines.dataset import CLASSIFICATION, REGRESSION
from pipelines.errors import PipelineError
from pipelines.planning import CLEANING
from pipelines.sources import Table
from pipelines.targets import usual_name
from pipelines.versions import Version
from registry.text import listed
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

#: Which rows of a table are judged: ``auto`` is ``holdout`` on a table that the version was trained on, else ``all``.
ROWS = ("auto", "all", "holdout")


@dataclass(frozen=True)
class Rows:
    """The rows of a table that are judged.

    Parameters
    ----------
    positions, keys, truth : of each row; its place in the table, its key by the candidate's rule, its target.
    unseen : which of them both versions' trainings would have held out; none where one of them does not tell.
    notes : what a person should know.
    """

    positions: np.ndarray
    keys: np.ndarray
    unseen: np.ndarray
    truth: np.ndarray
    target: str
    task: str
    classes: tuple
    notes: tuple[str, ...]


def choose(table: Table, version: Version, other: Version | None, *, which: str, target: str | None) -> Rows:
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
    keys, held = _keys(table, version)
    chosen &= _allowed(table, version, held, which, notes)
    unseen = np.zeros(len(known), dtype=bool)
    if other is not None:
        theirs = _keys(table, other)[1]
        chosen &= _allowed(table, other, theirs, which, notes)
        if version.document and other.document:
            unseen = held & theirs
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
    return Rows(positions, keys[positions], unseen[positions], labels, target, task, classes, tuple(notes))


def _target_name(table: Table, version: Version, asked: str | None) -> str:
    known = version.document["model"]["target"] if version.document else table.target
    name = asked or known or usual_name(table.columns.column_names)
    if not name:
        raise PipelineError(f"--target is needed: {version.title} does not tell what it predicts")
    if name not in table.columns.column_names:
        raise PipelineError(f"no column {name!r} to judge by; the table has {listed(table.columns.column_names)}")
    return name


def _truth(table: Table, target: str, version: Version) -> columns.Column:
    """The target by its type: as text where the version answers text, though all that is here may look like numbers."""
    classes = version.document["model"]["classes"] if version.document else version.classes
    if classes and isinstance(classes[0], str):
        return columns.text(target, table.columns[target], CLEANING)
    try:
        return columns.infer(target, table.columns[target], CLEANING, table.marks_of(target))
    except PipelineError as error:
        raise PipelineError(f"target: {str(error).partition(', or leave')[0]}") from None


def _task(version: Version, column: columns.Column, known: np.ndarray) -> tuple[str, tuple]:
    """The task of a version, and its classes: those of the table where the model does not tell."""
    if version.document:
        return version.document["model"]["task"], tuple(version.document["model"]["classes"] or ())
    if version.classes is not None:
        return (CLASSIFICATION if version.classes else REGRESSION), version.classes
    if column.type == CATEGORY:
        return CLASSIFICATION, tuple(sorted(column.values[known].unique().tolist()))
    return REGRESSION, ()


def typed(table: Table, name: str) -> pd.Series:
    """A column of a table by its type."""
    return columns.infer(name, table.columns[name], CLEANING, table.marks_of(name)).values


def _keys(table: Table, version: Version) -> tuple[np.ndarray, np.ndarray]:
    """The key of every row, as the version's training made them, and which it held out."""
    if version.document is None:
        frame = version.read(table)
        return splitting.hash_rows(frame), np.ones(len(frame), dtype=bool)
    holdout = version.document["holdout"]
    needed = {*holdout["key_columns"], *holdout["columns"]}
    if missing := sorted(name for name in needed if table.known_as(name) is None):
        raise PipelineError(f"{version.title} keys its rows by columns that the table lacks: {listed(missing)}")
    inputs = {one.name: one for one in version.inputs}

    def column(name: str) -> pd.Series:
        if name in inputs:
            return version.column(table, inputs[name])
        own = table.known_as(name) or name
        return columns.infer_key(name, table.columns[own], CLEANING, table.marks_of(own)).values

    return splitting.held_out_as(holdout, column)


def _allowed(table: Table, version: Version, held: np.ndarray, rows: str, notes: list[str]) -> np.ndarray:
    """Which rows may be judged by: all, or those that the version's training held out."""
    trained_here = version.document is not None and version.document["lineage"]["data"]["digest"] == table.digest
    if rows == "all" or (rows == "auto" and not trained_here):
        if trained_here:
            notes.append(f"{version.title} was trained on rows of this table: its metrics flatter it")
        return np.ones(table.columns.num_rows, dtype=bool)
    if version.document is None:
        raise PipelineError(f"--rows holdout: {version.title} does not tell what it held out; use --rows all")
    notes.append(f"{version.title} held out {held.sum()} of these {len(held)} rows; the others are not judged")
    return held


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
