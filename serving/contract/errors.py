"""Errors of requests: a status, a code and one sentence without request data."""

from ..scorecard.errors import Unsupported
from ..scorecard.inputs import InputError

MALFORMED = "BAD_REQUEST"
INVALID = "INVALID_PARAMETER_VALUE"
TOO_LARGE = "RESOURCE_LIMIT_EXCEEDED"
UNREADABLE = "UNSUPPORTED_MEDIA_TYPE"


class RequestError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    message : what was expected and what was found; no request data, path or stack trace.
    status, code : HTTP status, and error code (one of MLflow's if it has one).
    """

    def __init__(self, message: str, *, status: int = 400, code: str = MALFORMED):
        self.message, self.status, self.code = message, status, code
        super().__init__(message)

    def payload(self) -> dict:
        """The JSON to answer."""
        return {"error_code": self.code, "message": self.message}


def refusal(error: "InputError | Unsupported") -> RequestError:
    """Convert an error of the scorecard to one of the request."""
    if isinstance(error, Unsupported):
        return RequestError(f"params: this model cannot answer that: {error}", code=INVALID)
    return RequestError(str(error), code=INVALID)


def internal() -> RequestError:
    """The answer to an error of the server, whose details are in the log."""
    return RequestError("the request could not be answered; it may be tried again", status=500, code="INTERNAL_ERROR")
