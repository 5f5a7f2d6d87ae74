"""TorchServe's inference API: predictions and explanations."""

from serving.contract import OUTPUTS, Limits, Question, RequestError, question, read
from serving.contract.bodies import CSV, LINES
from serving.contract.questions import LONG, SHORT
from serving.server.messages import Request, Response
from serving.server.protocols.base import Protocol
from serving.server.protocols.lenient import answered, body
from serving.server.protocols.mlflow import written
from serving.server.routes import POST, Find, Route, Router
from serving.server.settings import Settings
from serving.server.state import Version

#: What TorchServe's handlers look for the data under.
WRAPPERS = ("data", "body")
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


class Predictions(Protocol):
    """``POST /predictions/NAME[/VERSION]``.

    MLflow's and KServe's envelopes are answered by ``{"predictions": [...]}``. Anything else (a row as a list or an
    object, a list of them, the same under ``data`` or ``body``, CSV) is answered as a handler would: by the answer
    itself, or a list of answers.
    """

    name = "torchserve"

    def ask(self, request: Request, version: Version, limits: Limits) -> Question:
        return _asked(_value(request, limits), version, limits)

    def answer(self, question: Question, found: list, version: Version, request: Request) -> Response:
        if not question.short:
            return answered(written({"predictions": found}), version, len(found))
        return answered(written(found[0] if question.one else found), version, len(found))

    def refuse(self, error: RequestError) -> Response:
        return Response(error.status, written({"code": error.status, "type": _type(error), "message": error.message}))


class Explanations(Predictions):
    """``POST /explanations/NAME[/VERSION]``: the same questions, answered by reasons."""

    def ask(self, request: Request, version: Version, limits: Limits) -> Question:
        asked = _asked(_value(request, limits), version, limits)
        asked.output = OUTPUTS[-1]
        return asked


#: What answers each first part of a path.
PROTOCOLS = {"predictions": Predictions(), "explanations": Explanations()}


def add(router: Router, settings: Settings) -> None:
    """Register the routes. ``/models`` and ``/models/NAME`` are the platform's own; they tell what TorchServe's do."""
    for first, protocol in PROTOCOLS.items():
        router.under(first, _finding(first, protocol), speaker=protocol)


def _finding(first: str, protocol: Protocol) -> Find:
    def find(parts: list[str]) -> Route | None:
        if len(parts) > 2:
            return None
        version = parts[1] if len(parts) == 2 else None
        path = f"/{first}/{{name}}" + ("/{version}" if version else "")
        return Route(path, (*POST, "PUT"), protocol=protocol, model=parts[0], version=version)

    return find


def _value(request: Request, limits: Limits):
    said = request.kind
    if said is not None and said.partition(";")[0].strip().lower() in (CSV, *LINES):
        return read(request.body, said, encoding=request.encoding, limits=limits)
    return body(request, limits)


def _asked(value, version: Version, limits: Limits) -> Question:
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
    asked = question(value, version.card.inputs, limits=limits)
    if not isinstance(value, dict):  # CSV and lines are answered by a list
        asked.short = True
    return asked


def _without_params(value: dict) -> tuple[dict, dict | None]:
    params = value.get("params")
    if not isinstance(params, dict):  # a column may have this name; its values are no objects
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
