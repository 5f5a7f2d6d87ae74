"""A client of the server: waits until it is ready, sends a request, returns the answer."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from serving.errors import ServingError

#: The environment variable with the API key.
KEY = "SERVING_KEY"


def ask(url: str, *, model: str | None = None, body: str | None = None, wait: float = 0.0) -> tuple[str, str]:
    """Send a request; return the answer, and the version that gave it.

    Parameters
    ----------
    url : address of the server, such as ``http://127.0.0.1:8080``.
    model : by default the server's default model.
    body : JSON; by default the model's example.
    wait : seconds to wait until the model is served.

    Raises
    ------
    ServingError
        if the server does not answer in time, or refuses the request; with its message.
    """
    base = url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ServingError(f"expected the server's address, such as http://127.0.0.1:8080, found {url!r}")
    path = f"{base}/models/{urllib.parse.quote(model, safe='')}" if model else base
    # Not /ping, which gives no reason.
    _ready(path if model else f"{base}/ready", base, wait)
    if body is None:
        body = json.dumps({"dataframe_records": [_example(path, base, model)]})
    request = urllib.request.Request(f"{path}/invocations", body.encode(), _headers(), method="POST")
    content, headers = _opened(request, base)
    return content, headers.get("X-Model-Version", "")


def _example(path: str, base: str, model: str | None) -> dict[str, Any]:
    """The example of the named model, or of the server's default model."""
    if not model:
        model = json.loads(_opened(urllib.request.Request(f"{base}/models", headers=_headers()), base)[0])["default"]
        if model is None:
            raise ServingError(f"{base} serves several models, and none is its default; name one with --model")
        path = f"{base}/models/{urllib.parse.quote(model, safe='')}"
    content, _ = _opened(urllib.request.Request(path, headers=_headers()), base)
    example = json.loads(content).get("example")
    if not example:
        raise ServingError(f"{base} shows no example of model {model!r}; give a request with --body")
    return example


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


def _ready(url: str, base: str, wait: float) -> None:
    until = time.monotonic() + wait
    while True:
        try:
            _opened(urllib.request.Request(url, headers=_headers()), base)
        except ServingError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)
        else:
            return


def _opened(request: urllib.request.Request, base: str):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        raise ServingError(f"{base} answers {error.code}: {_message(error.read())}") from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ServingError(f"{base} does not answer: {reason}") from None


def _message(content: bytes) -> str:
    try:
        return json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")[:200]
