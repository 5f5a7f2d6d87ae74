"""Candidate and champion on the rows that both held out."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipelines import evaluation, metrics
from pipelines.metrics import Answers
from registry import evidence, stages
from registry.client import speaking
from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Fewer shared rows than this are not comparable.
FEWEST = 30


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same rows.

    Parameters
    ----------
    version : the champion's.
    rows : how many rows both held out.
    candidate, champion : the metrics of each on those rows; empty where they are too few.
    note : why they are not comparable, or what a person should know; empty where there is nothing.
    """

    version: str
    rows: int
    candidate: dict
    champion: dict
    note: str = ""

    def to_card(self) -> dict:
        """What the model card tells of it."""
        return {
            "version": self.version,
            "rows": self.rows,
            "metrics": self.champion,
            "candidate": self.candidate,
            "note": self.note,
        }


def with_champion(client: "MlflowClient", name: str, document: dict, holdout: pd.DataFrame) -> Comparison | None:
    """Compare a candidate's held-out answers with those of the model's champion; None where there is none.

    Parameters
    ----------
    document, holdout : the candidate's evidence and held-out answers.
    """
    version = stages.champion(client, name)
    if version is None or not version.run_id:
        return None
    with speaking(), tempfile.TemporaryDirectory() as folder:
        try:
            if not client.list_artifacts(version.run_id, evidence.TRAINING):
                raise RegistryError("it has no evidence; judge it with `python -m pipelines evaluate`")
            path = Path(client.download_artifacts(version.run_id, evidence.TRAINING, folder))
            theirs, answers = evidence.read(path), evaluation.read_holdout(path / evidence.HOLDOUT)
        except RegistryError as error:
            return Comparison(str(version.version), 0, {}, {}, f"the champion, version {version.version}: {error}")
    return compare(str(version.version), (document, holdout), (theirs, answers))


def compare(version: str, candidate: tuple[dict, pd.DataFrame], champion: tuple[dict, pd.DataFrame]) -> Comparison:
    """Compare two versions' held-out answers on the rows whose keys they share."""
    (ours, our_rows), (theirs, their_rows) = candidate, champion
    if ours["model"]["task"] != theirs["model"]["task"] or ours["model"]["classes"] != theirs["model"]["classes"]:
        return Comparison(version, 0, {}, {}, f"the champion, version {version}, predicts something else")
    changed = keys_changed(ours, theirs)
    pairs = shared(our_rows, their_rows)
    if len(pairs) < FEWEST:
        why = changed or f"only {len(pairs)} held-out rows are shared with it, {FEWEST} are needed"
        return Comparison(
            version, len(pairs), {}, {}, f"not comparable with the champion, version {version}: {why}; run evaluate"
        )
    return Comparison(
        version,
        len(pairs),
        metrics.measure(_answers(ours, pairs, "")),
        metrics.measure(_answers(theirs, pairs, "_champion")),
        changed,
    )


def keys_changed(ours: dict, theirs: dict) -> str:
    """Why the rows' keys are not those of the champion; empty where they are."""
    mine, yours = ours["holdout"]["key_columns"], theirs["holdout"]["key_columns"]
    if sorted(mine) == sorted(yours):
        return ""
    added, gone = sorted(set(mine) - set(yours)), sorted(set(yours) - set(mine))
    parts = [f"{word} {', '.join(names)}" for word, names in (("added", added), ("gone", gone)) if names]
    return f"the columns that key the rows have changed ({'; '.join(parts)})"


def shared(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The rows of both, joined on the key; the k-th of equal keys with the k-th."""
    numbered = [frame.assign(place=frame.groupby("key").cumcount()) for frame in (ours, theirs)]
    return numbered[0].merge(numbered[1], on=["key", "place"], suffixes=("", "_champion"))


def _answers(document: dict, pairs: pd.DataFrame, suffix: str) -> Answers:
    model = document["model"]
    classes = tuple(model["classes"] or ())
    probabilities = None
    if classes:
        probabilities = pairs[[f"probability_{label}{suffix}" for label in classes]].to_numpy()
    target, predicted = (pairs[f"{column}{suffix}"].to_numpy() for column in ("target", "prediction"))
    return Answers(target, predicted, probabilities, classes, model["positive"])
