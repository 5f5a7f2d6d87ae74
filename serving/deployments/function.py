"""A Lambda function and its published versions, brought to what is wanted from whatever is there."""

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .aws import Cloud
from .awserrors import CallRefused
from .errors import ABORTED, INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, DeploymentError

#: The tag that tells our functions and roles from all others.
TAG = "mlflow-deployment"
#: What a function's description begins with; the model's URI follows. A list of functions shows it, but no tags.
DESCRIPTION = "MLflow deployment of "
_LONGEST = 256

ZIP, IMAGE = "Zip", "Image"
_LATEST = "$LATEST"


@dataclass(frozen=True)
class Code:
    """What a function runs.

    Parameters
    ----------
    content : of the zip; None for an image.
    image : with its digest, ``REPOSITORY@sha256:...``; None for a zip.
    """

    content: bytes | None = field(default=None, repr=False)
    image: str | None = None

    @property
    def kind(self) -> str:
        """The cloud's word for it."""
        return IMAGE if self.image else ZIP

    def of(self, found: Mapping[str, Any]) -> bool:
        """Whether a function or version, as ``configuration`` reads it, runs this."""
        if self.image:
            wanted = self.image.rpartition("@")[2]
            return wanted in ((found.get(key) or "").rpartition("@")[2] for key in ("ImageUri", "ResolvedImageUri"))
        return found.get("CodeSha256") == self.digest

    @property
    def digest(self) -> str:
        """Of a zip as the cloud tells it, SHA-256 in base64; of an image as its name ends, ``sha256:...``."""
        if self.image:
            return self.image.rpartition("@")[2]
        return base64.b64encode(hashlib.sha256(self.content or b"").digest()).decode()

    def parameters(self) -> dict[str, Any]:
        """As a call takes it."""
        return {"ImageUri": self.image} if self.image else {"ZipFile": self.content}


