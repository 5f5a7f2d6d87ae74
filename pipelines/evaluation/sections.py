"""Answers on held-out rows -> the sections of evidence, and the table of the answers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipelines import profile, row_keys
from pipelines.dataset import Dataset
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers, BootstrapSample
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
from registry.metrics import CodedAnswers, MetricSums, middle
from serving.scorecard import Scorecard, parity

#: Held-out answers that are kept with the evidence: for comparisons, which resample 10,000 of them.
MOST_WRITTEN = 1_000_000
_CHUNK = 1 << 20


def metrics_section(answers: Answers, *, resamples: int, seed: int) -> dict[str, MetricValue]:
    """The ``metrics`` section of evidence, with bootstrap intervals unless ``resamples`` is 0."""
    coded = answers.coded()
    measured = MeasuredAnswers(len(coded), middle(coded), resamples=resamples, seed=seed)
    measured.add(coded)
    return measured.section()


class MeasuredAnswers:
    """The ``metrics`` section of evidence, of answers that come in parts.

    Parameters
    ----------
    rows : how many there will be.
    centre : see :class:`MetricSums`.
    resamples : of the bootstrap; 0 for no intervals.
    """

    def __init__(self, rows: int, centre: float, *, resamples: int, seed: int) -> None:
        self._sums = MetricSums(centre)
        self._sample = BootstrapSample(rows, seed=seed) if resamples else None
        self._resamples = resamples

    def add(self, answers: CodedAnswers) -> None:
        """Add a part."""
        self._sums.add(answers)
        if self._sample is not None:
            self._sample.add(answers)

    def section(self) -> dict[str, MetricValue]:
        """The metrics of all rows, each with its interval."""
        found = self._sums.values()
        ends = self._sample.intervals(found, resamples=self._resamples) if self._sample is not None else {}
        return {name: MetricValue(value, *(ends.get(name) or ())) for name, value in found.items()}


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
    with HoldoutWriter(folder, len(answers)) as writer:
        writer.add(answers, keys)
    return writer.path


class HoldoutWriter:
    """Writes ``holdout.parquet`` into a folder part by part, until the block ends; no file without a row.

    Of more than ``MOST_WRITTEN`` rows about so many are written, chosen by their keys: other versions' files have the
    same ones.

    Parameters
    ----------
    rows : how many there will be at most.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.path = folder / evidence.HOLDOUT
        self._share = MOST_WRITTEN / max(rows, MOST_WRITTEN)
        self._writer: pa.parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, answers: Answers, keys: np.ndarray) -> None:
        """Write answers, and the keys of their rows, shape (n_rows,)."""
        if self._share < 1:
            # Mixed once more, as the keys themselves say which rows are held out.
            chosen = row_keys.share(row_keys.mixed(keys)) < self._share
            answers, keys = answers[chosen], keys[chosen]
        if not len(answers):
            return
        table = _holdout(answers, keys)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pa.parquet.ParquetWriter(self.path, table.schema)
        self._writer.write_table(table)


def _holdout(answers: Answers, keys: np.ndarray) -> pa.Table:
    columns = {
        "key": pa.chunked_array(list(_hexadecimal(keys)), pa.string()),
        "target": _plain(answers.target),
        "prediction": _plain(answers.predicted),
    }
    if answers.probabilities is not None:
        for place, label in enumerate(answers.classes):
            columns[f"probability_{label}"] = pa.array(answers.probabilities[:, place])
    return pa.table(columns)


def _hexadecimal(keys: np.ndarray) -> Iterator[pa.Array]:
    """Keys as texts of 16 digits, some at a time: as many as the offsets of Arrow's text can be of."""
    for start in range(0, len(keys), _CHUNK):
        some = keys[start : start + _CHUNK]
        text = some.astype(">u8").tobytes().hex().encode()
        ends = np.arange(0, len(text) + 1, 16, dtype="int32")
        yield pa.StringArray.from_buffers(len(some), pa.py_buffer(ends), pa.py_buffer(text))


def _plain(values: np.ndarray) -> pa.Array:
    return pa.array(values.tolist() if values.dtype == object else values)
