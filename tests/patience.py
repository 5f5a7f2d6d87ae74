"""How long a test waits for what comes soon: an upper bound for slow and busy machines, never a measurement."""

#: How much slower than a quiet machine of today another may be, with other tests beside.
_SLOWER = 5.0


def soon(seconds: float) -> float:
    """Seconds within which something has happened even on a slow machine, if it takes these on a quiet one."""
    return seconds * _SLOWER
