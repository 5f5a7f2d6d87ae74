"""Documents that are equal but for rounding."""

import math
from collections.abc import Mapping
from typing import Any

#: How far two numbers may be apart, absolutely and relatively.
TOLERANCE = 1e-10


def alike(one: Any, other: Any, where: str = "", *, apart: Mapping[str, float] | None = None) -> None:
    """Assert that two documents are equal, their numbers to ``TOLERANCE``.

    Parameters
    ----------
    apart : the beginning of a place (``.model.scores``) -> how far its numbers may be apart.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            alike(one[name], other[name], f"{where}.{name}", apart=apart)
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            alike(*pair, f"{where}[{place}]", apart=apart)
    elif isinstance(one, float) or isinstance(other, float):
        allowed = next((most for begin, most in (apart or {}).items() if where.startswith(begin)), TOLERANCE)
        assert math.isclose(one, other, rel_tol=allowed, abs_tol=allowed), (where, one, other)
    else:
        assert one == other, (where, one, other)
