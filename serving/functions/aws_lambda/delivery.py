"""Rows of the prediction log to Firehose or S3: sent before the answer, since Lambda stops a function after it.

What cannot be sent is counted in a line of the function's log; no answer fails by it, or waits for long.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

#: What Firehose takes: records of a call, their bytes, and those of one record.
RECORDS, BYTES, RECORD = 500, 4 * 1024 * 1024, 1000 * 1024
#: Seconds to connect, and to wait for an answer.
_CONNECT, _READ = 1, 2


class Delivery:
    """Sends lines to where the setting ``RECORD`` says.

    Parameters
    ----------
    destination : ``firehose:NAME`` or ``s3://BUCKET/PREFIX``.
    log : writes a line to the function's log, as ``FunctionRuntime.log`` does.
    """

    def __init__(self, destination: str, log: "Callable[..., object]") -> None:
        self._log = log
        kind, _, name = destination.partition(":")
        self._service, self._name = kind, name.removeprefix("//").rstrip("/")
        self._lines: list[bytes] = []
        self._client: Any = None
        self._connect()  # imported while Lambda counts it as the function's start

    def add(self, line: str) -> None:
        """Keep a line until ``send``."""
        self._lines.append(line.encode("utf-8", "replace") + b"\n")

    def send(self, request_id: str) -> None:
        """Send what was added; a line of the log counts the rows that were lost, by reason."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        if not self._connect():
            lost = {"NoClient": len(lines)}
        else:
            lost = self._to_firehose(lines) if self._service == "firehose" else self._to_s3(lines)
        for reason, rows in lost.items():
            self._log("ERROR", "rows not recorded", request_id, rows=rows, reason=reason)

    def _connect(self) -> bool:
        if self._client is None:
            try:
                import boto3
                from botocore.config import Config

                settings = Config(retries={"total_max_attempts": 1}, connect_timeout=_CONNECT, read_timeout=_READ)
                self._client = boto3.client(self._service, config=settings)
            except Exception:  # whatever is missing, answers go on
                return False
        return True

    def _to_firehose(self, lines: "list[bytes]") -> "dict[str, int]":
        fitting = [line for line in lines if len(line) <= RECORD]
        lost = {"TooLarge": len(lines) - len(fitting)} if len(fitting) < len(lines) else {}
        waiting = len(fitting)
        for batch in _batches(fitting):
            waiting -= len(batch)
            for _ in range(2):  # what is refused is sent once more
                batch, reason, answered = self._put(batch)
                if not batch:
                    break
            if batch:
                lost[reason] = lost.get(reason, 0) + len(batch)
                if not answered:  # a service that is away would let each batch wait
                    lost[reason] += waiting
                    break
        return lost

    def _put(self, batch: "list[bytes]") -> "tuple[list[bytes], str, bool]":
        """The records that were refused, why, and whether Firehose answered at all."""
        try:
            found = self._client.put_record_batch(
                DeliveryStreamName=self._name, Records=[{"Data": line} for line in batch]
            )
        except Exception as error:
            return batch, _reason(error), False
        refused = [
            (line, one["ErrorCode"])
            for line, one in zip(batch, found["RequestResponses"], strict=True)
            if one.get("ErrorCode")
        ]
        return [line for line, _ in refused], refused[0][1] if refused else "", True

    def _to_s3(self, lines: "list[bytes]") -> "dict[str, int]":
        """One object for each request, below a folder for each hour as Firehose has them."""
        import gzip
        from os import urandom
        from time import gmtime, strftime

        bucket, _, prefix = self._name.partition("/")
        key = f"{prefix}/{strftime('%Y/%m/%d/%H/%M%S', gmtime())}-{urandom(8).hex()}.jsonl.gz"
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=gzip.compress(b"".join(lines), 6))
        except Exception as error:
            return {_reason(error): len(lines)}
        return {}


def _batches(lines: "list[bytes]") -> "Iterator[list[bytes]]":
    """Lines that go into one call."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == RECORDS or size + len(line) > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    """What AWS calls an error, without its words."""
    return (getattr(error, "response", None) or {}).get("Error", {}).get("Code") or type(error).__name__
