"""Media types of requests."""

from .errors import UNREADABLE, RequestError
from .json_text import JSON

CSV = "text/csv"
LINES = ("application/jsonlines", "application/x-ndjson", "application/ndjson", "application/jsonl")
READABLE = (JSON, CSV, LINES[0])


def media_type(content_type: str | None) -> str:
    """The media type of a header, without its parameters.

    Raises
    ------
    RequestError
        with status 415, if it is not supported.
    """
    if not content_type or not content_type.strip():
        raise RequestError(
            f"Content-Type: expected {_either(READABLE)}, found no such header", status=415, code=UNREADABLE
        )
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    kind = kind.lower()
    if kind.startswith("application/") and kind.endswith("+json"):
        kind = JSON
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise RequestError("Content-Type: expected charset=utf-8, found another", status=415, code=UNREADABLE)
    if kind not in READABLE and kind not in LINES:
        raise RequestError(f"Content-Type: expected {_either(READABLE)}, found another", status=415, code=UNREADABLE)
    return kind


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
