"""Scores by a model's own code, in a process of its own: for versions that have no scorecard."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.cli.text import listed
from serving.batch import by_batches, by_numpy, column_types, record
from serving.batch.answers import PREDICTION, AnswerPlan
from serving.batch.errors import JobStopped
from serving.batch.rejects import Rejects
from serving.errors import ServingError
from serving.models import files, native
from serving.models.native import NativeModel
from serving.models.native import columns as model_columns
from serving.models.native.columns import ModelColumns
from serving.scorecard.inputs import MLFLOW_TYPES, Cleaning, Input, InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from serving.models import ResolvedModel

# The largest whole numbers of the types of a signature.
_WHOLE = {"long": 2**53 - 1, "integer": 2**31 - 1}
_NO_ANSWER = "the model gives it no finite number"
_NO_LABEL = "the model gives it no label"


class OwnCodeModel:
    """A model whose own code answers; see :func:`opened`.

    Parameters
    ----------
    known : its columns as an evaluation found them, by name; empty if it was not evaluated.
    digest : of its files.

    Attributes
    ----------
    optional : the columns that a table may lack.
    constant : the column of ones that it was fitted with; None without one.
    classes : its labels in order; empty for a regression, None if the model does not tell.
    """

    kind = "pyfunc"

    def __init__(self, process: NativeModel, taken: ModelColumns, known: Mapping[str, Input], digest: str) -> None:
        self._process, self._taken, self._known = process, taken, known
        self.digest, self.optional, self.constant = digest, taken.optional, taken.constant
        self.classes = process.loaded.classes
        self.has_probabilities = process.loaded.probabilities
        self._kind: pa.DataType | None = None

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The columns that it takes; without a signature, and never evaluated, their types are those of each table."""
        return tuple(self._input(name) for name in self._taken.names)

    def _input(self, name: str) -> Input:
        known = self._known.get(name)
        if not self._taken.kinds:
            return self._taken.as_input(name) if known is None else Input(
                name, known.type, decimal=known.decimal, thousands=known.thousands
            )  # fmt: skip
        marks = {} if known is None else {"decimal": known.decimal, "thousands": known.thousands}
        return self._taken.as_input(name, **marks)

    def inputs_in(self, database: "DuckDBPyConnection") -> tuple[tuple[Input, ...], frozenset[str]]:
        """Its columns as the raw rows have them, and the names of those that are dates and times."""
        if self._taken.kinds:
            return self.inputs, self._taken.moments
        found = column_types.find(database, self._taken.names)
        dated = frozenset(name for name, kind in found.items() if kind is None)
        inputs = (
            item if item.name in self._known or found[item.name] is None else Input(item.name, found[item.name] or "")
            for item in self.inputs
        )
        return tuple(inputs), dated

    def answers(
        self, plan: AnswerPlan, inputs: tuple[Input, ...], dated: frozenset[str], table: "pa.Table"
    ) -> "tuple[pa.Table, dict[int, InputError]]":
        """The answers to the rows of a table that have one, and the errors of the others by row.

        Raises
        ------
        ServingError
            if its code fails, or answers what is not one number or label a row.
        """
        import numpy as np
        import pyarrow as pa

        from serving.models.native import reading

        rows, refusals = reading.columns(by_numpy.read(plan, table), inputs, dated, Cleaning())
        errors = self._too_large(rows) | refusals.by_row()
        good = np.ones(len(table), dtype=bool)
        good[list(errors)] = False
        predictions, likely = self._ask(plan, rows.filter(pa.array(good)))
        lacking = np.flatnonzero(good)[~_are_answers(predictions)]
        reason = _NO_ANSWER if pa.types.is_floating(predictions.type) else _NO_LABEL
        errors |= {row: InputError("", reason, row) for row in lacking.tolist()}
        answered = _are_answers(predictions)
        good[lacking] = False
        kept = table.filter(pa.array(good))
        columns: dict[str, Any] = {name: kept[name] for name in plan.keep}
        columns[PREDICTION] = predictions.filter(pa.array(answered))
        for place, name in enumerate(plan.probabilities):
            columns[name] = pa.array(np.ascontiguousarray(likely[answered, place]))
        return pa.table(columns | plan.constants(len(kept))), errors

    def _too_large(self, rows: "pa.Table") -> "dict[int, InputError]":
        """The rows with a whole number that its column, or float64, which it is read as, does not hold exactly."""
        import numpy as np

        found: dict[int, InputError] = {}
        for name in rows.column_names:
            if limit := _WHOLE.get(self._taken.typed.get(name) or ""):
                beyond = np.abs(rows[name].to_numpy()) > limit
                reason = f"expected a whole number from -{limit} to {limit}, found one out of this range"
                found |= {row: InputError(name, reason, row) for row in np.flatnonzero(beyond).tolist()}
        return found

    def _ask(self, plan: AnswerPlan, rows: "pa.Table") -> "tuple[pa.Array, np.ndarray]":
        """The predictions of rows that fit, and their probabilities."""
        import numpy as np
        import pyarrow as pa

        if not len(rows):
            return pa.array([], self._kind or self._likely_kind()), np.empty((0, len(plan.probabilities)))
        layout = self._taken.layout_of(rows.column_names)
        found = self._process.answer(rows, layout, probabilities=bool(plan.probabilities))
        likely = np.empty((len(rows), 0)) if found.probabilities is None else found.probabilities
        if plan.probabilities and likely.shape != (len(rows), len(plan.probabilities)):
            raise ServingError(
                f"{self._process.called} gives {likely.shape[1]} probabilities for {len(plan.probabilities)} classes; "
                "leave them out by --outputs prediction"
            )
        return self._typed(found.predictions), likely

    def _typed(self, predictions: "np.ndarray") -> "pa.Array":
        """Predictions of the type that those of the job have: that of its classes, else that of the first ones."""
        import pyarrow as pa

        found = pa.array(predictions.tolist() if predictions.dtype == object else predictions)
        if pa.types.is_integer(found.type) and found.type != pa.uint64():
            found = found.cast(pa.int64())
        if self._kind is None:
            self._kind = self._likely_kind() if self.classes else found.type
        try:
            return found.cast(self._kind)
        except pa.ArrowException:
            raise ServingError(
                f"{self._process.called} predicts values of type {found.type} for some rows, and of type {self._kind} "
                "for others; expected one type"
            ) from None

    def _likely_kind(self) -> "pa.DataType":
        """The type of its classes, or of numbers."""
        import pyarrow as pa

        return by_numpy.label_type(self.classes[0]) if self.classes else pa.float64()


