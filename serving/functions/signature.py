"""What the signature of an MLflow model says of requests, read without MLflow: for models that have no scorecard."""

import json

from ..contract import LIMITS, OUTPUTS, Limits, Question, RequestError, question
from ..contract.columnlists import ColumnLists
from ..contract.errors import INVALID
from ..contract.matrix import Matrix
from ..contract.questions import LONG, SHORT, chosen
from ..contract.tables import Records, RequestTable
from ..scorecard.inputs import (
    ABSENT,
    AS_IS,
    MISSING_TEXT,
    WHOLE_TYPES,
    Cleaning,
    Input,
    InputError,
    kind,
    named,
)
from .columns import DATETIME, TYPES, Column, column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

#: The parts of the file ``MLmodel`` that a signature is read from.
ABOUT = ("signature", "is_signature_from_type_hint")
_PLAIN = tuple(TYPES)  # a type may be an object, which is in no set
_FORMS = frozenset(LONG + SHORT)
_CSV = Cleaning(trim=False, missing=MISSING_TEXT - {"?"})
#: The form of a table of text whose types the model's side finds out, as pandas does.
CSV = "csv"
_SCALARS = {
    **{"string": (str,), "boolean": (bool,), DATETIME: (str,)},
    **{"double": (int, float), "float": (int, float), "long": (int,), "integer": (int,)},
}


class PyfuncInput(RequestTable):
    """A checked request, ready for the process that has the model.

    Parameters
    ----------
    count : number of rows.
    columns : where the signature names columns of plain types; else None.
    value : otherwise the request in one of MLflow's forms, such as ``{"inputs": [[1, 2]]}``.
    params : MLflow's parameters of the prediction; empty for none.
    """

    __slots__ = ("columns_", "count", "params", "value")

    def __init__(
        self,
        count: int,
        *,
        columns: "list[Column] | None" = None,
        value: "dict[str, Any] | None" = None,
        params: "Mapping[str, Any] | None" = None,
    ) -> None:
        self.count, self.columns_, self.value, self.params = count, columns, value, dict(params or {})


