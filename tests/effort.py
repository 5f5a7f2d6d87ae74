"""How much a test that repeats itself repeats: all of it in a thorough run, a part of it in the everyday one."""

import os
import random
from collections.abc import Sequence

#: Whether this run is a thorough one: `make test THOROUGH=yes`.
THOROUGH = os.environ.get("THOROUGH", "") not in ("", "no")

#: The part of a thorough run that the everyday one does, and how many it does at least.
_SHARE, _LEAST = 0.15, 10


def times(whole: int) -> int:
    """How many of so many repetitions (examples, races) this run does."""
    return whole if THOROUGH else min(whole, max(_LEAST, int(whole * _SHARE)))


def some(places: Sequence[int]) -> list[int]:
    """Which of the places that a law speaks of this run looks at: others every day, the first and the last always."""
    if THOROUGH or len(places) <= 2:
        return list(places)
    between = random.SystemRandom().sample(places[1:-1], int((len(places) - 2) * _SHARE))
    return sorted({places[0], *between, places[-1]})