def _are_answers(predictions: "pa.Array") -> "np.ndarray":
    """Which predictions are there, and finite."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_floating(predictions.type):
        return np.isfinite(predictions.to_numpy(zero_copy_only=False))
    return predictions.is_valid().to_numpy(zero_copy_only=False)


@contextlib.contextmanager
def opened(resolved: "ResolvedModel") -> Iterator[OwnCodeModel]:
    """A model with its own code at work, in a process that ends with the block.

    Raises
    ------
    ServingError
        if it does not load, or it does not tell which columns it takes.
    RegistryError
        if its files, or the evidence of its evaluation, cannot be fetched.
    """
    title = f"{resolved.name} version {resolved.version}" if resolved.version else str(resolved)
    with native.opened(resolved.files, title, why="to score a table") as process:
        document = record.document(resolved)
        inputs = document.schema.inputs if document else ()
        known = {one.name: Input(**{name: getattr(one, name) for name in one.__struct_fields__}) for one in inputs}
        taken = _taken(process, tuple(known))
        yield OwnCodeModel(process, taken, known, files.digest(resolved.files.folder()))


def _taken(process: NativeModel, known: tuple[str, ...]) -> ModelColumns:
    """The columns of a model: those that it names, else those that its evaluation gave it by their position."""
    found = model_columns.named(process)
    if found is None:
        if not known:
            raise ServingError(
                f"{process.called} does not tell the names of its columns; `evaluate` it, which gives it those of a "
                "table, or log it with a signature"
            )
        return model_columns.by_position(process, known)
    unread = {name: kind for name, kind in found.typed.items() if kind and kind not in MLFLOW_TYPES}
    unread = {name: kind for name, kind in unread.items() if name not in found.moments | found.optional}
    if unread:
        raise ServingError(
            f"{process.called} takes columns that no table of files has: {listed(unread)} ({listed(unread.values())}); "
            "expected numbers, text, booleans, dates and times"
        )
    return found


def score(
    database: "DuckDBPyConnection",
    model: OwnCodeModel,
    plan: AnswerPlan,
    target: Path,
    *,
    csv: bool,
    rejects: Rejects,
    called: str,
    seen: "by_batches.Seen | None" = None,
) -> int:
    """Score the raw rows, and write their answers; the number of rows that were answered.

    Parameters
    ----------
    called : what messages call the table.
    seen : is shown each batch with its answers and errors.

    Raises
    ------
    ServingError
        if the model's code fails; names the rows. JobStopped if it ended its process.
    """
    inputs, dated = model.inputs_in(database)
    start = 0

    def answer(table: "pa.Table") -> "tuple[pa.Table, dict[int, InputError]]":
        nonlocal start
        first, start = start, start + len(table)
        try:
            return model.answers(plan, inputs, dated, table)
        except ServingError as error:
            kind = JobStopped if isinstance(error, native.ProcessEnded) else ServingError
            raise kind(f"{called}, rows {first} to {start - 1}: {error}") from None

    return by_batches.score(database, answer, plan, target, csv=csv, rejects=rejects, seen=seen)
