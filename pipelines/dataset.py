"""A raw table -> what a model is fitted on: typed features, a target, row roles, and the columns left out with why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
import pyarrow as pa

from pipelines import columns, leaks, selection, targets
from pipelines.columns import DATE, NESTED, TypedColumn
from pipelines.errors import PipelineError
from pipelines.marks import Marks
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from pipelines.targets import CLASSIFICATION, REGRESSION, TASKS
from registry.cli.text import did_you_mean, listed, one_line
from serving.scorecard.inputs import CATEGORY, NUMBER, Cleaning, Input

__all__ = ["CLASSIFICATION", "REGRESSION", "TASKS", "Dataset", "Roles", "check", "prepare"]


@dataclass(frozen=True)
class Roles:
    """The roles of a table's columns.

    Parameters
    ----------
    target : the column to predict; None takes the table's own, or one called target, label, class or y.
    task : ``"regression"``, ``"classification"`` or ``"auto"``.
    drop, keep : columns to exclude; columns to include even if they look like identifiers or dates.
    id, group, time : columns that identify a row; the column of groups; the column of times.
    sensitive : columns to break the metrics down by.
    """

    target: str | None = None
    task: str = "auto"
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    id: Sequence[str] = ()
    group: str | None = None
    time: str | None = None
    sensitive: Sequence[str] = ()


@dataclass(frozen=True)
class Dataset:
    """A typed table, rows with a missing target dropped.

    Parameters
    ----------
    features : shape (n_rows, n_inputs): float64 and ``str`` columns, NaN missing.
    target : shape (n_rows,): float64 for a regression, else labels (str, int64 or bool).
    inputs : the features in order, as the model takes them.
    left_out : column -> why it is not a feature.
    others : the columns that are not features, typed where they can be; one row a row of the features.
    order : the names of all columns, as the table has them.
    key_columns : those that are features, or would be if none were dropped: what a row is known by where it has no id.
    notes : what was found that a person should know, a sentence each.
    scalars : the categories whose raw column held numbers or booleans, too.
    cleaning : how text was read, and is to be read wherever the model answers.
    keyed : the columns in which words of ``--missing`` stand, as they name a row: with these words in them, so that a
        row's key is that of its raw values, whatever counts as missing.
    """

    features: pd.DataFrame
    target: pd.Series
    target_name: str
    task: str
    inputs: tuple[Input, ...]
    left_out: dict[str, str]
    others: dict[str, pd.Series]
    order: tuple[str, ...]
    key_columns: tuple[str, ...]
    dropped_rows: int = 0
    notes: tuple[str, ...] = field(default=())
    scalars: frozenset[str] = frozenset()
    cleaning: Cleaning = USUAL
    keyed: Mapping[str, pd.Series] = field(default_factory=dict)

    @cached_property
    def classes(self) -> list:
        """The labels in order, as Python values; empty for a regression."""
        return [] if self.task == REGRESSION else sorted(self.target.unique().tolist())

    @cached_property
    def levels(self) -> dict[str, int]:
        """How many values each category has."""
        return {one.name: int(self.features[one.name].nunique()) for one in self.inputs if one.type == CATEGORY}

    def column(self, name: str) -> pd.Series:
        """A column by name: a feature, another one, or the target; shape (n_rows,)."""
        if name == self.target_name:
            return self.target
        return self.others[name] if name in self.others else self.features[name]

    @property
    def row_names(self) -> list[str]:
        """The columns that are no features and have a value of its own in each row, row numbers among them."""
        return [name for name in self.left_out if (column := self.others[name]).is_unique and column.notna().all()]

    def key_column(self, name: str) -> pd.Series:
        """A column by name, with the values that name a row; shape (n_rows,)."""
        return self.keyed[name] if name in self.keyed else self.column(name)

    def whole(self) -> pd.DataFrame:
        """The typed table with all its columns, the target among them, in the table's order."""
        return pd.DataFrame({name: self.column(name) for name in self.order}, copy=False)


