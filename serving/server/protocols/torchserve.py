"""TorchServe's inference API: predictions and explanations."""

from serving.contract import OUTPUTS, Limits, Question, RequestError, costs, read
from serving.contract.compression import decompressed
from serving.contract.json_text import parsed, text
from serving.contract.limits import too_large
from serving.contract.media import CSV, LINES
from serving.contract.questions import LONG, SHORT
from serving.server.messages import Request, Response
from serving.server.protocols import multipart
from serving.server.protocols.base import WireProtocol
from serving.server.protocols.lenient import answered, body
from serving.server.protocols.mlflow import parse, written
from serving.server.router import POST, Find, Route, Router
from serving.server.settings import ServerSettings
from serving.server.state import ServedVersion

#: Keys under which TorchServe's handlers look for the data.
WRAPPERS = ("data", "body")
#: The key that chooses the output.
PARAMS = "params"
_SUFFIXES = {"csv": CSV, "jsonl": LINES[0], "json": "application/json"}
# Maximum number of parts of a form, beyond one for each column.
_MORE_PARTS = 8
_FORMS = frozenset(LONG + SHORT)
_TYPES = {
    400: "BadRequestException",
    401: "InvalidKeyException",
    403: "InvalidKeyException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    413: "RequestEntityTooLargeException",
    415: "BadRequestException",
    429: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
}


class Predictions(WireProtocol):
    """``POST /predictions/NAME[/VERSION]``.

    MLflow's and KServe's envelopes are answered by ``{"predictions": [...]}``. Everything else (a row as a list or an
    object, a list of rows, the same under ``data`` or ``body``, CSV, a form with a file ``data``) is answered as by a
    handler: with the answer itself, or a list of answers.
    """

    name = "torchserve"

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        return _asked(_value(request, limits, version), version, limits)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        if not question.short:
            return answered(written({"predictions": found}), version, question.table.count)
        return answered(written(question.single(found)), version, question.table.count)

    def refuse(self, error: RequestError) -> Response:
        return Response(error.status, written({"code": error.status, "type": _type(error), "message": error.message}))


class Explanations(Predictions):
    """``POST /explanations/NAME[/VERSION]``: the same requests, answered by explanations."""

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        asked = _asked(_value(request, limits, version), version, limits)
        asked.output = OUTPUTS[-1]
        return asked


#: The protocol of each first segment of a path.
PROTOCOLS = {"predictions": Predictions(), "explanations": Explanations()}


def add(router: Router, settings: ServerSettings) -> None:
    """Register the routes; TorchServe's management API is not supported, and ``/models`` is the platform's own."""
    for first, protocol in PROTOCOLS.items():
        router.under(first, _finding(protocol), speaker=protocol)


def _finding(protocol: WireProtocol) -> Find:
    def find(parts: list[str]) -> Route | None:
        if len(parts) > 2:
            return None
        version = parts[1] if len(parts) == 2 else None
        return Route((*POST, "PUT"), protocol=protocol, model=parts[0], version=version)

    return find


def _value(request: Request, limits: Limits, version: ServedVersion):
    said = request.kind
    kind = said.partition(";")[0].strip().lower() if said is not None else ""
    if kind in (CSV, *LINES):
        return read(request.body, said, encoding=request.encoding, limits=limits, parse=parse)
    if said is not None and kind == multipart.FORM_DATA:
        content = decompressed(request.body, request.encoding or "", limits)
        if len(content) > limits.body:
            raise too_large(limits)
        limits.claim(4 * len(content))  # its parts are copies, and a part that is text is one more
        return _form(multipart.parts(content, said, most=len(version.card.inputs) + _MORE_PARTS), limits)
    return body(request, limits)


def _form(parts: list[multipart.FormPart], limits: Limits):
    """A file of JSON or CSV, as ``curl -F data=@FILE`` sends it; otherwise a row whose columns are the parts."""
    found = {part.name: part for part in parts}
    if len(found) < len(parts):
        raise RequestError("multipart: expected each part once, found two of one name; send rows in one file")
    wrapper = next((name for name in WRAPPERS if name in found), None)
    if wrapper is None or found[wrapper].file is None and not found.keys() <= {*WRAPPERS, PARAMS}:
        limits.claim(sum(costs.decoded(part.content) for part in parts))
        row = {name: text(part.content) for name, part in found.items() if name != PARAMS}
        return {**row, **_params(found, limits)}
    part = found[wrapper]
    if len(found) > 1 + (PARAMS in found):
        raise RequestError(f"multipart: expected {wrapper} and params, found another part beside them")
    kind = _SUFFIXES.get((part.file or "").lower().rpartition(".")[2], part.kind)
    if kind in (CSV, *LINES):
        if PARAMS in found:
            raise RequestError("multipart: params go with JSON; send rows as JSON, or leave params out")
        return read(part.content, kind, limits=limits, parse=parse)
    return {"data": parsed(part.content, limits, parse), **_params(found, limits)}


def _params(found: dict[str, multipart.FormPart], limits: Limits) -> dict:
    return {PARAMS: parsed(found[PARAMS].content, limits, parse)} if PARAMS in found else {}


def _asked(value, version: ServedVersion, limits: Limits) -> Question:
    params = None
    if isinstance(value, dict) and _FORMS.isdisjoint(value):
        value, params = _without_params(value)
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name in WRAPPERS and isinstance(inner, (list, dict)):
                value = inner
    if isinstance(value, list) or (isinstance(value, dict) and _FORMS.isdisjoint(value)):
        value = {"features": value, "params": params}
    elif isinstance(value, dict):
        value = {"params": params, **value}
        if isinstance(value.get("instances"), list):
            value["instances"] = [_unwrapped(row) for row in value["instances"]]
    asked = version.question(value, limits)
    if not isinstance(value, dict):  # CSV and lines are answered by a list
        asked.short = True
    return asked


def _without_params(value: dict) -> tuple[dict, dict | None]:
    params = value.get("params")
    if not isinstance(params, dict):  # a column of this name, whose value is no object
        return value, None
    return {name: item for name, item in value.items() if name != "params"}, params


def _unwrapped(row):
    if isinstance(row, dict) and len(row) == 1:
        ((name, value),) = row.items()
        if name in WRAPPERS and isinstance(value, (list, dict)):
            return value
    return row


def _type(error: RequestError) -> str:
    if error.code == "RESOURCE_DOES_NOT_EXIST":
        return "ModelNotFoundException"
    return _TYPES.get(error.status, "InternalServerException" if error.status >= 500 else "BadRequestException")
