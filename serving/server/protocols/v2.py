"""The Open Inference Protocol, version 2: tensors as JSON or in a binary part."""

from serving.contract import OUTPUTS, Limits, Question, RequestError, answers
from serving.contract.columnlists import ColumnLists
from serving.contract.compression import decompressed
from serving.contract.json_text import parsed
from serving.contract.limits import too_large
from serving.contract.matrix import Matrix
from serving.contract.tables import shown
from serving.scorecard.errors import kind
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.protocols import tensors, v2_outputs, v2_pyfunc
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.protocols.lenient import answered, body, loaded, named, refused, release, wants_json
from serving.server.protocols.mlflow import parse, written
from serving.server.pyfunc.model import PyfuncModel
from serving.server.router import GET, POST, Route, Router, versioned
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedVersion

PREDICTIONS, PROBABILITIES, EXPLAIN = OUTPUTS
_STATES = {True: "READY", False: "LOADING"}
_PLATFORM, _PYFUNC = "mlflow_scorecard", "mlflow_pyfunc"
#: Maximum number of dimensions of a tensor.
_DEEPEST = 8
_HEADER = b"inference-header-content-length"


class Tensors(Question):
    """A request in tensors: its id, and the requested outputs."""

    __slots__ = ("id", "wanted")

    def __init__(self, table, wanted: list[v2_outputs.RequestedOutput], id: str | None):
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
        parameters = v2_outputs.parameters(said, "parameters")
        if parameters.get("content_type") not in (None, "np", "pd", "str"):
            raise RequestError("parameters: content_type is one of np, pd and str, found another")
        wanted = v2_outputs.wanted(said.get("outputs"), parameters)
        card = version.card
        if not isinstance(card, PyfuncModel):
            table = _table(_read(said.get("inputs"), raw, limits), card.inputs, limits)
            return Tensors(version.question(table, limits).table, wanted, id)
        params = {name: parameters[name] for name in card.signature.params if name in parameters}
        found = _read(said.get("inputs"), raw, limits, deepest=_DEEPEST)
        if card.loose:
            alone = not card.signature.given or card.signature.given[0].get("name") is None
            value = v2_pyfunc.request(found, alone=alone)
        else:
            value = {"inputs": _columns(_table(found, card.inputs, limits), card)}
        return Tensors(version.question({**value, "params": params}, limits).table, wanted, id)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        assert isinstance(question, Tensors)
        outputs, binary = [], []
        card = version.card
        known = {question.output: found}
        for wanted in question.wanted:
            if isinstance(card, PyfuncModel):
                made = v2_pyfunc.outputs(found)
            else:
                if wanted.output not in known:
                    known[wanted.output] = answers(card, question.table, wanted.output, few=FEW)
                made = [v2_outputs.tensor(wanted, known[wanted.output], card)]
            for tensor, values in made:
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
            return answered(head, version, question.table.count)
        return answered(
            b"".join((head, *binary)),
            version,
            question.table.count,
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
    ready = any(found.champion.ready for found in served.models.values())
    return _said({"ready": ready}, status=200 if ready else 503)


def index(request: Request, served: Served, route: Route) -> Response:
    """``POST /v2/repository/index``: all served versions."""
    return _said(
        [
            {
                "name": name,
                "version": version.version,
                "state": _STATES[version.ready],
                "reason": found.refused,
            }
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
    return _said({"name": found.name, "ready": version.ready}, version=version)


def model_metadata(request: Request, served: Served, route: Route) -> Response:
    """``GET /v2/models/NAME[/versions/VERSION]``: the tensors of a model."""
    found, version = named(served, route)
    card = version.card
    outputs = [v2_outputs.described("predict", PREDICTIONS, card.classes)]
    if card.has_probabilities:
        outputs.append(v2_outputs.described("probabilities", PROBABILITIES, card.classes))
    if card.kind == "linear":
        outputs.append(v2_outputs.described("explain", EXPLAIN, card.classes))
    content = {
        "name": found.name,
        "versions": [version.version] if route.version else [item.version for item in loaded(found)],
        "platform": _PYFUNC if isinstance(card, PyfuncModel) else _PLATFORM,
        "inputs": v2_pyfunc.described(card.signature.given)
        if isinstance(card, PyfuncModel) and card.loose
        else [{"name": item.name, "datatype": tensors.datatype(item), "shape": [-1]} for item in card.inputs],
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


def _columns(table: Matrix | ColumnLists, card: PyfuncModel) -> dict[str, list]:
    return dict(table.positional(card.inputs).columns(card.inputs) or {})


def _read(inputs, raw: memoryview | None, limits: Limits, *, deepest: int = 2) -> list[tensors.Tensor]:
    if not isinstance(inputs, list):
        raise RequestError(f"inputs: expected a list of tensors, found {'none' if inputs is None else kind(inputs)}")
    if not inputs:
        raise RequestError("inputs: expected at least one tensor, found none")
    found = []
    for item in inputs:
        tensor, length = tensors.read(item, raw, limits, deepest=deepest)
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
