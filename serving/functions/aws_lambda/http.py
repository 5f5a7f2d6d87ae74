"""Events of HTTP: API Gateway's two formats, function URLs, load balancers; and requests without HTTP."""

import json

from ...contract import RequestError, internal
from ...contract.errors import TOO_LARGE
from ..web import Answer, answer, asked

#: What Lambda, and a load balancer, let a response weigh; in bytes of the JSON that holds it.
_MOST = 6 * 1024 * 1024 - 4096
_MOST_BALANCED = 1024 * 1024 - 4096
#: Characters of an answer that is looked at closer, and rows of a direct one.
_LARGE, _MANY = 64 * 1024, 100


def respond(handler, event: dict, request_id: str, told: dict) -> dict:
    """The response to an HTTP event; whatever goes wrong, there is one."""
    told["source"] = "http"
    headers: dict = {}
    try:
        method, path = _asked(event, handler.base_path)
        headers = _headers(event)
        found = answer(handler.card, handler.about, method, path, headers, lambda: _body(event), keys=handler.keys)
        text = found.text if method != "HEAD" else ""
    except RequestError as error:
        found = _failed(error)
        text = found.text
    except Exception as error:
        handler.failure(error, request_id)
        found = _failed(internal())
        text = found.text
    sent = {"Content-Type": "application/json", "X-Model-Version": handler.label, "X-Request-Id": request_id}
    if found.allow:
        sent["Allow"] = found.allow
    packed = False
    if len(text) > _LARGE:
        found, text, packed = _large(event, headers, found, text, sent)
    told["rows"] = found.rows
    told["status"] = found.status
    if found.status != 200:
        _count(told)
    response = {"statusCode": found.status, "headers": sent, "body": text, "isBase64Encoded": packed}
    return response if "rawPath" in event else _other(event, response)


def direct(handler, event, request_id: str, told: dict):
    """The answer to a request that came as the event itself: the contract's object, also where it is refused."""
    try:
        found = asked(handler.card, event)
        if found.rows > _MANY and len(json.dumps(found.payload)) > _MOST:  # as Lambda's runtime writes it
            raise _too_large()
    except RequestError as error:
        found = _failed(error)
    except Exception as error:
        handler.failure(error, request_id)
        found = _failed(internal())
    told["rows"] = found.rows
    told["status"] = found.status
    if found.status != 200:
        _count(told)
    return found.payload


def _count(told: dict) -> None:
    told["errors" if told["status"] >= 500 else "refused"] += 1


def _large(event: dict, headers: dict, found: Answer, text: str, sent: dict) -> tuple[Answer, str, bool]:
    """A large answer: packed where it may be, refused where it does not go through."""
    most = _MOST_BALANCED if _balanced(event) else _MOST
    size = len(text) + text.count('"') + text.count("\\")  # as text within JSON
    # API Gateway's first format passes base64 on as it is, unless it is told to decode it.
    if "gzip" in headers.get("accept-encoding", "") and ("rawPath" in event or _balanced(event)):
        sent["Content-Encoding"], sent["Vary"] = "gzip", "Accept-Encoding"
        text = _gzip(text)
        if len(text) <= most:
            return found, text, True
        size = len(text)
    if size <= most:
        return found, text, False
    for name in ("Content-Encoding", "Vary"):
        sent.pop(name, None)
    found = _failed(_too_large())
    return found, found.text, False


def _balanced(event: dict) -> bool:
    return "elb" in _context(event)


def _context(event: dict) -> dict:
    return event.get("requestContext") or {}


def _other(event: dict, response: dict) -> dict:
    """A response as API Gateway's first format, and a load balancer, want it."""
    if _balanced(event):
        status = response["statusCode"]
        response["statusDescription"] = f"{status} {_REASONS.get(status, '')}".rstrip()
        if "multiValueHeaders" in event:  # it reads the kind that it sends
            response["multiValueHeaders"] = {name: [value] for name, value in response.pop("headers").items()}
    return response


_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    413: "Content Too Large", 415: "Unsupported Media Type", 500: "Internal Server Error",
}  # fmt: skip


def _failed(error: RequestError) -> Answer:
    return Answer(error.status, error.payload())


def _too_large() -> RequestError:
    message = "the answer is larger than Lambda sends; ask in several requests, or accept gzip"
    return RequestError(message, status=413, code=TOO_LARGE)


def _asked(event: dict, base_path: str) -> tuple[str, str]:
    """The method and the path, without the name of a stage: an HTTP API tells it in both formats, a REST API does not.

    Raises
    ------
    RequestError
        where the event has none.
    """
    context = _context(event)
    if "rawPath" in event:
        method, path = (context.get("http") or {}).get("method"), event["rawPath"]
    else:
        method, path = event["httpMethod"], event.get("path")
    if type(method) is not str or type(path) is not str:
        raise RequestError("the event is not one of HTTP: expected a method and a path")
    stage = context.get("stage") or "$default"
    if stage != "$default" and path.startswith(f"/{stage}/"):
        path = path[len(stage) + 1 :]
    if base_path and path.startswith(f"{base_path}/"):
        path = path[len(base_path) :]
    return method, path


def _headers(event: dict) -> dict:
    """Values by name in lower case; several of one name with commas between them, as HTTP reads them."""
    if event.get("multiValueHeaders"):
        return {name.lower(): ",".join(values) for name, values in event["multiValueHeaders"].items() if values}
    return {name.lower(): value for name, value in (event.get("headers") or {}).items() if value}


def _body(event: dict) -> bytes:
    body = event.get("body") or ""
    if type(body) is not str:
        raise RequestError("the event's body: expected text, found something else")
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    import binascii

    try:
        return binascii.a2b_base64(body, strict_mode=True)
    except (binascii.Error, ValueError):
        raise RequestError("the event's body is not base64, though it says so") from None


def _gzip(text: str) -> str:
    import binascii
    import zlib

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return binascii.b2a_base64(packer.compress(text.encode()) + packer.flush(), newline=False).decode()
