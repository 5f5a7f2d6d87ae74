"""The edge to AWS (simulated): what is known before a call, what is tried again, and what is said when it fails."""

import itertools
from dataclasses import replace

import pytest

from serving.deployments import deploying, describing, function
from serving.deployments.aws import PATIENCE, TRIES, Cloud, connect, region
from serving.deployments.awserrors import CallRefused
from serving.deployments.errors import DeploymentError
from serving.deployments.settings import DeploymentOptions
from serving.deployments.shifting import Trial
from tests import stores
from tests.serving.deployments.made import NAME, Time, package
from tests.serving.deployments.simulated import REGION, Cut, Simulated

FIRST = DeploymentOptions(create_role=True, url=True)


def test_a_region_is_the_targets_else_the_environments(monkeypatch: pytest.MonkeyPatch):
    assert region("eu-west-1") == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    assert region("") == "us-east-2"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(DeploymentError, match="no AWS region: name it in the target, aws-lambda:/eu-central-1"):
        region("")


@pytest.mark.parametrize(("name", "near"), [("eu-centrl-1", "eu-central-1"), ("us-east1", "us-east-1")])
def test_an_unknown_region_is_refused_with_the_one_that_was_meant(name: str, near: str):
    with pytest.raises(DeploymentError, match=f"unknown AWS region '{name}'; did you mean '{near}'?"):
        region(name)


def test_without_credentials_nothing_is_called(aws: Simulated, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DeploymentError, match="no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID") as refused:
        connect(REGION)
    assert refused.value.error_code == "PERMISSION_DENIED"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(DeploymentError, match=r"nobody.*correct AWS_PROFILE"):
        connect(REGION)
    assert aws.calls == []


def once_each(fault):
    """A fault at the first try of every change, and none at the second."""
    seen: set[str] = set()

    def before(call):
        if call.writes and str(call) not in seen:
            seen.add(str(call))
            return fault()
        return None

    return before


def cut():
    raise Cut


@pytest.mark.parametrize("fault", [lambda: 429, lambda: 500, lambda: 503, cut], ids=["429", "500", "503", "cut"])
def test_throttling_failures_and_lost_connections_are_tried_again(aws: Simulated, cloud: Cloud, fault):
    aws.before = once_each(fault)
    deploying.create(cloud, NAME, package(1), FIRST)
    deploying.update(cloud, NAME, package(2), DeploymentOptions())
    assert describing.describe(cloud, NAME)["model_uri"] == "models:/diabetes/2"


@pytest.mark.parametrize(
    ("status", "says", "code"),
    [
        (
            429,
            f"TooManyRequestsException.*throttled in {TRIES} tries: run the command again",
            "TEMPORARILY_UNAVAILABLE",
        ),
        (503, f"failed in {TRIES} tries: run the command again later", "TEMPORARILY_UNAVAILABLE"),
    ],
)
def test_what_goes_on_failing_is_told_with_what_was_made_and_finished_later(
    aws: Simulated, cloud: Cloud, status: int, says: str, code: str, monkeypatch: pytest.MonkeyPatch
):
    # Of the cloud's own pauses between tries no time is wanted here.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.0)
    aws.before = lambda call: status if call.action.endswith("/versions") and call.writes else None
    with pytest.raises(DeploymentError, match=says) as refused:
        deploying.create(cloud, NAME, package(1), FIRST)
    assert refused.value.error_code == code
    done = refused.value.message.partition("done so far: ")[2]
    assert "role arn:" in done
    assert f"function {NAME}" in done
    assert done.endswith("run the same command again to resume")
    assert "\n" not in refused.value.message
    aws.before = lambda call: None
    deploying.create(cloud, NAME, package(1), FIRST)
    assert describing.describe(cloud, NAME)["traffic"] == "version 1"


def test_a_change_that_is_under_way_is_waited_for(aws: Simulated, cloud: Cloud, passing: Time):
    deploying.create(cloud, NAME, package(1), FIRST)
    left = itertools.count()
    busy = "The operation cannot be performed at this time. An update is in progress for resource"

    def before(call):
        if call.writes and call.action.endswith("/code") and next(left) < 4:
            return 409, "ResourceConflictException", busy
        return None

    aws.before = before
    began = passing.now
    deploying.update(cloud, NAME, package(2), DeploymentOptions())
    assert passing.now - began == 0.5 + 1 + 2 + 4
    assert describing.describe(cloud, NAME)["model_uri"] == "models:/diabetes/2"


