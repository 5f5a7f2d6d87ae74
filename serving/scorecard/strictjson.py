"""JSON for scorecards: a strict reader, a canonical form to take a digest of, and a writer for people.

The ``json`` package imports ``re``, which takes longer than reading a scorecard and answering with it, so the reader
drives the same C scanner directly where there is one. Whatever that scanner lets through beyond JSON is refused here.
"""

import math
import sys

from .errors import ScorecardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner
except ImportError:  # an interpreter without the C accelerator
    from json.encoder import encode_basestring, encode_basestring_ascii

    make_encoder = make_scanner = None  # type: ignore[assignment, misc]

#: A number longer than this is no parameter of a model, and Python itself would take quadratic time to read it.
LONGEST_NUMBER = 400
_BLANK = " \t\n\r"


class _Strict:
    """What the scanner asks for: each hook refuses what a scorecard may not hold."""

    strict = True
    object_hook = None

    @staticmethod
    def object_pairs_hook(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise ScorecardError(f"the key {key!r} is there twice in one object")
                seen.add(key)
        return found

    @staticmethod
    def parse_float(text: str) -> float:
        value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
        if math.isinf(value):
            raise ScorecardError("a number in the document is too large for float64")
        return value

    @staticmethod
    def parse_int(text: str) -> int:
        if len(text) > LONGEST_NUMBER:
            raise ScorecardError("a number in the document is too large")
        value = int(text)
        if abs(value) > 2**63:
            raise ScorecardError("a whole number in the document does not fit into 64 bits")
        return value

    @staticmethod
    def parse_constant(text: str) -> "NoReturn":
        raise ScorecardError(f"numbers are finite, found {text}")


def _scanner() -> "Callable[[str, int], tuple[Any, int]]":
    if make_scanner is not None:
        return make_scanner(_Strict)  # type: ignore[arg-type]
    from json.decoder import JSONDecoder

    hooks = ("object_pairs_hook", "parse_float", "parse_int", "parse_constant")
    return JSONDecoder(**{name: getattr(_Strict, name) for name in hooks}).scan_once  # type: ignore[attr-defined]


_scan = _scanner()


def loads(text: str) -> "Any":
    """What a JSON text says.

    Raises
    ------
    ScorecardError
        where it is not JSON, nests deeper than a scorecard can, repeats a key, or holds a number that is not finite
        or does not fit.
    """
    if not isinstance(text, str):
        raise ScorecardError(f"a document is text, found {type(text).__name__}")
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise ScorecardError(f"the document is not JSON: a value is missing after {start} characters") from None
    except RecursionError:
        raise ScorecardError("the document nests too deeply") from None
    except ScorecardError:
        raise
    except ValueError as error:  # json.JSONDecodeError, which the scanner imports itself
        raise ScorecardError(f"the document is not JSON: {error}") from None
    if text[end:].strip(_BLANK):
        raise ScorecardError(f"the document goes on after its end at {end} characters")
    return value


def canonical(value: object) -> str:
    """The one shortest text of a value: sorted keys, no white space, ASCII, floats as ``repr`` writes them.

    Raises
    ------
    ScorecardError
        where JSON does not hold it: a number that is not finite, say.
    """
    try:
        return "".join(_pieces(value, 0))
    except RecursionError:
        raise ScorecardError("the document nests too deeply") from None
    except (TypeError, ValueError) as error:
        raise ScorecardError(f"a document holds no such value: {error}") from None


def _encoder() -> "Callable[[object, int], Iterable[str]]":
    """The function from a value, and 0, to pieces of its canonical text."""
    if make_encoder is not None:
        return make_encoder(None, _unknown, encode_basestring_ascii, None, ":", ",", True, False, False)
    from json.encoder import JSONEncoder

    encoder = JSONEncoder(allow_nan=False, sort_keys=True, separators=(",", ":"), default=_unknown)
    return lambda value, level: encoder.encode(value)


def _unknown(value: object) -> "NoReturn":
    raise TypeError(f"JSON has no {type(value).__name__}")


_pieces = _encoder()


def digest(value: object) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of the canonical text."""
    return "sha256:" + _sha256(canonical(value).encode("ascii")).hexdigest()


def _sha256(data: bytes) -> "Any":
    # hashlib loads OpenSSL, 3 ms; the module it falls back to is built in, under a name that depends on the version.
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256
    except ImportError:
        from hashlib import sha256
    return sha256(data)


def dumps(value: object, width: int = 120) -> str:
    """The text for people: indented by two, and whatever fits on a line of ``width`` on one line."""
    return _pretty(value, "", width) + "\n"


def _pretty(value: "Any", indent: str, width: int) -> str:
    line = _line(value)
    if not isinstance(value, (dict, list)) or not value or len(indent) + len(line) < width:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        items = [f"{inner}{encode_basestring(key)}: {_pretty(value[key], inner, width)}" for key in value]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if all(not isinstance(item, (dict, list)) for item in value):
        return "[\n" + _filled([_line(item) for item in value], inner, width) + f"\n{indent}]"
    return "[\n" + ",\n".join(inner + _pretty(item, inner, width) for item in value) + f"\n{indent}]"


def _filled(items: list[str], indent: str, width: int) -> str:
    lines, current = [], indent
    for place, item in enumerate(items):
        piece = item + ("," if place < len(items) - 1 else "")
        if current != indent and len(current) + len(piece) + 1 > width:
            lines.append(current)
            current = indent
        current += piece if current == indent else " " + piece
    return "\n".join([*lines, current])


def _line(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{encode_basestring(key)}: {_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    if isinstance(value, str):
        # A lone surrogate cannot be written as UTF-8; escaped, it can.
        return encode_basestring(value) if value.isprintable() else encode_basestring_ascii(value)
    return canonical(value)
