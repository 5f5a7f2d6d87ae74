"""What every handler of an event has at hand: the version, its settings, the log, metrics and AWS's clients."""

import json
import os
from time import time

from ..web import digests, label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ...contract.answers import AnsweringModel
    from ..record import RowLines
    from ..web import Answer
    from .delivery import Delivery


class EventError(Exception):
    """An event that cannot be taken; raised, so that whoever sent it hears of it and tries again or keeps it."""


class FunctionRuntime:
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
        self._rows: RowLines | None = None
        self._delivery: Delivery | None = None
        if destination := environment.get("RECORD"):
            from .. import record

            if destination != record.STDOUT:
                from .delivery import Delivery as opened  # its package alone has it

                self._delivery = opened(destination, self.log)
            write = self._delivery.add if self._delivery else self.write
            self._rows = record.RowLines(card, about, environment, write)
        card.rows  # noqa: B018  # made ready while Lambda counts it as the function's start

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
            raise EventError(f"the function's environment has no {name}, and this event needs it")
        return value

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

    def record(self, found: "Answer", request_id: str, latency: float) -> None:
        """Write the rows of a request to the log, if that is asked for; latency is in milliseconds."""
        if self._rows is not None:
            self._rows.record(found, request_id, latency)
        if self._delivery is not None:
            self._delivery.send(request_id)

    def tell(self, told: "Mapping[str, Any]", request_id: str, latency: float) -> None:
        """Write the line of metrics of one event to the log."""
        head, tail = self._metrics
        cold, self.cold = self.cold, False
        self.write(
            f'{head}{int(time() * 1000)}{tail}"Latency":{latency:.3f},"Rows":{told["rows"]},'
            f'"Refused":{told["refused"]},"Errors":{told["errors"]},"ColdStart":{cold:d},"Source":"{told["source"]}",'
            f'"Status":{told["status"]},"RequestId":{json.dumps(request_id)}}}'
        )


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
