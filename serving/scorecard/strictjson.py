"""JSON for scorecards: a strict reader, a canonical form to take a digest of, and a writer for people.

The ``json`` package imports ``re``, which takes longer than reading a scorecard and answering with it, so the reader
drives the same C scanner directly where there is one. Whatever that scanner lets through beyond JSON is refused here.
"""

import math

from .errors import ScorecardError

try:
    from _json import encode_basestring, encode_basestring_ascii, make_scanner
except ImportError:  # an interpreter without the C accelerator
    from json.encoder import encode_basestring, encode_basestring_ascii

    make_scanner = None  # type: ignore[assignment, misc]

#: A number longer than this is no parameter of a model, and Python itself would take quadratic time to read it.
LONGEST_NUMBER = 400
DEEPEST = 32
_BLANK = " \t\n\r"


class _Strict:
    """What the scanner asks for: each hook refuses what a scorecard may not hold."""

    strict = True
    object_hook = None

    @staticmethod
    def object_pairs_hook(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            seen = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise ScorecardError(f"the key {twice!r} is there twice in one object")
        return found

    @staticmethod
    def parse_float(text):
        value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
        if math.isinf(value):
            raise ScorecardError("a number in the document is too large for float64")
        return value

    @staticmethod
    def parse_int(text):
        if len(text) > LONGEST_NUMBER:
            raise ScorecardError("a number in the document is too large")
        value = int(text)
        if abs(value) > 2**63:
            raise ScorecardError("a whole number in the document does not fit into 64 bits")
        return value

    @staticmethod
    def parse_constant(text):
        raise ScorecardError(f"numbers are finite, found {text}")


def _scanner():
    if make_scanner is not None:
        return make_scanner(_Strict)  # type: ignore[arg-type]
    from json.decoder import JSONDecoder

    hooks = ("object_pairs_hook", "parse_float", "parse_int", "parse_constant")
    return JSONDecoder(**{name: getattr(_Strict, name) for name in hooks}).scan_once  # type: ignore[attr-defined]


_scan = _scanner()


def loads(text: str):
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


def canonical(value) -> str:
    """The one shortest text of a value: sorted keys, no white space, ASCII, floats as ``repr`` writes them."""
    parts: list[str] = []
    _canonical(value, parts.append, DEEPEST)
    return "".join(parts)


def _canonical(value, put, depth) -> None:
    if depth < 0:
        raise ScorecardError("the document nests too deeply")
    kind = type(value)
    if kind is str:
        put(encode_basestring_ascii(value))
    elif kind is float or kind is int:
        put(repr(value))
    elif value is None:
        put("null")
    elif kind is bool:
        put("true" if value else "false")
    elif kind is list:
        if value and all(type(item) is float for item in value):
            put("[" + ",".join(map(repr, value)) + "]")
            return
        separator = "["
        for item in value:
            put(separator)
            _canonical(item, put, depth - 1)
            separator = ","
        put("]" if value else "[]")
    elif kind is dict:
        separator = "{"
        for key in sorted(value):
            put(separator)
            put(encode_basestring_ascii(key) + ":")
            _canonical(value[key], put, depth - 1)
            separator = ","
        put("}" if value else "{}")
    else:
        raise ScorecardError(f"a document holds no {kind.__name__}")


def digest(value) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of the canonical text."""
    return "sha256:" + _sha256(canonical(value).encode("ascii")).hexdigest()


def _sha256(data: bytes):
    # hashlib loads OpenSSL, 3 ms; the module it falls back to is built in, under a name that depends on the version.
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256
    return sha256(data)


def dumps(value, width: int = 120) -> str:
    """The text for people: indented by two, and whatever fits on a line of ``width`` on one line."""
    return _pretty(value, "", width) + "\n"


def _pretty(value, indent: str, width: int) -> str:
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


def _line(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{encode_basestring(key)}: {_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    if isinstance(value, str):
        # A lone surrogate cannot be written as UTF-8; escaped, it can.
        return encode_basestring(value) if value.isprintable() else encode_basestring_ascii(value)
    return canonical(value)
