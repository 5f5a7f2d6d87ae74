"""Some of many rows, evenly spread over all of them."""

import copy


class Spread:
    """Every so many-th of rows that come in parts: evenly spread over all of them.

    Parameters
    ----------
    rows : how many there will be.
    most : how many are chosen of more.

    Attributes
    ----------
    count : how many will be chosen.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._step = max(-(-rows // most), 1)
        self.count = -(-rows // self._step)
        self._seen = 0

    def begun(self, seen: int) -> "Spread":
        """The same choice, of rows that begin behind so many."""
        other = copy.copy(self)
        other._seen = seen
        return other

    def next(self, rows: int) -> slice:
        """Those of the next rows, a part of so many."""
        chosen = slice(-self._seen % self._step, None, self._step)
        self._seen += rows
        return chosen
