"""The options ``-C name=value``: declared, read, and checked before anything is called."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from serving.packaging import TARGETS, Setting
from serving.packaging.aws_lambda.settings import NAME
from serving.packaging.options import as_text, matching, whole, yes_no
from serving.packaging.options import read as read_options

from .errors import INVALID_PARAMETER_VALUE, DeploymentError, deployment_errors
from .metrics import Bounds
from .shifting import Trial

TARGET = "aws-lambda"
CREATE, UPDATE, DELETE, RUN = "create", "update", "delete", "run-local"

#: Where a role is named for all deployments.
ROLE_VARIABLE = "AWS_LAMBDA_ROLE"

#: The package's options that the plugin takes, and what each is in the function's configuration.
CONFIGURED: Mapping[str, str] = {
    "runtime": "Runtime",
    "architecture": "Architectures",
    "memory": "MemorySize",
    "timeout": "Timeout",
    "kms_key": "KMSKeyArn",
    "subnets": "VpcConfig",
    "security_groups": "VpcConfig",
    "snap_start": "SnapStart",
}
_TAKEN = (*CONFIGURED, "log_retention", "provisioned_concurrency")
_BAKE = 600


def _share(text: str) -> float:
    value = _number(text)
    if value is None or not 0 < value < 1:
        raise ValueError("a share between 0 and 1, such as 0.1")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value is None or value < 0:
        raise ValueError("a number of at least 0")
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _tags(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"(?!aws:)[\w .:/=+@-]{1,128}", key) or len(value) > 256:
            raise ValueError("tags as team=credit,stage=live")
        found[key] = value
    return found


def _variables(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in re.split(r",(?=\s*[A-Za-z]\w*=)", text):
        key, equals, value = part.strip().partition("=")
        if not equals or not re.fullmatch(r"(?!AWS_|LAMBDA_)[A-Za-z]\w+", key):
            raise ValueError("variables as LEVEL=info,OTHER=value (AWS_... and LAMBDA_... are Lambda's own)")
        found[key] = value
    return found


def _reserved(text: str) -> int:
    try:
        return -1 if text == "none" else whole(0, 100_000)(text)
    except ValueError as error:
        raise ValueError(f"{error}, or none") from None


_role = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "a role's ARN, arn:aws:iam::123456789012:role/NAME")
_image = matching(
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}",
    "an image in ECR by its digest, 123456789012.dkr.ecr.REGION.amazonaws.com/NAME@sha256:... (a tag may be moved)",
)


def _option(commands: Sequence[str], default: Any, help: str, read: Callable[[str], Any]) -> Any:
    """Declare a field of :class:`DeploymentOptions` that is an option of these commands."""
    setting = {"default": default, "help": help, "read": read}
    return field(default_factory=lambda: default, metadata={"commands": commands, "setting": setting})


@dataclass(frozen=True)
class DeploymentOptions:
    """The options of a command.

    Parameters
    ----------
    reserved_concurrency : negative for no limit, None for what there is.
    package : those of the package, as texts; only those that were given.
    trial : how a new version is tried; None for all requests at once.
    """

    role: str = _option(
        (CREATE, UPDATE), "", f"ARN of the role that the function runs as [create: ${ROLE_VARIABLE}]", _role
    )
    create_role: bool = _option(
        (CREATE,), False, "make a role that may do what the package needs, and nothing else", yes_no
    )
    rollback: bool = _option((UPDATE,), False, "go back to the previous version at once; nothing else changes", yes_no)
    url: bool = _option((CREATE, UPDATE), False, "a function URL of its own; requests have to be signed (IAM)", yes_no)
    tags: Mapping[str, str] = _option((CREATE, UPDATE), {}, "tags of the function: team=credit,stage=live", _tags)
    environment: Mapping[str, str] = _option(
        (CREATE, UPDATE, RUN), {}, "the function's variables: LEVEL=info; a blank one is removed", _variables
    )
    reserved_concurrency: int | None = _option(
        (CREATE, UPDATE), None, "the most instances at once, reserved for it; or none", _reserved
    )
    image: str = _option(
        (CREATE, UPDATE), "", "the image of a model without a scorecard, REPOSITORY@sha256:...", _image
    )
    allow_ungated: bool = _option(
        (CREATE, UPDATE, RUN), False, "deploy a version whose gates did not pass, or that is not registered", yes_no
    )
    delete_logs: bool = _option((DELETE,), False, "delete the log group, too", yes_no)
    dry_run: bool = _option((CREATE, UPDATE, DELETE), False, "print what would be done, and call no cloud", yes_no)
    port: int = _option((RUN,), 8080, "the port of this machine; 0 for any that is free", whole(0, 65_535))
    fetch: bool = _option((RUN,), False, "fetch AWS's emulator (8 MB) where this machine has none", yes_no)
    package: Mapping[str, str] = field(default_factory=dict)
    trial: Trial | None = None


#: The options of ``update`` that make a trial; all but the first need it.
_TRIAL = (
    Setting("canary", None, "the share of the requests that the new version gets first: 0.1", _share),
    Setting("bake", None, f"how long the trial lasts, in seconds [with canary: {_BAKE}]", whole(1, 86_400)),
    Setting("max_errors", 0.01, "by how much its share of failed requests may exceed the other's", _positive),
    Setting(
        "max_p99", None, "the most that its p99 may be, in ms [default: twice the other's, and at least 100]", _positive
    ),
    Setting("min_requests", 0, "how many requests it must have answered by the end", whole(0, 10**9)),
    Setting("again", False, "try a version once more that was taken back", yes_no),
)


def _own(command: str) -> tuple[Setting, ...]:
    found = tuple(
        Setting(one.name, **one.metadata["setting"])
        for one in fields(DeploymentOptions)
        if command in one.metadata.get("commands", ())
    )
    return _TRIAL + found if command == UPDATE else found


#: The options of each command that are the plugin's own; all but ``delete`` take the package's, too.
OWN: Mapping[str, tuple[Setting, ...]] = {command: _own(command) for command in (CREATE, UPDATE, DELETE, RUN)}


def options(command: str) -> tuple[Setting, ...]:
    """All options of a command: the plugin's own, then the package's."""
    own = OWN[command]
    if command == DELETE:
        return own
    return own + tuple(option for option in TARGETS[TARGET].options if option.name in _TAKEN)


def read(command: str, config: Mapping[str, Any] | None) -> DeploymentOptions:
    """Return the options of a command, of ``-C name=value`` or of a dict.

    Raises
    ------
    DeploymentError
        if one is unknown, its value is not of its kind, or they do not go together.
    """
    given = {str(name): text for name, value in (config or {}).items() if (text := as_text(value))}
    known = options(command)
    names = {option.name for option in known}
    for name in given.keys() - names:
        if name in {option.name for option in TARGETS[TARGET].options} - set(_TAKEN):
            raise DeploymentError(
                f"{name} is an option of the templates that `python -m serving package --target {TARGET}` writes; "
                "a deployment is a function with a version, an alias and a URL",
                INVALID_PARAMETER_VALUE,
            )
    with deployment_errors():
        values = read_options(known, given, of=f"`{command}`")
    own = {option.name for option in OWN[command]}
    package = {name: text for name, text in given.items() if name not in own}
    return _settled(command, values, package, set(given))


def _settled(command: str, values: dict[str, Any], package: dict[str, str], given: set[str]) -> DeploymentOptions:
    trial = None
    if command == UPDATE:
        trial = _trial(values, given)
    if values.get("rollback") and (others := given - {"rollback", "dry_run"}):
        raise DeploymentError(
            f"a rollback returns to the previous version as it was; it takes no {', '.join(sorted(others))}",
            INVALID_PARAMETER_VALUE,
        )
    if values.get("create_role") and values.get("role"):
        raise DeploymentError("expected role or create_role, found both", INVALID_PARAMETER_VALUE)
    if command == CREATE and not values["role"] and not values["create_role"]:
        values["role"] = _of_environment()
        if not values["role"]:
            raise DeploymentError(
                f"no role for the function: give -C role=ARN, set {ROLE_VARIABLE}, or create one with "
                "-C create_role=true",
                INVALID_PARAMETER_VALUE,
            )
    own = {one.name for one in fields(DeploymentOptions)}
    chosen = {name: value for name, value in values.items() if name in own}
    return DeploymentOptions(**chosen, package=package, trial=trial)


def _trial(values: dict[str, Any], given: set[str]) -> Trial | None:
    if values["canary"] is None:
        if idle := [one.name for one in _TRIAL if one.name in given]:
            raise DeploymentError(
                f"{', '.join(idle)}: options of a trial; give -C canary=0.1 with them",
                INVALID_PARAMETER_VALUE,
            )
        return None
    bounds = Bounds(values["max_errors"], values["max_p99"], values["min_requests"])
    return Trial(values["canary"], values["bake"] or _BAKE, bounds, values["again"])


def _of_environment() -> str:
    text = os.environ.get(ROLE_VARIABLE, "").strip()
    try:
        return _role(text) if text else ""
    except ValueError as error:
        raise DeploymentError(f"{ROLE_VARIABLE}: expected {error}, found {text!r}", INVALID_PARAMETER_VALUE) from None


def name(text: Any) -> str:
    """A deployment's name, if the cloud takes it for a function.

    Raises
    ------
    DeploymentError
        if it does not.
    """
    if not isinstance(text, str) or not re.fullmatch(NAME, text):
        raise DeploymentError(
            f"a deployment's name has 1 to 64 letters, digits, - and _ (no spaces, no accents), found {text!r}",
            INVALID_PARAMETER_VALUE,
        )
    return text
