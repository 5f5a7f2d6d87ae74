"""Lambda's events as its services send them, and a handler in this process whose log can be read."""

import base64
import json

from serving.functions.aws_lambda.handler import Handler
from serving.scorecard import Scorecard
from tests.serving.contract import cases
from tests.serving.contract.cases import Case

ABOUT = {"model": "made", "version": "3", "digest": "sha256:" + "ab" * 32}


class Context:
    """What Lambda tells of an invocation."""

    aws_request_id = "11111111-2222-4333-8444-555555555555"


class Called:
    """A handler, and the lines that it logs."""

    def __init__(self, card: Scorecard | None = None, **environment: str):
        self.lines: list[dict] = []
        self.handler = Handler(
            card or cases.scorecard("labels"),
            ABOUT,
            environment,
            write=lambda line: self.lines.append(json.loads(line)),
        )

    def __call__(self, event):
        return self.handler(event, Context)

    @property
    def metrics(self) -> dict:
        """The last line of metrics."""
        return next(line for line in reversed(self.lines) if "_aws" in line)

    @property
    def said(self) -> list[dict]:
        """The other lines."""
        return [line for line in self.lines if "_aws" not in line]


def encoded(body: bytes) -> dict:
    """A body as API Gateway passes it: text as it is, anything else as base64."""
    try:
        return {"body": body.decode("utf-8"), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def second(
    body: bytes = b"", *, method: str = "POST", path: str = "/invocations", stage: str = "$default", **headers: str
) -> dict:
    """API Gateway's second format, which function URLs have, too."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": named(headers),
        "requestContext": {"http": {"method": method, "path": path}, "stage": stage},
        **encoded(body),
    }


def first(body: bytes = b"", *, method: str = "POST", path: str = "/invocations", **headers: str) -> dict:
    """API Gateway's first format (a REST API)."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": named(headers),
        "multiValueHeaders": {name: [value] for name, value in named(headers).items()},
        "requestContext": {"stage": "live", "httpMethod": method},
        **encoded(body),
    }


def balanced(
    body: bytes = b"", *, method: str = "POST", path: str = "/invocations", several: bool = False, **headers: str
) -> dict:
    """A load balancer's, with a header's several values or the last of them."""
    found = named(headers)
    kind = {"multiValueHeaders": {name: [value] for name, value in found.items()}} if several else {"headers": found}
    target = {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}}
    return {"requestContext": target, "httpMethod": method, "path": path, **kind, **encoded(body)}


def named(headers: dict[str, str]) -> dict[str, str]:
    """``content_type="text/csv"`` as ``{"Content-Type": "text/csv"}``."""
    return {"-".join(part.capitalize() for part in name.split("_")): value for name, value in headers.items()}


def headers_of(case: Case) -> dict[str, str]:
    """The headers of a request of the contract's tests."""
    found = {"content_type": case.content_type, "content_encoding": case.encoding}
    return {name: value for name, value in found.items() if value is not None}


def queued(*bodies: object, fifo: bool = False, groups: tuple[str, ...] = (), **attributes: str) -> dict:
    """A batch of SQS."""
    records = []
    for place, body in enumerate(bodies):
        record = {
            "messageId": f"message-{place}",
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": {"MessageGroupId": groups[place]} if groups else {},
            "messageAttributes": {
                name.replace("_", "-"): {"stringValue": value, "dataType": "String"}
                for name, value in attributes.items()
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:requests" + (".fifo" if fifo else ""),
        }
        records.append(record)
    return {"Records": records}


def created(bucket: str, *keys: str) -> dict:
    """Objects that were put into a bucket; their keys are as S3 writes them."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
            }
            for key in keys
        ]
    }


def changed(*images: dict | None, table: str = "source", event: str = "INSERT") -> dict:
    """New images of a table's stream; None for an item that was removed."""
    records = []
    for place, image in enumerate(images):
        change: dict = {"SequenceNumber": f"{place:03d}", "Keys": {"id": (image or {}).get("id", {"S": "gone"})}}
        if image is not None:
            change["NewImage"] = image
        records.append(
            {
                "eventSource": "aws:dynamodb",
                "eventName": event if image is not None else "REMOVE",
                "eventSourceARN": f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}/stream/2026",
                "dynamodb": change,
            }
        )
    return {"Records": records}
