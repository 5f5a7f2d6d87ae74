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
# Separators beside the comma that spreadsheets write, and bytes of a body in which its line of names is found.
_MARKS = ";\t|"
_HEAD = 1 << 16
# Bytes that are unpacked at a time: what follows the end of a gzip member is copied.
_PIECE = 4096
# Bytes of what is unpacked for which memory is asked for at a time; from there on as many again.
_STEP = 256 * 1024


class Limits:
    """The largest request that is answered.

    Parameters
    ----------
    body : bytes of a request, once decompressed.
    rows : rows of one request.
    memory : bytes that answering one request may take, as ``costs`` estimates them; None for any number.
    """

    __slots__ = ("body", "memory", "rows")

    def __init__(self, body: int = 16 * 1024 * 1024, rows: int = 100_000, memory: int | None = None):
        self.body, self.rows, self.memory = body, rows, memory

    def claim(self, size: int) -> None:
        """Ask for memory before it is used.

        Raises
        ------
        RequestError
            with status 413, where a request may not have so much.
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
        return parsed(body, limits, parse)
    if kind == CSV:
        return _csv(body, limits)
    return _lines(body, limits, parse)


def parsed(body: bytes, limits: Limits = LIMITS, parse=None):
    """The value of a JSON text.

    Parameters
    ----------
    parse : as ``read`` takes it.

    Raises
    ------
    RequestError
        with status 400 or 413.
    """
    if limits.memory is not None:
        from . import costs  # a function that has no such limit starts without it

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


def _csv(body: bytes, limits: Limits) -> Matrix:
    """A table with a header; blank lines are no rows."""
    import csv
    import io

    mark, start = _separator(body)
    if limits.memory is not None:
        from . import costs

        limits.claim(costs.csv(body, limits.rows + 1, mark))
    # Decoded piece by piece: `io.StringIO` would take four bytes for every character.
    content = io.BytesIO(body)
    content.seek(start)
    rows: list[list[str]] = []
    try:
        lines = io.TextIOWrapper(content, encoding="utf-8", newline="")
        for row in csv.reader(lines, delimiter=mark, strict=True):
            if row:
                limits.check_rows(len(rows), more=True)  # the line of names is among them
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
    """What separates the fields of a CSV text, and where it begins, after a mark of UTF-8 and Excel's ``sep=;``.

    It is the comma wherever the line of names has one: MLflow's scoring server reads no other. A line without a comma
    is taken apart by the mark that makes most names of it.
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
    """A record, or a list of values, a line; a key that a line lacks is missing, as in training."""
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
