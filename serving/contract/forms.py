"""The forms of a request other than ``dataframe_records``: rows by position, columns, and the short forms."""

from ..scorecard.errors import kind
from .columnlists import ColumnLists
from .errors import RequestError
from .limits import Limits
from .matrix import Matrix
from .tables import Records, RequestTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..scorecard.inputs import Input


def listed(rows: list, *, fill: bool = False) -> RequestTable:
    """A table of records, or of lists in the order of the model's inputs.

    Raises
    ------
    RequestError
        if they are not all of one kind.
    """
    if rows and isinstance(rows[0], dict):
        return Records(rows, fill=fill)
    for place, row in enumerate(rows):
        if not isinstance(row, list):
            raise RequestError(f"row {place}: expected a list of values or an object, found {kind(row)}")
    return Matrix(None, rows)


def _split(value: "Any", inputs: "Sequence[Input]", limits: Limits) -> RequestTable:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise RequestError("dataframe_split: expected an object with a list data and a list columns")
    if not value.keys() <= {"columns", "data", "index"}:
        raise RequestError("dataframe_split: expected the keys columns, data and index, found another")
    names = value.get("columns")
    if names is None:
        return listed(value["data"])
    if not isinstance(names, list) or not all(isinstance(name, (str, int, float)) for name in names):
        raise RequestError("dataframe_split: expected columns to be a list of names")
    return Matrix([name if isinstance(name, str) else str(name) for name in names], value["data"])


def _instances(value: "Any", inputs: "Sequence[Input]", limits: Limits) -> RequestTable:
    if not isinstance(value, list):
        raise RequestError(f"instances: expected a list of rows, found {kind(value)}")
    return _rows(value, inputs, limits)


def _inputs(value: "Any", inputs: "Sequence[Input]", limits: Limits) -> RequestTable:
    if isinstance(value, dict):
        return _by_column(value)
    if not isinstance(value, list):
        raise RequestError(f"inputs: expected a list of rows or an object of columns, found {kind(value)}")
    return _rows(value, inputs, limits)


def _rows(value: list, inputs: "Sequence[Input]", limits: Limits) -> RequestTable:
    """A table of rows; for a model with one input, a row may be a bare value."""
    limits.check_rows(len(value))  # before they are copied
    if len(inputs) == 1 and value and not any(isinstance(row, (list, dict)) for row in value):
        return Matrix([inputs[0].name], [[row] for row in value])
    return listed(value)


def _by_column(value: "dict[str, Any]") -> Records | ColumnLists:
    if value and not any(isinstance(values, (list, dict)) for values in value.values()):
        return Records([value], fill=False)
    return ColumnLists(value)


def short(value: "Any", form: str, limits: Limits) -> tuple[RequestTable, bool]:
    """The table of a short form, and whether it is a single row."""
    if isinstance(value, dict):
        if isinstance(value.get("data"), list) and value.keys() <= {"columns", "data", "index"}:
            return _split(value, (), limits), False
        table = _by_column(value)
        return table, isinstance(table, Records)
    if not isinstance(value, list):
        raise RequestError(f"{form}: expected a list or an object, found {kind(value)}")
    if value and not isinstance(value[0], (list, dict)):
        for place, item in enumerate(value):
            if isinstance(item, (list, dict)):
                raise RequestError(f"{form}: expected values or rows, found both; value {place} is {kind(item)}")
        return Matrix(None, [value]), True
    limits.check_rows(len(value))
    return listed(value), False


#: MLflow's envelopes other than ``dataframe_records``, each with its reader.
LONG: "dict[str, Callable[[Any, Sequence[Input], Limits], RequestTable]]" = {
    "dataframe_split": _split,
    "instances": _instances,
    "inputs": _inputs,
}
