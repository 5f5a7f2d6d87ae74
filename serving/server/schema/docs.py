"""``/openapi.json``, ``/postman.json``, and ``/docs``: Swagger UI, from files that are installed with the server."""

import importlib.util
import threading
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

from serving.contract import RequestError
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.protocols.mlflow import written
from serving.server.router import GET, Route, Router
from serving.server.schema import openapi, postman
from serving.server.settings import ServerSettings
from serving.server.state import Served

#: The package on PyPI with Swagger UI's unchanged files.
PACKAGE = "flask-swagger-ui"

_HERE = Path(__file__).parent
_OURS = {"docs.js": "text/javascript; charset=utf-8", "docs.css": "text/css; charset=utf-8"}
_THEIRS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
# Callers with different scopes see different documents.
_KEPT = 8


def add(router: Router, settings: ServerSettings) -> None:
    """Register the routes."""
    documents = Documents(settings)
    router.add("/openapi.json", Route(GET, answer=documents.openapi, aside=True))
    router.add("/postman.json", Route(GET, answer=documents.postman, aside=True))
    router.add("/docs", Route(GET, answer=page, access=OPEN))
    for name in (*_OURS, *_THEIRS):
        router.add(f"/docs/{name}", Route(GET, answer=file, access=OPEN))


class Documents:
    """The documents of what is served, built once for each state and scope."""

    def __init__(self, settings: ServerSettings):
        self._settings = settings
        self._making = threading.Lock()
        self._made: OrderedDict[tuple, dict[str, bytes]] = OrderedDict()

    def openapi(self, request: Request, served: Served, route: Route) -> Response:
        """``GET /openapi.json``."""
        return Response(200, self._bytes("openapi", served))

    def postman(self, request: Request, served: Served, route: Route) -> Response:
        """``GET /postman.json``."""
        return Response(200, self._bytes("postman", served))

    def _bytes(self, which: str, served: Served) -> bytes:
        mark = (
            served.default,
            *((name, *_digests(model.champion), *_digests(model.challenger)) for name, model in served.models.items()),
        )
        with self._making:
            made = self._made.get(mark)
            if made is None:
                made = self._made[mark] = {}
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            if which not in made:
                document = openapi.build(served, self._settings)
                made[which] = written(document if which == "openapi" else postman.collection(document))
            return made[which]


def page(request: Request, served: Served, route: Route) -> Response:
    """``GET /docs``."""
    return Response(200, (_HERE / "docs.html").read_bytes(), media_type=b"text/html; charset=utf-8", kind="docs")


def file(request: Request, served: Served, route: Route) -> Response:
    """``GET /docs/FILE``, with an ETag, by which browsers revalidate their cache."""
    name = request.path.rstrip("/").rpartition("/")[2]
    folder = _HERE if name in _OURS else _swagger()
    content = (folder / name).read_bytes()
    tag = f'"{blake2b(content, digest_size=8).hexdigest()}"'
    headers = [(b"etag", tag.encode())]
    if request.header(b"if-none-match") == tag:
        return Response(304, media_type=None, headers=headers, kind="file")
    kind = (_OURS | _THEIRS)[name]
    return Response(200, content, media_type=kind.encode(), headers=headers, kind="file")


def _swagger() -> Path:
    """The folder with Swagger UI's files; the package itself, made for Flask, is not imported.

    Raises
    ------
    RequestError
        with status 404, if it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise RequestError(
            f"no page: pip install {PACKAGE}; /openapi.json is there", status=404, code="ENDPOINT_NOT_FOUND"
        )
    return Path(found.submodule_search_locations[0], "dist")


def _digests(version) -> tuple:
    return (None, None) if version is None else (version.version, version.card.digest)
