"""The column that holds the truth: its task, its classes, and each row's number or label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines import columns
from pipelines.columns import TypedColumn
from pipelines.dataset import CLASSIFICATION, REGRESSION
from pipelines.errors import PipelineError
from pipelines.evaluation.asking import Version
from pipelines.evaluation.typed_columns import typed
from pipelines.sources import Table
from registry.cli.text import listed
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

# A model that shows no classes is asked about so many rows; and whole numbers up to so many are classes.
_ASKED = 20
_FEW = 20
#: The code of a label that is none of the classes, and of a row without one.
UNKNOWN, ABSENT = -1, -2


@dataclass(frozen=True)
class Truth:
    """The column that holds the truth.

    Parameters
    ----------
    target : its name.
    classes : the labels in order, of the version's own type; empty for a regression.
    text : its values are text, whatever they look like.
    by_table : the classes are those that the table shows, for neither the model nor its evidence tells any.
    middle : the median of a regression's values, as far as they were looked at; 0 of a classification.
    """

    target: str
    classes: tuple
    text: bool
    by_table: bool
    middle: float

    @property
    def task(self) -> str:
        """``regression`` or ``classification``."""
        return CLASSIFICATION if self.classes else REGRESSION

    @classmethod
    def find(cls, table: Table, target: str, version: Version) -> "Truth":
        """The truth in a table, or in a sample of it.

        Parameters
        ----------
        version : asked about a few rows if neither it nor its evidence tells its classes.

        Raises
        ------
        PipelineError
            if it is nothing that the version could answer.
        """
        known = version.document.model if version.document else None
        classes = version.classes
        if classes is None and known and known.target == target:
            classes = tuple(known.classes or ())
        by_table = classes is None
        column = _typed(table, target) if by_table or not _are_texts(classes) else _text(table, target)
        if classes is None:
            column, classes = _asked(column, table, target, version)
        if not classes and column.type not in (NUMBER, BOOLEAN):
            raise PipelineError(f"target {target!r} holds {column.type} values, {version.title} predicts numbers")
        middle = 0.0 if classes else float(column.values.median())
        return cls(target, classes, _are_texts(classes), by_table, 0.0 if np.isnan(middle) else middle)

    def values(self, table: Table) -> pd.Series:
        """The values of some rows, NaN missing.

        Raises
        ------
        InputError
            if a value is not of the type that the column has in a sample of the table.
        """
        if self.text:
            return columns.text(self.target, table.columns[self.target], table.cleaning).values
        return typed(table, self.target)

    def codes(self, values: pd.Series) -> tuple[np.ndarray, list[str]]:
        """The place of each row's label among the classes, shape (n_rows,), and the labels that are none, as text.

        Parameters
        ----------
        values : of a classification; ``UNKNOWN`` is the code of a label that is none, ``ABSENT`` of a missing one.
        """
        places = {str(label): place for place, label in enumerate(self.classes)}
        places |= {
            str(float(label)): place for place, label in enumerate(self.classes) if isinstance(label, (int, float))
        }
        rows, distinct = pd.factorize(values)
        texts = [str(value) for value in distinct]
        of_distinct = np.array([*(places.get(text, UNKNOWN) for text in texts), ABSENT], dtype="intp")
        return of_distinct[rows], sorted({text for text in texts if text not in places})

    def labels(self, codes: np.ndarray) -> np.ndarray:
        """The labels of some rows, none of them unknown or missing."""
        dtype = object if self.text else np.asarray(self.classes).dtype
        return np.array(self.classes, dtype=dtype)[codes]

    def unknown(self, labels: Sequence[str], version: Version) -> PipelineError:
        """What is raised where a version does not know some labels."""
        return PipelineError(
            f"target {self.target!r} holds classes that {version.title} does not know: {listed(labels)}; "
            f"it knows {listed(self.classes)}"
        )


def _are_texts(classes: tuple | None) -> bool:
    return classes is not None and isinstance(next(iter(classes), None), str)


def _asked(column: TypedColumn, table: Table, target: str, version: Version) -> tuple[TypedColumn, tuple]:
    """The column by its type and the classes, of a model that shows none: by its answers to a few rows.

    Texts and booleans are labels, and so are whole numbers if the target has few values.
    """
    rows = table.rows(np.flatnonzero(column.values.notna())[:_ASKED])
    kind = version.answer(version.read(rows)).predictions.dtype.kind
    if kind in "UO":
        column = _text(table, target)
    values = sorted(column.values.dropna().unique().tolist())
    if kind == "f":
        return column, ()
    if column.type == CATEGORY:
        return column, tuple(values)
    if kind == "b" or column.type == BOOLEAN:
        return column, (False, True)
    if len(values) <= _FEW and all(value == int(value) for value in values):
        return column, tuple(map(int, values))
    return column, ()


def _text(table: Table, target: str) -> TypedColumn:
    """A target as text, though all that is here may look like numbers."""
    return columns.text(target, table.columns[target], table.cleaning)


def _typed(table: Table, target: str) -> TypedColumn:
    try:
        return columns.infer(target, table.columns[target], table.cleaning, table.marks_of(target))
    except PipelineError as error:
        raise PipelineError(f"target: {str(error).partition(', or leave')[0]}") from None
