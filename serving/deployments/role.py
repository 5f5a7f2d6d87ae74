"""The role that a function runs as, made with what the package has to be allowed and nothing else."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .clouds import Answered, Cloud
from .errors import RESOURCE_ALREADY_EXISTS, DeploymentError
from .function import TAG

_POLICY = "function"
_LONGEST = 64
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def name_for(deployment: str, region: str) -> str:
    """The name of the role of a deployment: roles are known in all regions, deployments in one."""
    name = f"{deployment}-{region}-lambda"
    if len(name) <= _LONGEST:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}-{mark}"


def ensure(
    cloud: Cloud,
    deployment: str,
    statements: Sequence[Mapping[str, Any]],
    *,
    tags: Mapping[str, str],
) -> tuple[str, bool]:
    """The role of a deployment, which may do what the statements say; its ARN, and whether it was changed now.

    Parameters
    ----------
    statements : of a policy; in resources, ``${partition}``, ``${region}`` and ``${account}`` stand for what they say.

    Raises
    ------
    DeploymentError
        where a role of that name was not made by this plugin, or the cloud refuses.
    """
    name = name_for(deployment, cloud.region)
    found = cloud.find("iam", "get_role", RoleName=name)
    made = False
    if found is None:
        labels = [{"Key": key, "Value": value} for key, value in {**tags, TAG: deployment}.items()]
        try:
            found = cloud.call(
                "iam",
                "create_role",
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(_TRUST),
                Description=f"What the Lambda function {deployment} in {cloud.region} may do",
                Tags=labels,
            )
            made = True
        except Answered as error:
            if not error.there:
                raise
            # The answer to our own first try may have been lost.
            found = cloud.call("iam", "get_role", RoleName=name)
    arn = found["Role"]["Arn"]
    if not made and not _ours(found):
        raise DeploymentError(
            f"the role {name} is there, and was not made by this plugin (it has no tag {TAG}): give -C role={arn} "
            "to use it as it is",
            RESOURCE_ALREADY_EXISTS,
        )
    document = {"Version": "2012-10-17", "Statement": [_filled(one, cloud, arn) for one in statements]}
    kept = cloud.find("iam", "get_role_policy", RoleName=name, PolicyName=_POLICY)
    if kept is None or _parsed(kept["PolicyDocument"]) != document:
        cloud.call("iam", "put_role_policy", RoleName=name, PolicyName=_POLICY, PolicyDocument=json.dumps(document))
        made = True
    return arn, made


def delete(cloud: Cloud, deployment: str) -> str | None:
    """Delete the role that was made for a deployment; its name, None where there is none of ours."""
    name = name_for(deployment, cloud.region)
    found = cloud.find("iam", "get_role", RoleName=name)
    if found is None or not _ours(found):
        return None
    cloud.find("iam", "delete_role_policy", RoleName=name, PolicyName=_POLICY)
    cloud.find("iam", "delete_role", RoleName=name)
    return name


def _ours(found: Mapping[str, Any]) -> bool:
    return any(tag["Key"] == TAG for tag in found["Role"].get("Tags", ()))


def _filled(statement: Mapping[str, Any], cloud: Cloud, arn: str) -> dict[str, Any]:
    _, partition, _, _, account, _ = arn.split(":", 5)
    text = json.dumps(statement)
    for mark, value in {"partition": partition, "region": cloud.region, "account": account}.items():
        text = text.replace(f"${{{mark}}}", value)
    return json.loads(text)


def _parsed(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document
