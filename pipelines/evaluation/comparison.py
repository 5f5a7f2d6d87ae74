"""Candidate and champion on the rows that both held out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry import stages
from registry.evidence import Evidence
from registry.evidence.fetch import EvidenceError, VersionEvidence, fetch_evidence
from registry.gates import paired
from registry.holdout import differences
from registry.metrics import measure

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient

#: Fewer shared rows than this are not comparable.
FEWEST = 30


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same rows.

    Parameters
    ----------
    version : the champion's.
    rows : how many rows they share.
    candidate, champion : the metrics of each on those rows; empty if they are too few.
    note : why they are not comparable, or what a person should know; empty if there is nothing.
    unseen : neither was trained on these rows; False if nobody knows what the champion was trained on.
    """

    version: str
    rows: int = 0
    candidate: dict[str, float | None] = field(default_factory=dict)
    champion: dict[str, float | None] = field(default_factory=dict)
    note: str = ""
    unseen: bool = True


def with_champion(client: "MlflowClient", name: str, document: Evidence, answers: "pa.Table") -> Comparison | None:
    """Compare a candidate's held-out answers with those of the model's champion; None if there is none.

    Parameters
    ----------
    document, answers : the candidate's evidence and held-out answers.
    """
    version = stages.champion(client, name)
    if version is None:
        return None
    try:
        champion = fetch_evidence(client, version)
    except EvidenceError as error:
        return Comparison(str(version.version), note=f"not comparable with the champion: {error}")
    return compare(VersionEvidence(name, "", document, answers, "", None), champion)


def compare(candidate: VersionEvidence, champion: VersionEvidence) -> Comparison:
    """Compare two versions' held-out answers on the rows that both held out."""
    ours, theirs, version = candidate.document, champion.document, champion.version
    if (ours.model.task, ours.model.classes) != (theirs.model.task, theirs.model.classes):
        return Comparison(version, note=f"the champion, version {version}, predicts something else")
    why = differences(ours.holdout, theirs.holdout)
    rows = paired.shared(candidate, champion)
    if len(rows) < FEWEST:
        why = why or f"only {len(rows)} held-out rows are shared with it, {FEWEST} are needed"
        note = f"not comparable with the champion, version {version}: {why}; run evaluate"
        return Comparison(version, len(rows), note=note)
    unseen = not theirs.holdout.possibly_trained_on
    if not unseen:
        why = (
            f"the champion, version {version}, was logged without this platform: it may have been trained on these rows"
        )
    return Comparison(version, len(rows), measure(rows.candidate), measure(rows.champion), why, unseen)
