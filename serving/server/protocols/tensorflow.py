"""TensorFlow Serving's REST API, and KServe's first protocol, which adds explanations to it."""

import base64
import binascii

from serving.contract import OUTPUTS, Limits, Question, RequestError
from serving.contract.questions import chosen
from serving.contract.tables import Records, shown
from serving.scorecard.errors import kind
from serving.server.messages import Request, Response
from serving.server.protocols import tensors
from serving.server.protocols.base import WireProtocol
from serving.server.protocols.lenient import answered, body, loaded, named, refused
from serving.server.protocols.mlflow import written
from serving.server.router import GET, POST, Route, Router, versioned
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedVersion

PREDICTIONS, PROBABILITIES, EXPLAIN = OUTPUTS
_DTYPES = {"FP64": "DT_DOUBLE", "BOOL": "DT_BOOL", "INT64": "DT_INT64", "BYTES": "DT_STRING"}
_SIGNATURES = {"": None, "serving_default": None, "predict": PREDICTIONS, **{name: name for name in OUTPUTS}}


class Values(Question):
    """A request; ``by_column`` if it and its answer are laid out by column rather than by row."""

    __slots__ = ("by_column",)

    def __init__(self, table, output: str, *, by_column: bool = False):
        super().__init__(table, output)
        self.by_column = by_column


class Predict(WireProtocol):
    """``:predict``: ``instances`` are answered by ``predictions``, ``inputs`` by ``outputs``.

    ``signature_name`` chooses the output: ``probabilities``, ``explain``, or ``serving_default`` for predictions.
    ``{"params": {"output": ...}}`` works as well.
    """

    name = "tensorflow"

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        said = _object(body(request, limits))
        forms = [form for form in ("instances", "inputs") if form in said]
        if len(forms) != 1:
            raise RequestError(f"expected instances or inputs, found {'both' if forms else 'neither'}")
        (form,) = forms
        asked = version.question({form: _read(said[form], form, version), "params": said.get("params")}, limits)
        return Values(asked.table, _signature(said) or asked.output, by_column=form == "inputs")

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        assert isinstance(question, Values)
        if not question.by_column:
            return answered(written({"predictions": found}), version, question.table.count)
        if question.output == PROBABILITIES:  # several named outputs are an object of columns
            columns = {label: [row[label] for row in found] for label in found[0]}
            return answered(written({"outputs": columns}), version, question.table.count)
        return answered(written({"outputs": found}), version, question.table.count)

    def refuse(self, error: RequestError) -> Response:
        return refused(error)


class Explain(Predict):
    """``:explain``, of KServe: ``instances`` are answered by ``explanations``."""

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        said = _object(body(request, limits))
        if "instances" not in said:
            raise RequestError("expected instances, found none")
        asked = version.question({"instances": _read(said["instances"], "instances", version)}, limits)
        return Values(asked.table, EXPLAIN)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        return answered(written({"explanations": found}), version, question.table.count)


class _Examples(Predict):
    def _asked(self, request: Request, version: ServedVersion, limits: Limits, output: str) -> Question:
        said = _object(body(request, limits))
        signature = said.get("signature_name", "")
        if not isinstance(signature, str):
            raise RequestError(f"signature_name: expected text, found {kind(signature)}")
        examples, context = said.get("examples"), said.get("context")
        if not isinstance(examples, list):
            raise RequestError(f"examples: expected a list of objects, found {tensors.found(examples)}")
        if context is not None and not isinstance(context, dict):
            raise RequestError(f"context: expected an object, found {kind(context)}")
        rows = _instances(examples)
        if context:
            rows = _with_context(rows, _instances([context])[0])
        return Values(version.question(Records(rows, fill=False), limits).table, output)


class Classes(Values):
    """A request whose probabilities are copied to pairs, which takes memory for both."""

    __slots__ = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return (PROBABILITIES, PROBABILITIES)


class Classify(_Examples):
    """``:classify``: a list of ``[label, probability]`` for each example, if the model has probabilities."""

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        return Classes(self._asked(request, version, limits, PROBABILITIES).table, PROBABILITIES)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        results = [[[label, row[label]] for label in row] for row in found]
        return answered(written({"results": results}), version, question.table.count)


class Regress(_Examples):
    """``:regress``: a number for each example, if the model is a regression."""

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        if version.card.task != "regression":
            what = "is a classification" if version.card.classes is not None else "may answer with other than numbers"
            raise RequestError(f"this model {what}: ask it with :classify or :predict")
        return self._asked(request, version, limits, PREDICTIONS)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        return answered(written({"results": found}), version, question.table.count)


#: The protocol of each verb, which follows the colon of a path. Labels of a path are ``champion`` and ``challenger``.
PROTOCOLS = {"predict": Predict(), "classify": Classify(), "regress": Regress(), "explain": Explain()}


