"""Deploy, update and delete: what is wanted is compared with what is there, step by step, and only the rest is done.

Nothing is remembered but in the cloud itself, so a command that was stopped anywhere is finished by the same command
again, and one that has nothing left to do changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from registry import logs
from serving.models import registered
from serving.models.uri import VersionURI

from . import describing, extras, function, packages, role, shifting, traffic
from .aws import Cloud
from .completed import CompletedSteps
from .errors import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, DeploymentError
from .function import WantedVersion
from .metrics import HandlerMetrics
from .packages import Package
from .settings import DeploymentOptions
from .shifting import IsCurrent, Trial
from .traffic import AliasTraffic

_log = logs.get_logger(__name__)

#: So many published versions are kept, whatever points to them.
KEPT = 20


def create(cloud: Cloud, name: str, package: Package, settings: DeploymentOptions) -> None:
    """Create a deployment, or finish one that was begun; what is there already as wanted is left as it is.

    Raises
    ------
    DeploymentError
        if there is a deployment of that name with another model or other settings.
    """
    completed = CompletedSteps()
    with completed.told():
        found = function.find(cloud, name)
        pointed = traffic.read(cloud, name) if found else None
        if pointed:
            live = describing.configuration(cloud, name, pointed.traffic.version)
            _refuse_another(name, live, package.wanted(settings.role or live["Role"]))
        arn = settings.role
        if settings.create_role:
            allowed = packages.permissions(name, package.wanted("").configuration)
            arn, changed = role.ensure(cloud, name, allowed, tags=settings.tags)
            if changed:
                completed.done(f"role {arn}")
        wanted = package.wanted(arn)
        _keep_logs(cloud, name, package, settings, completed)
        if found is None:
            function.create(cloud, name, wanted, tags=settings.tags, young_role=settings.create_role)
            completed.done(f"function {name}")
        number = pointed.traffic.version if pointed else _publish(cloud, name, wanted, completed)
        _instances(cloud, name, number, package, found, completed)
        if pointed is None:
            shifting.shift(cloud, name, number, None, completed)
        _around(cloud, name, settings, completed)


def update(
    cloud: Cloud,
    name: str,
    package: Package,
    settings: DeploymentOptions,
    *,
    is_current: IsCurrent = shifting.always,
) -> None:
    """Bring a deployment to another version, other settings, or both; what is not named stays as it is.

    Parameters
    ----------
    is_current : whether the version is still wanted; asked while it is tried.

    Raises
    ------
    DeploymentError
        if there is no such deployment, a trial went wrong, or somebody else changes it at the same time.
    """
    completed = CompletedSteps()
    with completed.told():
        found, pointed = describing.there(cloud, name)
        live = describing.configuration(cloud, name, pointed.traffic.version)
        arn = settings.role or live["Role"]
        wanted = package.wanted(arn, instead=live)
        _same_roles(settings.trial, live, wanted)
        if arn.rpartition("/")[2] == role.name_for(name, cloud.region):
            # What the version that answers needs stays allowed: it may be gone back to.
            allowed = packages.permissions(name, live, wanted.configuration)
            if role.ensure(cloud, name, allowed, tags=settings.tags)[1]:
                completed.done(f"role {arn}")
        if package.log_days:
            _keep_logs(cloud, name, package, settings, completed)
        number = _as_it_is(cloud, name, wanted, live, pointed.traffic, package)
        if number is None:
            number = _publish(cloud, name, wanted, completed)
        _instances(cloud, name, number, package, found, completed)
        own: dict[str, HandlerMetrics] = {}
        if settings.trial:
            both = {version: _own(cloud, name, version) for version in (number, pointed.traffic.version)}
            own = {version: one for version, one in both.items() if one}
        try:
            now = shifting.shift(cloud, name, number, settings.trial, completed, own=own, is_current=is_current)
        except DeploymentError:
            # It may have been taken back. A process that is killed here leaves this to the next command.
            _release(cloud, name, completed)
            raise
        _release(cloud, name, completed)
        _around(cloud, name, settings, completed)
        _prune(cloud, name, now)


def roll_back(cloud: Cloud, name: str) -> None:
    """Give the requests back to the version that had them before, at once.

    Raises
    ------
    DeploymentError
        if there is no such deployment, or no version to go back to.
    """
    completed = CompletedSteps()
    with completed.told():
        describing.there(cloud, name)
        kept = extras.provisioned(cloud, name)
        now = shifting.back(cloud, name, completed)
        # At once: instances are kept ready for the version afterwards, as many as for the one that was left.
        if kept and now.version not in kept:
            extras.provision(cloud, name, now.version, max(kept.values()), kept)
            completed.done(f"instances for version {now.version}")
        _release(cloud, name, completed)


def delete(cloud: Cloud, name: str, settings: DeploymentOptions) -> None:
    """Delete a deployment with all its versions, its URL and the role that was made for it; gone already is fine."""
    completed = CompletedSteps()
    with completed.told():
        if function.find(cloud, name):
            # Its versions, aliases, URL and instances go with it.
            cloud.find("lambda", "delete_function", FunctionName=name)
            completed.done(f"function {name} deleted")
        if gone := role.delete(cloud, name):
            completed.done(f"role {gone} deleted")
        if settings.delete_logs and extras.delete_logs(cloud, name):
            completed.done(f"log group {extras.log_group(name)} deleted")


def _refuse_another(name: str, live: Mapping[str, Any], wanted: WantedVersion) -> None:
    """Refuse to create what is there with something else in it."""
    differing = [key for key in wanted.differing(live) if key != "Description"]
    if "Description" in wanted.differing(live):
        differing.insert(0, f"its model is {function.model(live)}")
    elif not wanted.runs(live):
        differing.insert(0, "its code")
    if differing:
        raise DeploymentError(
            f"the deployment {name!r} exists already, and differs ({', '.join(differing)}): `update` it",
            RESOURCE_ALREADY_EXISTS,
        )


def _same_roles(trial: Trial | None, live: Mapping[str, Any], wanted: WantedVersion) -> None:
    if trial and live.get("Role") != wanted.configuration["Role"]:
        raise DeploymentError(
            "two versions share the requests only if they run as the same role: update the role without canary",
            INVALID_PARAMETER_VALUE,
        )


def _as_it_is(
    cloud: Cloud, name: str, wanted: WantedVersion, live: Mapping[str, Any], now: AliasTraffic, package: Package
) -> str | None:
    """The version that is wanted where it answers now, or did before; None where it has to be looked for, or made.

    The one before counts where it is of this model and no setting is named: it comes back with those that it had.
    """
    if wanted.is_(live):
        return now.version
    if now.before is None or package.chosen or package.variables:
        return None
    before = function.configuration(cloud, name, now.before)
    same = before and wanted.runs(before) and before.get("Description") == wanted.configuration["Description"]
    return now.before if same else None


def _keep_logs(
    cloud: Cloud, name: str, package: Package, settings: DeploymentOptions, completed: CompletedSteps
) -> None:
    key = package.configuration.get("KMSKeyArn") or None
    if extras.keep_logs(cloud, name, package.log_days, key=key, tags=settings.tags):
        completed.done(f"log group {extras.log_group(name)}")


def _publish(cloud: Cloud, name: str, wanted: WantedVersion, completed: CompletedSteps) -> str:
    number, made = function.publish(cloud, name, wanted)
    if made:
        completed.done(f"version {number} of function {name}")
    return number


def _instances(
    cloud: Cloud, name: str, number: str, package: Package, found: Mapping[str, Any] | None, completed: CompletedSteps
) -> None:
    """Reserve and keep ready as many instances as wanted, or as there are."""
    if package.reserved is not None and extras.reserve(cloud, name, package.reserved, found):
        completed.done(f"{package.reserved if package.reserved >= 0 else 'no'} instances reserved")
    now = extras.provisioned(cloud, name) if found or package.provisioned else {}
    count = package.provisioned if package.provisioned is not None else max(now.values(), default=0)
    if count and extras.provision(cloud, name, number, count, now):
        completed.done(f"{count} instances kept ready for version {number}")
    if package.provisioned == 0 and now:
        for version in now:
            extras.release(cloud, name, version)
        completed.done("no instances kept ready")


def _release(cloud: Cloud, name: str, completed: CompletedSteps) -> None:
    """Keep instances ready only for versions that requests go to."""
    kept = extras.provisioned(cloud, name)
    pointed = traffic.read(cloud, name) if kept else None
    if pointed is None:
        return
    for version in kept:
        if version not in (pointed.traffic.version, pointed.traffic.trying):
            extras.release(cloud, name, version)
            completed.done(f"no instances kept ready for version {version} any more")


def _prune(cloud: Cloud, name: str, now: AliasTraffic) -> None:
    """Delete versions that are out of use: what Lambda holds of an account's code is limited."""
    keep = {one for one in (now.version, now.before, now.left, now.refused) if one}
    try:
        gone = function.prune(cloud, name, keep=keep, newest=KEPT)
    except DeploymentError as error:
        # The deployment is as it should be; the next update comes to this again.
        _log.warning("versions out of use are not deleted: %s", error.message)
    else:
        if gone:
            _log.info("versions out of use deleted: %s", ", ".join(gone))


def _around(cloud: Cloud, name: str, settings: DeploymentOptions, completed: CompletedSteps) -> None:
    if settings.url:
        address, made = extras.open_url(cloud, name)
        if made:
            completed.done(f"function URL {address}")
    if settings.tags:
        found = function.find(cloud, name)
        if found and extras.tag(cloud, found, settings.tags):
            completed.done("tags")


def _own(cloud: Cloud, name: str, version: str) -> HandlerMetrics | None:
    """Where the handler of a version writes its own metrics; None where its model has no version there."""
    configuration = describing.configuration(cloud, name, version)
    deployed = registered(function.model(configuration) or "")
    variables = (configuration.get("Environment") or {}).get("Variables") or {}
    if not isinstance(deployed, VersionURI):
        return None
    return HandlerMetrics(variables.get("METRICS_NAMESPACE") or "ModelLifecycle", deployed.choice)
