"""The handler of AWS Lambda: it tells events apart, has each answered, and logs a line of metrics."""

import json
import os
from time import perf_counter, time

from ...scorecard import Document, Scorecard
from ..web import digests, label
from . import http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

    from ...contract.answers import AnsweringModel

#: The source of an event's records -> the module here that handles them; imported when the first comes.
_SOURCES = {"aws:sqs": "queue", "aws:s3": "objects", "aws:dynamodb": "stream"}


class EventError(Exception):
    """An event that cannot be taken; raised, so that whoever sent it hears of it and tries again or keeps it."""


class Handler:
    """A version as a Lambda function.

    Parameters
    ----------
    card : the ``Scorecard``.
    about : what is known of it: ``model``, ``version``, ``digest``; values are texts or None.
    environment : the settings, as variables: ``API_KEYS``, ``OUTPUT``, ``RESULTS_QUEUE_URL``, ``OUTPUT_BUCKET``, ...
    write : takes a line of the log.
    """

    def __init__(
        self,
        card: "AnsweringModel",
        about: "Mapping[str, Any]",
        environment: "Mapping[str, str]" = os.environ,
        *,
        write: "Callable[[str], object] | None" = None,
    ) -> None:
        self.card, self.about, self.environment = card, about, environment
        self.write = write or _print
        self.version = about["version"] or ""
        self.label = label(about)
        self.keys = digests(environment)
        self.base_path = environment.get("BASE_PATH", "").rstrip("/")
        self.cold = True
        self._clients: dict[str, Any] = {}
        self._metrics = _metrics(about, environment)
        card.rows  # noqa: B018  # made ready while Lambda counts it as the function's start

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
            self._tell(told, request_id, (perf_counter() - began) * 1000.0)
            raise
        self._tell(told, request_id, (perf_counter() - began) * 1000.0)
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

    def client(self, service: str) -> "Any":
        """A client of boto3, which Lambda's own runtime brings; one of each service is kept."""
        if service not in self._clients:
            import boto3
            from botocore.config import Config

            settings = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=30)
            self._clients[service] = boto3.client(service, config=settings)
        return self._clients[service]

    def needs(self, name: str) -> str:
        """The value of a setting.

        Raises
        ------
        EventError
            if it is not set.
        """
        value = self.environment.get(name, "")
        if not value:
            raise self.unusable(f"the function's environment has no {name}, and this event needs it")
        return value

    def unusable(self, message: str) -> EventError:
        """The error for an event that the function's settings do not let it handle."""
        return EventError(message)

    def log(self, level: str, message: str, request_id: str, **more: object) -> None:
        """Write a line to the log; it holds none of the data."""
        self.write(json.dumps({"level": level, "message": message, "request_id": request_id, **more}))

    def failure(self, error: BaseException, request_id: str, **more: object) -> None:
        """Log the place of an error, without its words: they may hold data."""
        from ..failures import places

        # What botocore raises where nobody answered has a response, too: none.
        more["code"] = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
        known = {name: value for name, value in more.items() if value}
        self.log("ERROR", type(error).__name__, request_id, at=places(error), **known)

    def _tell(self, told: "Mapping[str, Any]", request_id: str, latency: float) -> None:
        head, tail = self._metrics
        cold, self.cold = self.cold, False
        self.write(
            f'{head}{int(time() * 1000)}{tail}"Latency":{latency:.3f},"Rows":{told["rows"]},'
            f'"Refused":{told["refused"]},"Errors":{told["errors"]},"ColdStart":{cold:d},"Source":"{told["source"]}",'
            f'"Status":{told["status"]},"RequestId":{json.dumps(request_id)}}}'
        )


def _source_module(name: str) -> "ModuleType":
    if name == "queue":
        from . import queue as module
    elif name == "objects":
        from . import objects as module  # type: ignore[no-redef]
    else:
        from . import stream as module  # type: ignore[no-redef]
    return module


def _print(line: str) -> None:
    print(line, flush=True)


#: CloudWatch's embedded metric format: a line of the log that it reads metrics from.
_FORMAT = (
    '{"_aws":{"CloudWatchMetrics":[{"Namespace":%s,"Dimensions":[["Function"],["Function","Version"]],"Metrics":['
    '{"Name":"Latency","Unit":"Milliseconds"},{"Name":"Rows","Unit":"Count"},{"Name":"Refused","Unit":"Count"},'
    '{"Name":"Errors","Unit":"Count"},{"Name":"ColdStart","Unit":"Count"}]}],"Timestamp":'
)


def _metrics(about: "Mapping[str, Any]", environment: "Mapping[str, str]") -> tuple[str, str]:
    """The parts of a metrics line before and after its time."""
    function = json.dumps(environment.get("AWS_LAMBDA_FUNCTION_NAME") or "local")
    model, version = json.dumps(about["model"] or ""), json.dumps(about["version"] or about["digest"][:19])
    namespace = json.dumps(environment.get("METRICS_NAMESPACE") or "ModelLifecycle")
    return _FORMAT % namespace, f'}},"Function":{function},"Model":{model},"Version":{version},'


def load(folder: str) -> Handler:
    """The handler of the version whose ``scorecard.json`` and ``about.json`` are in a folder."""
    with open(os.path.join(folder, "scorecard.json"), encoding="utf-8") as file:
        # It was checked when the package was built, and Lambda checks the package's hash.
        card = Scorecard(Document(json.loads(file.read())))
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        return Handler(card, json.loads(file.read()))
