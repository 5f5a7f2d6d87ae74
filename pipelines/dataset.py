"""A raw table -> what a model is fitted on: typed features, a target, row roles, and the columns left out with why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipelines import columns
from pipelines.columns import DATE, NESTED, Column
from pipelines.errors import PipelineError, closest, listed
from pipelines.sources import Table
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input

REGRESSION = "regression"
CLASSIFICATION = "classification"
TASKS = (REGRESSION, CLASSIFICATION)

#: Names that a target goes by, tried in this order where none is given.
TARGET_NAMES = ("target", "label", "class", "y")

# Beyond this the sums of squares in a scaler or a metric leave float64.
_LARGEST = 1e150
# Names of identifiers, and names that are those of identifiers where every value differs.
_IDENTIFIER = re.compile(r"(^|[\s_.-])(ids?|uuid|guid)$|[a-z](Id|ID|Uuid|UUID)$|^(id|uuid)[\s_.-]", re.ASCII)
_NUMBERING = re.compile(r"(^|[\s_.-])(no|nr|number|key|index|idx|row)$|^Unnamed: \d+$", re.ASCII | re.IGNORECASE)
_MOST_IDENTIFIERS = 50
_NEARLY_UNIQUE = 0.5
_FEW = 20


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for, as its user says.

    Parameters
    ----------
    target : the column to predict; None takes the table's own, or one called target, label, class or y.
    task : ``"regression"``, ``"classification"`` or ``"auto"``.
    drop, keep : columns left out whatever they hold, and kept though they look like identifiers.
    id, group, time : columns that key the rows, that tell rows that belong together, and when a row was seen.
    sensitive : columns by whose values the metrics are shown apart.
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
    notes : what was found that a person should know, a sentence each.
    """

    features: pd.DataFrame
    target: pd.Series
    target_name: str
    task: str
    inputs: tuple[Input, ...]
    left_out: dict[str, str]
    others: dict[str, pd.Series]
    order: tuple[str, ...]
    dropped_rows: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> list:
        """The labels in order, as Python values; empty for a regression."""
        return [] if self.task == REGRESSION else sorted(self.target.unique().tolist())

    def column(self, name: str) -> pd.Series:
        """A column by name: a feature, another one, or the target; shape (n_rows,)."""
        if name == self.target_name:
            return self.target
        return self.others[name] if name in self.others else self.features[name]

    def whole(self) -> pd.DataFrame:
        """The typed table with all its columns, the target among them, in the table's order."""
        return pd.DataFrame({name: self.column(name) for name in self.order}, copy=False)


def prepare(table: Table, roles: Roles, *, cleaning: Cleaning, task_of_estimator: str | None = None) -> Dataset:
    """Type every column of a table, find the task, and choose the features.

    Parameters
    ----------
    task_of_estimator : the task of the estimator that was asked for, which decides where the task is ``"auto"``.

    Raises
    ------
    PipelineError
        where a named column is not there, the target cannot be learned, or no feature is left.
    """
    names = table.columns.column_names
    target_name = _target_name(table, roles)
    for option, given in (("--drop", roles.drop), ("--keep", roles.keep), ("--id", roles.id)):
        _present(option, given, names)
    for option, one in (("--target", target_name), ("--group", roles.group), ("--time", roles.time)):
        _present(option, [one] if one else [], names)
    _present("--sensitive", roles.sensitive, names)
    if target_name in {*roles.drop, *roles.id, *roles.sensitive, roles.group, roles.time}:
        raise PipelineError(f"--target {target_name} has another role too; give the column one role")

    raw_target = columns.infer(target_name, table.columns[target_name], cleaning)
    known = raw_target.values.notna().to_numpy()
    if not known.any():
        raise PipelineError(f"target {target_name!r} is missing throughout; choose another --target")
    rows = table.columns if known.all() else table.columns.filter(known)
    task, why = _task(raw_target, known, roles.task, table, task_of_estimator)
    target = _target(raw_target, known, task)
    notes = [f"task: {task} ({why})"]
    if dropped := int((~known).sum()):
        notes.append(f"{dropped} rows without a value of {target_name!r} are dropped")

    special = {*roles.id, roles.group, roles.time} - {None}
    features: dict[str, Column] = {}
    others: dict[str, pd.Series] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if name == target_name:
            continue
        column = _typed(name, rows[name], cleaning, lenient=name in roles.drop)
        if reason := _reason(column, roles, special):
            left_out[name] = reason
            others[name] = column.values
        else:
            _finite(column)
            features[name] = column
    if not features:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise PipelineError(f"expected at least one feature, found none ({reasons or 'only the target'}); see --keep")
    frame = pd.DataFrame({name: column.values for name, column in features.items()}, copy=False)
    return Dataset(
        features=frame,
        target=target,
        target_name=target_name,
        task=task,
        inputs=tuple(column.as_input() for column in features.values()),
        left_out=left_out,
        others=others,
        order=tuple(names),
        dropped_rows=dropped,
        notes=tuple(notes),
    )


def _typed(name: str, raw, cleaning: Cleaning, *, lenient: bool) -> Column:
    """A column by its type; where it is dropped anyway, as text if it is of no one type."""
    try:
        return columns.infer(name, raw, cleaning)
    except PipelineError:
        if not lenient:
            raise
        return Column(name, CATEGORY, raw.to_pandas().astype("str"))


