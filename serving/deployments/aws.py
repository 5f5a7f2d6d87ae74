"""The edge to AWS: every call goes through here, and is tried again where that can help."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from registry.cli.text import did_you_mean, one_line

from .awserrors import ABSENT, CallRefused, Unreached, aws_errors, under_way, unready
from .errors import INVALID_PARAMETER_VALUE, PERMISSION_DENIED, DeploymentError

#: Tries of a call that is throttled, or whose connection is lost or answered with 5xx: botocore's, with its backoff.
TRIES = 6
#: How long a change that is under way, or a role that is not known everywhere yet, is waited for; in seconds.
PATIENCE = 120.0
#: How long AWS is tried that is not reached, or fails; in seconds.
AWAY = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


@dataclass
class Cloud:
    """One region of AWS, as one set of credentials sees it.

    Parameters
    ----------
    session : of boto3; its clients are made when they are first needed.
    clock, sleep : seconds since 1970, and to wait; a test may have its own.
    """

    region: str
    session: Any
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
            if error.code in ABSENT:
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

        with aws_errors("lambda", waiter, self.region):
            try:
                self.client("lambda").get_waiter(waiter).wait(**parameters)
            except WaiterError as error:
                raise unready(error, waiter, what) from None


def connect(region: str) -> Cloud:
    """The cloud of a region, after what can be known without a call: that the region exists, and that there are keys.

    Raises
    ------
    DeploymentError
        if one of them is missing.
    """
    from botocore.exceptions import BotoCoreError

    with aws_errors("credentials", "find", region):
        session = _session()
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
    return Cloud(region, session)


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
    with aws_errors("settings", "read", named):
        session = _session()
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
        hint = did_you_mean(name, known, otherwise="regions are written as eu-central-1")
        raise DeploymentError(
            f"unknown AWS region {name!r}; {hint} (one that is newer than this boto3 needs a newer boto3)",
            INVALID_PARAMETER_VALUE,
        )
    return name


def _session() -> Any:
    """A session of boto3 with the settings and credentials of now."""
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    core.get_component("data_loader").file_loader = _files()
    return boto3.session.Session(botocore_session=core)


@functools.cache
def _files() -> Any:
    """What reads botocore's descriptions of endpoints and services: each once, for it takes up to a quarter second."""
    from botocore.loaders import JSONFileLoader

    class Kept(JSONFileLoader):
        load_file = functools.cache(JSONFileLoader.load_file)

    return Kept()
