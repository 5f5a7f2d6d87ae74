"""The pipelines' error, and how its one line names columns and causes."""

from collections.abc import Iterable

# A name longer than this is cut in a message.
_LONGEST = 80


class PipelineError(Exception):
    """Anything a pipeline refuses or cannot do; a command prints it on one line and exits with 2."""


def listed(names: Iterable, most: int = 8) -> str:
    """Names for a message: quoted, the first few, long ones cut."""
    quoted = [one_line(repr(name), _LONGEST) for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is close."""
    import difflib

    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def one_line(error: object, most: int = 300) -> str:
    """What a library said, on one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else text[: most - 1] + "…"
