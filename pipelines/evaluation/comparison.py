"""Candidate and champion on the rows that both held out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import holdout, reading, stages
from registry.gates import Evidence, paired
from registry.metrics import measure
from registry.reading import EvidenceError

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
    candidate, champion : the metrics of each on those rows; empty where they are too few.
    note : why they are not comparable, or what a person should know; empty where there is nothing.
    unseen : neither was trained on these rows; False where the champion does not tell what it was trained on.
    """

    version: str
    rows: int
    candidate: dict
    champion: dict
    note: str = ""
    unseen: bool = True

    def to_card(self) -> dict:
        """What the model card tells of it."""
        return {
            "version": self.version,
            "rows": self.rows,
            "metrics": self.champion,
            "candidate": self.candidate,
            "note": self.note,
            "unseen": self.unseen,
        }


def with_champion(client: "MlflowClient", name: str, document: dict, answers: "pa.Table") -> Comparison | None:
    """Compare a candidate's held-out answers with those of the model's champion; None where there is none.

    Parameters
    ----------
    document, answers : the candidate's evidence and held-out answers.
    """
    version = stages.champion(client, name)
    if version is None or not version.run_id:
        return None
    number = str(version.version)
    try:
        champion = reading.fetch(client, version)
    except EvidenceError as error:
        return Comparison(number, 0, {}, {}, f"not comparable with the champion: {error}")
    return compare(Evidence(name, "", document, answers, "", None), champion)


def compare(candidate: Evidence, champion: Evidence) -> Comparison:
    """Compare two versions' held-out answers on the rows that both held out."""
    ours, theirs, version = candidate.document, champion.document, champion.version
    if ours["model"]["task"] != theirs["model"]["task"] or ours["model"]["classes"] != theirs["model"]["classes"]:
        return Comparison(version, 0, {}, {}, f"the champion, version {version}, predicts something else")
    why = holdout.differences(*(holdout.HoldoutRule.read(one["holdout"]) for one in (ours, theirs)))
    rows = paired.shared(candidate, champion)
    if len(rows) < FEWEST:
        why = why or f"only {len(rows)} held-out rows are shared with it, {FEWEST} are needed"
        return Comparison(
            version, len(rows), {}, {}, f"not comparable with the champion, version {version}: {why}; run evaluate"
        )
    unseen = theirs["holdout"]["by"] != holdout.GIVEN
    if not unseen:
        why = f"the champion, version {version}, was logged by other means: it may have been trained on these rows"
    return Comparison(version, len(rows), measure(rows.candidate), measure(rows.champion), why, unseen)
