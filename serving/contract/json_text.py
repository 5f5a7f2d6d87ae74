"""Parse JSON, within limits."""

import json
import math

from .errors import RequestError
from .limits import LIMITS, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

JSON = "application/json"

BOM = "\ufeff"
_LONGEST_NUMBER = 400


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