def _target_name(table: Table, roles: Roles) -> str:
    names = table.columns.column_names
    if roles.target or table.target:
        return roles.target or table.target
    for candidate in TARGET_NAMES:
        for name in names:
            if name.lower() == candidate:
                return name
    raise PipelineError(f"--target is needed: the column to predict, one of {listed(names)}")


def _present(option: str, given: Sequence[str], names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            close = closest(name, names)
            raise PipelineError(
                f"{option}: no column {name!r}; " + (f"did you mean {close!r}?" if close else f"found {listed(names)}")
            )


def _task(
    target: Column, known: np.ndarray, asked: str, table: Table, task_of_estimator: str | None
) -> tuple[str, str]:
    if asked != "auto":
        return asked, "as asked"
    if task_of_estimator:
        return task_of_estimator, "the estimator's"
    if table.task and target.name == table.target:
        return table.task, "the bundled table's"
    if target.type in (CATEGORY, BOOLEAN):
        return CLASSIFICATION, f"{target.name!r} holds {'labels' if target.type == CATEGORY else 'true and false'}"
    distinct = np.unique(target.values.to_numpy()[known]) if target.type == NUMBER else np.array([])
    whole = len(distinct) > 0 and np.isfinite(distinct).all() and (distinct == np.floor(distinct)).all()
    if whole and len(distinct) == 2:
        return CLASSIFICATION, f"{target.name!r} holds two whole numbers"
    if whole and target.integer and len(distinct) <= _FEW and np.array_equal(distinct, np.arange(len(distinct))):
        return CLASSIFICATION, f"{target.name!r} holds the codes 0 to {len(distinct) - 1}; --task regression overrules"
    return REGRESSION, f"{target.name!r} holds numbers; --task classification overrules"


def _target(column: Column, known: np.ndarray, task: str) -> pd.Series:
    name = column.name
    if column.type in (DATE, NESTED):
        raise PipelineError(
            f"target {name!r} holds {column.type}s, expected numbers or labels; choose another --target"
        )
    values = column.values[known].reset_index(drop=True)
    if column.type != CATEGORY:
        _finite(Column(name, column.type, values))
    if values.nunique() < 2:
        raise PipelineError(f"target {name!r} is constant, nothing can be learned; choose another --target")
    if task == REGRESSION:
        if column.type == CATEGORY:
            raise PipelineError(f"target {name!r} holds text, a regression needs numbers; use --task classification")
        return values
    if column.type == BOOLEAN:
        labels = values.astype("bool")
    elif column.type == NUMBER:
        if (values != np.floor(values)).any() or values.abs().max() > 2**53:
            raise PipelineError(f"target {name!r} holds fractions, expected class labels; use --task regression")
        labels = values.astype("int64")
    else:
        labels = values.astype(object)
    counts = labels.value_counts()
    if len(counts) > _FEW and len(counts) > _NEARLY_UNIQUE * len(labels):
        raise PipelineError(
            f"target {name!r} has {len(counts)} classes in {len(labels)} rows, too many to learn; choose another --target"
        )
    if counts.min() < 2:
        alone = listed([label for label, count in counts.items() if count == 1])
        raise PipelineError(
            f"every class needs at least 2 rows, found a single row of {alone} in {name!r}; add rows or merge the class"
        )
    return labels


def _finite(column: Column) -> None:
    if column.type != NUMBER:
        return
    values = column.values.to_numpy()
    if infinite := int(np.isinf(values).sum()):
        raise PipelineError(
            f"column {column.name!r} holds {infinite} infinite value{'s'[: infinite > 1]}, expected finite numbers; "
            "correct them, or leave the column out with --drop"
        )
    if np.nanmax(np.abs(values), initial=0) > _LARGEST:
        raise PipelineError(
            f"column {column.name!r} holds numbers beyond {_LARGEST:g}, whose squares float64 cannot hold; "
            "rescale it, or leave the column out with --drop"
        )


def _reason(column: Column, roles: Roles, special: set[str]) -> str | None:
    """Why a column is not a feature; None where it is one."""
    name, values = column.name, column.values
    if name in roles.drop:
        return "dropped as asked"
    if name in special:
        return "it tells rows apart (--id, --group or --time)"
    if column.type == NESTED:
        return "its values are not single numbers or texts"
    if column.type == DATE:
        return "dates; derive numbers from them to use them"
    known = values.dropna()
    if known.empty:
        return "missing throughout"
    distinct = known.nunique()
    if distinct == 1 and len(known) == len(values):
        return "constant"
    if name in roles.keep:
        return None
    if _is_identifier(column, known, distinct):
        return "an identifier; --keep overrules"
    if column.type == CATEGORY and distinct > _FEW and distinct > _NEARLY_UNIQUE * len(known):
        return f"nearly unique text ({distinct} different in {len(known)}); --keep overrules"
    return None


def _is_identifier(column: Column, known: pd.Series, distinct: int) -> bool:
    if column.type == BOOLEAN or (column.type == NUMBER and not column.integer):
        return False
    unique = distinct == len(known) and len(known) > _FEW
    if _IDENTIFIER.search(column.name):
        return unique or distinct > _MOST_IDENTIFIERS
    if _NUMBERING.search(column.name):
        return unique
    # A row number: each one more than the one before.
    return column.type == NUMBER and unique and len(known) == len(column.values) and bool((known.diff()[1:] == 1).all())
