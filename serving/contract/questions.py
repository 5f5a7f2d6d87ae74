"""Reads a parsed body as a prediction request: a table of raw values, the output, and the form of the answer."""

from ..scorecard.errors import kind
from .answers import OUTPUTS
from .errors import INVALID, RequestError
from .limits import LIMITS, Limits
from .tables import Records, RequestTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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

    def payload(self, found: "Any") -> "dict[str, Any]":
        """Return the response with these answers, one a row, as JSON."""
        if not self.short:
            return {"predictions": found}
        return {"prediction": self.single(found)}

    def single(self, found: "Any") -> "Any":
        """Return the answer of the row if a single one was asked for, and otherwise all answers.

        A model without a scorecard need not answer row by row: then all that it answered is returned.
        """
        return found[0] if self.one and isinstance(found, list) and len(found) == 1 else found


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
        from . import forms

        short = True
        table, one = forms.short(value, "the body", limits)
    elif isinstance(value, dict):
        form = _form(value)
        output = _output(value)
        if form == "dataframe_records":  # the usual form; a function's first answer does not wait for the others
            table = _records(value[form], limits)
        else:
            from . import forms

            short = form in SHORT
            if short:
                table, one = forms.short(value[form], form, limits)
            else:
                table = forms.LONG[form](value[form], inputs, limits)
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


def _records(value: "Any", limits: Limits) -> Records:
    if not isinstance(value, list):
        raise RequestError(f"dataframe_records: expected a list of objects, found {kind(value)}")
    limits.check_rows(len(value))
    return Records(value, fill=True)
