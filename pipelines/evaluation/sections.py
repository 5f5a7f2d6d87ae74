"""Answers on held-out rows -> the sections of evidence, and the table of the answers."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipelines import profile, row_keys
from pipelines.dataset import Dataset
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from registry import evidence
from registry.evidence.document import (
    Bootstrap,
    CategoryProfile,
    Declaration,
    Holdout,
    InputColumn,
    LeftOut,
    MetricValue,
    NumberProfile,
    OtherVersions,
    Parity,
    Schema,
)
from registry.holdout import HoldoutRule
from serving.scorecard import Scorecard, parity

#: Held-out answers that are kept with the evidence: for comparisons, which resample 10,000 of them.
MOST_WRITTEN = 1_000_000


def metrics_section(answers: Answers, *, resamples: int, seed: int) -> dict[str, MetricValue]:
    """The ``metrics`` section of evidence, with bootstrap intervals unless ``resamples`` is 0."""
    ends = metrics.intervals(answers, resamples=resamples, seed=seed) if resamples else {}
    return with_intervals(metrics.measure(answers), ends)


def with_intervals(
    values: Mapping[str, float | None], ends: Mapping[str, tuple[float, float] | None]
) -> dict[str, MetricValue]:
    """The ``metrics`` section of evidence, of values and the ends of their intervals, as far as there are any."""
    return {name: MetricValue(value, *(ends.get(name) or ())) for name, value in values.items()}


def holdout_section(
    rule: HoldoutRule,
    *,
    rows: int,
    training_rows: int | None,
    earlier: OtherVersions | None,
    resamples: int,
    like: str | None = None,
    notes: Sequence[str] = (),
    declared_unseen: Declaration | None = None,
) -> Holdout:
    """The ``holdout`` section of evidence; see ``Holdout``."""
    drawn = Bootstrap(resamples, min(rows, metrics.BOOTSTRAP_ROWS), metrics.LEVEL) if resamples else None
    return Holdout.of(
        rule,
        rows=rows,
        training_rows=training_rows,
        earlier=earlier,
        like=like,
        bootstrap=drawn,
        notes=list(notes),
        declared_unseen=declared_unseen,
    )


def parity_section(pipeline: Any, card: Scorecard, frame: pd.DataFrame) -> Parity:
    """The ``parity`` section of evidence: how far a scorecard's answers are from its pipeline's."""
    return msgspec.convert(parity.measure(pipeline, card, frame), Parity)


def schema_section(dataset: Dataset) -> Schema:
    """The ``schema`` section of evidence: the inputs in order, and why other columns are none."""
    return Schema(
        inputs=[InputColumn(**column.to_dict()) for column in dataset.inputs],
        left_out=[LeftOut(name, reason) for name, reason in dataset.left_out.items()],
        target=dataset.target_name,
    )


def profile_section(dataset: Dataset, rows: np.ndarray) -> dict[str, NumberProfile | CategoryProfile]:
    """The ``profile`` section of evidence: the features and the target of these rows."""
    section = profile.of(dataset.features.iloc[rows])
    target = dataset.target.iloc[rows].reset_index(drop=True)
    labels = target if target.dtype.kind == "f" else target.astype("str")
    return {**section, **profile.of(labels.to_frame(dataset.target_name))}


def write_holdout(answers: Answers, keys: np.ndarray, folder: Path) -> Path:
    """Write ``holdout.parquet``: key (16 hex digits), target, prediction and a probability for each class."""
    return write_holdout_parts([(answers, keys)], len(answers), folder)


def write_holdout_parts(parts: Iterable[tuple[Answers, np.ndarray]], rows: int, folder: Path) -> Path:
    """Write ``holdout.parquet`` from answers that come in parts, each with the keys of its rows.

    Of more than ``MOST_WRITTEN`` rows about so many are written, chosen by their keys: other versions' files have the
    same ones.

    Parameters
    ----------
    rows : how many there are in all parts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / evidence.HOLDOUT
    with contextlib.ExitStack() as stack:
        writer = None
        for answers, keys in (_written(*part, rows) for part in parts):
            if not len(answers):
                continue
            table = _holdout(answers, keys)
            if writer is None:
                writer = stack.enter_context(pa.parquet.ParquetWriter(path, table.schema))
            writer.write_table(table)
    return path


def _written(answers: Answers, keys: np.ndarray, rows: int) -> tuple[Answers, np.ndarray]:
    """The rows that are written of a part, of so many rows in all."""
    if rows <= MOST_WRITTEN:
        return answers, keys
    # Mixed once more, as the keys themselves say which rows are held out.
    chosen = row_keys.share(row_keys.mixed(keys)) < MOST_WRITTEN / rows
    return answers[chosen], keys[chosen]


def _holdout(answers: Answers, keys: np.ndarray) -> pa.Table:
    columns = {
        "key": pa.array([f"{key:016x}" for key in keys.tolist()]),
        "target": _plain(answers.target),
        "prediction": _plain(answers.predicted),
    }
    if answers.probabilities is not None:
        for place, label in enumerate(answers.classes):
            columns[f"probability_{label}"] = pa.array(answers.probabilities[:, place])
    return pa.table(columns)


def _plain(values: np.ndarray) -> pa.Array:
    return pa.array(values.tolist() if values.dtype == object else values)
