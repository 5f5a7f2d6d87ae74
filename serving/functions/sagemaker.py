"""A SageMaker endpoint as what the contract asks: requests are checked here, and only good rows go on.

The endpoint runs an MLflow model (MLflow's own image, or this project's server): it takes ``dataframe_split`` and
``params`` at ``/invocations``, and answers ``predictions``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..contract.errors import RequestError
from ..scorecard.errors import Unsupported
from ..scorecard.inputs import ABSENT, Cleaning, Input, InputError, named
from .answer_cache import AnswerCache
from .passing import PassThrough

AWAY = "TEMPORARILY_UNAVAILABLE"
FAILED = "BAD_GATEWAY"

#: What botocore raises where nobody answered, by the names of its classes.
_UNREACHED = frozenset(
    ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "ConnectionError")
    + ("ProxyConnectionError", "SSLError", "HTTPClientError", "ResponseStreamingError", "IncompleteReadError")
)
#: Codes of AWS that say: not now.
_BUSY = frozenset(
    ("ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "ServiceUnavailableException")
    + ("InternalFailure", "InternalDependencyException", "ModelNotReadyException", "InternalServerException")
)
#: What the model's own server answers where it may be asked again.
_AGAIN = frozenset((408, 425, 429, 502, 503, 504))
#: A text longer than this is not kept, nor is the row that has it.
_LONG = 1_000
#: Whole numbers up to this are float64 to the last digit.
_EXACT = 2.0**53


class ListColumn(list):
    """A list that says it is one, as an array does."""

    def tolist(self) -> list:
        """The list."""
        return list(self)


class Endpoint:
    """An endpoint that answers as a ``Scorecard`` does.

    Parameters
    ----------
    name : the endpoint's.
    about : what is known of the model: ``inputs``, ``cleaning``, ``optional``, ``classes`` (None for a regression),
        ``probabilities`` (whether it gives any).
    client : gives a client of ``sagemaker-runtime``.
    rows, seconds : how many answers are kept, and for how long; one for each row and output.
    failed : is told the error of a call that failed, for the log.
    accept : media types of bodies that are passed on as they are.
    """

    #: More rows than this are asked in one call: all.
    few = 0

    def __init__(
        self,
        name: str,
        about: Mapping[str, Any],
        client: Callable[[], Any],
        *,
        rows: int = 1000,
        seconds: float = 60.0,
        failed: Callable[[Exception], object] = lambda error: None,
        accept: frozenset[str] = frozenset(),
    ) -> None:
        self.name, self._client = name, client
        self.inputs = tuple(Input(**one) for one in about["inputs"])
        self.optional = frozenset(about["optional"])
        self.cleaning = Cleaning(about["cleaning"]["trim"], frozenset(about["cleaning"]["missing"]))
        self.classes = about["classes"]
        self.has_probabilities = about["probabilities"]
        self.rows = self
        self._failed = failed
        self.passing: PassThrough | None = None
        if accept:
            self.passing = PassThrough(accept, self._pass, answers=rows, seconds=seconds)
        self._kept = AnswerCache(rows, seconds)

    def predict(self, table: Mapping[str, Any]) -> ListColumn:
        """A column with an answer a row.

        Raises
        ------
        InputError
            if a value cannot be taken; names the row and the column.
        RequestError
            if the endpoint is away (503), refuses (400), or fails (502).
        """
        return ListColumn(self._answers(table, "predictions"))

    def probabilities(self, table: Mapping[str, Any]) -> ListColumn:
        """A column with a list of probabilities a row, in the order of ``classes``; raises as ``predict`` does."""
        labels = [str(label) for label in self.classes]
        return ListColumn([row[label] for label in labels] for row in self._answers(table, "probabilities"))

    def predict_row(self, row: Mapping[str, Any]) -> Any:
        """The answer for a row; raises as ``predict`` does."""
        return self._one(row, "predictions")

    def probabilities_row(self, row: Mapping[str, Any]) -> list[float]:
        """The probabilities of a row; raises as ``predict`` does."""
        found = self._one(row, "probabilities")
        return [found[str(label)] for label in self.classes]

    def explain_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's explanation of a row; raises as ``predict`` does."""
        return self._one(row, "explain")

    def needs_probabilities(self) -> None:
        """Raises Unsupported where the model gives no probabilities."""
        if not self.has_probabilities:
            raise Unsupported("", "this model", "it has no probabilities: ask for predictions")

    def _one(self, row: Mapping[str, Any], output: str) -> Any:
        try:
            return self._answers({name: [value] for name, value in row.items()}, output)[0]
        except InputError as error:
            raise InputError(error.column, error.reason) from None

    def _answers(self, columns: Mapping[str, Any], output: str) -> list[Any]:
        columns = named(columns, frozenset(item.name for item in self.inputs))
        names = [item.name for item in self.inputs if item.name in columns]
        rows = self._read(columns)
        keys: list[tuple | None] = [(output, *map(_key, row)) if _short(row) else None for row in rows]
        found: list = [None] * len(rows)
        # Places by what is asked there: rows that are alike are asked once.
        wanted: dict[tuple | int, list[int]] = {}
        for place, key in enumerate(keys):
            kept = self._kept.get(key) if key else None
            if kept is not None:
                found[place] = kept
            else:
                wanted.setdefault(key or place, []).append(place)
        if wanted:
            asked = [rows[places[0]] for places in wanted.values()]
            for (asked_by, places), answer in zip(wanted.items(), self._ask(names, asked, output), strict=True):
                for place in places:
                    found[place] = answer
                if isinstance(asked_by, tuple):
                    self._kept.keep(asked_by, answer)
        return found

    def _read(self, columns: Mapping[str, Any]) -> list[list[Any]]:
        """The rows, each value cleaned; the first that cannot be taken is refused."""
        for item in self.inputs:
            if item.name not in columns and item.name not in self.optional:
                raise InputError(item.name, ABSENT)
        known = [(item, columns[item.name]) for item in self.inputs if item.name in columns]
        rows: list[list[Any]] = []
        for values in zip(*(raw for _, raw in known), strict=True):
            try:
                rows.append([_read(item, raw, self.cleaning) for (item, _), raw in zip(known, values, strict=True)])
            except InputError as error:
                raise error.at(len(rows)) from None
        # A model of which every column may be left out is asked for as many rows all the same.
        return rows if known else [[] for _ in next(iter(columns.values()), ())]

    def _ask(self, names: list[str], rows: list[list[Any]], output: str) -> list[Any]:
        body: dict[str, Any] = {"dataframe_split": {"columns": names, "data": rows}}
        if output != "predictions":
            body["params"] = {"output": output}
        content, _ = self._call(json.dumps(body), "application/json", "application/json")
        return self._answered(content, len(rows), output)

    def _pass(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        return self._call(body, content_type, accept)

    def _call(self, body: bytes | str, content_type: str, accept: str) -> tuple[bytes, str]:
        """The endpoint's answer to a body, and its type; raises RequestError if there is none."""
        try:
            response = self._client().invoke_endpoint(
                EndpointName=self.name, ContentType=content_type, Accept=accept, Body=body
            )
            return response["Body"].read(), response.get("ContentType") or "application/octet-stream"
        except Exception as error:
            self._failed(error)
            raise self._refused(error) from error

    def _answered(self, content: bytes, count: int, output: str) -> list[Any]:
        """The answers that a response holds.

        Raises
        ------
        RequestError
            with status 502, where it is none that was asked for.
        """
        try:
            found = json.loads(content, parse_constant=_constant)["predictions"]
            good = isinstance(found, list) and len(found) == count
            if good and output == "probabilities":
                labels = {str(label) for label in self.classes}
                good = all(isinstance(row, dict) and row.keys() >= labels for row in found)
        except (KeyError, TypeError, ValueError, RecursionError):
            good = False
        if not good:
            message = f"the endpoint {self.name!r} answered, but not what it was asked"
            self._failed(ValueError(message))
            raise RequestError(message, status=502, code=FAILED)
        return found

    def _refused(self, error: Exception) -> Exception:
        """What is answered where a call of the endpoint failed; an error that is ours as it is."""
        response = getattr(error, "response", None) or {}
        code = response.get("Error", {}).get("Code", "")
        status = response.get("OriginalStatusCode", 500)
        if code == "ModelError" and status not in _AGAIN:
            if 400 <= status < 500:
                return RequestError(f"the endpoint {self.name!r} refused the request")
            return RequestError(f"the endpoint {self.name!r} failed on the request", status=502, code=FAILED)
        if code == "ModelError" or code in _BUSY or type(error).__name__ in _UNREACHED:
            message = f"the endpoint {self.name!r} cannot be asked now; it may be tried again"
            return RequestError(message, status=503, code=AWAY)
        if code in ("ValidationError", "ValidationException"):
            return RequestError(f"there is no endpoint {self.name!r} in service", status=503, code=AWAY)
        return error


def _read(item: Input, raw: object, cleaning: Cleaning) -> float | str | bool | None:
    value = item.read(raw, cleaning)
    if value is None or isinstance(value, str):
        return value
    if item.type == "boolean":
        return bool(value)
    return int(value) if item.integer and abs(value) <= _EXACT else value


def _short(row: Sequence[object]) -> bool:
    return not any(type(value) is str and len(value) > _LONG for value in row)


def _key(value: object) -> tuple[str, object]:
    # 1 == True == 1.0 for a dict, and they are not the same question.
    return type(value).__name__, value


def _constant(name: str) -> None:
    raise ValueError(f"numbers are finite, found {name}")
