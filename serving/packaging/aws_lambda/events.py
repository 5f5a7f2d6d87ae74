"""Events as AWS sends them to a function."""

import base64
from collections.abc import Mapping
from typing import Any

JSON = {"content-type": "application/json"}


def http_event(
    body: str | bytes,
    *,
    method: str = "POST",
    path: str = "/invocations",
    query: str = "",
    headers: Mapping[str, str] = JSON,
) -> dict[str, Any]:
    """Return an HTTP request as a function URL hands it to its function (format 2.0 of API Gateway).

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html

    Parameters
    ----------
    body : text as it is; bytes are encoded in base64.
    """
    encoded = isinstance(body, bytes)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path, "protocol": "HTTP/1.1"}},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": encoded,
    }
