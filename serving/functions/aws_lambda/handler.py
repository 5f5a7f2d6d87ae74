"""The handler of AWS Lambda: it tells events apart, has each answered, and logs a line of metrics."""

import json
import os
from time import perf_counter

from ...scorecard import Document, Scorecard
from . import http
from .runtime import EventError, FunctionRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

#: The source of an event's records -> the module here that handles them; imported when the first comes.
_SOURCES = {"aws:sqs": "queue", "aws:s3": "objects", "aws:dynamodb": "stream"}


class Handler(FunctionRuntime):
    """A version as a Lambda function; its parameters are those of ``FunctionRuntime``."""

    def __call__(self, event: "Any", context: "Any") -> "Any":
        """Answer an event.

        Raises
        ------
        EventError
            if it is of a service that this function does not know.
        Exception
            if records could not be handled at all, and their source has no way to be told which.
        """
        began = perf_counter()
        request_id = getattr(context, "aws_request_id", "")
        # What the line of metrics tells.
        told: dict[str, Any] = {"rows": 0, "refused": 0, "errors": 0, "status": 0, "source": "direct"}
        try:
            found = self._answer(event, request_id, told)
        except Exception:
            told["errors"] += 1
            self.tell(told, request_id, (perf_counter() - began) * 1000.0)
            raise
        latency = (perf_counter() - began) * 1000.0
        self.tell(told, request_id, latency)
        if "answer" in told:
            self.record(told["answer"], request_id, latency)
        return found

    def _answer(self, event: "Any", request_id: str, told: "dict[str, Any]") -> "Any":
        if type(event) is dict:
            if "rawPath" in event or "httpMethod" in event:
                return http.respond(self, event, request_id, told)
            records = event.get("Records")
            if type(records) is list and records and type(records[0]) is dict:
                return self._source(records, request_id, told)
            if "requestContext" in event or "detail-type" in event or "Records" in event:
                raise EventError("expected an event of HTTP, SQS, S3 or DynamoDB, or a request; found another")
        return http.direct(self, event, request_id, told)

    def _source(self, records: list, request_id: str, told: "dict[str, Any]") -> "Any":
        name = records[0].get("eventSource") or records[0].get("EventSource")
        if name not in _SOURCES or any(record.get("eventSource") != name for record in records):
            raise EventError(f"expected records of one of {', '.join(_SOURCES)}, found others")
        told["source"] = name.partition(":")[2]
        return _source_module(_SOURCES[name]).handle(self, records, request_id, told)


def _source_module(name: str) -> "ModuleType":
    if name == "queue":
        from . import queue as module
    elif name == "objects":
        from . import objects as module  # type: ignore[no-redef]
    else:
        from . import stream as module  # type: ignore[no-redef]
    return module


def load(folder: str) -> Handler:
    """The handler of the version whose ``scorecard.json`` and ``about.json`` are in a folder."""
    with open(os.path.join(folder, "scorecard.json"), encoding="utf-8") as file:
        # It was checked when the package was built, and Lambda checks the package's hash.
        card = Scorecard(Document(json.loads(file.read())))
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        return Handler(card, json.loads(file.read()))
