"""Parse the body of a request, within limits: JSON here, other media types and compression in their own modules."""

import json
import math

from .errors import TOO_LARGE, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

JSON = "application/json"

BOM = "\ufeff"
_LONGEST_NUMBER = 400


class Limits:
    """The largest request that is answered.

    Parameters
    ----------
    body : maximum size of a body after decompression, in bytes.
    rows : maximum number of rows.
    memory : maximum memory that answering one request may take, in bytes, as ``costs`` estimates it; None for no limit.
    """

    __slots__ = ("body", "memory", "rows")

    def __init__(self, body: int = 16 * 1024 * 1024, rows: int = 100_000, memory: int | None = None) -> None:
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


def parsed(body: bytes, limits: Limits = LIMITS, parse: "Callable[[bytes], Any] | None" = None) -> "Any":
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
        return body.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8 (byte {error.start})") from None


def loads(body: bytes) -> "Any":
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


def _constant(name: str) -> "NoReturn":
    raise RequestError(f"the body is not JSON: numbers are finite, found {name}")


def _integer(digits: str) -> int | float:
    # Python takes quadratic time for long integers, and refuses the longest.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
