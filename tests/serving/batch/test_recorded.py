"""A batch job by a registered version: resolved once, written beside each answer, and recorded in MLflow."""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from pipelines.dataset import Roles
from pipelines.planning import Settings
from pipelines.training import train
from registry.client import connect
from registry.errors import RegistryError
from serving import batch
from serving.batch import ScoreRequest
from serving.errors import ServingError
from tests.command import run as run_command
from tests.pipelines import tables


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Path:
    """A folder with a store that has two versions of ``linear``; the first is the champion."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for estimator in ("linear", "ridge"):
            quick = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False, "name": "linear"}
            train(Settings(str(tables.linear(folder / "linear.csv")), estimator=estimator, **quick))
        connect().set_registered_model_alias("linear", "champion", "1")
    return folder


@pytest.fixture(autouse=True)
def inside(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")


def test_tonights_champion_answers_and_the_run_tells_what_came_of_it(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    done = batch.score(ScoreRequest("models:/linear@champion", "linear.csv", str(out), keep=("x",)))

    table = pd.read_parquet(out)
    assert set(table["model_version"]) == {"linear/1"}
    assert table["scored_at"].nunique() == 1
    rows = len(pd.read_csv(store / "linear.csv"))
    assert (done.version, done.rows, len(table) + done.rejected) == ("linear/1", rows, rows)
    assert done.run_id is not None
    run = connect().get_run(done.run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.metrics["rows"], run.data.metrics["rejected"]) == (rows, done.rejected)
    assert run.data.params == {
        "input": "linear.csv",
        "output": str(out),
        "engine": "duckdb",
        "input_sha256": hashlib.sha256((store / "linear.csv").read_bytes()).hexdigest(),
        "output_sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    assert run.data.tags["model"] == "linear/1"
    listed = run_command("list", "--json", folder=store, package="registry")
    last = {row["version"]: row["last_scored"] for row in json.loads(listed.out)}
    assert last["1"].startswith(f"{datetime.now(UTC):%Y-%m-}")
    assert last["2"] == ""


def test_a_model_of_a_run_is_called_by_its_version_or_its_id(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(store / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = connect()
    version = client.get_model_version("linear", "2")
    called = []
    for uri in (version.source, f"runs:/{version.run_id}/model"):
        called.append(batch.score(ScoreRequest(uri, "linear.csv", f"{tmp_path}/{len(called)}.csv")).version)
    client.delete_model_version("linear", "2")
    called.append(batch.score(ScoreRequest(version.source, "linear.csv", f"{tmp_path}/2.csv")).version)
    assert called == ["linear/2", "linear/2", version.source.rpartition("/")[2]]


def test_the_id_columns_of_the_training_that_a_table_lacks_are_told(store: Path, tmp_path: Path) -> None:
    settings = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False, "name": "known"}
    table = pd.read_csv(store / "linear.csv").assign(client=lambda known: range(len(known)))
    table.to_csv(tmp_path / "t.csv", index=False)
    train(Settings(str(tmp_path / "t.csv"), roles=Roles(id=("client",)), **settings))
    table.drop(columns="client").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        ServingError, match=r"no column .client., which identified a row in training.*--keep all, or name"
    ):
        batch.score(ScoreRequest("models:/known/1", str(tmp_path / "t.csv"), str(tmp_path / "o.csv")))


def test_an_alias_that_is_not_there_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises((ServingError, RegistryError), match="nobody"):
        batch.score(ScoreRequest("models:/linear@nobody", "linear.csv", str(tmp_path / "out.parquet")))
    assert not list(tmp_path.iterdir())
