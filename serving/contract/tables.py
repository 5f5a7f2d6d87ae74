"""The tables of requests: what each layout has, and records; ``matrix`` and ``columnlists`` have the others.

Each has ``count``, ``rows()`` (mappings from column name to raw value), ``columns(inputs)`` (a mapping from column name
to a list of raw values, or None if only scoring row by row is exact) and ``foreign(inputs)`` (whether it has none of
these columns). Names may be padded with blanks, as in the training file: the scorecard finds the column they mean.
"""

from ..scorecard.errors import kind
from ..scorecard.inputs import InputError, named
from .errors import TOO_LARGE, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ..scorecard.inputs import Input

_LONGEST_NAME = 80
# Maximum rows times columns of records with different columns: 100,000 rows of 160.
_MOST_FILLED = 16_000_000


class RequestTable:
    """Rows of raw values."""

    __slots__ = ()
    uniform = True
    count: int

    def positional(self, inputs: "Sequence[Input]") -> "RequestTable":
        """The same rows, with the names of the model's inputs where they have none of their own."""
        return self

    def rows(self) -> "Iterator[Mapping[str, Any]]":
        """Each row as a mapping of column name to raw value."""
        raise NotImplementedError

    def columns(self, inputs: "Sequence[Input]") -> "Mapping[str, list] | None":
        """Lists of raw values by column name; None where only row by row is exact."""
        raise NotImplementedError

    def foreign(self, inputs: "Sequence[Input]") -> bool:
        """Whether the table has none of the model's columns."""
        raise NotImplementedError


class Records(RequestTable):
    """Mappings from column name to value, one for each row.

    Parameters
    ----------
    fill : whether a key that only other records have is a missing value; otherwise such a record is refused.
    """

    __slots__ = ("_known", "count", "data", "uniform")

    def __init__(self, data: list, *, fill: bool) -> None:
        for place, row in enumerate(data):
            if not isinstance(row, dict):
                raise RequestError(f"row {place}: expected an object of column names and values, found {kind(row)}")
        self.data, self.count = data, len(data)
        known: set[str] = set()
        if len(data) > 1:
            known.update(*data)
        self.uniform = all(len(row) == len(known) for row in data) if known else True
        # Filled during iteration: if each row has a key of its own, there are rows x rows cells.
        self._known: set[str] | None = None
        if fill and not self.uniform:
            if len(data) * len(known) > _MOST_FILLED:
                raise RequestError(
                    f"expected rows of the same columns, found {len(known):,} different ones in {len(data):,} rows; "
                    "ask in several requests, or without columns that the model does not read",
                    status=413,
                    code=TOO_LARGE,
                )
            self._known, self.uniform = known, True

    def rows(self) -> "Iterator[Mapping[str, Any]]":
        known = self._known
        if known is None:
            return iter(self.data)
        return ({name: row.get(name) for name in known} for row in self.data)

    def columns(self, inputs: "Sequence[Input]") -> "dict[str, list] | None":
        known = frozenset(item.name for item in inputs)
        try:
            if self._known is not None:
                from ..scorecard.names import aliases

                found = aliases(self._known, known)
                spelled = {item.name: found.get(item.name, item.name) for item in inputs}
                return {
                    name: [row.get(key) for row in self.data] for name, key in spelled.items() if key in self._known
                }
            rows = [named(row, known) for row in self.data]
        except InputError:  # scoring row by row names the row
            return None
        names = [item.name for item in inputs if item.name in rows[0]]
        if not self.uniform and any(name not in row for row in rows for name in known):
            return None
        return {name: [row[name] for row in rows] for name in names}

    def foreign(self, inputs: "Sequence[Input]") -> bool:
        return all(none_of(inputs, row) for row in self.data)


def none_of(inputs: "Sequence[Input]", names: "Iterable[str]") -> bool:
    """Whether a table with these names has none of the model's columns."""
    known = {item.name for item in inputs}
    return known.isdisjoint(names) and known.isdisjoint(map(str.strip, names))


def shown(name: str) -> str:
    """A column name of a request, quoted and shortened for a message."""
    return repr(name) if len(name) <= _LONGEST_NAME else repr(name[:_LONGEST_NAME]) + "..."
