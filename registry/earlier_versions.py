"""The registered versions of a model with the rules by which they held rows out, for the training of the next one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import stages
from registry.evidence import DIGEST_TAG, adoption
from registry.evidence.fetch import fetch_document
from registry.holdout import TAG, HoldoutRule

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class EarlierVersion:
    """A registered version and its rule; None if it has none, or none that can be read."""

    number: str
    rule: HoldoutRule | None


def earlier_versions(client: "MlflowClient", name: str) -> list[EarlierVersion]:
    """The versions of a model in the order in which a new one would inherit their rules.

    That is the version in Production, with which the new one will be compared, and then the newest first.

    Raises
    ------
    RegistryError
        if the registry does not answer: that is no reason to hold other rows out.
    """
    found = stages.versions(client, name)
    champions = [version for version in found if version.stage == stages.PRODUCTION]
    champion = champions[-1].number if champions else None
    newest_first = sorted(found, key=lambda one: (one.number == champion, int(one.number)), reverse=True)
    return [EarlierVersion(one.number, _rule(client, one)) for one in newest_first]


def _rule(client: "MlflowClient", version: stages.VersionState) -> HoldoutRule | None:
    """The rule in a version's tag, or else in its evidence."""
    if text := version.tags.get(TAG):
        try:
            return HoldoutRule.from_tag(text)
        except ValueError:
            return None
    place = adoption.place(version.tags, version.run_id)
    if place and version.tags.get(DIGEST_TAG):
        document = fetch_document(client, place)
        return document.holdout.rule if document else None
    return None
