"""Parse the body of a request, within limits: JSON here, other media types and compression in their own modules."""

import json
import math

from .errors import TOO_LARGE, RequestError

JSON = "application/json"

BOM = "\ufeff"
_LONGEST_NUMBER = 400


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
        from . import costs

        limits.claim(costs.json(body, limits.memory))
    if parse is not None:
        try:
            return parse(body)
        except (ValueError, RecursionError):
            pass
    if limits.memory is not None:
        limits.claim(costs.decoded(body))
    return loads(body)


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
        return body.decode("utf-8").removeprefix(BOM)
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
