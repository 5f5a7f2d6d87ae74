"""The Open Inference Protocol, version 2: tensors in, tensors out, as JSON or with binary parts."""

import json

from serving.contract import OUTPUTS, Limits, Question, RequestError, answers, question
from serving.contract.bodies import parsed, too_large
from serving.contract.compression import decompressed
from serving.contract.matrix import Matrix
from serving.contract.questions import chosen
from serving.contract.tables import Columns, shown
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, NUMBER, Input, kind
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.protocols import tensors
from serving.server.protocols.base import FEW, Protocol
from serving.server.protocols.lenient import answered, body, loaded, named, refused, release, wants_json
from serving.server.protocols.mlflow import parse, written
from serving.server.router import GET, POST, Route, Router
from serving.server.settings import Settings
from serving.server.state import Served, Version

PREDICTIONS, PROBABILITIES, EXPLAIN = OUTPUTS
#: Names of output tensors, and what they hold. ``predict_proba`` is MLServer's word.
NAMES = {
    **{"predict": PREDICTIONS, "predictions": PREDICTIONS, "probabilities": PROBABILITIES},
    **{"predict_proba": PROBABILITIES, "explain": EXPLAIN},
}
_DEFAULT = {PREDICTIONS: "predict", PROBABILITIES: "probabilities", EXPLAIN: "explain"}
_PLATFORM = "mlflow_scorecard"
_HEADER = b"inference-header-content-length"


class Wanted:
    """One output tensor that is asked for; ``classes``: how many of the likeliest, as text, 0 for plain values."""

    __slots__ = ("binary", "classes", "name", "output")

    def __init__(self, name: str, output: str, *, binary: bool, classes: int = 0):
        self.name, self.output, self.binary, self.classes = name, output, binary, classes


class Tensors(Question):
    """A question in tensors: what is echoed, and which outputs are wanted."""

    __slots__ = ("id", "wanted")

    def __init__(self, table, wanted: list[Wanted], id: str | None):
        # What costs most is what the server goes by.
        explained = any(one.output == EXPLAIN for one in wanted)
        super().__init__(table, EXPLAIN if explained else wanted[0].output)
        self.wanted, self.id = wanted, id

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(one.output for one in self.wanted)


class V2(Protocol):
    """``POST /v2/models/NAME[/versions/VERSION]/infer``.

    A tensor an input column, named as it is, of shape [rows] or [rows, 1]; or one of shape [rows, columns] with all
    columns in the order of the signature. Outputs are ``predict`` (unless another is asked for), ``probabilities``
    and ``explain``, of shape [rows], [rows, classes] and [rows].
    """

    name = "v2"

    def ask(self, request: Request, version: Version, limits: Limits) -> Tensors:
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

    def answer(self, question: Question, found: list, version: Version, request: Request) -> Response:
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


def add(router: Router, settings: Settings) -> None:
    """Register the protocol's routes."""
    router.add("/v2", Route("/v2", GET, answer=server))
    router.add("/v2/health/live", Route("/v2/health/live", GET, answer=live, access=OPEN))
    router.add("/v2/health/ready", Route("/v2/health/ready", GET, answer=ready, access=OPEN))
    router.add("/v2/models", Route("/v2/models", GET, answer=names))
    router.add("/v2/repository/index", Route("/v2/repository/index", POST, answer=index))
    router.under("v2", _find, speaker=V2_INFER)


def _find(parts: list[str]) -> Route | None:
    if parts[:2] == ["repository", "models"] and len(parts) == 4 and parts[3] in ("load", "unload"):
        return Route(f"/v2/repository/models/{{name}}/{parts[3]}", POST, answer=control, model=parts[2])
    if len(parts) < 2 or parts[0] != "models":
        return None
    name, *rest = parts[1:]
    path, number = "/v2/models/{name}", None
    if len(rest) >= 2 and rest[0] == "versions":
        path, number, rest = path + "/versions/{version}", rest[1], rest[2:]
    if not rest:
        return Route(path, GET, answer=model_metadata, model=name, version=number)
    if rest == ["ready"]:
        return Route(f"{path}/ready", GET, answer=model_ready, model=name, version=number)
    if rest == ["infer"]:
        return Route(f"{path}/infer", POST, protocol=V2_INFER, model=name, version=number)
    return None