def add(router: Router, settings: ServerSettings) -> None:
    """Register the routes."""
    router.add("/v1/models", Route(GET, answer=listing))
    router.under("v1", _find, speaker=PROTOCOLS["predict"])


def _find(parts: list[str]) -> Route | None:
    if len(parts) < 2 or parts[0] != "models":
        return None
    *parts, last = parts[1:]
    last, colon, verb = last.rpartition(":") if ":" in last else (last, "", "")
    name, number, rest = versioned([*parts, last])
    if len(rest) >= 2 and rest[0] == "labels":
        number, rest = f"@{rest[1]}", rest[2:]
    if colon:
        protocol = PROTOCOLS.get(verb)
        if rest or protocol is None:
            return None
        return Route(POST, protocol=protocol, model=name, version=number)
    if not rest:
        return Route(GET, answer=status, model=name, version=number)
    return Route(GET, answer=metadata, model=name, version=number) if rest == ["metadata"] else None


def listing(request: Request, served: Served, route: Route) -> Response:
    """``GET /v1/models``, of KServe."""
    return Response(200, written({"models": list(served.models)}))


def status(request: Request, served: Served, route: Route) -> Response:
    """``GET /v1/models/NAME[/versions/VERSION|/labels/LABEL]``, with what KServe adds to it."""
    found, version = named(served, route)
    each = [
        {"version": item.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        for item in ([version] if route.version else loaded(found))
    ]
    return _described({"name": found.name, "ready": True, "model_version_status": each}, version)


def metadata(request: Request, served: Served, route: Route) -> Response:
    """``GET /v1/models/NAME[/versions/VERSION|/labels/LABEL]/metadata``: the signatures of a version."""
    _, version = named(served, route)
    card = version.card
    inputs = {item.name: _tensor(item.name, _DTYPES[tensors.datatype(item)]) for item in card.inputs}
    signatures = {"serving_default": {PREDICTIONS: _tensor(PREDICTIONS, _DTYPES[tensors.label_datatype(card.classes)])}}
    if card.has_probabilities:
        signatures[PROBABILITIES] = {str(label): _tensor(str(label), "DT_DOUBLE") for label in card.classes or ()}
    if card.kind == "linear":
        signatures[EXPLAIN] = {EXPLAIN: _tensor(EXPLAIN, "DT_STRING")}
    described = {
        name: {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}
        for name, outputs in signatures.items()
    }
    content = {
        "model_spec": {"name": version.model, "signature_name": "", "version": version.version},
        "metadata": {"signature_def": {"signature_def": described}},
    }
    return _described(content, version)


def _described(content: dict, version: ServedVersion) -> Response:
    return Response(200, written(content), model=version.model, version=version.version)


def _object(said) -> dict:
    if not isinstance(said, dict):
        raise RequestError(f"expected a JSON object, found {kind(said)}")
    return said


def _signature(said: dict) -> str | None:
    name = said.get("signature_name", "")
    if not isinstance(name, str) or name not in _SIGNATURES:
        raise RequestError(f"signature_name: expected one of serving_default, {', '.join(OUTPUTS)}, found another")
    output = _SIGNATURES[name]
    return None if output is None else chosen(output)


def _read(rows, form: str, version: ServedVersion):
    if version.loose:
        return rows
    return _instances(rows) if form == "instances" else _inputs(rows)


def _instances(rows):
    """Rows whose values may be base64, or lists of one value, as for tensors of shape [1]."""
    if not isinstance(rows, list):
        return rows
    for row in rows:
        if isinstance(row, dict) and any(isinstance(value, (list, dict)) for value in row.values()):
            return [_plain(row, place) for place, row in enumerate(rows)]
    return rows


def _plain(row, place: int):
    if not isinstance(row, dict):
        return row
    return {name: _value(value, f"row {place}, column {shown(name)}") for name, value in row.items()}


def _inputs(columns):
    if not isinstance(columns, dict):
        return columns
    return {
        name: [_value(value, f"row {place}, column {shown(name)}") for place, value in enumerate(values)]
        if isinstance(values, list) and any(isinstance(value, (list, dict)) for value in values)
        else values
        for name, values in columns.items()
    }


def _value(value, where: str):
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, dict):
        return value
    if value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise RequestError(f'{where}: expected a value, or {{"b64": text}}, found an object')
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (binascii.Error, ValueError):
        raise RequestError(f"{where}: expected base64 of UTF-8 text, found other text") from None


def _with_context(rows, context: dict):
    for place, row in enumerate(rows):
        if isinstance(row, dict) and not context.keys().isdisjoint(row):
            twice = next(name for name in row if name in context)
            raise RequestError(f"row {place}, column {shown(twice)}: it is in the context, too")
    return [{**context, **row} if isinstance(row, dict) else row for row in rows]


def _tensor(name: str, dtype: str) -> dict:
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": f"{name}:0",
    }