class Signature:
    """How requests to a model are read.

    Parameters
    ----------
    about : the content of the file ``MLmodel``.

    Attributes
    ----------
    known : whether the model has a signature.
    given : its inputs as MLflow writes them.
    inputs : the columns, if all have names and plain types; otherwise empty. ``types`` has MLflow's names of types.
    loose : whether requests are passed on as they are, for MLflow to read: tensors, nested columns, no signature.
    optional : names of columns that a request may leave out.
    params : MLflow's type of each parameter; a list of one for a parameter that is a list.
    numeric : whether an answer is one number.
    """

    def __init__(self, about: "Mapping[str, Any]") -> None:
        signature = about.get("signature") or {}
        parts = {name: _parsed(signature.get(name)) for name in ("inputs", "outputs", "params")}
        self.known = parts["inputs"] is not None
        self.given: list[dict[str, Any]] = parts["inputs"] or []
        self._hinted = bool(about.get("is_signature_from_type_hint"))
        plain = all(one.get("name") is not None and one["type"] in _PLAIN for one in self.given)
        self.loose = not self.given or self._hinted or not plain
        self.types: dict[str, str] = {} if self.loose else {one["name"]: one["type"] for one in self.given}
        self.inputs: tuple[Input, ...] = ()
        self.optional: frozenset[str] = frozenset()
        if not self.loose:
            # MLflow has no missing value in a column of whole numbers or of booleans.
            self.inputs = tuple(
                Input(name, TYPES[type], integer=type in WHOLE_TYPES, null=type not in (*WHOLE_TYPES, "boolean"))
                for name, type in self.types.items()
            )
            self.optional = frozenset(one["name"] for one in self.given if one.get("required") is False)
        self.params = {one["name"]: _param(one) for one in parts["params"] or []}
        self.numeric = _numeric(parts["outputs"] or [])

    def question(self, value: object, *, limits: Limits = LIMITS) -> Question:
        """Read a parsed body as a request to the model; the table of the question is a ``PyfuncInput``.

        Raises
        ------
        RequestError
            if it is malformed, too large, or a value does not fit the signature.
        """
        params: dict[str, Any] = {}
        output = OUTPUTS[0]
        if isinstance(value, dict) and not _FORMS.isdisjoint(value):
            value = dict(value)
            params, output = self._params(value.pop("params", None))
        # A text of CSV may stand for a missing value, as it does for pandas.
        cleaning = _CSV if isinstance(value, Matrix) and value.names is not None else AS_IS
        asked = self._loose(value, limits) if self.loose else question(value, self.inputs, limits=limits)
        if not self.loose:
            try:
                asked.table = PyfuncInput(asked.table.count, columns=self.read(self._columns(asked.table), cleaning))
            except InputError as error:
                raise RequestError(str(error), code=INVALID) from None
        asked.table.params, asked.output = params, output
        return asked

    def read(self, table: "Mapping[str, Iterable[Any]]", cleaning: Cleaning = AS_IS) -> list[Column]:
        """The columns of a table of raw values.

        Raises
        ------
        InputError
            if a value does not fit, or a column is missing; names the row and the column.
        """
        columns, found = named(table, frozenset(self.types)), []
        for item in self.inputs:
            if item.name in columns:
                found.append(column(item, self.types[item.name], columns[item.name], cleaning))
            elif item.name not in self.optional:
                raise InputError(item.name, ABSENT)
        return found

    def check_outputs(self, outputs: "Iterable[str]") -> None:
        """Raise RequestError if a request asks for something else than predictions."""
        for output in outputs:
            if output != OUTPUTS[0]:
                raise RequestError(
                    f"params: this model has no scorecard and answers predictions alone, found {output}", code=INVALID
                )

    @property
    def summary(self) -> str:
        """What a request has to have, in words."""
        if not self.known:
            return "a table or a tensor that the model takes (it has no signature)"
        return ", ".join(_words(one) for one in self.given)

    def _columns(self, table: RequestTable) -> "Mapping[str, list]":
        columns = table.columns(self.inputs)
        if columns is not None:
            return columns
        found: dict[str, list] = {}
        known = frozenset(self.types)
        for place, row in enumerate(table.rows()):  # rows of different columns
            try:
                values = named(row, known)
                for name in self.types:
                    if name in values:
                        found.setdefault(name, []).append(values[name])
                    elif name not in self.optional or name in found:
                        raise InputError(name, ABSENT)
            except InputError as error:
                raise error.at(place) from None
        return found

    def _params(self, given: object) -> "tuple[dict[str, Any], str]":
        """The parameters that the model knows, and the output that is asked for; MLflow ignores other keys."""
        if given is None:
            return {}, OUTPUTS[0]
        if not isinstance(given, dict):
            raise RequestError(f"params: expected an object, found {kind(given)}")
        for name, type in self.params.items():
            if name in given and not _fits(given[name], type):
                words = f"a list of {type[0]}" if isinstance(type, list) else type
                raise RequestError(f"params: expected {name!r} to be {words}, found another value", code=INVALID)
        known = {name: given[name] for name in self.params if name in given}
        return known, OUTPUTS[0] if "output" in self.params else chosen(given.get("output", OUTPUTS[0]))

    def _loose(self, value: object, limits: Limits) -> Question:
        """A request that MLflow reads: in one of its forms, or in one of ours that is turned into one."""
        one = short = False
        if isinstance(value, RequestTable):
            value = _table(value)
        elif isinstance(value, list):
            short = True
            value, one = self._short(value)
        elif isinstance(value, dict):
            forms = [form for form in value if form in _FORMS]
            if len(forms) != 1:
                found = " and ".join(forms) if forms else "none of them"
                raise RequestError(f"expected one of the keys {', '.join(LONG + SHORT)}, found {found}")
            (form,) = forms
            value = {form: value[form]}
            if form in SHORT:
                short = True
                value, one = self._short(value[form])
        else:
            raise RequestError(f"expected a JSON object or array, found {kind(value)}")
        count = _count(value)
        if count == 0:
            raise RequestError("expected at least one row, found none")
        limits.check_rows(count)
        self._check_whole(value)
        return Question(PyfuncInput(count, value=value), short=short, one=one)

    def _short(self, value: object) -> "tuple[dict[str, Any], bool]":
        """The request that a short form means, and whether it is a single row."""
        if isinstance(value, dict):
            one = not any(isinstance(item, list) for item in value.values())
            return ({"dataframe_records": [value]}, True) if one else ({"inputs": value}, False)
        if not isinstance(value, list):
            raise RequestError(f"expected a list or an object, found {kind(value)}")
        if value and isinstance(value[0], dict):
            return {"dataframe_records": value}, False
        rank = 1 if self._hinted else len(self.given[0]["tensor-spec"]["shape"]) if self._tensor else 2
        one = _depth(value) == rank - 1
        return {"inputs": [value] if one else value}, one

    @property
    def _tensor(self) -> bool:
        """Whether the model takes one tensor without a name."""
        return len(self.given) == 1 and self.given[0]["type"] == "tensor" and "name" not in self.given[0]

    def _check_whole(self, value: "Mapping[str, Any]") -> None:
        """Refuse fractions for tensors of whole numbers, which NumPy would cut off."""
        whole = [one.get("name") for one in self.given if "int" in one.get("tensor-spec", {}).get("dtype", "")]
        if not whole:
            return
        (content,) = value.values()
        for name in whole:
            of_one = content
            if name is not None and isinstance(content, dict):
                of_one = content.get(name)
            elif name is not None and isinstance(content, list):
                of_one = [row.get(name) for row in content if isinstance(row, dict)]
            if not _whole(of_one):
                where = "inputs" if name is None else f"tensor {name!r}"
                raise RequestError(f"{where}: expected whole numbers, found a fraction", code=INVALID)


