"""How a delimited file is written, as far as its user says so; the rest is found out."""

import codecs
from dataclasses import dataclass, fields

from pipelines.errors import PipelineError
from serving.scorecard.inputs import DECIMALS, THOUSANDS

#: Options that mean something for text in any table, also in one whose columns have types.
OF_NUMBERS = ("decimal", "thousands")

#: A separator that stands for any run of blanks and tabs.
BLANKS = " "
# What people write for the two separators that are hard to type, pandas' own spelling among them.
_SPELT = {"\\t": "\t", "tab": "\t", "\\s+": BLANKS, "\\s": BLANKS, "blanks": BLANKS, "whitespace": BLANKS}
# What can stand in a value without quotation marks around it, or ends a line.
_NO_SEPARATOR = frozenset("\"'\r\n\0.+-")


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading, named as those of ``pandas.read_csv``; None is found out.

    Parameters
    ----------
    sep : one character between two values; ``BLANKS`` for runs of blanks and tabs.
    decimal, thousands : the marks in numbers, of ``inputs.DECIMALS`` and ``inputs.THOUSANDS``.
    encoding : the name of a text encoding that Python knows.
    header : whether the first line names the columns.

    Raises
    ------
    PipelineError
        where a value is none that the option takes.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        if self.sep is not None:
            object.__setattr__(self, "sep", _separator(self.sep))
        if self.decimal is not None and self.decimal not in DECIMALS:
            raise PipelineError(f"--decimal: expected '.' or ',', found {self.decimal!r}")
        if self.thousands is not None and self.thousands not in THOUSANDS:
            known = ", ".join(repr(mark) for mark in THOUSANDS[1:])
            raise PipelineError(f"--thousands: expected one of {known}, found {self.thousands!r}")
        if self.decimal is not None and self.decimal == self.thousands:
            raise PipelineError(
                f"--decimal and --thousands: expected two different marks, found {self.decimal!r} twice"
            )
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))

    def refuse_for(self, what: str, *, allowed: tuple[str, ...] = ()) -> None:
        """Raise PipelineError where an option is given that means nothing for such a table."""
        for option in fields(self):
            if getattr(self, option.name) is not None and option.name not in allowed:
                raise PipelineError(f"--{option.name} goes with delimited text, found {what}; leave it out")


#: Nothing is said: all is found out.
FIND = ReadOptions()


def _separator(given: str) -> str:
    sep = _SPELT.get(given.lower(), given)
    if len(sep) != 1 or sep in _NO_SEPARATOR or sep.isalnum():
        raise PipelineError(
            rf"--sep: expected one character such as ';' or '|', \t for a tab, or \s+ for blanks, found {given!r}"
        )
    return sep


def _encoding(given: str) -> str:
    try:
        codec = codecs.lookup(given)
        "".encode(given)  # refused where it is no encoding of text, as rot13 is none
    except (LookupError, ValueError, UnicodeError):
        raise PipelineError(
            f"--encoding: expected one that Python knows, such as utf-8, cp1252, found {given!r}"
        ) from None
    return codec.name
