"""Failures that repeat, told once; the standard library alone, as workers of the model server use it, too."""

from collections.abc import Callable


class Troubles:
    """Tells a repeated failure once, and its end.

    Parameters
    ----------
    tell : gets the line of a failure, ``logger.warning`` for example.
    tell_end : gets the line of its end; ``tell`` by default.
    """

    def __init__(self, tell: Callable[[str], object], tell_end: Callable[[str], object] | None = None):
        self._tell, self._tell_end = tell, tell_end or tell
        self._told: dict[str, str] = {}

    def has(self, what: str, text: str, *, after: str = "") -> None:
        """Report that ``what`` fails with this text, followed by ``after``: what happens now."""
        if self._told.get(what) != text:
            self._tell(text + after)
        self._told[what] = text

    def over(self, what: str, text: str) -> None:
        """Report that ``what`` works; the text is told if it failed before."""
        if self._told.pop(what, None) is not None:
            self._tell_end(text)
