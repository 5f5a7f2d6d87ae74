"""One request and response contract for every way of serving: bytes in, a status and a JSON object out.

It travels with the scorecard into every package, so it needs the standard library alone, and imports by relative
names. ``reply`` is all of it in one call; servers of other protocols build a table of their own and ask ``answers``.
"""

from .answers import OUTPUTS, answers
from .bodies import LIMITS, Limits, loads, read
from .errors import RequestError, internal, refusal
from .questions import Question, question

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


def reply(
    card, body: bytes, content_type: str | None, *, encoding: str | None = None, limits=LIMITS, parse=None, few=None
):
    """Answer a request.

    Parameters
    ----------
    card : the ``Scorecard`` that is asked.
    body : as it came, compressed where ``encoding`` says so.
    content_type, encoding : of the headers ``Content-Type`` and ``Content-Encoding``; None where there is none.
    limits : what is refused for its size.
    parse, few : as ``bodies.read`` and ``answers`` take them.

    Returns
    -------
    (int, dict)
        A status, and what to answer as JSON: ``{"predictions": [...]}``, ``{"prediction": ...}`` for the short forms,
        or ``{"error_code", "message"}``.
    """
    try:
        value = read(body, content_type, encoding=encoding, limits=limits, parse=parse)
        return 200, respond(card, value, limits=limits, few=few)
    except RequestError as error:
        return error.status, error.payload()


def respond(card, value, *, limits=LIMITS, few: int | None = None) -> dict:
    """Answer a request whose body is parsed, or was never text.

    Raises
    ------
    RequestError
        where it is malformed, or a value cannot be taken.
    """
    asked = question(value, card.inputs, limits=limits)
    return asked.payload(answers(card, asked.table, asked.output, few=few))