def misfit(summary: str) -> RequestError:
    """The refusal of data that MLflow found not to fit a signature, of which ``Signature.summary`` tells."""
    return RequestError(f"expected {summary}; found data that does not fit", code=INVALID)


def _parsed(text: object) -> "list[dict[str, Any]] | None":
    found = json.loads(text) if isinstance(text, str) else text
    return found if isinstance(found, list) else None


def _param(about: "Mapping[str, Any]") -> "Any":
    type = about.get("type")
    return [type] if about.get("shape") else type


def _fits(value: object, type: "Any") -> bool:
    if isinstance(type, list):
        return isinstance(value, list) and all(_fits(item, type[0]) for item in value)
    if value is None:
        return True
    allowed = _SCALARS.get(type)
    return allowed is None or isinstance(value, allowed) and (type == "boolean" or not isinstance(value, bool))


def _numeric(outputs: "list[dict[str, Any]]") -> bool:
    if len(outputs) != 1:
        return False
    spec = outputs[0].get("tensor-spec")
    if spec:
        return spec["dtype"].startswith("float") and spec["shape"] == [-1]
    return outputs[0].get("type") in ("double", "float")


def _words(one: "Mapping[str, Any]") -> str:
    spec = one.get("tensor-spec")
    what = f"tensor of {spec['dtype']} {spec['shape']}" if spec else str(one.get("type"))
    return f"{one['name']}: {what}" if one.get("name") is not None else what


def _table(table: RequestTable) -> "dict[str, Any]":
    if isinstance(table, Matrix):
        form = CSV if table.names is not None else "inputs"
        return {form: {"columns": table.names, "data": table.data} if form == CSV else table.data}
    if isinstance(table, Records):
        return {"dataframe_records": table.data}
    assert isinstance(table, ColumnLists)
    rows = [list(row) for row in zip(*table.data.values(), strict=True)]
    return {"dataframe_split": {"columns": list(table.data), "data": rows}}


def _count(value: "Mapping[str, Any]") -> int:
    (content,) = value.values()
    if isinstance(content, dict):
        if isinstance(content.get("data"), list) and "columns" in content:
            return len(content["data"])
        sizes = [len(item) for item in content.values() if isinstance(item, list)]
        return max(sizes, default=1)
    return len(content) if isinstance(content, list) else 1


def _depth(value: object) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


def _whole(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_whole, value))
    if isinstance(value, dict):
        return all(map(_whole, value.values()))
    return not isinstance(value, float) or value.is_integer()
