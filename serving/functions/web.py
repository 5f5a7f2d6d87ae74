"""HTTP for every cloud function: a method, a path, headers and a body in; a status, headers and a text out."""

import json

from ..contract import RequestError, answers, question, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from ..contract import Question
    from ..contract.answers import AnsweringModel

PREDICT = ("/invocations", "/predict")
ALIVE = ("/ping", "/health")
VERSION = "/version"

NOT_FOUND = "ENDPOINT_NOT_FOUND"
NOT_ALLOWED = "METHOD_NOT_ALLOWED"


class Answer:
    """What a request is answered.

    Parameters
    ----------
    payload : what ``text`` says as JSON.
    allow : the methods of the header ``Allow``; empty for none.
    rows : how many were answered.
    predicts : whether it answers, or refuses, a prediction of a caller who was let in.
    asked : the question of a prediction and its answers; else None.
    content, media_type : the body of an answer that is no JSON of the contract, and its type; else None.
    """

    __slots__ = ("allow", "asked", "content", "media_type", "payload", "predicts", "rows", "status")

    def __init__(
        self,
        status: int,
        payload: "Mapping[str, Any]",
        *,
        rows: int = 0,
        allow: str = "",
        content: bytes | None = None,
        media_type: str = "application/json",
        predicts: bool = False,
        asked: "tuple[Question, Any] | None" = None,
    ) -> None:
        self.status, self.payload, self.rows, self.allow = status, payload, rows, allow
        self.content, self.media_type = content, media_type
        self.predicts, self.asked = predicts, asked

    @property
    def text(self) -> str:
        """The body, in ASCII."""
        return json.dumps(self.payload, separators=(",", ":"))


def answer(
    card: "AnsweringModel",
    about: "Mapping[str, Any]",
    method: str,
    path: str,
    headers: "Mapping[str, str]",
    body: "bytes | Callable[[], bytes]",
    *,
    keys: "Collection[str] | None" = None,
) -> Answer:
    """Answer a request.

    Parameters
    ----------
    card : the ``Scorecard`` that is asked.
    about : what ``GET /version`` tells.
    headers : values by name in lower case.
    body : the request's bytes, or a function that gives them and may raise RequestError.
    keys : SHA-256 digests in hexadecimal, of one of which the request has to bring the key; None where it needs none.
    """
    predicts = False
    try:
        if path in PREDICT:
            if method != "POST":
                return _refused(_method("POST"), allow="POST")
            if keys is not None:
                _authenticate(headers, keys)
            predicts = True
            kind = headers.get("content-type")
            passing = getattr(card, "passing", None)
            if passing is not None and passing.takes(kind):
                whole = body() if callable(body) else body
                content, media_type = passing.answer(whole, kind, headers.get("accept"))
                return Answer(200, {}, rows=1, content=content, media_type=media_type)
            value = read(
                body() if callable(body) else body,
                kind,
                encoding=headers.get("content-encoding"),
            )
            return asked(card, value)
        if path not in ALIVE and path != VERSION:
            raise RequestError("there is nothing at this path; ask POST /invocations", status=404, code=NOT_FOUND)
        if method not in ("GET", "HEAD"):
            return _refused(_method("GET"), allow="GET, HEAD")
        if path in ALIVE:
            return Answer(200, {"status": "ok"})
        if keys is not None:
            _authenticate(headers, keys)
        return Answer(200, about)
    except RequestError as error:
        return _refused(error, predicts=predicts)


def digests(environment: "Mapping[str, str]") -> tuple[str, ...] | None:
    """The digests in the variable ``API_KEYS``; None where it is not set. Set and empty, it lets nobody in."""
    given = environment.get("API_KEYS")
    return None if given is None else tuple(given.replace(",", " ").lower().split())


def asked(card: "AnsweringModel", value: object) -> Answer:
    """Answer a request whose body is parsed.

    Raises
    ------
    RequestError
        if it is malformed, or a value cannot be taken.
    """
    own = getattr(card, "asked", None)
    if own is not None:  # a model without a scorecard, whose signature says how requests are read
        wanted, found = own(value)
    else:
        wanted = question(value, card.inputs)
        found = answers(card, wanted.table, wanted.output, few=getattr(card, "few", None))
    return Answer(200, wanted.payload(found), rows=wanted.table.count, predicts=True, asked=(wanted, found))


def _refused(error: RequestError, *, allow: str = "", predicts: bool = False) -> Answer:
    return Answer(error.status, error.payload(), allow=allow, predicts=predicts)


def _authenticate(headers: "Mapping[str, str]", digests: "Collection[str]") -> None:
    from .keys import authenticate  # a function without keys starts without hashes

    authenticate(headers, digests)


def _method(expected: str) -> RequestError:
    return RequestError(f"expected the method {expected}, found another", status=405, code=NOT_ALLOWED)


def label(about: "Mapping[str, Any]") -> str:
    """``diabetes/3``, as a header may hold it: what is not ASCII is percent-encoded; the digest of what has no name."""
    text = f"{about['model']}/{about['version']}" if about.get("version") else (about.get("digest") or "")[:19]
    # By hand: urllib takes longer to import than a first answer.
    return "".join(chr(one) if 32 <= one < 127 and one not in b"%\\" else f"%{one:02X}" for one in text.encode())
