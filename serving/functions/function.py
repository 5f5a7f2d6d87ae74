"""A version as an HTTP function of any cloud: loaded once, asked by method, path, headers and body."""

import json
import os
from time import perf_counter

from ..contract import internal
from ..scorecard import Document, Scorecard
from .web import Answer, answer, digests, label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ..contract.answers import AnsweringModel
    from .record import RowLines

#: Longer answers are compressed where the client takes gzip.
_COMPRESS = 64 * 1024


class FunctionResponse:
    """What a cloud's own framework sends.

    Parameters
    ----------
    headers : values by name.
    body : bytes; empty for HEAD.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


class HttpFunction:
    """A version that answers HTTP, and writes a line of JSON about each request.

    Parameters
    ----------
    card : the ``Scorecard``.
    about : what is known of it: ``model``, ``version``, ``digest``; values are texts or None.
    environment : the settings, as variables: ``API_KEYS``, the SHA-256 digests of the keys that are let in, and those
        of ``record``.
    write : takes a line of the log, which holds none of the data, and its severity: ``INFO`` or ``ERROR``.
    """

    def __init__(
        self,
        card: "AnsweringModel",
        about: "Mapping[str, Any]",
        environment: "Mapping[str, str]" = os.environ,
        *,
        write: "Callable[[str, str], object] | None" = None,
    ) -> None:
        self.card, self.about, self.label = card, about, label(about)
        self.keys = digests(environment)
        self.write = write or _print
        self.cold = True
        self._rows: RowLines | None = None
        if environment.get("RECORD"):
            from . import record

            self._rows = record.RowLines(card, about, environment, lambda line: self.write(line, "INFO"))

    def __call__(self, method: str, path: str, headers: "Iterable[tuple[str, str]]", body: bytes) -> FunctionResponse:
        """Answer a request; whatever goes wrong, there is a response.

        Parameters
        ----------
        headers : pairs of name and value.
        """
        began = perf_counter()
        asked = {name.lower(): value for name, value in headers}
        told: dict[str, Any] = {}
        try:
            found = answer(self.card, self.about, method, path, asked, body, keys=self.keys)
            text = found.text
        except Exception as error:
            refused = internal()
            found = Answer(refused.status, refused.payload())
            from .failures import places

            text, told = found.text, {"error": type(error).__name__, "at": places(error)}
        sent = {"Content-Type": "application/json", "X-Model-Version": self.label}
        if found.allow:
            sent["Allow"] = found.allow
        content = text.encode("ascii") if method != "HEAD" else b""
        if len(content) > _COMPRESS and "gzip" in asked.get("accept-encoding", ""):
            import gzip

            content = gzip.compress(content, 6, mtime=0)
            sent["Content-Encoding"], sent["Vary"] = "gzip", "Accept-Encoding"
        latency = (perf_counter() - began) * 1000.0
        self._tell(found, latency, told)
        if self._rows is not None:
            self._rows.record(found, asked.get("x-request-id") or os.urandom(8).hex(), latency)
        return FunctionResponse(found.status, sent, content)

    def _tell(self, found: Answer, latency: float, told: "Mapping[str, Any]") -> None:
        cold, self.cold = self.cold, False
        severity = "ERROR" if found.status >= 500 else "INFO"
        line = {
            "severity": severity,
            "message": "answered" if found.status < 400 else "refused" if found.status < 500 else "failed",
            "model": self.about.get("model"),
            "version": self.about.get("version"),
            "status": found.status,
            "rows": found.rows,
            "latency_ms": round(latency, 3),
            "cold_start": cold,
            **told,
        }
        self.write(json.dumps(line), severity)


def load(folder: str) -> HttpFunction:
    """The function of the version whose ``scorecard.json`` and ``about.json`` are in a folder."""
    with open(os.path.join(folder, "scorecard.json"), encoding="utf-8") as file:
        # It was checked when the package was built.
        card = Scorecard(Document(json.loads(file.read())))
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        return HttpFunction(card, json.loads(file.read()))


def _print(line: str, severity: str) -> None:
    print(line, flush=True)
