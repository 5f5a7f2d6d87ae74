"""The columns of a checked request, with the types that an MLflow signature gives them."""

from array import array

from ..scorecard.inputs import CATEGORY, MLFLOW_TYPES, Cleaning, Input, InputError, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: MLflow's type of a column that has a date and a time.
DATETIME = "datetime"
#: MLflow's types of plain columns, and the types of the inputs that they are.
TYPES = {**MLFLOW_TYPES, DATETIME: CATEGORY}
#: The least and the greatest value of MLflow's types of whole numbers.
_BOUNDS = {"long": (-(2**63), 2**63 - 1), "integer": (-(2**31), 2**31 - 1)}


class Column:
    """The values of one column.

    Parameters
    ----------
    type : MLflow's name of its type.
    data : little-endian float64 (``double``, ``float``), int64 (``long``, ``integer``) or a byte a value
        (``boolean``); a list of texts and None for the others.
    """

    __slots__ = ("data", "name", "type")

    def __init__(self, name: str, type: str, data: "bytes | list[str | None]") -> None:
        self.name, self.type, self.data = name, type, data


def column(item: Input, type: str, raw: "Iterable[Any]", cleaning: Cleaning) -> Column:
    """Read the values of a column.

    Raises
    ------
    InputError
        if a value does not fit; names the row.
    """
    found: list[Any] = []
    read = item.read
    for value in raw:
        try:
            if type in _BOUNDS:
                found.append(_integer(item, type, value, cleaning))
            elif type == DATETIME:
                found.append(moment(item, value, cleaning))
            else:
                found.append(read(value, cleaning))
        except InputError as error:
            raise error.at(len(found)) from None
    if item.type == CATEGORY:
        return Column(item.name, type, found)
    if type == "boolean":
        return Column(item.name, type, bytes(map(int, found)))
    if type in _BOUNDS:
        return Column(item.name, type, array("q", found).tobytes())
    return Column(item.name, type, array("d", [_NAN if value is None else value for value in found]).tobytes())


def values(column: Column) -> list:
    """The values of a column as Python's own; a missing number is None."""
    if not isinstance(column.data, bytes):
        return column.data
    if column.type == "boolean":
        return [value != 0 for value in column.data]
    found = array("q" if column.type in _BOUNDS else "d")
    found.frombytes(column.data)
    return [None if value != value else value for value in found.tolist()]


_NAN = float("nan")


def _integer(item: Input, type: str, raw: object, cleaning: Cleaning) -> int:
    value = item.read(raw, cleaning)
    assert isinstance(value, float)  # a column of whole numbers takes no missing value
    # float64 has not all whole numbers above 2**53.
    digits = isinstance(raw, str) and raw.strip().removeprefix("-").isdecimal()
    whole = int(raw) if digits or isinstance(raw, int) else int(value)  # type: ignore[call-overload]
    least, most = _BOUNDS[type]
    if not least <= whole <= most:
        raise InputError(item.name, f"expected a whole number from {least} to {most}, found one out of this range")
    return whole


def moment(item: Input, raw: object, cleaning: Cleaning) -> str | None:
    """A date and time in text, in ISO 8601; None if it is missing.

    Raises
    ------
    InputError
        if it is anything else.
    """
    from datetime import datetime

    if isinstance(raw, str):
        raw = cleaning.text(raw)
    if raw is None:
        return None
    if isinstance(raw, str):
        try:
            datetime.fromisoformat(raw)
            return raw
        except ValueError:
            pass
    raise InputError(item.name, f"expected a date and time as 2026-11-30T08:15:00, found {kind(raw)}")
