"""Errors of the serving package, each one line for a person: what was expected, what was found, what to do."""

from .scorecard.errors import ScorecardError, Unsupported
from .scorecard.inputs import InputError


class ServingError(Exception):
    """Something that serving cannot do as asked."""


#: What a command of this package shows on one line, without a trace.
EXPECTED = (ServingError, ScorecardError, InputError)

__all__ = ["EXPECTED", "InputError", "ScorecardError", "ServingError", "Unsupported"]
