"""A client of the server: waits until it is ready, sends a request, returns the answer."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from serving.errors import ServingError

#: The environment variable with the API key.
KEY = "SERVING_KEY"

# Seconds: the pause between two attempts, and the longest that it grows to once the server answers, whose log has a
# line for each.
_PAUSE, _LONGEST = 0.1, 1.0

_Found = TypeVar("_Found")


class _Refused(ServingError):
    """The server answers, and not as wanted.

    Parameters
    ----------
    later : whether it says that the same request may be answered later.
    """

    def __init__(self, message: str, *, later: bool):
        super().__init__(message)
        self.later = later


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
    until = time.monotonic() + wait
    # Not /ping, which gives no reason.
    _repeated(lambda: _check_ready(path if model else f"{base}/ready", base), until, unless=lambda _: False)
    if body is None:
        body = json.dumps({"dataframe_records": [_example(path, base, model)]})
    request = urllib.request.Request(f"{path}/invocations", body.encode(), _headers(), method="POST")
    # The model may be ready in one worker and not in the next, or be the default and not the one that is ready.
    content, headers = _repeated(lambda: _opened(request, base), until, unless=_is_final)
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


def _repeated(attempt: Callable[[], _Found], until: float, *, unless: Callable[[ServingError], bool]) -> _Found:
    """Attempt it until it succeeds.

    Parameters
    ----------
    until : by the monotonic clock; an attempt that fails later raises its error.
    unless : whether an error is not worth another attempt, and is raised at once.
    """
    pause = _PAUSE
    while True:
        try:
            return attempt()
        except ServingError as error:
            left = until - time.monotonic()
            if left <= 0 or unless(error):
                raise
            if isinstance(error, _Refused):
                pause = min(1.5 * pause, _LONGEST)
        time.sleep(min(pause, left))


def _is_final(error: ServingError) -> bool:
    return not (isinstance(error, _Refused) and error.later)


def _check_ready(url: str, base: str) -> None:
    """Raise an error unless the server, or the model of this address, answers requests."""
    described = json.loads(_opened(urllib.request.Request(url, headers=_headers()), base)[0])
    if not described.get("ready", True):
        reason = described.get("refused") or "the model is being loaded"
        raise _Refused(f"{base} says: {reason}", later=True)


def _opened(request: urllib.request.Request, base: str):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        later = error.code == 503 and "Retry-After" in error.headers
        raise _Refused(f"{base} answers {error.code}: {_message(error.read())}", later=later) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ServingError(f"{base} does not answer: {reason}") from None


def _message(content: bytes) -> str:
    try:
        return json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")[:200]
