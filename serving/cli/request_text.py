"""Reads a request from a command line, a file, or standard input."""

import sys
from pathlib import Path

from serving.errors import ServingError


def text(value: str, option: str) -> str:
    """The text of an option: the value itself, the content of ``@FILE``, or standard input for ``-``.

    Raises
    ------
    ServingError
        if the file cannot be read.
    """
    if value == "-":
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ServingError(f"{option}: {value[1:]} cannot be read: {reason}") from None
