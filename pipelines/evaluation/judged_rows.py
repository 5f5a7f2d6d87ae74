"""The rows of a table that a version is judged on, and what is true of them."""

import contextlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from pipelines import columns, row_keys, splitting
from pipelines.dataset import CLASSIFICATION, REGRESSION
from pipelines.errors import PipelineError
from pipelines.evaluation.asking import Version
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from registry.cli.text import listed
from registry.holdout import GIVEN, TIME, HoldoutRule
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

# A model that shows no classes is asked about so many rows; and whole numbers up to so many are classes.
_ASKED = 20
_FEW = 20

#: Which rows of a table are judged: ``auto`` is ``holdout`` where the version was trained on rows of it, else ``all``.
ROWS = ("auto", "all", "holdout")


@dataclass(frozen=True)
class JudgedRows:
    """The rows of a table that are judged.

    Parameters
    ----------
    positions, keys, truth : of each row; its place in the table, its key, its target.
    rule : what the keys are made of: the candidate's own rule where it has one.
    unseen : which of them neither version was trained on, as far as that is known or declared.
    declared : that the version was not trained on these rows is declared by the user, and nothing else tells.
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
    declared: bool
    notes: tuple[str, ...]


def choose(
    table: Table, version: Version, other: Version | None, *, which: str, target: str, declared: bool = False
) -> JudgedRows:
    """Choose the rows.

    Parameters
    ----------
    other : the version that is judged beside, on the same rows.
    which : one of ``ROWS``.
    target : the column that holds the truth.
    declared : the user declares that no version was trained on these rows of which that cannot be told.

    Raises
    ------
    PipelineError
        where there are none, the truth is nothing that the version could answer, or the declaration is known to be
        wrong or needless.
    """
    column, task, classes = _truth(table, target, version)
    known = column.values.notna().to_numpy()
    notes = [f"{(~known).sum()} rows without a value of {target!r} are left out"] if not known.all() else []
    ours = _seen(table, version)
    theirs = _seen(table, other) if other else None
    if declared:
        _check_declared([(version, ours), *([(other, theirs)] if other and theirs else [])])
    chosen = known & _allowed(table, version, ours, which, notes, declared=declared)
    unseen = np.zeros(len(known), dtype=bool)
    if other and theirs:
        chosen &= _allowed(table, other, theirs, which, notes, declared=declared)
        unseen = _unseen(ours, declared) & _unseen(theirs, declared)
        if version.registered.rule is None and theirs.held is not None:
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
    if version.registered.rule is None:
        rule = HoldoutRule(GIVEN, rule.key_columns, scheme=rule.scheme)
    return JudgedRows(
        positions=positions,
        keys=keys,
        rule=rule,
        unseen=unseen[positions],
        truth=labels,
        target=target,
        task=task,
        classes=classes,
        declared=declared and ours.held is None,
        notes=tuple(notes),
    )


def _truth(table: Table, target: str, version: Version) -> tuple[columns.TypedColumn, str, tuple]:
    """The target by its type, the task, and the classes: those of the table if neither model nor evidence tells."""
    known = version.document.model if version.document else None
    classes = version.classes
    if classes is None and known and known.target == target:
        classes = tuple(known.classes or ())
    if classes is None:
        return _asked_truth(table, target, version)
    column = _text(table, target) if classes and isinstance(classes[0], str) else _typed(table, target)
    return column, CLASSIFICATION if classes else REGRESSION, classes


def _asked_truth(table: Table, target: str, version: Version) -> tuple[columns.TypedColumn, str, tuple]:
    """The same for a model that shows no classes: by its answers to a few rows.

    Texts and booleans are labels, and so are whole numbers if the target has few values.
    """
    column = _typed(table, target)
    rows = table.rows(np.flatnonzero(column.values.notna())[:_ASKED])
    kind = version.answer(version.read(rows)).predictions.dtype.kind
    if kind in "UO":
        column = _text(table, target)
    values = sorted(column.values.dropna().unique().tolist())
    if kind == "f":
        return column, REGRESSION, ()
    if column.type == CATEGORY:
        return column, CLASSIFICATION, tuple(values)
    if kind == "b" or column.type == BOOLEAN:
        return column, CLASSIFICATION, (False, True)
    if len(values) <= _FEW and all(value == int(value) for value in values):
        return column, CLASSIFICATION, tuple(map(int, values))
    return column, REGRESSION, ()


def _text(table: Table, target: str) -> columns.TypedColumn:
    """A target as text, though all that is here may look like numbers."""
    return columns.text(target, table.columns[target], table.cleaning)


def _typed(table: Table, target: str) -> columns.TypedColumn:
    try:
        return columns.infer(target, table.columns[target], table.cleaning, table.marks_of(target))
    except PipelineError as error:
        raise PipelineError(f"target: {str(error).partition(', or leave')[0]}") from None


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


def _unseen(seen: _Seen, declared: bool) -> np.ndarray:
    """Which rows a version was not trained on, as far as that is known or declared."""
    if seen.held is not None:
        return seen.held
    return np.full(len(seen.keys), declared)


def _check_declared(versions: list[tuple[Version, _Seen]]) -> None:
    """Raise if a declaration that these rows are unseen is known to be wrong, or tells nothing that is not known."""
    for version, seen in versions:
        if seen.here and seen.held is None:
            raise PipelineError(f"--unseen yes: {version.title} was trained on rows of this table; leave it out")
    if all(seen.held is not None for _, seen in versions):
        known = " and ".join(version.title for version, _ in versions)
        raise PipelineError(f"--unseen yes: of {known} it is known which rows were held out; leave it out")


def _seen(table: Table, version: Version) -> _Seen:
    registered = version.registered
    lineage = registered.document.lineage if registered.document and registered.trained_here else None
    same = lineage is not None and lineage.data.digest == table.digest
    rule = registered.rule

    @cache
    def column(name: str) -> pd.Series:
        own = table.known_as(name) or name
        return columns.infer_key(name, table.columns[own], USUAL, table.marks_of(own)).values

    if rule is not None and rule.applies and all(map(table.known_as, rule.needed)):
        # Rows of which the column of times tells nothing that can be compared with the cut are as any other rows.
        with contextlib.suppress(PipelineError):
            keys, held = splitting.held_out_as(rule, column)
            # Of the rows it knew a share is held out: where none of those is here, the others are not either.
            known = np.array([int(key, 16) for key in registered.held_out.to_pylist()], dtype="uint64")
            return _Seen(rule, keys, held, same or bool(np.isin(keys, known).any()))
    inputs = tuple(item.name for item in version.inputs_in(table))
    keys = row_keys.hash_columns(column, inputs)
    return _Seen(HoldoutRule(GIVEN, inputs), keys, None, same)


def _allowed(table: Table, version: Version, seen: _Seen, rows: str, notes: list[str], *, declared: bool) -> np.ndarray:
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
    elif seen.held is None and declared:
        notes.append(f"these rows are declared to be unseen by {version.title}")
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
