"""Rows that are lists of values."""

from ..scorecard.errors import kind
from ..scorecard.names import column_name
from .errors import RequestError
from .tables import RequestTable, none_of, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ..scorecard.inputs import Input


class Matrix(RequestTable):
    """Rows of values in the order of ``names``, or of the model's inputs if ``names`` is None."""

    __slots__ = ("count", "data", "names")

    def __init__(self, names: list[str] | None, data: list, *, noun: str = "value") -> None:
        if names is not None:
            # Unnamed columns get the same names as in training.
            names = [name if name.strip() else column_name(name, place) for place, name in enumerate(names)]
            _unique(names)
        self.names, self.data, self.count = names, data, len(data)
        if names is not None:
            self._check(names, noun)

    def positional(self, inputs: "Sequence[Input]") -> "Matrix":
        """Name the columns after the model's inputs, unless they have names.

        Raises
        ------
        RequestError
            if a row has another length.
        """
        if self.names is not None:
            return self
        self.names = [item.name for item in inputs]
        self._check(self.names, "value")
        return self

    def _check(self, names: "Sequence[str]", noun: str) -> None:
        size = len(names)
        counted = f"{size} {noun}" if size == 1 else f"{size} {noun}s"
        for place, row in enumerate(self.data):
            if not isinstance(row, list):
                raise RequestError(f"row {place}: expected a list of {counted}, found {kind(row)}")
            if len(row) != size:
                if len(row) < size:
                    where = f"the first without one is column {shown(names[len(row)])}"
                else:
                    where = f"column {shown(names[-1])} is the last" if names else "the model reads no column"
                raise RequestError(f"row {place}: expected {counted}, found {len(row)}; {where}")

    def rows(self) -> "Iterator[dict[str, Any]]":
        names: list[str] = self.names  # type: ignore[assignment]  # set by `positional`
        for row in self.data:
            yield dict(zip(names, row, strict=True))

    def columns(self, inputs: "Sequence[Input]") -> "dict[str, list]":
        names: list[str] = self.names  # type: ignore[assignment]
        return dict(zip(names, map(list, zip(*self.data, strict=True)), strict=True))

    def foreign(self, inputs: "Sequence[Input]") -> bool:
        return none_of(inputs, self.names or ())


def _unique(names: "Iterable[str]") -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RequestError(f"column {shown(name)}: expected one column of this name, found several")
        seen.add(name)
