"""The Open Inference Protocol, version 2: tensors as JSON or in a binary part."""

import json

from serving.contract import OUTPUTS, Limits, Question, RequestError, answers, question
from serving.contract.compression import decompressed
from serving.contract.json_text import parsed
from serving.contract.limits import too_large
from serving.contract.matrix import Matrix
from serving.contract.questions import chosen
from serving.contract.tables import ColumnLists, shown
from serving.scorecard import Scorecard
from serving.scorecard.inputs import kind
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.protocols import tensors
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.protocols.lenient import answered, body, loaded, named, refused, release, wants_json
from serving.server.protocols.mlflow import parse, written
from serving.server.router import GET, POST, Route, Router, versioned
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedVersion

PREDICTIONS, PROBABILITIES, EXPLAIN = OUTPUTS
#: Names of output tensors, and their outputs. ``predict_proba`` is MLServer's name.
NAMES = {
    **{"predict": PREDICTIONS, "predictions": PREDICTIONS, "probabilities": PROBABILITIES},
    **{"predict_proba": PROBABILITIES, "explain": EXPLAIN},
}
_DEFAULT = {PREDICTIONS: "predict", PROBABILITIES: "probabilities", EXPLAIN: "explain"}
_PLATFORM = "mlflow_scorecard"
_HEADER = b"inference-header-content-length"


class RequestedOutput:
    """A requested output tensor; ``classes``: return this many of the likeliest classes as text, or 0 for values."""

    __slots__ = ("binary", "classes", "name", "output")

    def __init__(self, name: str, output: str, *, binary: bool, classes: int = 0):
        self.name, self.output, self.binary, self.classes = name, output, binary, classes


class Tensors(Question):
    """A request in tensors: its id, and the requested outputs."""

    __slots__ = ("id", "wanted")

    def __init__(self, table, wanted: list[RequestedOutput], id: str | None):
        # The most expensive output decides where the request is processed.
        explained = any(one.output == EXPLAIN for one in wanted)
        super().__init__(table, EXPLAIN if explained else wanted[0].output)
        self.wanted, self.id = wanted, id

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(one.output for one in self.wanted)


class V2(WireProtocol):
    """``POST /v2/models/NAME[/versions/VERSION]/infer``.

    One tensor for each input column, with its name, of shape [rows] or [rows, 1]; or one of shape [rows, columns] with
    all columns in the order of the signature. Outputs are ``predict`` (the default), ``probabilities`` and ``explain``,
    of shape [rows], [rows, classes] and [rows].
    """

    name = "v2"

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Tensors:
        said, raw = _parts(request, limits)
        if not isinstance(said, dict):
            raise RequestError(f"expected a JSON object with inputs, found {kind(said)}")
        id = said.get("id")
        if id is not None and not isinstance(id, str):
            raise RequestError(f"id: expected text, found {kind(id)}")
        parameters = _parameters(said, "parameters")
        if parameters.get("content_type") not in (None, "np", "pd", "str"):
            raise RequestError("parameters: content_type is one of np, pd and str, found another")
        wanted = _wanted(said.get("outputs"), parameters)
        table = _table(_read(said.get("inputs"), raw, limits), version.card.inputs, limits)
        return Tensors(question(table, version.card.inputs, limits=limits).table, wanted, id)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        assert isinstance(question, Tensors)
        outputs, binary = [], []
        known = {question.output: found}
        for wanted in question.wanted:
            if wanted.output not in known:
                known[wanted.output] = answers(version.card, question.table, wanted.output, few=FEW)
            tensor, values = _tensor(wanted, known[wanted.output], version.card)
            if wanted.binary:
                part = tensors.written(values, tensor["datatype"])
                tensor.setdefault("parameters", {})["binary_data_size"] = len(part)
                binary.append(part)
            else:
                tensor["data"] = values
            outputs.append(tensor)
        said = {"model_name": version.model, "model_version": version.version, "outputs": outputs}
        if question.id is not None:
            said["id"] = question.id
        head = written(said)
        if not binary:
            return answered(head, version, len(found))
        return answered(
            b"".join((head, *binary)),
            version,
            len(found),
            media_type=b"application/octet-stream",
            headers=((_HEADER, str(len(head)).encode()),),
        )

    def refuse(self, error: RequestError) -> Response:
        return refused(error)


V2_INFER = V2()


