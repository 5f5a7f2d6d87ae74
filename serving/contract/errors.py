"""Why a request gets no answer: a status, a code and one sentence that holds none of the data."""

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
    message : what was expected, what was found; no data of the request, no path, no trace.
    status, code : of HTTP, and of MLflow's error codes where it has one.
    """

    def __init__(self, message: str, *, status: int = 400, code: str = MALFORMED):
        self.message, self.status, self.code = message, status, code
        super().__init__(message)

    def payload(self) -> dict:
        """What to answer, as JSON."""
        return {"error_code": self.code, "message": self.message}


def refusal(error: "InputError | Unsupported") -> RequestError:
    """A refusal of the scorecard as one of the request."""
    if isinstance(error, Unsupported):
        return RequestError(f"params: this model cannot answer that: {error}", code=INVALID)
    return RequestError(str(error), code=INVALID)


def internal() -> RequestError:
    """What is answered where the fault is ours; the log says more."""
    return RequestError("the request could not be answered; it may be tried again", status=500, code="INTERNAL_ERROR")
