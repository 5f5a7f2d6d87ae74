"""Reads a parsed body as a prediction request: a table of raw values, the output, and the form of the answer."""

from ..scorecard.inputs import kind
from .answers import OUTPUTS
from .errors import INVALID, RequestError
from .limits import LIMITS, Limits
from .tables import ColumnLists, Records, RequestTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..scorecard.inputs import Input

#: MLflow's own envelopes, answered by ``predictions``, and the short ones, answered by ``prediction``.
LONG = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHORT = ("input_data", "features", "X")
_FORMS = frozenset(LONG + SHORT)


class Question:
    """A prediction request.

    Parameters
    ----------
    table : of ``tables``, with ``count`` rows.
    output : one of ``OUTPUTS``.
    short : whether the answer is ``{"prediction": ...}``.
    one : whether the answer is that of a single row, rather than a list.
    """

    __slots__ = ("one", "output", "short", "table")

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs that the answer contains."""
        return (self.output,)

    def __init__(self, table: "Any", output: str = OUTPUTS[0], *, short: bool = False, one: bool = False) -> None:
        self.table, self.output, self.short, self.one = table, output, short, one

    def payload(self, found: list) -> "dict[str, Any]":
        """Return the response with these answers, one a row, as JSON."""
        if not self.short:
            return {"predictions": found}
        return {"prediction": found[0] if self.one else found}


def question(value: object, inputs: "Sequence[Input]", *, limits: Limits = LIMITS) -> Question:
    """Read a parsed body as a request to a model with these inputs.

    Parameters
    ----------
    value : a parsed JSON value, or a table.
    inputs : the model's ``Input`` columns, in the order of its signature.

    Raises
    ------
    RequestError
        with status 400 if the value has none of the forms, and 413 if it has too many rows.
    """
    output, one, short = OUTPUTS[0], False, False
    table: RequestTable
    if isinstance(value, RequestTable):
        table = value
    elif isinstance(value, list):
        short = True
        table, one = _short(value, "the body", limits)
    elif isinstance(value, dict):
        form = _form(value)
        output = _output(value)
        if form in SHORT:
            short = True
            table, one = _short(value[form], form, limits)
        else:
            table = _READ[form](value[form], inputs, limits)
    else:
        raise RequestError(f"expected a JSON object or array, found {kind(value)}; {_EXPECTED}")
    table = table.positional(inputs)
    if table.count == 0:
        raise RequestError("expected at least one row, found none")
    limits.check_rows(table.count)
    return Question(table, output, short=short, one=one)


_EXPECTED = f"expected one of the keys {', '.join(LONG + SHORT)}"


def _form(value: "dict[str, Any]") -> str:
    found = [key for key in value if key in _FORMS]
    if len(found) == 1:
        return found[0]
    raise RequestError(f"{_EXPECTED}, found {' and '.join(found) if found else 'none of them'}")


def _output(value: "dict[str, Any]") -> str:
    params = value.get("params")
    if params is None:
        return OUTPUTS[0]
    if not isinstance(params, dict):
        raise RequestError(f"params: expected an object, found {kind(params)}")
    # Other keys are ignored, as MLflow ignores parameters that are not in a model's signature.
    return chosen(params.get("output", OUTPUTS[0]))


def chosen(output: "Any") -> str:
    """Check the output that a request names.

    Raises
    ------
    RequestError
        if there is no such output.
    """
    if output not in OUTPUTS:
        raise RequestError(f"params: output is one of {', '.join(OUTPUTS)}, found another value", code=INVALID)
    return output


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
    from .matrix import Matrix

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
    from .matrix import Matrix

    return Matrix([name if isinstance(name, str) else str(name) for name in names], value["data"])


def _records(value: "Any", inputs: "Sequence[Input]", limits: Limits) -> Records:
    if not isinstance(value, list):
        raise RequestError(f"dataframe_records: expected a list of objects, found {kind(value)}")
    limits.check_rows(len(value))
    return Records(value, fill=True)


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
        from .matrix import Matrix

        return Matrix([inputs[0].name], [[row] for row in value])
    return listed(value)


def _by_column(value: "dict[str, Any]") -> Records | ColumnLists:
    if value and not any(isinstance(values, (list, dict)) for values in value.values()):
        return Records([value], fill=False)
    return ColumnLists(value)


def _short(value: "Any", form: str, limits: Limits) -> tuple[RequestTable, bool]:
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
        from .matrix import Matrix

        return Matrix(None, [value]), True
    limits.check_rows(len(value))
    return listed(value), False


_READ: "dict[str, Callable[[Any, Sequence[Input], Limits], RequestTable]]" = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}