def server(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2``: what this server is. Of the model repository extension it has the index alone, so it names none."""
    return _said(
        {"name": "model-lifecycle", "version": release(), "extensions": ["binary_tensor_data", "classification"]}
    )


def live(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/health/live``."""
    return _said({"live": True})


def ready(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/health/ready``: whether there is a model that can be asked."""
    return _said({"ready": bool(served.models)}, status=200 if served.models else 503)


def index(request: Request, served: Served, route: Route) -> Response:
    """``POST /v2/repository/index``: all that is served."""
    return _said(
        [
            {"name": name, "version": version.version, "state": "READY", "reason": found.refused}
            for name, found in served.models.items()
            for version in loaded(found)
        ]
    )


def names(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/models``: the names of all that is served, as KServe's own server lists them."""
    return _said({"models": list(served.models)})


def control(request: Request, served: Served, route: Route) -> Response:
    """``POST /v2/repository/models/NAME/load`` and ``unload``: refused, as by Triton where its models are fixed."""
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
        "inputs": [{"name": item.name, "datatype": datatype(item), "shape": [-1]} for item in card.inputs],
        "outputs": outputs,
    }
    return _said(content, version=version)


def datatype(item: Input) -> str:
    """The datatype of an input column; whole numbers are FP64, too, so that one may be missing."""
    return "FP64" if item.type == NUMBER else "BOOL" if item.type == BOOLEAN else "BYTES"


def _said(document, *, status: int = 200, version: Version | None = None) -> Response:
    model, number = (version.model, version.version) if version else ("", "")
    return Response(status, written(document), model=model, version=number)


def _parts(request: Request, limits: Limits):
    """What the JSON says, and the binary part after it; None where there is none."""
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


def _table(found: list[tensors.Tensor], inputs, limits: Limits) -> Matrix | Columns:
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
    return Columns(columns)


def _wanted(outputs, parameters: dict) -> list[Wanted]:
    binary = _flag(parameters, "binary_data_output", default=False)
    if outputs is None or outputs == []:
        output = chosen(parameters.get("output", PREDICTIONS))
        return [Wanted(_DEFAULT[output], output, binary=binary)]
    if not isinstance(outputs, list):
        raise RequestError(f"outputs: expected a list, found {kind(outputs)}")
    found: dict[str, Wanted] = {}
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
        found[name] = Wanted(name, NAMES[name], binary=_flag(own, "binary_data", default=binary), classes=classes)
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
    """An output tensor but for its data; its first size is for the rows to come."""
    if output == EXPLAIN:
        return {"name": name, "datatype": "BYTES", "shape": [-1]}
    classes = card.classes
    if output == PROBABILITIES:
        labels = [] if classes is None else [str(label) for label in classes]
        # A parameter is text, a number or a boolean: the protocol knows no lists of them.
        labelled = {"labels": json.dumps(labels, ensure_ascii=False)}
        return {"name": name, "datatype": "FP64", "shape": [-1, len(labels)], "parameters": labelled}
    return {"name": name, "datatype": _of_labels(classes), "shape": [-1]}


def _of_labels(classes: list | None) -> str:
    if classes is None or all(type(label) is float for label in classes):
        return "FP64"
    if all(type(label) is bool for label in classes):
        return "BOOL"
    if all(type(label) is int and -(2**63) <= label < 2**63 for label in classes):
        return "INT64"
    return "BYTES"


def _tensor(wanted: Wanted, found: list, card: Scorecard) -> tuple[dict, list]:
    """An output tensor without its data, and its values row after row."""
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
    """``probability:place:label`` of the likeliest classes, likeliest first."""
    places = sorted(enumerate(row.items()), key=lambda item: (-item[1][1], item[0]))
    return [f"{value!r}:{place}:{label}" for place, (label, value) in places[:most]]
