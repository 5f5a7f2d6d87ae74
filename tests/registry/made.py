"""Versions with evidence that nobody had to train: in memory for the gates, or registered."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from registry import evidence
from registry.evidence import Evidence
from registry.evidence.document import SCHEMA_VERSION
from registry.evidence.fetch import VersionEvidence
from registry.holdout import SCHEME, completed

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROWS = 60
CLASSES = ["bad", "good"]


def number(name: str, **changes: Any) -> dict:
    """An input of the schema: a number that may be missing, unless it says otherwise."""
    return {"name": name, "type": "number", "integer": False, "null": True, **changes}


def holdout(errors: Sequence[float], *, keys: Sequence[str] | None = None) -> pa.Table:
    """Held-out answers of a regression whose truth is the place of the row, each off by an error."""
    truth = np.arange(len(errors), dtype="float64")
    return pa.table({"key": keys or keys_of(len(errors)), "target": truth, "prediction": truth + np.asarray(errors)})


def labels(probabilities: Sequence[float]) -> pa.Table:
    """Held-out answers of a classification: every other row is good, each answer has a probability of that."""
    good = np.asarray(probabilities, dtype="float64")
    return pa.table(
        {
            "key": keys_of(len(good)),
            "target": [CLASSES[row % 2] for row in range(len(good))],
            "prediction": [CLASSES[int(one >= 0.5)] for one in good],
            "probability_bad": 1 - good,
            "probability_good": good,
        }
    )


def keys_of(rows: int) -> list[str]:
    return [f"{row:016x}" for row in range(rows)]


def document(table: pa.Table, **changes: Any) -> Evidence:
    """Evidence that passes all gates, about the answers of a table; ``changes`` as :func:`content` takes them."""
    whole = content(table, **changes)
    return msgspec.convert({**whole, "holdout": completed(whole["holdout"])}, Evidence)


def content(table: pa.Table, *, inputs: Sequence[dict] | None = None, **changes: Any) -> dict:
    """The same as JSON; ``changes`` replace whole sections."""
    classes = CLASSES if "probability_good" in table.column_names else None
    columns = list(inputs or [number("age"), number("bmi")])
    if classes:
        hits = np.asarray(table["target"]) == np.asarray(table["prediction"])
        metrics, dummy = {"accuracy": float(hits.mean())}, {"accuracy": 0.5}
    else:
        error = np.asarray(table["prediction"]) - np.asarray(table["target"])
        metrics, dummy = {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.abs(error).mean())}, {"rmse": 50.0}
    whole = {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "name": "made",
            "task": "classification" if classes else "regression",
            "estimator": "LogisticRegression" if classes else "LinearRegression",
            "parameters": {},
            "target": "risk" if classes else "progression",
            "classes": classes,
            "positive": "good" if classes else None,
            "threshold": None,
            "threshold_rule": None,
        },
        "metrics": {name: {"value": value, "low": None, "high": None} for name, value in metrics.items()},
        "baseline": {"strategy": "prior" if classes else "mean", "metrics": dummy},
        "cross_validation": None,
        "holdout": {"by": "row", "key_columns": ["age", "bmi"], "scheme": SCHEME, "rows": table.num_rows},
        "suite": {"name": "made", "success": True, "evaluated": 3, "failed": 0, "findings": []},
        "fairness": [],
        "parity": parity(passed=True),
        "schema": {"inputs": columns, "left_out": [], "target": "progression"},
        "lineage": {
            "data": {
                "source": "made.csv",
                "digest": "sha256:0123456789abcdef",
                "rows": 300,
                "columns": 3,
                "dropped_rows": 0,
            },
            "git": {"commit": "0a1b2c3d4e5f60718293", "dirty": False},
            "seed": 0,
            "versions": {},
            "created": "2026-01-01T00:00:00Z",
            "command": "python -m pipelines train --data made.csv",
        },
        "profile": {},
    }
    return {**whole, **changes}


def parity(*, passed: bool) -> dict:
    outside = 0 if passed else 7
    numbers = {"compared": 60, "worst": 1e-13 if passed else 0.25, "worst_ratio": 0.1, "outside": outside}
    return {
        "schema_version": 1,
        "rows": 60,
        "rows_one_by_one": 60,
        "ill_conditioned": 0,
        "refusals": {"refused": 0, "checked": 0, "missed": 0, "needless": 0, "stricter": 0, "paths_differ": 0},
        "paths": {"table": {"predict": numbers}, "row": {"predict": numbers}},
        "tolerance": "tau",
        "passed": passed,
    }


def version(table: pa.Table, number: str = "2", **changes: Any) -> VersionEvidence:
    """A version in memory, whose evidence is as it was registered."""
    return VersionEvidence("made", number, document(table, **changes), table, "sha256:00", "sha256:00")


def register(
    client: "MlflowClient", name: str, table: pa.Table | None = None, *, tagged: bool = True, **changes: Any
) -> str:
    """Register a version with evidence; its number."""
    table = holdout([1.0] * ROWS) if table is None else table
    found = document(table, **changes)
    run = client.create_run("0")
    for name_of, metric in found.metrics.items():
        client.log_metric(run.info.run_id, name_of, metric.value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        pyarrow.parquet.write_table(table, path / evidence.HOLDOUT)
        evidence.write(found, path)
        client.log_artifacts(run.info.run_id, folder, evidence.TRAINING)
        tags = {evidence.DIGEST_TAG: evidence.digest(path)} if tagged else {}
    client.set_terminated(run.info.run_id)
    if name not in [model.name for model in client.search_registered_models(max_results=1000)]:
        client.create_registered_model(name)
    tags |= {"task": found.model.task, "estimator": found.model.estimator}
    made = client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags=tags)
    return str(made.version)
