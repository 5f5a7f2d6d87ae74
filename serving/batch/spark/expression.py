"""Scores inside Spark by the exported SELECT: no row reaches Python but those that are rejected."""

import contextlib
import itertools
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from serving.batch import matching
from serving.batch.answers import PREDICTION
from serving.batch.by_batches import ROWS
from serving.batch.rejects import Rejects
from serving.batch.spark import numbering
from serving.batch.spark.source import SparkTable
from serving.errors import ServingError, Unsupported
from serving.scorecard import Scorecard, exports
from serving.scorecard.inputs import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    #: The numbers of rows and of answers.
    Counts = Callable[[], tuple[int, int]]

#: The types that an input may have: numbers, texts and booleans, and of a column without values none.
_READABLE = ("string", "char", "varchar", "double", "float", "decimal", "tinyint", "smallint", "int", "bigint",
             "boolean", "void")  # fmt: skip


class Expression:
    """A scorecard as a column of a table.

    Parameters
    ----------
    table : its raw rows; text is text.

    Attributes
    ----------
    columns : those of the table, the model's under the model's names.

    Raises
    ------
    ServingError
        if the table lacks a column of the model, or has one of a type that it cannot read.
    """

    def __init__(self, session: "SparkSession", card: Scorecard, table: SparkTable) -> None:
        self._session, self._card, self._table = session, card, table
        inputs = [item.name for item in card.inputs]
        there = table.frame.columns
        self._names = matching.meant(table.address, there, inputs, optional=card.optional)
        self.columns = [self._names.get(name, name) for name in there]
        self._inputs = [name for name in inputs if name in self.columns]
        check_types(table, {name: self._names.get(name, name) for name in there}, self._inputs)
        self._view = f"lifecycle_{uuid.uuid4().hex}"

    def answers(self, keep: tuple[str, ...]) -> "DataFrame":
        """The answers to all rows beside columns that are kept; a row that cannot be scored has NULL."""
        return self._select(self._table.frame, keep)

    def reject(self, rejects: Rejects, shown: tuple[str, ...]) -> None:
        """Find the rows without an answer, and ask the scorecard for the reason.

        Parameters
        ----------
        rejects : its leading columns are ``leading``.
        shown : columns of the table by which a row is known, where its place in a file is not.
        """
        is_numbered = numbering.is_numbered(self._table)
        rows = numbering.numbered(self._table) if is_numbered else self._table.frame
        marks = numbering.COLUMNS if is_numbered else shown
        keep = tuple(dict.fromkeys((*marks, *self._inputs)))
        found = unanswered(self._select(rows, keep))
        locate = numbering.locator(self._table, rows) if is_numbered else None
        for batch in _batches(found.select(*map(quoted, keep)).toLocalIterator()):
            errors = self._errors(batch)
            for place, row in enumerate(batch):
                error = errors.get(place) or InputError("", "Spark could not score it; --engine numpy may")
                if locate:
                    file, number = locate(row)
                    rejects.add(number, error, file)
                else:
                    rejects.add(None, error, *(row[name] for name in shown))

    def close(self) -> None:
        """Forget the views."""
        for name in (f"{self._view}_0", f"{self._view}_1"):
            with contextlib.suppress(Exception):
                self._session.catalog.dropTempView(name)

    def _select(self, frame: "DataFrame", keep: tuple[str, ...]) -> "DataFrame":
        view = f"{self._view}_{int(frame is not self._table.frame)}"
        frame.select(*(frame[quoted(name)].alias(self._names.get(name, name)) for name in frame.columns)
                     ).createOrReplaceTempView(view)  # fmt: skip
        try:
            text = exports.write(self._card, "sql", dialect="spark", table=view, keep=keep)
        except Unsupported as error:
            raise ServingError(f"--engine spark: {error}; leave --engine out, and NumPy scores the table") from None
        assert isinstance(text, str)
        return self._session.sql(text)

    def _errors(self, batch: list[Any]) -> dict[int, InputError]:
        import pyarrow as pa

        types = dict(self._table.frame.dtypes)
        kinds = {self._names.get(name, name): kind for name, kind in types.items()}
        columns = {}
        for name in self._inputs:
            values = [row[name] for row in batch]
            columns[name] = pa.array(values, pa.float32() if kinds[name] == "float" else None)
        _, refusals = self._card.tables.scores(pa.table(columns))
        return refusals.by_row()


def check_types(table: SparkTable, names: dict[str, str], inputs: list[str]) -> None:
    """Raise ServingError if a column that is read is of dates, lists or anything else that is no plain value."""
    for name, kind in table.frame.dtypes:
        if names.get(name, name) in inputs and kind.partition("(")[0] not in _READABLE:
            raise ServingError(
                f"{table.address}: the model reads the column {name!r}, which is of the type {kind[:80]}; expected "
                "numbers, texts or booleans: convert it, in a view say"
            )


def counted(answers: "DataFrame") -> "tuple[DataFrame, Counts]":
    """The same rows, and what tells the numbers of rows and of answers when they have been computed.

    A condition on the answers is not moved to below this: there, all that they are computed from would be written out
    at each place where it is used, which grows without bounds.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as f

    seen = Observation()
    found = answers.observe(seen, f.count(f.lit(1)).alias("rows"), f.count(PREDICTION).alias("answers"))

    def counts() -> tuple[int, int]:
        known = seen.get
        return known.get("rows") or 0, known.get("answers") or 0

    return found, counts


def unanswered(answers: "DataFrame") -> "DataFrame":
    """The rows without an answer."""
    found, _ = counted(answers)
    return found.where(f"{PREDICTION} IS NULL")


def quoted(name: str) -> str:
    """A name of a column as Spark reads it back."""
    return "`" + name.replace("`", "``") + "`"


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(rows, ROWS)):
        yield batch
