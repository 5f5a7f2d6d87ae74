"""Columns that are lists of values."""

from ..scorecard.errors import kind
from .errors import RequestError
from .tables import RequestTable, none_of, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..scorecard.inputs import Input


class ColumnLists(RequestTable):
    """Lists of values of equal length, by column name."""

    __slots__ = ("count", "data")

    def __init__(self, data: "Mapping[str, list]") -> None:
        self.count = -1
        for name, values in data.items():
            if not isinstance(values, list):
                raise RequestError(f"column {shown(name)}: expected a list of values, found {kind(values)}")
            if self.count not in (-1, len(values)):
                raise RequestError(
                    f"column {shown(name)}: expected {self.count} values as in the other columns, found {len(values)}"
                )
            self.count = len(values)
        self.data, self.count = data, max(self.count, 0)

    def rows(self) -> "Iterator[dict[str, Any]]":
        names = list(self.data)
        for values in zip(*self.data.values(), strict=True):
            yield dict(zip(names, values, strict=True))

    def columns(self, inputs: "Sequence[Input]") -> "Mapping[str, list]":
        return self.data

    def foreign(self, inputs: "Sequence[Input]") -> bool:
        return none_of(inputs, self.data)
