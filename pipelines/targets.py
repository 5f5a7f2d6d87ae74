"""The column to predict: which it is, the task it makes, and its values as numbers or labels."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines import columns, likely_target, spelling
from pipelines.columns import DATE, EXACT, NESTED, TypedColumn
from pipelines.errors import PipelineError, TargetNeeded
from pipelines.likely_target import TARGET_NAMES
from pipelines.sources import Table
from registry.cli.text import QUOTED, listed, parts, unquoted
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

REGRESSION = "regression"
CLASSIFICATION = "classification"
TASKS = (REGRESSION, CLASSIFICATION)

# At most this many codes 0, 1, 2, ... are classes rather than counts, and text with this many classes is suspect.
_FEW = 20
_TOO_MANY = 0.5
# Beyond this the sums of squares in a scaler or a metric leave float64.
LARGEST = 1e150
_WEIGHTS = 'expected balanced, or weights: bad=5,good=1 (a class with a comma in double quotes: "a, b"=5)'


def name(asked: str | None, table: Table) -> str:
    """The target's name: the one asked for, the table's own, or one that targets go by.

    Raises
    ------
    TargetNeeded
        where there is none.
    """
    names = table.columns.column_names
    if asked or table.target:
        return asked or table.target  # type: ignore[return-value]  # one of them is there
    if usual := usual_name(names):
        return usual
    likely = likely_target.likely(table)
    raise TargetNeeded(
        f"--target is needed: the column to predict, one of {listed(names)}; probably {likely!r}", likely
    )


def usual_name(names: Sequence[str]) -> str | None:
    """The first of the names that targets go by, in lower case before other spellings; None if there is none."""
    for candidate in TARGET_NAMES:
        if candidate in names:
            return candidate
        for each in names:
            if each.lower() == candidate:
                return each
    return None


def label(text: str, classes: Sequence, option: str) -> Any:
    """The class that a user names, in double quotes or not: exactly, else in another case.

    Raises
    ------
    PipelineError
        if there is no such class, or two classes differ from the text in their case alone.
    """
    plain = unquoted(text)
    for same in (
        [each for each in classes if str(each) == plain],
        [each for each in classes if str(each) == text],
        [each for each in classes if str(each).lower() == plain.lower()],
    ):
        if len(same) > 1:
            raise PipelineError(f"{option}: {text!r} could be {listed(same)}; write one of them exactly")
        if same:
            return same[0]
    raise PipelineError(f"{option}: no class {text!r}; the classes are {listed(classes)}")


def weights(text: str, classes: Sequence, option: str) -> dict[Any, float]:
    """Class weights from ``bad=5,good=1``; a class whose name holds a comma is written in double quotes.

    Returns
    -------
    class -> weight, finite and above 0; a class that is left out weighs 1, as scikit-learn has it.

    Raises
    ------
    PipelineError
        if the text is no such list, or a class is unknown or named twice, or a weight is not above 0.
    """
    by_class: dict[Any, float] = {}
    try:
        named = [re.fullmatch(rf"({QUOTED}|.*?)\s*=([^=]*)", part, re.DOTALL) for part in parts(text)]
    except ValueError as error:
        raise PipelineError(f"{option}: {error}; {_WEIGHTS}") from None
    if not named or None in named:
        raise PipelineError(f"{option}: {_WEIGHTS}, found {text!r}")
    for name, weight in (match.groups() for match in named if match):
        try:
            value = float(weight)
        except ValueError:
            raise PipelineError(f"{option}: {_WEIGHTS}, found {text!r}") from None
        each = label(name, classes, option)
        if not 0 < value < float("inf"):
            raise PipelineError(f"{option}: expected a weight above 0, and finite, found {weight.strip()} for {each!r}")
        if each in by_class:
            raise PipelineError(f"{option}: the class {each!r} is weighed twice; name each class once")
        by_class[each] = value
    return by_class


def read(name: str, table: Table, task: str) -> TypedColumn:
    """The typed target, with its missing values.

    Parameters
    ----------
    task : as asked; where labels are asked for, a column of numbers and text is labels.

    Raises
    ------
    PipelineError
        where no row has a value, or the values are of no one type.
    """
    try:
        target = columns.infer(name, table.columns[name], table.cleaning, table.marks_of(name))
    except PipelineError as error:
        if task != CLASSIFICATION:
            raise PipelineError(
                f"target: {str(error).partition(', or leave')[0]}, or choose another --target"
            ) from None
        target = columns.text(name, table.columns[name], table.cleaning)
    if target.type == NESTED:
        raise PipelineError(f"target {name!r} holds lists, objects or bytes, expected numbers or labels")
    if target.values.isna().all():
        raise PipelineError(f"target {name!r} is missing throughout; choose another --target")
    if target.type == DATE:
        raise PipelineError(f"target {name!r} holds dates, expected numbers or labels; choose another --target")
    return target


def task(target: TypedColumn, asked: str, table: Table, task_of_estimator: str | None) -> tuple[str, str]:
    """The task, and why."""
    if asked != "auto":
        return asked, "as asked"
    if task_of_estimator:
        return task_of_estimator, "the estimator's"
    if table.task and target.name == table.target:
        return table.task, "the bundled table's"
    if target.type == CATEGORY:
        return CLASSIFICATION, f"{target.name!r} holds the labels {listed(sorted(target.values.dropna().unique()))}"
    if target.type == BOOLEAN:
        return CLASSIFICATION, f"{target.name!r} holds true and false"
    if target.integer and columns.is_declared(table.columns[target.name]):
        return CLASSIFICATION, f"{target.name!r} is declared as categories; --task regression overrules"
    distinct = np.sort(target.values.dropna().unique())
    if (distinct == np.floor(distinct)).all() and np.isfinite(distinct).all():
        if len(distinct) == 2:
            return CLASSIFICATION, f"{target.name!r} holds two whole numbers"
        if target.integer and len(distinct) <= _FEW and np.array_equal(distinct, np.arange(len(distinct))):
            why = f"{target.name!r} holds the codes 0 to {len(distinct) - 1}; --task regression overrules"
            return CLASSIFICATION, why
    return REGRESSION, f"{target.name!r} holds numbers; --task classification overrules"


def values(target: TypedColumn, task: str, *, absent: Sequence[str] = ()) -> pd.Series:
    """The values that are there, for a task: float64 for a regression, else labels (str, int64 or bool).

    Parameters
    ----------
    absent : the words in the column that are read as missing values.

    Raises
    ------
    PipelineError
        where they do not fit the task, or nothing can be learned from them.
    """
    name = target.name
    known = target.values.dropna().reset_index(drop=True)
    if target.type == NUMBER:
        check_size(target, "choose another --target, or correct them")
    distinct = known.nunique()
    if distinct < 2 and target.integer and known.abs().max() >= EXACT:
        raise PipelineError(
            f"target {name!r} holds whole numbers beyond 2^53, which float64 cannot tell apart; "
            "write them as text to have labels, or choose another --target"
        )
    if distinct < 2:
        words = f" but for missing values ({listed(absent)})" if absent else ""
        raise PipelineError(f"target {name!r} is constant{words}, nothing can be learned; choose another --target")
    if task == REGRESSION:
        if target.type == CATEGORY:
            hint = spelling.described(known)
            contents = hint.what if hint else f"text ({listed([known.iloc[0]])})"
            remedy = hint.remedy if hint else "use --task classification"
            raise PipelineError(f"target {name!r} holds {contents}, a regression needs numbers; {remedy}")
        return known
    labels = _labels(target, known)
    if distinct > _FEW and distinct > _TOO_MANY * len(labels):
        hint = spelling.described(known) if target.type == CATEGORY else None
        raise PipelineError(
            f"target {name!r} has {distinct} classes in {len(labels)} rows, too many to learn; "
            + (f"it holds {hint.what}: {hint.remedy}" if hint else "choose another --target")
        )
    counts = labels.value_counts()
    if counts.min() < 2:
        alone: Sequence = counts.index[counts == 1].tolist()
        raise PipelineError(
            f"every class needs at least 2 rows, found a single row of {listed(alone)} in {name!r}; "
            "add rows or merge the class"
        )
    return labels


def _labels(target: TypedColumn, known: pd.Series) -> pd.Series:
    if target.type == BOOLEAN:
        return known.astype("bool")
    if target.type == CATEGORY:
        return known.astype(object)
    if (known != np.floor(known)).any():
        raise PipelineError(f"target {target.name!r} holds fractions, expected class labels; use --task regression")
    if known.abs().max() > EXACT:
        raise PipelineError(
            f"target {target.name!r} holds whole numbers beyond 2^53, which run together as labels; "
            "write them as text, or use --task regression"
        )
    return known.astype("int64")


def check_size(column: TypedColumn, remedy: str) -> None:
    """Raise where a column of numbers holds infinite ones, or such as cannot be squared and summed up."""
    numbers = column.values.to_numpy()
    low, high = np.fmin.reduce(numbers, initial=np.inf), np.fmax.reduce(numbers, initial=-np.inf)
    if max(high, -low) <= LARGEST:
        return
    if infinite := int(np.isinf(numbers).sum()):
        raise PipelineError(
            f"column {column.name!r} holds {infinite} infinite value{'s'[: infinite > 1]}, "
            f"expected finite numbers; {remedy}"
        )
    raise PipelineError(
        f"column {column.name!r} holds numbers beyond {LARGEST:g}, whose squares float64 cannot hold; {remedy}"
    )
