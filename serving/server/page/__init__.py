"""The page at ``/``: served models, their metrics, and a form to try them; plain HTML without external files."""

import json
import re
from collections.abc import Callable
from importlib.resources import files
from urllib.parse import parse_qs

from serving.contract import RequestError
from serving.server.guard.admission import OPEN, SEE
from serving.server.messages import Request, Response
from serving.server.page import views
from serving.server.page.figures import Live
from serving.server.router import GET, Route, Router
from serving.server.state import Served

_SCRIPT = b"text/javascript"
_FILES = {"page.css": b"text/css", "page.js": _SCRIPT, "sum.js": _SCRIPT, "icon.svg": b"image/svg+xml"}
_HTML = b"text/html; charset=utf-8"
#: The answer to clients of KServe's first protocol, which ask for JSON at ``/``.
_ALIVE = b'{"status":"alive","models":"/models","docs":"/docs"}'
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}", re.ASCII)

#: Returns the metrics of the models that a request may see.
GetLive = Callable[[Served], Live]


def add(router: Router, live: GetLive, *, keyed: bool, tls: bool) -> None:
    """Register the page's routes.

    Parameters
    ----------
    keyed : whether requests need a key; then the page without one only asks for it.
    tls : whether the server uses HTTPS.
    """

    def shown(request: Request, served: Served, route: Route) -> Response:
        metrics = live(served)
        alone = len(served.models) == 1 and not served.refused
        name = _asked(request.query)
        if name is None and alone:
            name = next(iter(served.models))
        if name is None:
            return _page("Models", views.overview(served, metrics), keyed=keyed)
        if name not in served.models:
            return _page("No such model", views.missing(name), keyed=keyed, status=404)
        host = request.header(b"host") or ""
        address = f"{'https' if tls else 'http'}://{host if _HOST.fullmatch(host) else 'localhost:8080'}"
        main = views.detail(served.models[name], metrics, address=address, keyed=keyed, alone=alone)
        return _page(name, main, keyed=keyed)

    def locked(request: Request, served: Served, route: Route) -> Response:
        return _page("Models", views.lock(), keyed=True, ask=True)

    def home(request: Request, served: Served, route: Route) -> Response:
        accepted = request.header(b"accept") or ""
        if "application/json" in accepted and "text/html" not in accepted:
            return Response(200, _ALIVE)
        return locked(request, served, route) if keyed else shown(request, served, route)

    def numbers(request: Request, served: Served, route: Route) -> Response:
        return Response(200, json.dumps(live(served).to_dict()).encode())

    # Without a key the page asks for one; the script then fetches ``/page`` with it.
    router.add("/", Route(GET, answer=home, access=OPEN if keyed else SEE))
    router.add("/page", Route(GET, answer=shown, access=SEE))
    router.add("/page/numbers", Route(GET, answer=numbers, access=SEE))
    for name, kind in _FILES.items():
        router.add(f"/page/{name}", Route(GET, answer=_file(name, kind), access=OPEN))


def _file(name: str, kind: bytes):
    content = files(__name__).joinpath(name).read_bytes()

    def answer(request: Request, served: Served, route: Route) -> Response:
        return Response(200, content, media_type=kind, kind="file")

    return answer


def _page(title: str, main, *, keyed: bool, status: int = 200, ask: bool = False) -> Response:
    body = views.document(title, main, keyed=keyed, ask=ask)
    return Response(status, body, media_type=_HTML, kind="page")


def _asked(query: bytes) -> str | None:
    try:
        found = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=20).get("model")
    except ValueError:
        raise RequestError("the query is no query that can be read") from None
    return found[0] if found else None
