"""Training against a tracking server on PostgreSQL and S3, with the table in either of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import sqlalchemy

from pipelines.dataset import Roles
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.training import train
from registry import evidence
from tests import stores
from tests.pipelines import tables

QUICK = {"folds": 3, "resamples": 100, "pictures": False}
BUCKET = "train-on-stores"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, postgresql: str, object_store: stores.ObjectStore, default_store: None
) -> Iterator[str]:
    """A tracking server on PostgreSQL, its artifacts in S3; MLflow and boto3 of this process are pointed at both."""
    object_store.client().create_bucket(Bucket=BUCKET)
    folder = tmp_path_factory.mktemp("server")
    backend = stores.new_database(postgresql)
    with (
        stores.tracking_server(
            folder, backend=backend, artifacts=f"s3://{BUCKET}/runs", env=object_store.env
        ) as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MLFLOW_TRACKING_URI", address)
        for name, value in object_store.env.items():
            patch.setenv(name, value)
        yield address


def test_a_table_in_s3_is_trained_on_and_everything_is_kept_in_the_stores(
    server: str, object_store: stores.ObjectStore, tmp_path: Path
) -> None:
    path = tables.hostile(tmp_path / "hostile.csv")
    object_store.client().upload_file(str(path), BUCKET, "tables/hostile.csv")
    uri = f"s3://{BUCKET}/tables/hostile.csv"

    trained = train(Settings(uri, roles=Roles(target="outcome"), **QUICK))
    verdict = evaluate(EvaluationRequest("hostile", uri, resamples=0))

    version = mlflow.MlflowClient().get_model_version("hostile", "1")
    kept = Path(mlflow.artifacts.download_artifacts(run_id=trained.run_id, artifact_path=evidence.TRAINING))
    assert version.tags[evidence.DIGEST_TAG] == evidence.digest(kept)
    assert version.tags["data.source"] == uri
    assert verdict.rows == trained.rows
    listed = object_store.client().list_objects_v2(Bucket=BUCKET, Prefix="runs/")["Contents"]
    assert any(one["Key"].endswith("scorecard.json") for one in listed)
    assert any(one["Key"].endswith("model_card.html") for one in listed)
    run = mlflow.get_run(trained.run_id)
    assert json.loads(run.inputs.dataset_inputs[0].dataset.source)["uri"] == uri


def test_a_table_in_postgresql_is_trained_on_and_no_password_is_kept(
    server: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    engine = sqlalchemy.create_engine(url)
    pd.read_csv(tables.linear(tmp_path / "made.csv")).to_sql("made", engine, index=False)
    engine.dispose()
    password = sqlalchemy.engine.make_url(url).password

    whole = train(Settings(url, query="made", name="whole", **QUICK))
    part = train(Settings(url, query="SELECT x, target FROM made WHERE colour = 'red'", name="part", **QUICK))

    assert whole.metrics["r2"].value > 0.95
    assert part.rows < whole.rows
    assert password
    for trained in (whole, part):
        kept = Path(mlflow.artifacts.download_artifacts(run_id=trained.run_id))
        texts = [file.read_text() for file in kept.rglob("*") if file.suffix in (".json", ".html")]
        version = mlflow.MlflowClient().get_model_version(trained.name, trained.version)
        assert all(
            password not in text for text in (*texts, str(mlflow.get_run(trained.run_id).to_dictionary()), str(version))
        )
