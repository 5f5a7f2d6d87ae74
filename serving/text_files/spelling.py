"""Delimiters and encodings as people write them."""

import codecs
from typing import Protocol

#: A separator that stands for any run of blanks and tabs.
BLANKS = " "
# What people write for the two separators that are hard to type, pandas' own spelling among them.
_SPELT = {"\\t": "\t", "tab": "\t", "\\s+": BLANKS, "\\s": BLANKS, "blanks": BLANKS, "whitespace": BLANKS}
# What can stand in a value without quotation marks around it, or ends a line.
_NO_SEPARATOR = frozenset("\"'\r\n\0.+-")


class Spelled(Protocol):
    """Options of a text file: a separator and an encoding, None where they are found out."""

    @property
    def sep(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...


def settle(options: Spelled) -> None:
    """Spell the separator and the encoding of options, which may be frozen, as Python does.

    Raises
    ------
    ValueError
        if one of them is none.
    """
    if options.sep is not None:
        object.__setattr__(options, "sep", separator(options.sep))
    if options.encoding is not None:
        object.__setattr__(options, "encoding", encoding(options.encoding))


def separator(given: str) -> str:
    """The delimiter that a user means: one character, or ``BLANKS``.

    Raises
    ------
    ValueError
        if it is none.
    """
    sep = _SPELT.get(given.lower(), given)
    if len(sep) != 1 or sep in _NO_SEPARATOR or sep.isalnum():
        raise ValueError(
            rf"--sep: expected one character such as ';' or '|', \t for a tab, or \s+ for blanks, found {given!r}"
        )
    return sep


def encoding(given: str) -> str:
    """Python's own name of an encoding.

    Raises
    ------
    ValueError
        if Python knows none of that name, or it is none of text.
    """
    try:
        codec = codecs.lookup(given)
        "".encode(given)  # refused where it is no encoding of text, as rot13 is none
    except (LookupError, ValueError, UnicodeError):
        raise ValueError(
            f"--encoding: expected one that Python knows, such as utf-8, cp1252, found {given!r}"
        ) from None
    return codec.name
