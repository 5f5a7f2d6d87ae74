"""What boto3 raises, as errors of one line with what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from registry.cli.text import one_line

from .errors import (
    ABORTED,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_CONFLICT,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
    DeploymentError,
)

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_CREDENTIALS = (
    *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch"),
    *("ExpiredToken", "ExpiredTokenException", "MissingAuthenticationToken", "IncompleteSignature"),
)
#: Codes for what does not exist.
ABSENT = ("ResourceNotFoundException", "NoSuchEntity", "ProvisionedConcurrencyConfigNotFoundException")


class CallRefused(DeploymentError):
    """The cloud refused a call.

    Parameters
    ----------
    code : the cloud's, such as ``ResourceNotFoundException``.
    said : its own words.
    status : of HTTP.
    """

    def __init__(self, message: str, error_code: int, *, code: str, said: str, status: int):
        super().__init__(message, error_code)
        self.code, self.said, self.status = code, said, status

    @property
    def there(self) -> bool:
        """Whether what was to be made is there already, or is being changed."""
        return self.status == 409


class Unreached(DeploymentError):
    """Nobody answered a call."""


def under_way(error: CallRefused) -> bool:
    """Whether a call was refused because another change of the function is not finished."""
    return error.there and re.search("in progress|at this time", error.said) is not None


@contextmanager
def aws_errors(service: str, operation: str, region: str) -> Iterator[None]:
    """Turn what boto3 raises inside the block into a DeploymentError of one line."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _refused(error, f"{service} {operation}") from None
    except BotoCoreError as error:
        raise _unreached(error, f"{service} {operation}", region) from None
    except ResponseParserError:
        raise DeploymentError(
            f"what answered {service} {operation} in {region} is not AWS; look at AWS_ENDPOINT_URL and at proxies"
        ) from None


def _refused(error: Any, call: str) -> CallRefused:
    answer = error.response
    code, said = answer["Error"].get("Code", ""), one_line(answer["Error"].get("Message") or error)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    tries = answer.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
    if code in _DENIED:
        kind, advice = PERMISSION_DENIED, "give the user or role of these credentials that right"
    elif code in _CREDENTIALS:
        kind, advice = PERMISSION_DENIED, "the AWS credentials are wrong or have expired: correct them"
    elif code in ABSENT:
        kind, advice = RESOURCE_DOES_NOT_EXIST, ""
    elif code == "PreconditionFailedException":
        kind, advice = ABORTED, "somebody else changed it at the same moment: run the command again"
    elif status == 409 or code == "ResourceAlreadyExistsException":
        kind, advice = RESOURCE_CONFLICT, ""
    elif status == 429 or "Throttl" in code or "TooManyRequests" in code:
        kind, advice = TEMPORARILY_UNAVAILABLE, f"throttled in {tries} tries: run the command again later"
    elif status >= 500:
        kind, advice = TEMPORARILY_UNAVAILABLE, f"failed in {tries} tries: run the command again later"
    elif status and status < 500:
        kind, advice = INVALID_PARAMETER_VALUE, ""
    else:
        kind, advice = INTERNAL_ERROR, ""
    text = f"AWS refused {call} ({code or status}): {said}" + (f"; {advice}" if advice else "")
    return CallRefused(text, kind, code=code, said=said, status=status)


def _unreached(error: Any, call: str, region: str) -> DeploymentError:
    from botocore.exceptions import (
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
        ParamValidationError,
        ProfileNotFound,
    )

    said = one_line(error)
    if isinstance(error, (ProfileNotFound, NoCredentialsError)):
        return DeploymentError(f"{said}; correct AWS_PROFILE, or set AWS_ACCESS_KEY_ID", PERMISSION_DENIED)
    if isinstance(error, (HTTPClientError, ConnectionError)):
        return Unreached(f"AWS is not reached for {call} in {region}: {said}; run the command again", ABORTED)
    if isinstance(error, ParamValidationError):
        return DeploymentError(f"{call}: {said}", INVALID_PARAMETER_VALUE)
    return DeploymentError(f"{call} failed: {said}")


def unready(error: Any, waiter: str, what: str) -> DeploymentError:
    """The error for a waiter of boto3 that gave up."""
    from botocore.exceptions import ClientError

    last = error.last_response or {}
    if last.get("Error"):
        return _refused(ClientError(last, waiter), f"lambda {waiter}")
    state = last.get("Configuration", last)
    for name in ("LastUpdateStatus", "State"):
        if state.get(name) == "Failed":
            reason = state.get(f"{name}Reason") or state.get(f"{name}ReasonCode") or "no reason is given"
            return DeploymentError(f"{what} failed: {one_line(reason)}", INVALID_PARAMETER_VALUE)
    return DeploymentError(
        f"{what} is not ready yet ({one_line(error)}); run the command again", TEMPORARILY_UNAVAILABLE
    )
