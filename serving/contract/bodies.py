"""From the bytes of a request to a parsed value: JSON, CSV or JSON lines, compressed or not, within limits."""

import json
import math

from .errors import TOO_LARGE, UNREADABLE, RequestError
from .tables import Matrix, listed

JSON = "application/json"
CSV = "text/csv"
LINES = ("application/jsonlines", "application/x-ndjson", "application/ndjson")
READABLE = (JSON, CSV, LINES[0])

_BOM = "\ufeff"
_LONGEST_NUMBER = 400
# Separators beside the comma that spreadsheets write, and characters of a body in which its line of names is found.
_MARKS = ";\t|"
_HEAD = 1 << 16
# Bytes that are unpacked at a time: what follows the end of a gzip member is copied.
_PIECE = 4096


class Limits:
    """What is refused for its size.

    Parameters
    ----------
    body : bytes of a request, once decompressed.
    rows : in one request.
    """

    __slots__ = ("body", "rows")

    def __init__(self, body: int = 16 * 1024 * 1024, rows: int = 100_000):
        self.body, self.rows = body, rows


LIMITS = Limits()


def read(body: bytes, content_type: str | None, *, encoding: str | None = None, limits=LIMITS, parse=None):
    """The value of a body: what the JSON says, or a table for CSV and JSON lines.

    Parameters
    ----------
    parse : reads JSON as ``loads`` does, only faster; what it refuses with a ValueError is read again by ``loads``,
        so that the refusal is the same everywhere.

    Raises
    ------
    RequestError
        with status 400, 413 or 415.
    """
    kind = media_type(content_type)
    if encoding:
        body = decompressed(body, encoding, limits)
    if len(body) > limits.body:
        raise too_large(limits)
    if kind == JSON:
        if parse is not None:
            try:
                return parse(body)
            except (ValueError, RecursionError):
                pass
        return loads(body)
    if kind == CSV:
        return _csv(text(body))
    return _lines(text(body))


def media_type(content_type: str | None) -> str:
    """The type that a header names, without its parameters.

    Raises
    ------
    RequestError
        with status 415, where it is none that can be read.
    """
    if not content_type or not content_type.strip():
        raise RequestError(
            f"Content-Type: expected {_either(READABLE)}, found no such header", status=415, code=UNREADABLE
        )
    if content_type == JSON:
        return JSON
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


def decompressed(body: bytes, encoding: str, limits: Limits) -> bytes:
    """A body without its ``Content-Encoding``; never more than a byte over the limit is unpacked.

    Raises
    ------
    RequestError
        with status 400, 413 or 415.
    """
    name = encoding.strip().lower()
    if name in ("identity", ""):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise RequestError(
            "Content-Encoding: expected gzip, deflate or none, found another", status=415, code=UNREADABLE
        )
    import zlib

    reader, parts, place, left = None, [], 0, limits.body + 1
    try:
        while place < len(body) and left > 0:
            if reader is None or reader.eof:  # gzip members may follow one another
                reader = zlib.decompressobj(47 if name != "deflate" else zlib.MAX_WBITS)
            piece = body[place : place + _PIECE]
            part = reader.decompress(piece, left)
            parts.append(part)
            left -= len(part)
            place += len(piece) - len(reader.unused_data)
    except zlib.error:
        raise RequestError(f"Content-Encoding: the body is not {name}") from None
    if left <= 0:
        raise too_large(limits)
    if reader is not None and not reader.eof:
        raise RequestError(f"Content-Encoding: the body is {name} that is cut short")
    return b"".join(parts)


def too_large(limits: Limits) -> RequestError:
    """The refusal of a body."""
    return RequestError(
        f"the body is larger than {limits.body:,} bytes; ask in several requests", status=413, code=TOO_LARGE
    )


def text(body: bytes) -> str:
    """A body as text.

    Raises
    ------
    RequestError
        where it is not UTF-8.
    """
    try:
        return body.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8 (byte {error.start})") from None


def loads(body: bytes):
    """What JSON says. Numbers that are too large for float64 are infinite, for a column's own rule to refuse.

    Raises
    ------
    RequestError
        where it is not JSON, or nests too deeply. NaN and Infinity are not JSON.
    """
    try:
        return json.loads(text(body), parse_constant=_constant, parse_int=_integer)
    except RecursionError:
        raise RequestError("the body nests too deeply") from None
    except json.JSONDecodeError as error:
        if not body.strip():
            raise RequestError("the body is empty: expected JSON") from None
        raise RequestError(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def _constant(name: str):
    raise RequestError(f"the body is not JSON: numbers are finite, found {name}")


def _integer(digits: str):
    # Python takes quadratic time over long ones, and refuses the longest.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def _csv(content: str) -> Matrix:
    """A table with a header; blank lines are no rows."""
    import csv
    import io

    mark, content = _separator(content)
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=mark, strict=True) if row]
    except csv.Error as error:
        raise RequestError(f"the body is not CSV: {error}") from None
    if not rows:
        raise RequestError("the body is empty: expected CSV with a header")
    if len(rows) == 1:
        raise RequestError("expected at least one row after the line of names, found that line alone")
    return Matrix(rows[0], rows[1:], noun="field")


def _separator(content: str) -> tuple[str, str]:
    """What separates the fields of a CSV text, and the text without Excel's line that says it (``sep=;``).

    It is the comma wherever the line of names has one: MLflow's scoring server reads no other. A line without a comma
    is taken apart by the mark that makes most names of it.
    """
    import csv
    import io

    head = content[:_HEAD].lstrip("\r\n")
    if head[:4].lower() == "sep=" and head[4:5] in ("," + _MARKS) and head[5:6] in ("\r", "\n"):
        return head[4], content[content.index(head[:5]) + 5 :]

    def names(mark: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=mark, strict=True), []))
        except csv.Error:
            return 0

    return (max(_MARKS, key=names) if names(",") < 2 and max(map(names, _MARKS)) > 1 else ","), content


def _lines(content: str):
    """A record, or a list of values, a line; a key that a line lacks is missing, as in training."""
    found = []
    for place, line in enumerate(line for line in content.split("\n") if line.strip()):
        try:
            found.append(loads(line.encode()))
        except RequestError as error:
            raise RequestError(f"row {place}: {error.message}") from None
    return listed(found, fill=True)


def _either(names) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
