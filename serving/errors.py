"""Errors of the serving package, each one line for a person: what was expected, what was found, what to do."""

from .scorecard.errors import ScorecardError, Unsupported
from .scorecard.inputs import InputError


class ServingError(Exception):
    """Something that serving cannot do as asked; without secrets, as the registry's errors are."""

    def __init__(self, *args: object):
        # Late: a worker imports nothing of the registry before something fails.
        from registry.redaction import explained

        super().__init__(*(explained(one) if isinstance(one, str) else one for one in args))


#: What a command of this package shows on one line, without a trace.
EXPECTED = (ServingError, ScorecardError, InputError)

__all__ = ["EXPECTED", "InputError", "ScorecardError", "ServingError", "Unsupported"]
