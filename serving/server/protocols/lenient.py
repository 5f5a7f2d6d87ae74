"""Bodies of the formats whose clients seldom say Content-Type, and whose errors are one sentence."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as release_of

from serving.contract import Limits, RequestError, read
from serving.contract.errors import UNREADABLE
from serving.server import model_lookup
from serving.server.messages import JSON, Headers, Request, Response
from serving.server.model_lookup import header
from serving.server.protocols.mlflow import parse, written
from serving.server.router import Route
from serving.server.state import Served, ServedModel, ServedVersion

_JSON = "application/json"
#: What ``curl -d`` and HTTP libraries say of a body that they were told nothing about.
_UNSAID = ("application/x-www-form-urlencoded", "application/octet-stream", "text/plain", "*/*")


def body(request: Request, limits: Limits):
    """What the JSON of a request says, whether or not a header says that it is JSON.

    Raises
    ------
    RequestError
        where it is not JSON, too large, or said to be something else.
    """
    wants_json(request)
    return read(request.body, _JSON, encoding=request.encoding, limits=limits, parse=parse)


def wants_json(request: Request) -> None:
    """Raises RequestError, with status 415, where a header says that a body is something else than JSON."""
    said = request.kind
    if said is None or said == _JSON:
        return
    name = said.partition(";")[0].strip().lower()
    if name and name not in (_JSON, *_UNSAID) and not (name.startswith("application/") and name.endswith("+json")):
        raise RequestError(f"Content-Type: expected {_JSON}, found another", status=415, code=UNREADABLE)


def answered(
    content: bytes, version: ServedVersion, rows: int, *, media_type: bytes = JSON, headers: Headers = ()
) -> Response:
    """A prediction, with what tells who made it."""
    return Response(
        200,
        content,
        media_type=media_type,
        headers=((b"x-model-version", header(version.label)), *headers),
        model=version.model,
        version=version.version,
        rows=rows,
    )


def refused(error: RequestError) -> Response:
    """``{"error": "..."}``, as TensorFlow Serving and the Open Inference Protocol have it."""
    return Response(error.status, written({"error": error.message}))


def named(served: Served, route: Route) -> tuple[ServedModel, ServedVersion]:
    """The model of a path, and the version: the champion where it names none.

    Raises
    ------
    RequestError
        with status 404, where there is no such.
    """
    model = model_lookup.model(served, route.model)
    return model, model_lookup.version(model, route.version) if route.version is not None else model.champion


def loaded(model: ServedModel) -> list[ServedVersion]:
    """The versions of a model that answer, the champion first."""
    return [model.champion] if model.challenger is None else [model.champion, model.challenger]


@lru_cache(maxsize=4)
def release(package: str = "model-lifecycle", without: str = "0") -> str:
    """The release of a package that is installed here, this platform by default; looked up once."""
    try:
        return release_of(package)
    except PackageNotFoundError:
        return without
