"""The role that a function runs as, made with what the package has to be allowed and nothing else."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from serving.packaging.aws_lambda import iam
from serving.packaging.plan import Permission

from .aws import Cloud
from .awserrors import CallRefused
from .errors import RESOURCE_ALREADY_EXISTS, DeploymentError
from .function import TAG

_POLICY = "function"
_LONGEST = 64


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
    permissions: Sequence[Permission],
    *,
    tags: Mapping[str, str],
) -> tuple[str, bool]:
    """Bring the role of a deployment to these permissions; return its ARN, and whether it was changed now.

    Raises
    ------
    DeploymentError
        if a role of that name was not made by this plugin, or the cloud refuses.
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
                AssumeRolePolicyDocument=json.dumps(iam.TRUST),
                Description=f"What the Lambda function {deployment} in {cloud.region} may do",
                Tags=labels,
            )
            made = True
        except CallRefused as error:
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
    _, partition, _, _, account, _ = arn.split(":", 5)
    here = {"partition": partition, "region": cloud.region, "account": account}
    document = iam.policy(
        iam.statement(one, [iam.placed(place, **here) for place in one.resources]) for one in permissions
    )
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


def _parsed(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document
