"""The facts that the page shows of a version, read from its evidence and the ledger when they change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from registry import history
from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.evidence import DIGEST_TAG, Evidence, adoption
from registry.evidence.fetch import fetch_document
from registry.metrics import BY_NAME, METRICS
from serving.server.version_facts import UNKNOWN, Arrival, MeasuredMetric, VersionFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.ledger import LedgerEntry
    from registry.policy import Policy

#: A reason that is longer is cut.
_LONGEST = 600


def judged(
    client: "MlflowClient", tags: Mapping[str, str], run_id: str | None, before: VersionFacts = UNKNOWN
) -> VersionFacts:
    """What the evidence of a version says; it is fetched only if it is not the evidence of ``before``.

    A version is served whether or not its evidence can be fetched: if it cannot, there are no facts, and it is tried
    again when the version is looked at again.

    Parameters
    ----------
    tags, run_id : of the version.
    before : what was known of it.
    """
    place = adoption.place(tags, run_id)
    if place is None:
        return replace(UNKNOWN, arrival=before.arrival)
    name = f"{place} {tags.get(DIGEST_TAG, '')}".rstrip()
    if before.evidence == name:
        return before
    try:
        document = fetch_document(client, place)
    except (RegistryError, OSError):
        return replace(UNKNOWN, arrival=before.arrival)
    facts = _facts(document) if document else UNKNOWN
    return replace(facts, evidence=name, arrival=before.arrival)


def by_policy(facts: VersionFacts, policy: "Policy") -> VersionFacts:
    """The facts, with the name of the metric that the policy judges by."""
    wanted = {policy.metric_of(task) for task in METRICS}
    return replace(facts, metric=next((metric.name for metric in facts.metrics if metric.name in wanted), ""))


def arrival(entries: "Sequence[LedgerEntry]", version: str, created: int, stage: str) -> Arrival | None:
    """The transition that brought a version into its stage; None if the ledger has none."""
    entry = history.arrival(entries, version, created, stage)
    return Arrival(entry.kind, entry.actor, entry.time, one_line(entry.reason, _LONGEST)) if entry else None


def _facts(document: Evidence) -> VersionFacts:
    bootstrap = document.holdout.bootstrap
    return VersionFacts(
        target=document.model.target,
        metrics=tuple(
            MeasuredMetric(name, metric.label, found.value, found.low, found.high, document.baseline.metrics.get(name))
            for name, metric in BY_NAME.items()
            if (found := document.metrics.get(name))
        ),
        rows=document.holdout.rows,
        level=bootstrap.level if bootstrap else None,
        caveat=adoption.caveat(document.holdout) if document.adopted else "",
    )
