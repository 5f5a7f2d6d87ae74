"""Posts the log to a broker as CloudEvents 1.0, in the binary mode of HTTP: rows of one version as JSON.

An event's data is an array of rows, of at most 60 KiB unless a single row is larger: events of 64 KiB are what every
intermediary has to forward. An event that is posted again has the same id.
"""

import datetime
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

import msgspec
import pyarrow as pa

from serving.errors import ServingError
from serving.prediction_log.schema import LogSchema
from serving.prediction_log.sink import LogError

#: The type of an event.
TYPE = "model-lifecycle.predictions"
#: The environment variable with further headers, such as a token: lines ``NAME: VALUE``.
HEADERS = "SERVING_RECORD_HEADERS"
#: The largest data of several rows, in bytes.
LARGEST = 60 * 1024
#: Answers that refuse the event itself, so that posting it again is of no use.
REFUSED = frozenset((400, 405, 406, 411, 413, 415, 422, 501))
#: Seconds to connect, and to wait for an answer.
_TIMEOUT = (3.0, 5.0)
#: Seconds until another attempt, at first and at most.
_FIRST, _LONGEST = 0.5, 60.0
# Rows that are taken apart at a time.
_SOME = 1000
# Characters that a header has as they are.
_PLAIN = "".join(chr(one) for one in range(0x21, 0x7F) if chr(one) not in '"%')


def check(url: str) -> None:
    """Raise ServingError if a URL has no host, or the variable ``SERVING_RECORD_HEADERS`` is not of its form."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise ServingError("--record: expected a broker's URL such as https://HOST/PATH, found one without a host")
    headers(os.environ)


def headers(environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that the environment asks for.

    Raises
    ------
    ServingError
        if they are not of that form; quotes nothing of them.
    """
    found = {}
    for line in filter(str.strip, environment.get(HEADERS, "").splitlines()):
        match = re.fullmatch(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x20-\x7e]*?)\s*", line)
        if match is None:
            raise ServingError(f"{HEADERS}: expected lines such as Authorization: Bearer TOKEN, found another")
        found[match[1]] = match[2]
    return found


class CloudEventsSink:
    """A log at a broker.

    Parameters
    ----------
    url : that takes events by POST.
    """

    def __init__(self, url: str):
        import requests

        parts = urlsplit(url)
        self._url, self._shown = url, f"{parts.scheme}://{parts.hostname}"
        self._session = requests.Session()
        self._headers = headers(os.environ)
        self._source = f"/model-lifecycle/serve/{quote(socket.gethostname())}"
        # The batch that is half sent, and how many of its rows are sent or refused.
        self._batch: pa.RecordBatch | None = None
        self._done = self._refused = 0
        # When it is tried again, by the monotonic clock, after which pause, and why.
        self._due, self._pause, self._why = 0.0, 0.0, ""

    def write(self, schema: LogSchema, date: datetime.date, batch: pa.RecordBatch) -> int:
        if self._batch is not batch:
            self._batch, self._done, self._refused = batch, 0, 0
        for data, rows, moment in _events(batch.slice(self._done)):
            if not self._post(schema, data, moment):
                self._refused += rows
            self._done += rows
        written = self._done - self._refused
        self._batch = None
        return written

    def tick(self) -> None:
        pass

    def expire(self, before: datetime.date) -> None:
        pass

    def close(self) -> None:
        self._session.close()

    def _post(self, schema: LogSchema, data: bytes, moment: datetime.datetime) -> bool:
        """Whether the broker took an event; false if it refused it for good.

        Raises
        ------
        LogError
            if the event is to be posted again.
        """
        import requests

        if time.monotonic() < self._due:
            raise LogError(self._why)
        attributes = {
            "specversion": "1.0",
            "id": hashlib.sha256(data).hexdigest()[:32],
            "source": self._source,
            "type": TYPE,
            "time": moment.astimezone(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "subject": f"{schema.model}/{schema.version}",
        }
        sent = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in attributes.items()}
        try:
            answer = self._session.post(
                self._url,
                data=data,
                headers={**self._headers, **sent, "Content-Type": "application/json"},
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
            with answer:
                # Read, the connection is used again; a longer answer is of no interest.
                next(answer.iter_content(_SOME), b"")
        except requests.RequestException as error:
            raise self._away(type(error).__name__) from None
        if 200 <= answer.status_code < 300:
            self._due = self._pause = 0.0
            return True
        if answer.status_code in REFUSED:
            return False
        after = answer.headers.get("Retry-After", "")
        raise self._away(f"answered {answer.status_code}", float(after) if after.isdigit() else 0.0)

    def _away(self, reason: str, after: float = 0.0) -> LogError:
        """The error of a broker that is asked again after a pause, twice as long each time."""
        self._pause = min(_LONGEST, max(_FIRST, 2 * self._pause))
        self._due = time.monotonic() + max(self._pause, min(after, _LONGEST))
        self._why = f"the prediction log cannot be posted to {self._shown}: {reason}"
        return LogError(self._why)


def _events(batch: pa.RecordBatch) -> Iterator[tuple[bytes, int, datetime.datetime]]:
    """The data of each event, how many rows it has, and the time of the last of them."""
    rows: list[bytes] = []
    size, moment = 0, datetime.datetime.now(datetime.UTC)
    for start in range(0, batch.num_rows, _SOME):
        for row in batch.slice(start, _SOME).to_pylist():
            text = msgspec.json.encode(row)  # what is no finite number is null
            if rows and size + len(text) + 1 > LARGEST:
                yield b"[" + b",".join(rows) + b"]", len(rows), moment
                rows, size = [], 0
            rows.append(text)
            size += len(text) + 1
            moment = row["time"]
    if rows:
        yield b"[" + b",".join(rows) + b"]", len(rows), moment