@dataclass(frozen=True)
class WantedVersion:
    """What a version of a function is to be.

    Parameters
    ----------
    configuration : by the cloud's own words: ``MemorySize``, ``Timeout``, ``Environment``, ...; what it does not name
        may be anything.
    architectures : as the cloud names them.
    """

    code: Code
    configuration: Mapping[str, Any]
    architectures: tuple[str, ...]

    def differing(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What of the configuration is not as it should be."""
        return {name: value for name, value in self.configuration.items() if not _same(found.get(name), value)}

    def runs(self, found: Mapping[str, Any]) -> bool:
        """Whether a function or version has this code."""
        architectures = tuple(found.get("Architectures") or ("x86_64",))
        return self.code.of(found) and architectures == self.architectures

    def is_(self, found: Mapping[str, Any]) -> bool:
        """Whether a function or version is as wanted."""
        return self.runs(found) and not self.differing(found)


def described(uri: str) -> str:
    """A function's description, by which its model is known.

    Raises
    ------
    DeploymentError
        if the model's name is too long for it.
    """
    text = DESCRIPTION + uri
    if len(text) > _LONGEST:
        raise DeploymentError(
            f"the model {uri[:40]}... has too long a name for a function: a function's "
            f"description holds {_LONGEST} characters, this has {len(text)}",
            INVALID_PARAMETER_VALUE,
        )
    return text


def model(configuration: Mapping[str, Any]) -> str | None:
    """The URI of the model that a function or version was made of; None where it is none of ours."""
    text = configuration.get("Description") or ""
    return text.removeprefix(DESCRIPTION) if text.startswith(DESCRIPTION) else None


def find(cloud: Cloud, name: str) -> dict[str, Any] | None:
    """The function of a name, with ``Configuration``, ``Tags`` and ``Concurrency``; None where there is none.

    Raises
    ------
    DeploymentError
        if it was not made by this plugin.
    """
    found = cloud.find("lambda", "get_function", FunctionName=name)
    if found and TAG not in (found.get("Tags") or {}):
        raise DeploymentError(
            f"the function {name!r} is there, and was not made by this plugin (it has no tag {TAG}): "
            "choose another name",
            RESOURCE_ALREADY_EXISTS,
        )
    return found


def create(
    cloud: Cloud,
    name: str,
    wanted: WantedVersion,
    *,
    tags: Mapping[str, str],
    young_role: bool,
) -> None:
    """Create a function, and wait until it can be used; one that is there by now is left as it is.

    Parameters
    ----------
    young_role : whether its role may be so new that it is not known everywhere yet.
    """

    def waits(error: CallRefused) -> bool:
        return young_role and error.code == "InvalidParameterValueException" and "role" in error.said.lower()

    try:
        cloud.patiently(
            "lambda",
            "create_function",
            while_=waits,
            FunctionName=name,
            PackageType=wanted.code.kind,
            Code=wanted.code.parameters(),
            Architectures=list(wanted.architectures),
            Tags={**tags, TAG: name},
            Publish=False,
            **{key: value for key, value in wanted.configuration.items() if value not in (None, "", [], {})},
        )
    except CallRefused as error:
        # The answer to our own first try may have been lost, or another process was faster.
        if not error.there or find(cloud, name) is None:
            raise
    cloud.wait("function_active_v2", f"the function {name!r}", FunctionName=name)


def configuration(cloud: Cloud, name: str, version: str | None = None) -> dict[str, Any] | None:
    """The configuration of a function, or of one of its versions, with ``ImageUri`` where it is an image.

    None where there is none.
    """
    qualified = {"Qualifier": version} if version else {}
    found = cloud.find("lambda", "get_function_configuration", FunctionName=name, **qualified)
    return _with_image(cloud, name, found, qualified) if found else None


def versions(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    """The published versions of a function, the newest first, as ``configuration`` tells them."""
    listed = cloud.pages("lambda", "list_versions_by_function", "Versions", FunctionName=name)
    published = sorted((one for one in listed if one["Version"] != _LATEST), key=lambda one: -int(one["Version"]))
    return [_with_image(cloud, name, one, {"Qualifier": one["Version"]}) for one in published]


def prune(cloud: Cloud, name: str, *, keep: Collection[str], newest: int) -> list[str]:
    """Delete the published versions of this plugin that are out of use; the numbers of those that went.

    Parameters
    ----------
    keep : numbers that stay, beside all that an alias points to.
    newest : so many stay in any case.
    """
    listed = cloud.pages("lambda", "list_versions_by_function", "Versions", FunctionName=name)
    numbers = sorted((one["Version"] for one in listed if one["Version"] != _LATEST and model(one)), key=int)
    old = numbers[: max(len(numbers) - newest, 0)]
    if not old:
        return []
    used = set(keep)
    for alias in cloud.pages("lambda", "list_aliases", "Aliases", FunctionName=name):
        used.add(alias["FunctionVersion"])
        used |= ((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}).keys()
    gone = [number for number in old if number not in used]
    for number in gone:
        cloud.find("lambda", "delete_function", FunctionName=name, Qualifier=number)
    return gone


def _with_image(cloud: Cloud, name: str, found: dict[str, Any], qualified: Mapping[str, str]) -> dict[str, Any]:
    """Of an image the configuration tells a digest that is nobody else's; which image it is, is told elsewhere."""
    if found.get("PackageType") != IMAGE:
        return found
    code = cloud.call("lambda", "get_function", FunctionName=name, **qualified).get("Code", {})
    return {**found, **{key: code.get(key) for key in ("ImageUri", "ResolvedImageUri")}}


def matching(published: Iterable[Mapping[str, Any]], fits: Callable[[Mapping[str, Any]], bool]) -> str | None:
    """The number of the newest published version that fits."""
    return next((one["Version"] for one in published if fits(one)), None)


def publish(cloud: Cloud, name: str, wanted: WantedVersion) -> tuple[str, bool]:
    """The number of a published version that is as wanted, ready for requests; and whether it was made now.

    Raises
    ------
    DeploymentError
        if the cloud refuses, or somebody else changes the function at the same time.
    """
    number = matching(versions(cloud, name), wanted.is_)
    made = number is None
    if number is None:
        number = _publish(cloud, name, wanted, _bring(cloud, name, wanted))
    # One that nobody asked for weeks is inactive until somebody does: only what is being made is waited for.
    if made or (configuration(cloud, name, number) or {}).get("State") == "Pending":
        what = f"version {number} of {name!r}"
        cloud.wait("published_version_active", what, FunctionName=name, Qualifier=number)
    return number, made


def _bring(cloud: Cloud, name: str, wanted: WantedVersion) -> dict[str, Any]:
    """Bring the unpublished version to what is wanted; its configuration then."""
    latest = _latest(cloud, name)
    if (latest.get("PackageType") or ZIP) != wanted.code.kind:
        raise DeploymentError(
            f"{name!r} is a function of kind {latest.get('PackageType')}, and this model needs one of kind "
            f"{wanted.code.kind}, which cannot be changed: deploy it under another name",
            INVALID_PARAMETER_VALUE,
        )
    if changes := wanted.differing(latest):
        latest = _change(cloud, name, "update_function_configuration", latest, wanted.differing, changes)
    if not wanted.runs(latest):
        code = {**wanted.code.parameters(), "Architectures": list(wanted.architectures)}
        latest = _change(cloud, name, "update_function_code", latest, lambda one: not wanted.runs(one), code)
    return latest


def _change(
    cloud: Cloud,
    name: str,
    operation: str,
    latest: Mapping[str, Any],
    differs: Callable[[Mapping[str, Any]], Any],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    revision = {"RevisionId": latest["RevisionId"]} if latest.get("RevisionId") else {}
    try:
        cloud.patiently("lambda", operation, FunctionName=name, **parameters, **revision)
    except CallRefused as error:
        if error.code != "PreconditionFailedException":
            raise
    cloud.wait("function_updated_v2", f"the change of {name!r}", FunctionName=name)
    # Its revision is another one when the change has come to its end.
    found = _latest(cloud, name)
    if differs(found):
        raise _elsewhere(name)
    return found


def _publish(cloud: Cloud, name: str, wanted: WantedVersion, latest: Mapping[str, Any]) -> str:
    revision = {"RevisionId": latest["RevisionId"]} if latest.get("RevisionId") else {}
    if not wanted.is_(latest):
        raise _elsewhere(name)
    try:
        answer = cloud.patiently(
            "lambda", "publish_version", FunctionName=name, CodeSha256=latest["CodeSha256"], **revision
        )
    except CallRefused as error:
        if error.code not in ("PreconditionFailedException", "InvalidParameterValueException"):
            raise
        # The answer to our own first try may have been lost; or somebody else changed the function.
        number = matching(versions(cloud, name), wanted.is_)
        if number is None:
            raise _elsewhere(name) from None
        return number
    return str(answer["Version"])


def _latest(cloud: Cloud, name: str) -> dict[str, Any]:
    found = configuration(cloud, name)
    if found is None:
        raise _elsewhere(name)
    return found


def _elsewhere(name: str) -> DeploymentError:
    return DeploymentError(
        f"somebody else changes the function {name!r} at the same time; nothing was moved: run the command again",
        ABORTED,
    )


def _same(found: Any, wanted: Any) -> bool:
    """Whether a setting is as wanted, whatever else the cloud tells of it."""
    if isinstance(wanted, Mapping):
        found = found or {}
        if set(wanted) == {"Variables"}:
            return (found.get("Variables") or {}) == wanted["Variables"]
        return all(_same(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        return sorted(map(str, found or ())) == sorted(map(str, wanted))
    return found == wanted or (not found and not wanted)
