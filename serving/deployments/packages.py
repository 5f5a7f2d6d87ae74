"""What is to be deployed of a model: its package, and what the cloud is to be asked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.errors import RegistryError
from serving import packaging
from serving.errors import ServingError
from serving.models import registered
from serving.models.uri import AliasURI, VersionURI
from serving.packaging.aws_lambda import iam
from serving.packaging.aws_lambda.settings import VARIABLES
from serving.packaging.plan import CONTAINER, PackagePlan, Permission
from serving.packaging.zipping import zipped

from . import function
from .errors import INVALID_PARAMETER_VALUE, DeploymentError
from .function import Code, WantedVersion
from .settings import CONFIGURED, TARGET, DeploymentOptions

#: What is the package's own affair, whatever a deployment had before.
_OF_THE_PACKAGE = frozenset({"Handler", "Description", "Role", "Environment"})
_ARCHITECTURES = "Architectures"


@dataclass(frozen=True)
class Package:
    """What is deployed of a model.

    Parameters
    ----------
    uri : of the model, with its version: ``models:/diabetes/3``.
    configuration : of the function, by the cloud's own words.
    chosen : what of it the command names; the rest stays as a deployment has it.
    variables : of the environment that the command names; an empty one is taken away.
    log_days : how long the log is kept; None where the command says nothing.
    reserved, provisioned : instances that are kept for it alone, and ready; None where the command says nothing, and
        a negative ``reserved`` for no limit.
    """

    uri: str
    code: Code
    configuration: Mapping[str, Any]
    architectures: tuple[str, ...]
    chosen: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict)
    log_days: int | None = None
    reserved: int | None = None
    provisioned: int | None = None
    plan: PackagePlan | None = field(default=None, repr=False, compare=False)

    def wanted(self, arn: str, *, instead: Mapping[str, Any] | None = None) -> WantedVersion:
        """What a version is to be.

        Parameters
        ----------
        arn : of the role.
        instead : the configuration of the version that it comes after: what the command does not name stays so.

        Raises
        ------
        DeploymentError
            if the variables are more than the cloud takes.
        """
        before = ((instead or {}).get("Environment") or {}).get("Variables") or {}
        variables = {name: value for name, value in {**before, **self.variables}.items() if value}
        size = len(json.dumps(variables))
        if size > VARIABLES:
            raise DeploymentError(
                f"the environment's variables are of {size:,} bytes, Lambda takes {VARIABLES:,}",
                INVALID_PARAMETER_VALUE,
            )
        found = {
            **self.configuration,
            "Environment": {"Variables": variables},
            "Description": function.described(self.uri),
            "Role": arn,
        }
        architectures = self.architectures
        if instead:
            kept = {key for key in found if key not in self.chosen | _OF_THE_PACKAGE}
            found |= {key: _kept(key, instead.get(key)) for key in kept}
            if _ARCHITECTURES not in self.chosen:
                architectures = tuple(instead.get(_ARCHITECTURES) or architectures)
        return WantedVersion(self.code, found, architectures)


def _kept(key: str, value: Any) -> Any:
    if key == "VpcConfig":
        return {name: (value or {}).get(name, []) for name in ("SubnetIds", "SecurityGroupIds")}
    if key == "SnapStart":
        return {"ApplyOn": (value or {}).get("ApplyOn", "None")}
    return value or ("" if key == "KMSKeyArn" else value)


def permissions(name: str, *configurations: Mapping[str, Any]) -> list[Permission]:
    """Return what a role has to be allowed for all of several configurations of a function."""
    found = [
        iam.permissions(
            name,
            key_arn=one.get("KMSKeyArn") or "",
            vpc=bool((one.get("VpcConfig") or {}).get("SubnetIds")),
        )
        for one in configurations
    ]
    return list(dict.fromkeys(permission for each in found for permission in each))


def is_current(uri: str | None, package: Package) -> Callable[[], bool]:
    """Whether an alias names the version that it named when the package was made; always, where it was no alias.

    A rollback in the registry while a version is being tried has to wait for nothing then.
    """
    named = registered(uri or "")
    if not isinstance(named, AliasURI) or package.plan is None:
        return lambda: True
    version = package.plan.version

    def ask() -> bool:
        from registry import client, stages

        try:
            return stages.read(client.connect(), named.name).aliases.get(named.choice) == version
        except RegistryError:
            return True  # a registry that does not answer has not changed its mind

    return ask


def plan(uri: str, name: str, given: DeploymentOptions) -> Package:
    """The package of a model, whose gates passed.

    Raises
    ------
    ServingError
        if the gates did not pass, the package is over a limit, or the model wants an image and none is named.
    RegistryError, ScorecardError
        if the model cannot be had, or is damaged.
    """
    options = {**given.package, "name": name, "front": "none"}
    if given.reserved_concurrency is not None and given.reserved_concurrency >= 0:
        options["reserved_concurrency"] = str(given.reserved_concurrency)
    try:
        planned = packaging.plan(uri, TARGET, options=options, allow_ungated=given.allow_ungated)
    except ServingError as error:
        text = str(error).replace("--allow-ungated packages it", "-C allow_ungated=true deploys it")
        raise ServingError(text) from error
    if planned.variant == CONTAINER and not given.image:
        raise ServingError(
            f"{uri} needs an image ({planned.reason}): build it (`python -m serving package {uri} --target {TARGET} "
            "-o FOLDER`), push it to ECR, and give -C image=REPOSITORY@sha256:..."
        )
    if planned.variant != CONTAINER and given.image:
        raise ServingError(f"{uri} has a scorecard and is deployed as a zip; leave out image")
    package = _package(planned, given)
    package.wanted("")  # what the cloud would not take of it is refused here
    return package


def _package(planned: PackagePlan, given: DeploymentOptions) -> Package:
    said = planned.settings
    configuration: dict[str, Any] = {
        "MemorySize": said["MemorySize"],
        "Timeout": said["Timeout"],
        "KMSKeyArn": said["KMSKeyArn"] or "",
        "VpcConfig": {"SubnetIds": said["SubnetIds"], "SecurityGroupIds": said["SecurityGroupIds"]},
    }
    if planned.variant == CONTAINER:
        code = Code(image=given.image)
    else:
        code = Code(zipped(planned.package))
        snapshot = {"ApplyOn": "PublishedVersions" if said["SnapStart"] else "None"}
        configuration |= {"Runtime": said["Runtime"], "Handler": said["Handler"], "SnapStart": snapshot}
    days, kept_ready = given.package.get("log_retention"), given.package.get("provisioned_concurrency")
    return Package(
        uri=str(VersionURI(planned.model, planned.version)) if planned.model and planned.version else planned.uri,
        code=code,
        configuration=configuration,
        architectures=tuple(said["Architectures"]),
        chosen=frozenset(CONFIGURED[option] for option in given.package if option in CONFIGURED),
        variables={**planned.environment, **given.environment},
        log_days=int(said["LogRetentionInDays"]) if days else None,
        reserved=given.reserved_concurrency,
        provisioned=int(said["ProvisionedConcurrentExecutions"]) if kept_ready else None,
        plan=planned,
    )