def prepare(table: Table, roles: Roles, *, task_of_estimator: str | None = None) -> Dataset:
    """Type every column of a table, find the task, and choose the features.

    Parameters
    ----------
    task_of_estimator : the task of the estimator that was asked for, which decides where the task is ``"auto"``.

    Raises
    ------
    PipelineError
        where a named column is not there, the target cannot be learned, or no feature is left.
    """
    target_name, cleaning = check(table, roles), table.cleaning
    asked = task_of_estimator if roles.task == "auto" and task_of_estimator else roles.task
    raw_target = targets.read(target_name, table, asked)
    task, why = targets.task(raw_target, roles.task, table, task_of_estimator)
    absent = columns.missing_words(table.columns[target_name], cleaning)
    target = targets.values(raw_target, task, absent=absent)
    notes = [f"task: {task} ({why})", *_coded_notes(raw_target, table.columns[target_name])]
    if raw_target.type == CATEGORY:
        notes += selection.notes(raw_target, kept=False)
    known = raw_target.values.notna().to_numpy()
    dropped = len(known) - len(target)
    if dropped:
        rows, are = ("rows", "are") if dropped > 1 else ("row", "is")
        words = f" ({listed(absent)} among them)" if absent else ""
        notes.append(f"{dropped} {rows} without a value of {target_name!r}{words} {are} dropped")

    features: dict[str, TypedColumn] = {}
    others: dict[str, pd.Series] = {}
    left_out: dict[str, str] = {}
    keyed: dict[str, pd.Series] = {}
    key_columns: list[str] = []
    for name in table.columns.column_names:
        if name == target_name:
            continue
        raw = table.columns[name].filter(pa.array(known)) if dropped else table.columns[name]
        column = _typed(name, raw, table.marks_of(name), roles, cleaning)
        if cleaning != USUAL and set(columns.missing_words(raw, cleaning)) - USUAL.missing:
            keyed[name] = columns.infer_key(name, raw, USUAL, table.marks_of(name)).values
        role = name in (*roles.id, roles.group, roles.time)
        if role:
            notes += _role_notes(column, time=name == roles.time)
        reason = selection.reason(column, role=role, kept=name in roles.keep, rows=table.height)
        if not reason:
            key_columns.append(name)
        if name in roles.drop:
            reason = selection.DROPPED
        if reason:
            left_out[name] = reason
            others[name] = column.values
        else:
            if column.type == NUMBER:
                targets.check_size(column, "correct them, or leave the column out with --drop")
                notes += _coded_notes(column, raw)
            features[name] = column
            notes += selection.notes(column, kept=name in roles.keep)
            if name not in roles.keep and (leak := leaks.note(name, column.values, target)):
                notes.append(leak)
            if columns.is_declared(raw) and name not in roles.keep:
                notes.append(
                    f"{name!r} is declared as categories, and its numbers are taken as amounts; --drop leaves it out, "
                    "--keep says that this is right; write them as text to have categories"
                )
    if not features:
        reasons = one_line("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
        raise PipelineError(f"expected at least one feature, found none ({reasons or 'only the target'}); see --keep")
    return Dataset(
        features=pd.DataFrame({name: column.values for name, column in features.items()}, copy=False),
        target=target,
        target_name=target_name,
        task=task,
        inputs=tuple(column.as_input() for column in features.values()),
        left_out=left_out,
        others=others,
        order=tuple(table.columns.column_names),
        key_columns=tuple(key_columns),
        dropped_rows=dropped,
        notes=tuple(notes),
        scalars=frozenset(name for name in table.scalars if name in features and features[name].type == CATEGORY),
        cleaning=cleaning,
        keyed=keyed,
    )


def _typed(name: str, raw: pa.ChunkedArray, marks: Marks, roles: Roles, cleaning: Cleaning) -> TypedColumn:
    """A column by its type; where it is no feature anyway, as text if it is of no one type."""
    if name in (*roles.id, roles.group):
        return columns.infer_key(name, raw, USUAL, marks)
    try:
        column = columns.infer(name, raw, cleaning, marks)
    except PipelineError:
        if name not in roles.drop and not selection.is_identifier_by_name(name):
            raise
        return columns.text(name, raw, cleaning)
    if column.type == DATE and name in roles.keep and columns.is_text(raw):
        return replace(column, type=CATEGORY)
    return column


def _role_notes(column: TypedColumn, *, time: bool) -> list[str]:
    if column.type == NESTED:
        raise PipelineError(
            f"column {column.name!r} holds lists, objects or bytes, expected numbers, text or dates; give it no role"
        )
    missing = int(column.values.isna().sum())
    if missing == len(column.values):
        raise PipelineError(f"column {column.name!r} is missing throughout and tells no rows apart; give it no role")
    # Rows without a time are refused where they are put in order.
    return [f"{missing} rows have no value of {column.name!r} and count as one"] if missing and not time else []


def _coded_notes(column: TypedColumn, raw: pa.ChunkedArray) -> list[str]:
    what = columns.coded(column, raw)
    return (
        [f"{column.name!r} holds {what}, taken as numbers; put a letter before them to have them as text"]
        if what
        else []
    )


def check(table: Table, roles: Roles) -> str:
    """The target's name, where every column that the roles name is there and the target has no other role.

    Raises
    ------
    PipelineError
        where it has, or a column is not there.
    """
    target, names = targets.name(roles.target, table), table.columns.column_names
    for option, given in (
        ("--drop", roles.drop),
        ("--keep", roles.keep),
        ("--id", roles.id),
        ("--target", [target]),
        ("--group", [roles.group] if roles.group else []),
        ("--time", [roles.time] if roles.time else []),
        ("--sensitive", roles.sensitive),
    ):
        for name in given:
            if name not in names:
                hint = did_you_mean(name, names, otherwise=f"found {listed(names)}")
                raise PipelineError(f"{option}: no column {name!r}; {hint}")
    if target in {*roles.drop, *roles.id, *roles.sensitive, roles.group, roles.time}:
        raise PipelineError(f"--target {target} has another role too; give the column one role")
    return target
