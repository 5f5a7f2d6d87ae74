"""Answers that are kept for a while, the newest ones."""

from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic
from typing import Any


class AnswerCache:
    """A bounded cache whose entries expire.

    Parameters
    ----------
    most : maximum number of answers.
    seconds : for how long each is kept.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Any:
        """The answer that is kept for a key; None if there is none, or it has expired."""
        found = self._kept.get(key)
        return found[1] if found is not None and found[0] > monotonic() else None

    def keep(self, key: Hashable, answer: object) -> None:
        """Keep an answer; beyond the maximum the oldest goes."""
        self._kept[key] = (monotonic() + self._seconds, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
