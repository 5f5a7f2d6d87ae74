"""The request and response contract of every way of serving: bytes in, a status and a JSON object out.

It is copied with the scorecard into every package, so it needs only the standard library, and imports by relative
names. ``reply`` is the whole contract in one call; other protocols build their own tables and call ``answers``.
"""

from .answers import OUTPUTS, answers
from .errors import RequestError, internal, refusal
from .json_text import JSON, loads, parsed
from .limits import LIMITS, Limits, too_large
from .questions import Question, question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .answers import AnsweringModel

__all__ = [
    "LIMITS",
    "OUTPUTS",
    "Limits",
    "Question",
    "RequestError",
    "answers",
    "internal",
    "loads",
    "question",
    "read",
    "refusal",
    "reply",
    "respond",
]


def read(
    body: bytes,
    content_type: str | None,
    *,
    encoding: str | None = None,
    limits: Limits = LIMITS,
    parse: "Callable[[bytes], Any] | None" = None,
) -> "Any":
    """Parse a body: a value for JSON, a table for CSV and JSON lines.

    Parameters
    ----------
    parse : a faster JSON parser than ``loads``; what it refuses with a ValueError is parsed again by ``loads``, so that
        error messages are the same everywhere.

    Raises
    ------
    RequestError
        with status 400, 413 or 415.
    """
    # What is rare, and what a server alone has, is imported when it comes: a function's first answer waits for less.
    kind = JSON
    if content_type != JSON:
        from .media import media_type

        kind = media_type(content_type)
    if encoding:
        from .compression import decompressed

        body = decompressed(body, encoding, limits)
    if len(body) > limits.body:
        raise too_large(limits)
    if kind == JSON:
        return parsed(body, limits, parse)
    from . import media, tabular

    if kind == media.CSV:
        return tabular.csv_table(body, limits)
    return tabular.lines_table(body, limits, parse)


def reply(
    card: "AnsweringModel",
    body: bytes,
    content_type: str | None,
    *,
    encoding: str | None = None,
    limits: Limits = LIMITS,
    few: int | None = None,
) -> "tuple[int, dict[str, Any]]":
    """Answer a request.

    Parameters
    ----------
    card : the ``Scorecard`` of the model.
    body : as it was sent, compressed as ``encoding`` says.
    content_type, encoding : the headers ``Content-Type`` and ``Content-Encoding``, or None.
    limits : the largest request that is answered.
    few : as for ``answers``.

    Returns
    -------
    (int, dict)
        The status, and the JSON to answer: ``{"predictions": [...]}``, ``{"prediction": ...}`` for the short forms, or
        ``{"error_code", "message"}``.
    """
    try:
        value = read(body, content_type, encoding=encoding, limits=limits)
        return 200, respond(card, value, limits=limits, few=few)
    except RequestError as error:
        return error.status, error.payload()


def respond(
    card: "AnsweringModel", value: object, *, limits: Limits = LIMITS, few: int | None = None
) -> "dict[str, Any]":
    """Answer a request whose body is parsed already.

    Raises
    ------
    RequestError
        if it is malformed, or has an invalid value.
    """
    asked = question(value, card.inputs, limits=limits)
    return asked.payload(answers(card, asked.table, asked.output, few=few))
