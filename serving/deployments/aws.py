"""The edge to AWS: every call goes through here, is tried again where that can help, and fails in one line."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from registry.cli.text import closest, one_line

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

#: Tries of a call that is throttled, or whose connection is lost or answered with 5xx: botocore's, with its backoff.
TRIES = 6
#: How long a change that is under way, or a role that is not known everywhere yet, is waited for; in seconds.
PATIENCE = 120.0
#: How long AWS is tried that is not reached, or fails; in seconds.
AWAY = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_CREDENTIALS = (
    *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch"),
    *("ExpiredToken", "ExpiredTokenException", "MissingAuthenticationToken", "IncompleteSignature"),
)


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


#: Told of every call before it is made; a test's may raise, as if the process had died.
Observer = Callable[[str], None]


def unobserved(call: str) -> None:
    """The observer that watches nothing."""


@dataclass
class Cloud:
    """One region of AWS, as one set of credentials sees it.

    Parameters
    ----------
    session : of boto3; its clients are made when they are first needed.
    observe : told of each call, ``lambda.CreateFunction``, before it is made.
    clock, sleep : seconds since 1970, and to wait; a test may have its own.
    """

    region: str
    session: Any
    observe: Observer = unobserved
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """The client of a service."""
        from botocore.config import Config

        if service not in self._clients:
            # Explicit, for AWS_MAX_ATTEMPTS may be set for the artifact store's sake.
            retries = {"mode": "standard", "total_max_attempts": TRIES}
            config = Config(retries=retries, connect_timeout=5, read_timeout=65, user_agent_extra="model-lifecycle")
            self._clients[service] = self.session.client(service, region_name=self.region, config=config)
        return self._clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make a call.

        Parameters
        ----------
        operation : as boto3 names it, ``create_function``.

        Raises
        ------
        CallRefused
            if the cloud refuses.
        DeploymentError
            if it is not reached, or has nothing to go by.
        """
        return self._trying(service, operation, lambda client: getattr(client, operation)(**parameters))

    def pages(self, service: str, operation: str, result: str, **parameters: Any) -> list[Any]:
        """All of what a call lists."""

        def listed(client: Any) -> list[Any]:
            pages = client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(result) or ()]

        return self._trying(service, operation, listed)

    def _trying(self, service: str, operation: str, made: Callable[[Any], Any]) -> Any:
        """Make a call, again and again where AWS is away; botocore itself gives up within two seconds then."""
        self.observe(f"{service}.{operation}")

        def attempt() -> Any:
            with aws_errors(service, operation, self.region):
                return made(self.client(service))

        def away(error: DeploymentError) -> bool:
            return isinstance(error, Unreached) or (isinstance(error, CallRefused) and error.status >= 500)

        return self._retried(attempt, away, within=AWAY, pause=1.0)

    def _retried(
        self, attempt: Callable[[], Any], again: Callable[[DeploymentError], bool], *, within: float, pause: float
    ) -> Any:
        """Retry as long as ``again`` says of the error, with pauses that double, up to a deadline.

        Parameters
        ----------
        within, pause : until the deadline, and the first pause; in seconds.
        """
        deadline = self.clock() + within
        while True:
            try:
                return attempt()
            except DeploymentError as error:
                if not again(error) or self.clock() + pause > deadline:
                    raise
            self.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def find(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """What a call answers; None where there is no such thing."""
        try:
            return self.call(service, operation, **parameters)
        except CallRefused as error:
            if error.code in _ABSENT:
                return None
            raise

    def patiently(
        self,
        service: str,
        operation: str,
        *,
        while_: Callable[[CallRefused], bool] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Make a call that is refused as long as another change is under way, or as ``while_`` says of the refusal."""
        waits = while_ or under_way

        def again(error: DeploymentError) -> bool:
            return isinstance(error, CallRefused) and waits(error)

        return self._retried(
            lambda: self.call(service, operation, **parameters), again, within=PATIENCE, pause=_FIRST_PAUSE
        )

    def wait(self, waiter: str, what: str, **parameters: Any) -> None:
        """Wait until a function is ready.

        Parameters
        ----------
        waiter : of boto3's Lambda client.
        what : that is waited for, in words.
        """
        from botocore.exceptions import WaiterError

        self.observe(f"lambda.{waiter}")
        with aws_errors("lambda", waiter, self.region):
            try:
                self.client("lambda").get_waiter(waiter).wait(**parameters)
            except WaiterError as error:
                raise _unready(error, waiter, what) from None


_ABSENT = ("ResourceNotFoundException", "NoSuchEntity", "ProvisionedConcurrencyConfigNotFoundException")


def connect(region: str, *, observe: Observer = unobserved) -> Cloud:
    """The cloud of a region, after what can be known without a call: that the region exists, and that there are keys.

    Raises
    ------
    DeploymentError
        if one of them is missing.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    with aws_errors("credentials", "find", region):
        session = boto3.session.Session()
        try:
            found = session.get_credentials()
            found and found.get_frozen_credentials()
        except BotoCoreError as error:
            raise DeploymentError(
                f"the AWS credentials cannot be used: {one_line(error)}; log in again, or correct AWS_PROFILE",
                PERMISSION_DENIED,
            ) from None
    if not found:
        raise DeploymentError(
            "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", PERMISSION_DENIED
        )
    return Cloud(region, session, observe)


def region(named: str) -> str:
    """The region that a target names, else the environment; no call is made.

    Parameters
    ----------
    named : what follows ``aws-lambda:/``; empty where nothing does.

    Raises
    ------
    DeploymentError
        if there is none, or it is not known.
    """
    import boto3

    with aws_errors("settings", "read", named):
        session = boto3.session.Session()
        name = named or session.region_name
    if not name:
        raise DeploymentError(
            "no AWS region: name it in the target, aws-lambda:/eu-central-1, or set AWS_DEFAULT_REGION",
            INVALID_PARAMETER_VALUE,
        )
    known = [
        one
        for partition in session.get_available_partitions()
        for one in session.get_available_regions("lambda", partition)
    ]
    if name not in known:
        near = closest(name, known)
        hint = f"did you mean {near}?" if near else "regions are written as eu-central-1"
        raise DeploymentError(
            f"unknown AWS region {name!r}; {hint} (one that is newer than this boto3 needs a newer boto3)",
            INVALID_PARAMETER_VALUE,
        )
    return name


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
    elif code in _ABSENT:
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


def _unready(error: Any, waiter: str, what: str) -> DeploymentError:
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
