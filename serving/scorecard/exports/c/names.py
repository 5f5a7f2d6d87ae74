"""Identifiers and literals of C for any text: nothing in a name or a category can become code."""

import string
import unicodedata
from collections.abc import Iterable

from ...errors import Unsupported

_LETTERS = frozenset(string.ascii_letters + string.digits)
#: A name of more letters says no more, and old linkers look at no more.
_LONGEST = 40
#: ISO C promises literals of this many characters.
_LONGEST_LITERAL = 4000
#: What macros of C's own headers begin with: no model of such a name may give INT_MAX or M_PI another meaning.
_OF_HEADERS = frozenset(
    (
        *("m", "e", "l", "p", "fp", "hi", "math", "huge", "rand", "exit", "clocks", "time", "tmp", "lc", "sig", "seek"),
        *("flt", "dbl", "ldbl", "char", "schar", "uchar", "shrt", "ushrt", "int", "uint", "long", "ulong", "llong"),
        *("ullong", "size", "ssize", "ptrdiff", "intmax", "uintmax", "intptr", "uintptr", "wchar", "wint", "atomic"),
    )
)


def plain(text: str) -> str:
    """The letters, digits and underscores that are left of a text; accents go, everything else becomes ``_``."""
    decomposed = unicodedata.normalize("NFKD", text).replace("\u00df", "ss")
    letters = "".join(c if c in _LETTERS else "" if unicodedata.combining(c) else " " for c in decomposed)
    return "_".join(letters.split())[:_LONGEST].strip("_")


def prefix(model: str) -> str:
    """What the names of a model's functions begin with; ``model`` where its own name has no letter."""
    name = plain(model).lower() or "model"
    if name[0].isdigit() or name in _OF_HEADERS or name.split("_")[0] in _OF_HEADERS:
        name = "model_" + name
    return name


class Identifiers:
    """Identifiers that are all different, each made of a text."""

    def __init__(self, before: str, taken: Iterable[str] = ()) -> None:
        self.before, self.taken = before, set(taken)

    def new(self, text: str) -> str:
        """An identifier for a text: ``before`` and what is left of it, in capitals, numbered where it is taken."""
        base = self.before + (plain(text).upper() or "COLUMN")
        name, number = base, 1
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name


def text(value: str) -> str:
    """A string literal of the UTF-8 of a text: ASCII, in octal escapes, which end after three digits."""
    return '"' + "".join(map(_escaped, encoded(value))).replace("??", "?\\?") + '"'


def encoded(value: str) -> bytes:
    """The UTF-8 of a text; a lone half of a pair, which has none, as if it had."""
    return value.encode("utf-8", "surrogatepass")


def is_long(value: str) -> bool:
    """Whether a text is too long for a literal."""
    return len(encoded(value)) > _LONGEST_LITERAL


def array(value: str) -> str:
    """The same as the initializer of an array of characters, which may be of any length."""
    return "{" + ", ".join([str(byte if byte < 128 else byte - 256) for byte in encoded(value)] + ["0"]) + "}"


def number(value: float) -> str:
    """A literal of the very double."""
    if value - value != 0.0:
        return "NAN" if value != value else "INFINITY" if value > 0 else "-INFINITY"
    return repr(float(value))


def whole(value: int) -> str:
    """A literal of a 64-bit integer.

    Raises
    ------
    Unsupported
        where it has more bits.
    """
    if not -(2**63) <= value < 2**63:
        raise Unsupported("decision", "classes", "a label is a whole number of more than 64 bits, which C has not got")
    return f"{value}LL" if value > -(2**63) else f"(-{2**63 - 1}LL - 1)"


def _escaped(byte: int) -> str:
    if chr(byte) in '"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else "\\n" if byte == 10 else f"\\{byte:03o}"
