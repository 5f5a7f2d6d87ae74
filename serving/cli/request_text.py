"""A request that a command is given: as it stands, in a file, or on standard input."""

import sys
from pathlib import Path

from serving.errors import ServingError


def text(value: str, option: str) -> str:
    """The text that an option's value means: ``@FILE`` is what is in the file, ``-`` what comes on standard input.

    Raises
    ------
    ServingError
        where the file cannot be read.
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
