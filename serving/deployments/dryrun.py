"""What a dry run says: the steps of a command, without a look at the cloud."""

from collections.abc import Mapping
from typing import Any

from registry.cli.text import figure
from registry.redaction import words

from . import extras
from .packages import Package, permissions
from .settings import CONFIGURED, DeploymentOptions

_ARCHITECTURES = CONFIGURED["architecture"]


def about(package: Package) -> list[str]:
    """What is deployed, for a person to read."""
    planned = package.plan
    if planned is None:
        return [package.uri]
    size = f"image {package.code.image}"
    if planned.zipped is not None:
        kept = (f"{one.what} {one.size:,} of {one.most:,} bytes" for one in planned.limits)
        size = f"zip, SHA-256 {package.code.digest}: {', '.join(kept)}"
    lines = [f"{package.uri} ({planned.digest})", f"{planned.variant}: {planned.reason}", size]
    return [*lines, f"gates: {planned.gates}", *(f"note: {note}" for note in planned.notes)]


def creation(name: str, region: str, package: Package, given: DeploymentOptions) -> list[str]:
    """What ``create`` does, for a person to read: steps that find nothing to do are passed over."""
    wanted = package.wanted(given.role or "(the role that is made)")
    steps = [f"log group {extras.log_group(name)}, kept for {package.log_days or extras.DAYS} days"]
    if given.create_role:
        steps.insert(0, "role, which may do:")
        for one in permissions(name, wanted.configuration):
            steps.insert(len(steps) - 1, f"    {', '.join(one.actions)} on {', '.join(one.resources)}")
    steps.append(f"function {name} ({', '.join(package.architectures)}):")
    variables = wanted.configuration["Environment"]["Variables"]
    shown = {key: _shown(value) for key, value in wanted.configuration.items() if key != "Environment"}
    steps += [f"    {key}: {value}" for key, value in shown.items() if value]
    steps += [f"    variable {line}" for line in words(f"{key}={value}" for key, value in variables.items())]
    steps += _instances(given)
    steps += ["published version", "alias live, which sends all requests to it"]
    steps += ["function URL (IAM)"] if given.url else []
    return _told("create", name, region, about(package), steps, given)


def change(name: str, region: str, package: Package | None, given: DeploymentOptions) -> list[str]:
    """What ``update`` does, for a person to read; what the deployment has now is not looked up."""
    if given.rollback:
        step = "all requests to the version that had them before; a trial ends, and its version gets none"
        return _told("update", name, region, [], [step], given)
    steps = []
    named = package.chosen if package else {CONFIGURED[one] for one in given.package if one in CONFIGURED}
    configured = {**package.configuration, _ARCHITECTURES: package.architectures} if package else {}
    for key in sorted(named):
        steps.append(f"    {key}: {_shown(configured[key]) or 'none'}" if key in configured else f"    {key}")
    steps += [f"    Role: {given.role}"] if given.role else []
    steps += [f"    variable {key}" + ("" if value else ": none") for key, value in given.environment.items()]
    steps = [
        "published version, if there is none like it; what is not named stays as it is" + (":" if steps else ""),
        *steps,
    ]
    steps += _instances(given)
    if days := given.package.get("log_retention"):
        steps.append(f"log group {extras.log_group(name)}, kept for {days} days")
    trial = given.trial
    if trial:
        bound = f"{figure(trial.bounds.p99)} ms" if trial.bounds.p99 is not None else "twice the other's, or 100 ms"
        steps += [
            f"alias live: {trial.share:.4g} of the requests to it, for {trial.bake} s",
            f"taken back where {trial.bounds.errors:.4g} more of its requests fail than of the other's, or its p99 is "
            f"over {bound}",
        ]
    steps.append("alias live: all requests to it")
    steps += ["function URL (IAM), where there is none"] if given.url else []
    model = about(package) if package else ["the model that answers now"]
    return _told("update", name, region, model, steps, given)


def deletion(name: str, region: str, given: DeploymentOptions) -> list[str]:
    """What ``delete`` does, for a person to read."""
    steps = [f"function {name}, with its versions, its alias and its URL", "the role that was made for it"]
    steps += [f"log group {extras.log_group(name)}"] if given.delete_logs else []
    return _told("delete", name, region, [], steps, given)


def _told(
    command: str, name: str, region: str, model: list[str], steps: list[str], given: DeploymentOptions
) -> list[str]:
    tags = [f"tags: {', '.join(f'{key}={value}' for key, value in given.tags.items())}"] if given.tags else []
    head = f"dry run of {command}: {name} in {region}; nothing was asked of the cloud"
    listed = [f"  {step}" if step.startswith("  ") else f"  - {step}" for step in [*steps, *tags]]
    return [head, *(f"  {line}" for line in model), *listed]


def _instances(given: DeploymentOptions) -> list[str]:
    found = []
    if (reserved := given.reserved_concurrency) is not None:
        found.append(f"{reserved if reserved >= 0 else 'no'} instances reserved")
    if provisioned := given.package.get("provisioned_concurrency"):
        found.append(f"{provisioned} instances kept ready")
    return found


def _shown(value: Any) -> str:
    """A setting in words; blank where there is nothing in it."""
    if isinstance(value, Mapping):
        pairs = ((key, _shown(one)) for key, one in value.items())
        return ", ".join(f"{key} {text}" for key, text in pairs if text and text != "None")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
