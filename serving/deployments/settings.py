"""What ``-C name=value`` may say: read, checked, and told apart by what it is for, before anything is called."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class DeploymentOptions:
    """The options of a command.

    Parameters
    ----------
    package : those of the package, as texts; only those that were given.
    role : an ARN; empty where none is named.
    reserved : how many instances; negative for no limit, None where nothing is said.
    trial : how a new version is tried; None for all requests at once.
    others : see ``OWN``.
    """

    package: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    create_role: bool = False
    url: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    reserved: int | None = None
    image: str = ""
    allow_ungated: bool = False
    dry_run: bool = False
    rollback: bool = False
    trial: Trial | None = None
    delete_logs: bool = False
    port: int = 8080
    fetch: bool = False


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

_ROLE = Setting("role", "", f"ARN of the role that the function runs as [default: ${ROLE_VARIABLE}]", _role)
_URL = Setting("url", False, "a function URL of its own; requests have to be signed (IAM)", yes_no)
_TAGS = Setting("tags", {}, "of the function: team=credit,stage=live", _tags)
_ENVIRONMENT = Setting("environment", {}, "the function's variables: LEVEL=info; a blank one is removed", _variables)
_RESERVED = Setting("reserved_concurrency", None, "at most so many at once, kept free for it; or none", _reserved)
_IMAGE = Setting("image", "", "for a model without a scorecard: its image, REPOSITORY@sha256:...", _image)
_UNGATED = Setting("allow_ungated", False, "also a version whose gates did not pass, or that is not registered", yes_no)
_DRY_RUN = Setting("dry_run", False, "say what would be done, and call no cloud", yes_no)

_OF_A_FUNCTION = (_URL, _TAGS, _ENVIRONMENT, _RESERVED, _IMAGE, _UNGATED, _DRY_RUN)

#: The options of each command that are the plugin's own; all but ``delete`` take the package's, too.
OWN: Mapping[str, tuple[Setting, ...]] = {
    CREATE: (
        _ROLE,
        Setting("create_role", False, "make a role that may do what the package needs, and nothing else", yes_no),
        *_OF_A_FUNCTION,
    ),
    UPDATE: (
        Setting("canary", None, "the share of requests that the new version gets first: 0.1", _share),
        Setting(
            "bake", None, f"how long it is tried with that share, in seconds [with canary: {_BAKE}]", whole(1, 86_400)
        ),
        Setting("max_errors", 0.01, "how much higher than the other's its share of failed requests may be", _positive),
        Setting(
            "max_p99", None, "what its p99 may be, in ms [default: twice the other's, and at least 100]", _positive
        ),
        Setting("min_requests", 0, "how many requests it has to have answered by the end", whole(0, 10**9)),
        Setting("again", False, "try a version once more that was taken back", yes_no),
        Setting("rollback", False, "back to the version before, at once; nothing else is changed", yes_no),
        Setting("role", "", "ARN of another role to run as; not with canary", _role),
        *_OF_A_FUNCTION,
    ),
    DELETE: (
        Setting("delete_logs", False, "the log group, too", yes_no),
        _DRY_RUN,
    ),
    RUN: (
        Setting("port", 8080, "of this machine; 0 for any that is free", whole(0, 65_535)),
        Setting("fetch", False, "fetch AWS's emulator (8 MB) where this machine has none", yes_no),
        _ENVIRONMENT,
        _UNGATED,
    ),
}
_OF_A_TRIAL = ("bake", "max_errors", "max_p99", "min_requests", "again")


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
            f"a rollback goes to the version before, as it was; it takes no {', '.join(sorted(others))}",
            INVALID_PARAMETER_VALUE,
        )
    if values.get("create_role") and values.get("role"):
        raise DeploymentError("expected role or create_role, found both", INVALID_PARAMETER_VALUE)
    if command == CREATE and not values["role"] and not values["create_role"]:
        values["role"] = _of_environment()
        if not values["role"]:
            raise DeploymentError(
                f"no role for the function to run as: give -C role=ARN, set {ROLE_VARIABLE}, or let one be made with "
                "-C create_role=true",
                INVALID_PARAMETER_VALUE,
            )
    fields = {name: value for name, value in values.items() if name in DeploymentOptions.__dataclass_fields__}
    fields["reserved"] = values.get("reserved_concurrency")
    return DeploymentOptions(**{**fields, "package": package, "trial": trial})


def _trial(values: dict[str, Any], given: set[str]) -> Trial | None:
    if values["canary"] is None:
        if idle := [name for name in _OF_A_TRIAL if name in given]:
            raise DeploymentError(
                f"{', '.join(idle)}: of a trial, which canary asks for; give -C canary=0.1 with it",
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
