"""What the run of a model tells of the rows that it was trained on: only what equal digests show."""

from dataclasses import replace
from pathlib import Path

import mlflow
import mlflow.data
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.data.pandas_dataset import from_pandas

from pipelines.evaluation import unseen
from pipelines.sources import read
from pipelines.versions import RegisteredVersion
from serving import models
from tests.pipelines import tables


def version(run_id: str | None) -> RegisteredVersion:
    return RegisteredVersion("made", "1", run_id, None, pa.array([], pa.string()), None, False, models.find("."))


@pytest.mark.parametrize("drop", [[], ["target"]])
def test_the_table_that_was_logged_as_training_data_is_known_again(
    drop: list[str], tracking: str, tmp_path: Path
) -> None:
    path = tables.linear(tmp_path / "t.csv")
    with mlflow.start_run() as run:
        frame = pd.read_csv(path).drop(columns=drop)
        mlflow.log_input(from_pandas(frame, source=str(path), name="mine"), context="training")
    client, made = mlflow.MlflowClient(), version(run.info.run_id)

    assert unseen.logged_as_training(client, made, read(str(path)), "target") == "mine"
    other = tables.linear(tmp_path / "other.csv", rows=301)
    assert unseen.logged_as_training(client, made, read(str(other)), "target") is None


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_that_is_read_in_parts_is_known_by_its_beginning(tracking: str, tmp_path: Path, ending: str) -> None:
    rows, path = 10_500, tmp_path / f"t.{ending}"
    frame = pd.read_csv(tables.linear(tmp_path / "t.csv", rows=rows))
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, row_group_size=4_000)
    with mlflow.start_run() as run:
        mlflow.log_input(from_pandas(frame, source=str(path), name="mine"), context="training")
    client, made = mlflow.MlflowClient(), version(run.info.run_id)

    sample = replace(read(str(path)).rows(np.arange(0, rows, 100)), total_rows=rows)
    assert unseen.logged_as_training(client, made, sample, "target") == "mine"
    assert unseen.logged_as_training(client, made, replace(sample, total_rows=rows + 1), "target") is None


def test_nothing_is_told_of_a_table_that_was_logged_for_something_else(tracking: str, tmp_path: Path) -> None:
    path = tables.linear(tmp_path / "t.csv")
    with mlflow.start_run() as run:
        mlflow.log_input(from_pandas(pd.read_csv(path), source=str(path), name="mine"), context="evaluation")
    client = mlflow.MlflowClient()

    for made in (version(run.info.run_id), version(None), version("0" * 32)):
        assert unseen.logged_as_training(client, made, read(str(path)), "target") is None


def test_a_declaration_has_a_name_and_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    made = unseen.declaration()
    assert (made.by, made.time[-1]) == ("anna", "Z")
