"""Where a deployment's requests go: the state of its alias, which is all that is remembered, and the moves of it.

An alias points at one version, and may send a share of its requests to a second. Its description keeps what the cloud
has no field for: which version came before, which one is being tried since when, which was taken back. Version, share
and description change in one call, on condition that nobody else changed them, so a process may die at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from .aws import Cloud
from .awserrors import CallRefused
from .errors import ABORTED, DeploymentError

#: The alias that requests go to.
ALIAS = "live"


@dataclass(frozen=True)
class AliasTraffic:
    """What an alias says.

    Parameters
    ----------
    version : gets the requests that no other gets.
    trying, share : the version that is tried, and its share of the requests; None and 0 where none is.
    since, bake : when that began, in seconds since 1970, and how long it is to last, in seconds.
    before : the version that had the requests before this one: where a rollback leads. None where it leads nowhere.
    left : the version that the last rollback came from.
    refused : the version that was tried last, and taken back for what the metrics said.
    """

    version: str
    trying: str | None = None
    share: float = 0.0
    since: int = 0
    bake: int = 0
    before: str | None = None
    left: str | None = None
    refused: str | None = None

    def try_out(self, version: str, *, share: float, bake: int, now: float) -> "AliasTraffic":
        """Send a share of the requests to another version."""
        return replace(self, trying=version, share=share, since=ceil(now), bake=bake, refused=None, left=None)

    def move(self, version: str) -> "AliasTraffic":
        """Send all requests to another version; a rollback leads back."""
        if version == self.version:
            return replace(self, trying=None, share=0.0, since=0, bake=0)
        return AliasTraffic(version, before=self.version)

    def go_back(self) -> "AliasTraffic":
        """What a rollback makes of it: the trial is over, or else the version before has the requests again.

        It is the same state where a rollback was the last move, so that one that is done twice goes back once.
        """
        if self.trying:
            return AliasTraffic(self.version, left=self.trying)
        if self.before:
            return AliasTraffic(self.before, left=self.version)
        return self

    def take_back(self) -> "AliasTraffic":
        """The trial is over, for what the metrics say; a rollback now leads nowhere, for this was one."""
        return AliasTraffic(self.version, refused=self.trying)

    def note(self) -> str:
        """What the alias' description keeps."""
        kept = {
            "before": self.before,
            "trying": self.trying,
            "since": self.since or None,
            "bake": self.bake or None,
            "left": self.left,
            "refused": self.refused,
        }
        return " ".join(f"{name}={value}" for name, value in kept.items() if value is not None)

    def routing(self) -> dict[str, Any]:
        """What the cloud calls the shares."""
        return {"AdditionalVersionWeights": {self.trying: self.share} if self.trying else {}}

    def said(self) -> str:
        """In words."""
        if self.trying:
            return f"version {self.version}, and {self.share:.4g} of the requests to version {self.trying}"
        return f"version {self.version}"


@dataclass(frozen=True)
class AliasState:
    """An alias as it was read: what it says, and the cloud's mark of that reading."""

    traffic: AliasTraffic
    revision: str | None


def parse(answer: Mapping[str, Any]) -> AliasTraffic:
    """What an alias says, as the cloud tells it; words in its description that are not ours are passed over."""
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    trying, share = next(iter(weights.items()), (None, 0.0))
    pairs = (part.partition("=") for part in (answer.get("Description") or "").split())
    kept = {name: value for name, _, value in pairs if value.isdigit()}
    ours = trying is not None and kept.get("trying") == trying
    return AliasTraffic(
        str(answer["FunctionVersion"]),
        trying=trying,
        share=float(share),
        since=int(kept.get("since", 0)) if ours else 0,
        bake=int(kept.get("bake", 0)) if ours else 0,
        before=kept.get("before"),
        left=kept.get("left"),
        refused=kept.get("refused"),
    )


def read(cloud: Cloud, name: str) -> AliasState | None:
    """The alias of a deployment; None where there is none."""
    answer = cloud.find("lambda", "get_alias", FunctionName=name, Name=ALIAS)
    return AliasState(parse(answer), answer.get("RevisionId")) if answer else None


def point(cloud: Cloud, name: str, to: AliasTraffic, *, instead: AliasState | None) -> None:
    """Make the alias say something else, in one call.

    Parameters
    ----------
    instead : what it says now; None where there is none. Where it says something else by then, nothing is changed.

    Raises
    ------
    DeploymentError
        if somebody else changed it.
    """
    parameters: dict[str, Any] = {
        "FunctionName": name,
        "Name": ALIAS,
        "FunctionVersion": to.version,
        "Description": to.note(),
        "RoutingConfig": to.routing(),
    }
    try:
        if instead is None:
            cloud.patiently("lambda", "create_alias", **parameters)
        else:
            revision: dict[str, Any] = {"RevisionId": instead.revision} if instead.revision else {}
            cloud.patiently("lambda", "update_alias", **parameters, **revision)
    except CallRefused as error:
        if error.code != "PreconditionFailedException" and not error.there:
            raise
        # The answer to our own first try may have been lost.
        found = read(cloud, name)
        if found is None or found.traffic != to:
            raise moved(name, found) from None


def moved(name: str, found: AliasState | None) -> DeploymentError:
    """The refusal where somebody else moves the traffic."""
    now = f"it goes to {found.traffic.said()}" if found else "the alias is gone"
    return DeploymentError(
        f"somebody else moved the traffic of {name!r} at the same time: {now}; look at it "
        f"(`mlflow deployments get`), then run the command again",
        ABORTED,
    )
