"""Prediction logs for tests, in the layout of the server's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from serving.scorecard import Scorecard

FIRST = datetime(2020, 11, 20, tzinfo=UTC)


def log(
    folder: Path,
    rows: pd.DataFrame,
    card: Scorecard,
    *,
    name: str,
    version: str = "1",
    day: int = 0,
    role: str = "champion",
    ids: list[str] | None = None,
    answers: np.ndarray | None = None,
) -> list[str]:
    """Log the answers to some rows on one day; the ids of the requests, a row each.

    Parameters
    ----------
    ids : of requests that another version answered, too.
    answers : those of the scorecard by default.
    """
    moments = [FIRST + timedelta(days=day, seconds=second) for second in range(len(rows))]
    ids = ids or [f"{version}-{day}-{place}" for place in range(len(rows))]
    count = len(rows)
    answers = card.predict(rows) if answers is None else answers
    columns = {
        "request_id": ids,
        "row": pa.array([0] * count, pa.int32()),
        "time": pa.array(moments, pa.timestamp("us", "UTC")),
        "model": [name] * count,
        "version": [version] * count,
        "role": [role] * count,
        "status": pa.array([200] * count, pa.int32()),
        "latency_ms": np.full(count, 1.5),
        "sampling": np.ones(count),
        **{f"feature_{column}": pa.array(values, from_pandas=True) for column, values in rows.items()},
        "prediction": answers.tolist(),
    }
    if card.has_probabilities:
        for label, values in zip(card.classes or [], card.probabilities(rows).T, strict=True):
            columns[f"probability_{label}"] = values
    target = folder / f"model={name}" / f"date={FIRST + timedelta(days=day):%Y-%m-%d}"
    target.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), target / f"{version}.parquet")
    return ids