def test_a_change_that_never_ends_is_given_up(aws: Simulated, cloud: Cloud, passing: Time):
    deploying.create(cloud, NAME, package(1), FIRST)
    busy = "An update is in progress for resource"
    aws.before = lambda call: (409, "ResourceConflictException", busy) if call.action.endswith("/code") else None
    began = passing.now
    with pytest.raises(DeploymentError, match="An update is in progress") as refused:
        deploying.update(cloud, NAME, package(2), DeploymentOptions())
    assert refused.value.error_code == "RESOURCE_CONFLICT"
    assert PATIENCE - 10 < passing.now - began <= PATIENCE


def test_a_role_that_was_made_just_now_is_waited_for(aws: Simulated, cloud: Cloud, passing: Time):
    left = itertools.count()

    def before(call):
        if call.action == "/2015-03-31/functions" and next(left) < 3:
            return (
                400,
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
            )
        return None

    aws.before = before
    deploying.create(cloud, NAME, package(1), FIRST)
    assert passing.slept == [0.5, 1.0, 2.0]
    # One that a person names is old enough: it is wrong.
    aws.reset()
    left = itertools.count()
    aws.before = before
    role = "arn:aws:iam::123456789012:role/mine"
    with pytest.raises(DeploymentError, match="cannot be assumed by Lambda"):
        deploying.create(cloud, NAME, package(1), DeploymentOptions(role=role))


def test_a_role_that_is_not_there_is_told(aws: Simulated, cloud: Cloud):
    with pytest.raises(DeploymentError, match="cannot be assumed by Lambda"):
        deploying.create(cloud, NAME, package(1), DeploymentOptions(role="arn:aws:iam::123456789012:role/none"))


@pytest.mark.parametrize(
    ("status", "code", "says", "kind"),
    [
        (403, "AccessDeniedException", "give the user or role of these credentials that right", "PERMISSION_DENIED"),
        (403, "UnrecognizedClientException", "credentials are wrong or have expired", "PERMISSION_DENIED"),
        (400, "CodeStorageExceededException", "CodeStorageExceededException", "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do(aws, cloud: Cloud, status: int, code: str, says: str, kind: str):
    aws.before = lambda call: (status, code, "line 1\nline 2")
    with pytest.raises(CallRefused, match=says) as refused:
        function.find(cloud, NAME)
    assert "\n" not in refused.value.message
    assert refused.value.error_code == kind
    assert len(aws.calls) == 1


def test_a_cloud_that_is_away_is_told(aws: Simulated, passing: Time, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{stores.HOST}:9")
    away = replace(connect(REGION), clock=passing.clock, sleep=passing.sleep)
    with pytest.raises(DeploymentError, match=f"AWS is not reached for lambda get_function in {REGION}: .*again"):
        function.find(away, NAME)
    assert passing.slept == [1, 2, 4, 8]


def test_a_cloud_that_is_away_for_a_while_costs_no_trial(aws: Simulated, cloud: Cloud, passing: Time):
    deploying.create(cloud, NAME, package(1), FIRST)
    began = passing.now

    def before(call):
        return 500 if 60 <= passing.now - began < 70 else None

    aws.before = before
    deploying.update(cloud, NAME, package(2), DeploymentOptions(trial=Trial(0.1, 120)))
    assert describing.describe(cloud, NAME)["traffic"] == "version 2"
    assert {1.0, 2.0} < set(passing.slept)


def test_credentials_that_expire_while_something_is_waited_for_are_told(aws: Simulated, cloud: Cloud):
    expired = (403, "ExpiredTokenException", "The security token included in the request is expired")
    waiting = f"/2015-03-31/functions/{NAME}"
    aws.before = lambda call: expired if made(aws) and call.action.startswith(waiting) else None
    with pytest.raises(DeploymentError, match="credentials are wrong or have expired") as refused:
        deploying.create(cloud, NAME, package(1), FIRST)
    assert refused.value.error_code == "PERMISSION_DENIED"
    aws.before = lambda call: None
    deploying.create(cloud, NAME, package(1), FIRST)


def made(aws: Simulated) -> bool:
    return any(str(call) == "POST /2015-03-31/functions" for call in aws.calls)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"State": "Failed", "StateReason": "no such subnet"}, "the function 'diabetes' failed: no such subnet"),
        ({"State": "Failed", "StateReasonCode": "InvalidSubnet"}, "the function 'diabetes' failed: InvalidSubnet"),
    ],
)
def test_a_function_that_never_starts_is_told(aws: Simulated, cloud: Cloud, state: dict, says: str):
    aws.deployment_errors = lambda configuration: configuration.update(state)
    with pytest.raises(DeploymentError, match=says):
        deploying.create(cloud, NAME, package(1), FIRST)
    aws.deployment_errors = lambda configuration: None
    deploying.create(cloud, NAME, package(1), FIRST)
    assert describing.describe(cloud, NAME)["traffic"] == "version 1"
