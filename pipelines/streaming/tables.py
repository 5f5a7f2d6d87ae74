"""What a training needs of a table that is read in parts, wherever its rows are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self, TypeVar

import pyarrow as pa

from pipelines.dataset import Dataset
from pipelines.sources import Origin, Table
from pipelines.splitting import Split
from pipelines.streaming.scan_sums import Scan
from pipelines.streaming.sides import Rows, SideCounts
from pipelines.streaming.typed import TypedReader
from registry.holdout import HoldoutRule

Result = TypeVar("Result")
Made = TypeVar("Made", contravariant=True)
Out = TypeVar("Out", covariant=True)
Given = TypeVar("Given")


class RawRows(Protocol):
    """A table of which nothing is typed, trimmed or left out yet."""

    @property
    def origin(self) -> Origin:
        """Where it came from."""

    def sample(self, most: int) -> pa.Table:
        """Rows that are evenly spread over the table, at most so many; all, if there are no more."""

    def table(self, columns: pa.Table) -> Table:
        """Some of the rows, with what is known of the whole."""


class InOrder(Protocol[Made, Out]):
    """A state that follows the rows of a table in their order; it may be pickled."""

    def begun(self, before: SideCounts) -> Self:
        """A fresh one that begins behind so many rows."""

    def next(self, made: Made) -> Out:
        """What it gives of what was made of the next part."""

    def seen(self) -> Any:
        """What it has seen; it may be pickled."""

    def merge(self, seen: Any) -> None:
        """Add what another one has seen, of rows further on."""


class TableInParts(Protocol):
    """A table with its types and its split, which passes read part by part.

    What passes make of a part may be pickled and made elsewhere.

    Attributes
    ----------
    sample : rows by which it was typed.
    split : of the sample; its rule is that of the table.
    """

    reader: TypedReader
    sample: Table
    split: Split

    def cut(self, name: str, *, test_size: float, before: HoldoutRule | None) -> None:
        """Hold rows out by a column of times.

        Parameters
        ----------
        before : the rule of an earlier version, see :func:`splitting.split`.

        Raises
        ------
        PipelineError
            if that cannot be done with such a table.
        """

    def expect(self, *, columns: int, sums: int) -> None:
        """Cut the table so that parts fit into memory, several at a time, in passes from now on.

        Parameters
        ----------
        columns : of the matrix that is made of a part.
        sums : numbers that are made of a part.
        """

    def scanned(self, *, folds: int, earlier: Sequence[HoldoutRule] = ()) -> Scan:
        """Read all rows once.

        Parameters
        ----------
        folds : of cross-validation; 0 for none.
        earlier : rules of which it is counted how many of the held-out rows they do not hold out.

        Raises
        ------
        Contradiction
            if rows are not of the types found on the sample.
        PipelineError
            if a row cannot be read.
        """

    def mapped(
        self,
        work: Callable[[Rows], Result],
        merged: Callable[[Result, Result], Result] | None = None,
        *,
        label: str = "",
        more: Sequence[str] = (),
    ) -> Iterator[Result]:
        """What is made of each part, in order; after :meth:`scanned`.

        Parameters
        ----------
        work : is given the rows of a part.
        merged : what is made of two parts, of what is made of each; where it saves sending both, parts that follow each
            other are merged.
        label : what is done with them, for the progress bar; none without one.
        more : names of further raw columns.
        """

    def followed(
        self,
        work: Callable[[Rows], Given],
        state: InOrder[Given, Result],
        *,
        label: str,
        more: Sequence[str] = (),
    ) -> Iterator[Result]:
        """What a state gives of what is made of each part, in order; it has seen all rows in the end.

        Parameters
        ----------
        work, label, more : see :meth:`mapped`.
        """


#: A sample, and its dataset and split -> the table with types.
Typing = Callable[[Table, Dataset, Split], TableInParts]
