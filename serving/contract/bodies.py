"""Parses the body of a request within limits: JSON, CSV or JSON lines, compressed or not."""

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
# Separators of CSV other than the comma, and the number of bytes in which the header line is searched.
_MARKS = ";\t|"
_HEAD = 1 << 16
# Bytes decompressed at a time: what follows the end of a gzip member is copied.
_PIECE = 4096
# Memory claimed at first while decompressing, in bytes; then it doubles.
_STEP = 256 * 1024


class Limits:
    """The largest request that is answered.

    Parameters
    ----------
    body : maximum size of a body after decompression, in bytes.
    rows : maximum number of rows.
    memory : maximum memory that answering one request may take, in bytes, as ``costs`` estimates it; None for no limit.
    """

    __slots__ = ("body", "memory", "rows")

    def __init__(self, body: int = 16 * 1024 * 1024, rows: int = 100_000, memory: int | None = None):
        self.body, self.rows, self.memory = body, rows, memory

    def claim(self, size: int) -> None:
        """Claim memory before it is used.

        Raises
        ------
        RequestError
            with status 413, if it exceeds the limit of a request.
        """
        if self.memory is not None and size > self.memory:
            raise RequestError(
                f"the request needs more than the {self.memory / 2**20:,.0f} MiB of memory that one may take; "
                "ask in several requests",
                status=413,
                code=TOO_LARGE,
            )

    def check_rows(self, count: int, *, more: bool = False) -> None:
        """Refuse too many rows.

        Parameters
        ----------
        more : whether there may be more rows than were counted.

        Raises
        ------
        RequestError
            with status 413.
        """
        if count > self.rows:
            raise RequestError(
                f"expected at most {self.rows:,} rows, found {'more' if more else f'{count:,}'}; "
                "ask in several requests",
                status=413,
                code=TOO_LARGE,
            )


LIMITS = Limits()


def read(body: bytes, content_type: str | None, *, encoding: str | None = None, limits=LIMITS, parse=None):
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
    kind = media_type(content_type)
    if encoding:
        body = decompressed(body, encoding, limits)
    if len(body) > limits.body:
        raise too_large(limits)
    if kind == JSON:
        return parsed(body, limits, parse)
    if kind == CSV:
        return _csv(body, limits)
    return _lines(body, limits, parse)


def parsed(body: bytes, limits: Limits = LIMITS, parse=None):
    """Parse JSON.

    Parameters
    ----------
    parse : as for ``read``.

    Raises
    ------
    RequestError
        with status 400 or 413.
    """
    if limits.memory is not None:
        from . import costs  # imported late: functions without such a limit start faster

        limits.claim(costs.json(body, limits.memory))
    if parse is not None:
        try:
            return parse(body)
        except (ValueError, RecursionError):
            pass
    if limits.memory is not None:
        limits.claim(costs.decoded(body))
    return loads(body)


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
    """Decompress a body, up to one byte more than the limit.

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
    claimed = 0
    try:
        while place < len(body) and left > 0:
            if reader is None or reader.eof:  # gzip members may follow one another
                reader = zlib.decompressobj(47 if name != "deflate" else zlib.MAX_WBITS)
            piece = body[place : place + _PIECE]
            part = reader.decompress(piece, left)
            parts.append(part)
            left -= len(part)
            place += len(piece) - len(reader.unused_data)
            unpacked = limits.body + 1 - left
            if unpacked > claimed:  # the parts, and what they are joined to
                step = min(max(_STEP, claimed), limits.body + 1 - claimed)
                limits.claim(2 * step)
                claimed += step
    except zlib.error:
        raise RequestError(f"Content-Encoding: the body is not {name}") from None
    if left <= 0:
        raise too_large(limits)
    if reader is not None and not reader.eof:
        raise RequestError(f"Content-Encoding: the body is {name} that is cut short")
    return b"".join(parts)


def too_large(limits: Limits) -> RequestError:
    """The error of a body that is too large."""
    return RequestError(
        f"the body is larger than {limits.body:,} bytes; ask in several requests", status=413, code=TOO_LARGE
    )


def text(body: bytes) -> str:
    """Decode a body.

    Raises
    ------
    RequestError
        if it is not UTF-8.
    """
    try:
        return body.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8 (byte {error.start})") from None


def loads(body: bytes):
    """Parse JSON. Numbers too large for float64 become infinite, which columns refuse.

    Raises
    ------
    RequestError
        if it is not JSON (NaN and Infinity are not), or nests too deeply.
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
    # Python takes quadratic time for long integers, and refuses the longest.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def _csv(body: bytes, limits: Limits) -> Matrix:
    """Parse a table with a header; blank lines are skipped."""
    import csv
    import io

    mark, start = _separator(body)
    if limits.memory is not None:
        from . import costs

        limits.claim(costs.csv(body, limits.rows + 1, mark))
    # Decoded in pieces: `io.StringIO` would take four bytes for every character.
    content = io.BytesIO(body)
    content.seek(start)
    rows: list[list[str]] = []
    try:
        lines = io.TextIOWrapper(content, encoding="utf-8", newline="")
        for row in csv.reader(lines, delimiter=mark, strict=True):
            if row:
                limits.check_rows(len(rows), more=True)  # the header is one of them
                rows.append(row)
    except csv.Error as error:
        raise RequestError(f"the body is not CSV: {error}") from None
    except UnicodeDecodeError:
        text(body)  # names the byte
        raise
    if not rows:
        raise RequestError("the body is empty: expected CSV with a header")
    if len(rows) == 1:
        raise RequestError("expected at least one row after the line of names, found that line alone")
    names = rows.pop(0)
    return Matrix(names, rows, noun="field")


def _separator(body: bytes) -> tuple[str, int]:
    """The separator of a CSV text, and where the text starts after a byte order mark and Excel's ``sep=;``.

    If the header contains a comma, that is the separator, as in MLflow's scoring server. Otherwise it is the one that
    gives the most columns.
    """
    import csv
    import io

    start = len(_BOM.encode()) if body.startswith(_BOM.encode()) else 0
    head = body[start : start + _HEAD].decode(errors="ignore").lstrip("\r\n")
    if head[:4].lower() == "sep=" and head[4:5] in ("," + _MARKS) and head[5:6] in ("\r", "\n"):
        return head[4], body.index(head[:5].encode()) + 5

    def names(mark: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=mark, strict=True), []))
        except csv.Error:
            return 0

    return (max(_MARKS, key=names) if names(",") < 2 and max(map(names, _MARKS)) > 1 else ","), start


def _lines(body: bytes, limits: Limits, parse):
    """Parse a record or a list of values on each line; a key that a line lacks is missing, as in training."""
    import io

    if limits.memory is not None:
        from . import costs

        limits.claim(costs.lines(body, limits.memory))
    found: list = []
    for line in io.BytesIO(body):
        if not line.strip():
            continue
        limits.check_rows(len(found) + 1, more=True)
        if parse is not None:
            try:
                found.append(parse(line))
                continue
            except (ValueError, RecursionError):
                pass
        try:
            found.append(loads(line))
        except RequestError as error:
            raise RequestError(f"row {len(found)}: {error.message}") from None
    return listed(found, fill=True)


def _either(names) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
