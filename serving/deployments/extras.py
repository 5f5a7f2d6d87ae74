"""What stands around a function: its log group, its URL, its tags, and the instances kept for it."""

from collections.abc import Mapping
from typing import Any

from .aws import PATIENCE, Cloud
from .awserrors import CallRefused
from .errors import TEMPORARILY_UNAVAILABLE, DeploymentError
from .traffic import ALIAS

#: How long a log is kept, unless it is said.
DAYS = 30
_LOOK = 2.0
#: Instances take a while to start; in seconds.
_STARTING = 5 * PATIENCE


def log_group(name: str) -> str:
    """The log group of a function."""
    return f"/aws/lambda/{name}"


def keep_logs(cloud: Cloud, name: str, days: int | None, *, key: str | None, tags: Mapping[str, str]) -> bool:
    """Have a log group that keeps its lines for so many days; whether that was changed now.

    It is made before the function, which then needs no right to make one.

    Parameters
    ----------
    days : None for as many as the group keeps them, and ``DAYS`` where it says none: a shorter time would lose lines.
    key : the ARN of the KMS key that a new one is encrypted with.
    """
    group = log_group(name)
    listed = cloud.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
    found = next((one for one in listed if one["logGroupName"] == group), None)
    if found is None:
        more = {"kmsKeyId": key} if key else {}
        try:
            cloud.call("logs", "create_log_group", logGroupName=group, tags=dict(tags), **more)
        except CallRefused as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
    now = (found or {}).get("retentionInDays")
    days = days or now or DAYS
    if now == days:
        return False
    cloud.call("logs", "put_retention_policy", logGroupName=group, retentionInDays=days)
    return True


def delete_logs(cloud: Cloud, name: str) -> bool:
    """Delete a function's log group; whether there was one."""
    group = log_group(name)
    listed = cloud.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
    if not any(one["logGroupName"] == group for one in listed):
        return False
    cloud.find("logs", "delete_log_group", logGroupName=group)
    return True


def reserve(cloud: Cloud, name: str, count: int, found: Mapping[str, Any] | None) -> bool:
    """Let a function have so many instances at most, kept free for it; whether that was changed now.

    Parameters
    ----------
    count : negative for no limit.
    found : the function as it was read; None where it was not there.
    """
    now = ((found or {}).get("Concurrency") or {}).get("ReservedConcurrentExecutions", -1)
    if now == max(count, -1):
        return False
    if count >= 0:
        cloud.patiently("lambda", "put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=count)
    else:
        cloud.patiently("lambda", "delete_function_concurrency", FunctionName=name)
    return True


def provisioned(cloud: Cloud, name: str) -> dict[str, int]:
    """How many instances are kept ready for each version."""
    listed = cloud.pages(
        "lambda", "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", FunctionName=name
    )
    return {
        one["FunctionArn"].rpartition(":")[2]: int(one["RequestedProvisionedConcurrentExecutions"]) for one in listed
    }


def provision(cloud: Cloud, name: str, version: str, count: int, now: Mapping[str, int]) -> bool:
    """Keep instances ready for a version, and wait until they are; whether that was changed now.

    They are a version's, not the alias': AWS refuses them for an alias that shares its requests out, and the new
    version has its own before the first request comes.
    """
    changed = now.get(version, 0) != count
    if changed:
        cloud.patiently(
            "lambda",
            "put_provisioned_concurrency_config",
            FunctionName=name,
            Qualifier=version,
            ProvisionedConcurrentExecutions=count,
        )
    deadline = cloud.clock() + _STARTING
    while True:
        found = cloud.call("lambda", "get_provisioned_concurrency_config", FunctionName=name, Qualifier=version)
        if found["Status"] == "READY":
            return changed
        if found["Status"] == "FAILED" or cloud.clock() > deadline:
            reason = found.get("StatusReason") or f"not ready within {_STARTING:.0f} s"
            raise DeploymentError(
                f"{count} instances for version {version} of {name!r} are not available: {reason}",
                TEMPORARILY_UNAVAILABLE,
            )
        cloud.sleep(_LOOK)


def release(cloud: Cloud, name: str, version: str) -> None:
    """Keep no instances ready for a version any more."""
    cloud.find("lambda", "delete_provisioned_concurrency_config", FunctionName=name, Qualifier=version)


def url(cloud: Cloud, name: str) -> str | None:
    """The function URL of a deployment; None where there is none."""
    found = cloud.find("lambda", "get_function_url_config", FunctionName=name, Qualifier=ALIAS)
    return found["FunctionUrl"] if found else None


def open_url(cloud: Cloud, name: str) -> tuple[str, bool]:
    """The function URL of a deployment, made where there is none; and whether it was made now."""
    if there := url(cloud, name):
        return there, False
    try:
        cloud.patiently("lambda", "create_function_url_config", FunctionName=name, Qualifier=ALIAS, AuthType="AWS_IAM")
    except CallRefused as error:
        if not error.there:
            raise
    return url(cloud, name) or "", True


def tag(cloud: Cloud, found: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Add tags to a function that was read; whether one was changed now."""
    there = found.get("Tags") or {}
    missing = {key: value for key, value in tags.items() if there.get(key) != value}
    if missing:
        arn = found["Configuration"]["FunctionArn"]
        cloud.call("lambda", "tag_resource", Resource=arn, Tags=missing)
    return bool(missing)