def add(router: Router, settings: ServerSettings) -> None:
    """Register the protocol's routes."""
    router.add("/v2", Route(GET, answer=server))
    router.add("/v2/health/live", Route(GET, answer=live, access=OPEN))
    router.add("/v2/health/ready", Route(GET, answer=ready, access=OPEN))
    router.add("/v2/models", Route(GET, answer=names))
    router.add("/v2/repository/index", Route(POST, answer=index))
    router.under("v2", _find, speaker=V2_INFER)


def _find(parts: list[str]) -> Route | None:
    if parts[:2] == ["repository", "models"] and len(parts) == 4 and parts[3] in ("load", "unload"):
        return Route(POST, answer=control, model=parts[2])
    if len(parts) < 2 or parts[0] != "models":
        return None
    name, number, rest = versioned(parts[1:])
    if not rest:
        return Route(GET, answer=model_metadata, model=name, version=number)
    if rest == ["ready"]:
        return Route(GET, answer=model_ready, model=name, version=number)
    if rest == ["infer"]:
        return Route(POST, protocol=V2_INFER, model=name, version=number)
    return None


def server(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2``: server metadata. Of the model repository extension only the index exists, so it is not listed."""
    return _said(
        {"name": "model-lifecycle", "version": release(), "extensions": ["binary_tensor_data", "classification"]}
    )


def live(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/health/live``."""
    return _said({"live": True})


def ready(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/health/ready``: whether a model is served."""
    return _said({"ready": bool(served.models)}, status=200 if served.models else 503)


def index(request: Request, served: Served, route: Route) -> Response:
    """``POST /v2/repository/index``: all served versions."""
    return _said(
        [
            {"name": name, "version": version.version, "state": "READY", "reason": found.refused}
            for name, found in served.models.items()
            for version in loaded(found)
        ]
    )


def names(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/models``: the names of all served models, as KServe's server lists them."""
    return _said({"models": list(served.models)})


def control(request: Request, served: Served, route: Route) -> Response:
    """``POST /v2/repository/models/NAME/load`` and ``unload``: refused, as by Triton with fixed models."""
    named(served, route)
    raise RequestError(
        "models are not loaded and unloaded by requests: what is served follows the registry's stages, "
        "or was named when the server was started"
    )


def model_ready(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/models/NAME[/versions/VERSION]/ready``."""
    found, version = named(served, route)
    return _said({"name": found.name, "ready": True}, version=version)


def model_metadata(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/models/NAME[/versions/VERSION]``: the tensors of a model."""
    found, version = named(served, route)
    card = version.card
    outputs = [_output("predict", PREDICTIONS, card)]
    if card.has_probabilities:
        outputs.append(_output("probabilities", PROBABILITIES, card))
    if card.kind == "linear":
        outputs.append(_output("explain", EXPLAIN, card))
    content = {
        "name": found.name,
        "versions": [version.version] if route.version else [item.version for item in loaded(found)],
        "platform": _PLATFORM,
        "inputs": [{"name": item.name, "datatype": tensors.datatype(item), "shape": [-1]} for item in card.inputs],
        "outputs": outputs,
    }
    return _said(content, version=version)


def _said(document, *, status: int = 200, version: ServedVersion | None = None) -> Response:
    model, number = (version.model, version.version) if version else ("", "")
    return Response(status, written(document), model=model, version=number)


def _parts(request: Request, limits: Limits):
    """The parsed JSON, and the binary part after it or None."""
    header = request.header(_HEADER)
    if header is None:
        return body(request, limits), None
    wants_json(request)
    whole = decompressed(request.body, request.encoding or "", limits)
    if len(whole) > limits.body:
        raise too_large(limits)
    if not header.strip().isdecimal() or len(header) > 12 or not 0 < int(header) <= len(whole):
        raise RequestError("Inference-Header-Content-Length: expected how many bytes of the body are JSON")
    length = int(header)
    raw = memoryview(whole)
    return parsed(whole[:length], limits, parse), raw[length:]


def _read(inputs, raw: memoryview | None, limits: Limits) -> list[tensors.Tensor]:
    if not isinstance(inputs, list):
        raise RequestError(f"inputs: expected a list of tensors, found {'none' if inputs is None else kind(inputs)}")
    if not inputs:
        raise RequestError("inputs: expected at least one tensor, found none")
    found = []
    for item in inputs:
        tensor, length = tensors.read(item, raw, limits)
        found.append(tensor)
        if raw is not None:
            raw = raw[length:]
    if raw is not None and len(raw):
        raise RequestError(f"the binary part has {len(raw)} bytes more than its tensors say")
    return found


def _table(found: list[tensors.Tensor], inputs, limits: Limits) -> Matrix | ColumnLists:
    limits.check_rows(found[0].rows)  # before lists are made of them
    first = found[0]
    known = any(item.name == first.name for item in inputs)
    if len(found) == 1 and (first.width > 1 or (not known and (not first.flat or len(inputs) == 1))):
        width, values = first.width, first.values
        return Matrix(None, [values[start : start + width] for start in range(0, len(values), width)])
    columns: dict[str, list] = {}
    for tensor in found:
        if tensor.name in columns:
            raise RequestError(f"tensor {shown(tensor.name)}: expected one of this name, found several")
        if tensor.width != 1:
            raise RequestError(
                f"tensor {shown(tensor.name)}: expected the shape [rows] or [rows, 1] of one column, or one tensor "
                f"[rows, {len(inputs)}] with all of them, found {tensor.width} values a row"
            )
        columns[tensor.name] = tensor.values
    return ColumnLists(columns)


def _wanted(outputs, parameters: dict) -> list[RequestedOutput]:
    binary = _flag(parameters, "binary_data_output", default=False)
    if outputs is None or outputs == []:
        output = chosen(parameters.get("output", PREDICTIONS))
        return [RequestedOutput(_DEFAULT[output], output, binary=binary)]
    if not isinstance(outputs, list):
        raise RequestError(f"outputs: expected a list, found {kind(outputs)}")
    found: dict[str, RequestedOutput] = {}
    for item in outputs:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in NAMES:
            raise RequestError(f"outputs: expected objects with a name, one of {', '.join(NAMES)}, found another")
        if name in found:
            raise RequestError(f"outputs: expected each once, found {name} again")
        own = _parameters(item, f"output {name}: parameters")
        if "shared_memory_region" in own:
            raise RequestError(f"output {name}: this server shares no memory")
        classes = own.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise RequestError(f"output {name}: expected classification to be how many classes, found another")
        if classes and NAMES[name] != PROBABILITIES:
            raise RequestError(f"output {name}: classification is asked of probabilities")
        found[name] = RequestedOutput(
            name, NAMES[name], binary=_flag(own, "binary_data", default=binary), classes=classes
        )
    return list(found.values())


def _parameters(said: dict, where: str) -> dict:
    found = said.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RequestError(f"{where}: expected an object, found {kind(found)}")
    return found


def _flag(parameters: dict, name: str, *, default: bool) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise RequestError(f"parameters: expected {name} to be true or false, found {kind(found)}")
    return found


def _output(name: str, output: str, card: Scorecard) -> dict:
    """An output tensor without data; its first dimension is to be set."""
    if output == EXPLAIN:
        return {"name": name, "datatype": "BYTES", "shape": [-1]}
    classes = card.classes
    if output == PROBABILITIES:
        labels = [] if classes is None else [str(label) for label in classes]
        # The protocol has no lists as parameters, only text, numbers and booleans.
        labelled = {"labels": json.dumps(labels, ensure_ascii=False)}
        return {"name": name, "datatype": "FP64", "shape": [-1, len(labels)], "parameters": labelled}
    return {"name": name, "datatype": tensors.label_datatype(classes), "shape": [-1]}


def _tensor(wanted: RequestedOutput, found: list, card: Scorecard) -> tuple[dict, list]:
    """An output tensor without data, and its values row by row."""
    tensor = _output(wanted.name, wanted.output, card)
    tensor["shape"][0] = len(found)
    if wanted.output == EXPLAIN:
        return tensor, [written(item).decode() for item in found]
    if wanted.output == PREDICTIONS:
        return tensor, [str(value) for value in found] if tensor["datatype"] == "BYTES" else found
    if wanted.classes:
        most = min(wanted.classes, tensor["shape"][1])
        tensor = {"name": wanted.name, "datatype": "BYTES", "shape": [len(found), most]}
        return tensor, [text for row in found for text in _likeliest(row, most)]
    return tensor, [value for row in found for value in row.values()]


def _likeliest(row: dict, most: int) -> list[str]:
    """``probability:index:label`` of the likeliest classes, likeliest first."""
    places = sorted(enumerate(row.items()), key=lambda item: (-item[1][1], item[0]))
    return [f"{value!r}:{place}:{label}" for place, (label, value) in places[:most]]
