"""Answers on held-out rows -> evidence: the document that gates read, and the table of the answers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipelines import profile
from pipelines.dataset import Dataset
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from registry import evidence
from registry.holdout import HoldoutRule


@dataclass(frozen=True)
class Judged:
    """What was measured of a model's answers.

    Parameters
    ----------
    metrics : name -> value.
    intervals : name -> (low, high); empty where none were asked for.
    """

    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]

    def to_evidence(self) -> dict:
        """The ``metrics`` section: each with its value and the ends of its interval."""
        section = {}
        for name, value in self.metrics.items():
            low, high = self.intervals.get(name) or (None, None)
            section[name] = {"value": value, "low": low, "high": high}
        return section


def judge(answers: Answers, *, resamples: int, seed: int) -> Judged:
    """Measure answers; with bootstrap intervals where ``resamples`` is not 0."""
    found = metrics.intervals(answers, resamples=resamples, seed=seed) if resamples else {}
    return Judged(metrics.measure(answers), found)


def holdout_section(
    rule: HoldoutRule,
    *,
    rows: int,
    training_rows: int | None,
    earlier: dict | None,
    resamples: int,
    like: str | None = None,
) -> dict:
    """The ``holdout`` section of evidence.

    Parameters
    ----------
    rows, training_rows : how many were judged, and how many the version was trained on; None where that is not known.
    earlier : what is known of these rows and other versions, see ``ancestry.Known``; None where nothing was asked.
    like : the version whose key columns were taken over.
    """
    drawn = {"resamples": resamples, "rows": min(rows, metrics.BOOTSTRAP_ROWS), "level": metrics.LEVEL}
    return {
        **rule.to_section(),
        "like": like,
        "rows": rows,
        "training_rows": training_rows,
        "earlier": earlier,
        "bootstrap": drawn if resamples else None,
    }


def schema_section(dataset: Dataset) -> dict:
    """The ``schema`` section of evidence: the inputs in order, and why other columns are none."""
    return {
        "inputs": [column.to_dict() for column in dataset.inputs],
        "left_out": [{"column": name, "reason": reason} for name, reason in dataset.left_out.items()],
        "target": dataset.target_name,
    }


def profile_section(dataset: Dataset, rows: np.ndarray) -> dict:
    """The ``profile`` section of evidence: the features and the target of these rows."""
    section = profile.of(dataset.features.iloc[rows])
    target = dataset.target.iloc[rows].reset_index(drop=True)
    labels = target if target.dtype.kind == "f" else target.astype("str")
    return {**section, dataset.target_name: profile.of(labels.to_frame(dataset.target_name))[dataset.target_name]}


def write_holdout(answers: Answers, keys: np.ndarray, folder: Path) -> Path:
    """Write ``holdout.parquet``: key (16 hex digits), target, prediction and a probability for each class."""
    columns = {
        "key": pa.array([f"{key:016x}" for key in keys.tolist()]),
        "target": _plain(answers.target),
        "prediction": _plain(answers.predicted),
    }
    if answers.probabilities is not None:
        for place, label in enumerate(answers.classes):
            columns[f"probability_{label}"] = pa.array(answers.probabilities[:, place])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / evidence.HOLDOUT
    pa.parquet.write_table(pa.table(columns), path)
    return path


def _plain(values: np.ndarray) -> pa.Array:
    return pa.array(values.tolist() if values.dtype == object else values)
