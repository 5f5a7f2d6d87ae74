"""What is known of deployments: the version that answers, how the requests are shared, and the settings."""

from collections.abc import Mapping
from typing import Any

from . import extras, function, traffic
from .aws import Cloud
from .errors import ABORTED, INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, DeploymentError
from .traffic import AliasState


def describe(cloud: Cloud, name: str) -> dict[str, Any]:
    """What is to be known of a deployment.

    Raises
    ------
    DeploymentError
        if there is none of that name.
    """
    found, pointed = there(cloud, name)
    now = pointed.traffic
    live = configuration(cloud, name, now.version)
    about: dict[str, Any] = {
        **_summary(live),
        "region": cloud.region,
        "version": now.version,
        "traffic": now.said(),
        "before": now.before,
        "state": live.get("State"),
        "code": live.get("CodeSha256"),
        "arn": f"{found['Configuration']['FunctionArn']}:{traffic.ALIAS}",
        "url": extras.url(cloud, name),
    }
    if now.trying:
        tried = configuration(cloud, name, now.trying)
        about["trying"] = {
            "model_uri": function.model(tried),
            "version": now.trying,
            "share": now.share,
            "until": now.since + now.bake,
        }
    if now.refused or now.left:
        about["taken_back"] = now.refused or now.left
    settings = ("Runtime", "MemorySize", "Timeout", "Architectures", "Role", "KMSKeyArn")
    about["settings"] = {key: live[key] for key in settings if live.get(key)}
    return about


def listed(cloud: Cloud) -> list[dict[str, Any]]:
    """The deployments of a region, and what each answers with."""
    found = []
    for latest in cloud.pages("lambda", "list_functions", "Functions"):
        if function.model(latest) is None:
            continue
        name = latest["FunctionName"]
        pointed = traffic.read(cloud, name)
        if pointed is None:
            found.append({**_summary(latest), "version": None, "traffic": "not finished: run `create` again"})
            continue
        live = configuration(cloud, name, pointed.traffic.version)
        found.append({**_summary(live), "version": pointed.traffic.version, "traffic": pointed.traffic.said()})
    return found


def live_model(cloud: Cloud, name: str) -> str:
    """The URI of the model that a deployment answers with.

    Raises
    ------
    DeploymentError
        if there is no such deployment, or its version was published by other means.
    """
    _, pointed = there(cloud, name)
    uri = function.model(configuration(cloud, name, pointed.traffic.version))
    if uri is None:
        raise DeploymentError(
            f"version {pointed.traffic.version} of {name!r} does not name its model: give --model-uri",
            INVALID_PARAMETER_VALUE,
        )
    return uri


def there(cloud: Cloud, name: str) -> tuple[dict[str, Any], AliasState]:
    """What Lambda has of a deployment's function, and its alias.

    Raises
    ------
    DeploymentError
        if there is none of that name, or ``create`` did not come to its end.
    """
    found = function.find(cloud, name)
    pointed = traffic.read(cloud, name) if found else None
    if found is None or pointed is None:
        there = (
            "is not finished: run `create` again" if found else f"is not in {cloud.region}: see `list`, or `create` it"
        )
        raise DeploymentError(f"the deployment {name!r} {there}", RESOURCE_DOES_NOT_EXIST)
    return found, pointed


def configuration(cloud: Cloud, name: str, version: str) -> dict[str, Any]:
    """The settings of a published version.

    Raises
    ------
    DeploymentError
        if it is gone.
    """
    found = function.configuration(cloud, name, version)
    if found is None:
        raise DeploymentError(f"version {version} of {name!r} is gone: `update` it to another model", ABORTED)
    return found


def _summary(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": configuration["FunctionName"],
        "flavor": "python_function",
        "model_uri": function.model(configuration),
    }
