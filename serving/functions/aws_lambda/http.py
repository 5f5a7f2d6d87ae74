"""HTTP events (API Gateway's two formats, function URLs, load balancers), and requests without HTTP."""

from ...contract import RequestError, internal
from ..web import Answer, answer, asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .runtime import FunctionRuntime

#: Characters of an answer, and rows of a direct one, from which on its size is checked.
_LARGE, _MANY = 64 * 1024, 100


def respond(handler: "FunctionRuntime", event: dict, request_id: str, told: dict) -> dict:
    """The response to an HTTP event; whatever goes wrong, there is one."""
    told["source"] = "http"
    headers: dict = {}
    method = ""
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
    sent = {"Content-Type": found.media_type, "X-Model-Version": handler.label, "X-Request-Id": request_id}
    if found.allow:
        sent["Allow"] = found.allow
    packed = False
    if found.content is not None and method != "HEAD":
        from binascii import b2a_base64

        text, packed = b2a_base64(found.content, newline=False).decode(), True
    elif len(text) > _LARGE:
        from . import large

        # API Gateway's first format passes base64 on as it is, unless it is told to decode it.
        gzip = "gzip" in headers.get("accept-encoding", "") and ("rawPath" in event or _balanced(event))
        try:
            text, packed = large.packed(text, balanced=_balanced(event), gzip=gzip)
        except RequestError as error:
            found = _failed(error)
            text = found.text
    if packed and found.content is None:
        sent["Content-Encoding"], sent["Vary"] = "gzip", "Accept-Encoding"
    told["rows"] = found.rows
    told["status"], told["answer"] = found.status, found
    if found.status != 200:
        _count(told)
    response = {"statusCode": found.status, "headers": sent, "body": text, "isBase64Encoded": packed}
    return response if "rawPath" in event else _other(event, response)


def direct(handler: "FunctionRuntime", event: object, request_id: str, told: dict) -> object:
    """The answer to a request that came as the event itself: the contract's object, also where it is refused."""
    try:
        found = asked(handler.card, event)
        if found.rows > _MANY:
            from . import large

            large.check(found.payload)
    except RequestError as error:
        found = _failed(error, predicts=True)
    except Exception as error:
        handler.failure(error, request_id)
        found = _failed(internal(), predicts=True)
    told["rows"] = found.rows
    told["status"], told["answer"] = found.status, found
    if found.status != 200:
        _count(told)
    return found.payload


def _count(told: dict) -> None:
    told["errors" if told["status"] >= 500 else "refused"] += 1


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


def _failed(error: RequestError, *, predicts: bool = False) -> Answer:
    return Answer(error.status, error.payload(), predicts=predicts)


def _asked(event: dict, base_path: str) -> tuple[str, str]:
    """The method and the path, without the name of a stage: an HTTP API tells it in both formats, a REST API does not.

    Raises
    ------
    RequestError
        if the event has none.
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
