"""What the protocols other than MLflow's share: bodies without a Content-Type, answers and errors."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as release_of

from serving.contract import Limits, RequestError, read
from serving.contract.errors import UNREADABLE
from serving.server.messages import JSON, Headers, Request, Response
from serving.server.model_lookup import find_model, find_version, version_header
from serving.server.protocols.mlflow import parse, written
from serving.server.router import Route
from serving.server.state import Served, ServedModel, ServedVersion

_JSON = "application/json"
#: What ``curl -d`` and HTTP libraries send as Content-Type by default.
_UNSAID = ("application/x-www-form-urlencoded", "application/octet-stream", "text/plain", "*/*")


def body(request: Request, limits: Limits):
    """Parse the JSON body of a request, whether or not a header says that it is JSON.

    Raises
    ------
    RequestError
        if it is not JSON, is too large, or has another Content-Type.
    """
    wants_json(request)
    return read(request.body, _JSON, encoding=request.encoding, limits=limits, parse=parse)


def wants_json(request: Request) -> None:
    """Raise RequestError, with status 415, if the Content-Type is not JSON."""
    said = request.kind
    if said is None or said == _JSON:
        return
    name = said.partition(";")[0].strip().lower()
    if name and name not in (_JSON, *_UNSAID) and not (name.startswith("application/") and name.endswith("+json")):
        raise RequestError(f"Content-Type: expected {_JSON}, found another", status=415, code=UNREADABLE)


def answered(
    content: bytes, version: ServedVersion, rows: int, *, media_type: bytes = JSON, headers: Headers = ()
) -> Response:
    """The response of a prediction, with the version that made it."""
    return Response(
        200,
        content,
        media_type=media_type,
        headers=((b"x-model-version", version_header(version.label)), *headers),
        model=version.model,
        version=version.version,
        rows=rows,
    )


def refused(error: RequestError) -> Response:
    """``{"error": "..."}``, as TensorFlow Serving and the Open Inference Protocol have it."""
    return Response(error.status, written({"error": error.message}))


def named(served: Served, route: Route) -> tuple[ServedModel, ServedVersion]:
    """The model and version of a path; the champion if it names no version.

    Raises
    ------
    RequestError
        with status 404, if it is not served.
    """
    model = find_model(served, route.model)
    return model, find_version(model, route.version) if route.version is not None else model.champion


def loaded(model: ServedModel) -> list[ServedVersion]:
    """The served versions of a model, the champion first."""
    return [model.champion] if model.challenger is None else [model.champion, model.challenger]


@lru_cache(maxsize=4)
def release(package: str = "model-lifecycle", without: str = "0") -> str:
    """The installed release of a package, by default of this platform; ``without`` if it is not installed."""
    try:
        return release_of(package)
    except PackageNotFoundError:
        return without
