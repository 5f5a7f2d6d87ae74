"""``make server``: a tracking server on PostgreSQL and S3, and what a client of it sees."""

import contextlib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import mlflow
import psycopg
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests import stores

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def make_server(folder: Path, *, backend: str, artifacts: str, env: Mapping[str, str]) -> Iterator[str]:
    """Run ``make server`` with its public variables; yields the address."""
    port = stores.free_port()
    command = ["make", "--no-print-directory", "-C", str(ROOT), "server", f"PORT={port}"]
    command += [f"BACKEND={backend}", f"ARTIFACTS={artifacts}"]
    with stores.process(command, folder=folder, env=env) as server:
        address = f"http://{stores.HOST}:{port}"
        server.wait(lambda: stores.answers(f"{address}/health"))
        yield address


@pytest.fixture(scope="module")
def on_stores(
    postgresql: str, object_store: stores.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """The address of a server on a new database and a new bucket, with the database's URL and the bucket's name."""
    backend, bucket = stores.new_database(postgresql), "make-server"
    object_store.client().create_bucket(Bucket=bucket)
    folder = tmp_path_factory.mktemp("server")
    with make_server(folder, backend=backend, artifacts=f"s3://{bucket}/runs", env=object_store.env) as address:
        yield address, backend, bucket


def test_a_run_logged_through_the_server_is_read_back(on_stores, tmp_path: Path):
    address, _, _ = on_stores
    mlflow.set_tracking_uri(address)
    with mlflow.start_run() as run:
        mlflow.log_metric("rmse", 53.1)
        mlflow.log_text("r² = 0.48\n", "notes/çà et là.txt")

    read = MlflowClient(address).get_run(run.info.run_id)
    assert read.data.metrics == {"rmse": 53.1}
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="notes/çà et là.txt", dst_path=str(tmp_path)
    )
    assert Path(path).read_text(encoding="utf-8") == "r² = 0.48\n"


def test_runs_are_in_postgresql_and_artifacts_in_the_bucket(on_stores, object_store: stores.ObjectStore):
    address, backend, bucket = on_stores
    client = MlflowClient(address)
    run = client.create_run("0")
    client.log_text(run.info.run_id, "a picture", "plot.svg")

    with psycopg.connect(backend) as database:
        found = database.execute("SELECT count(*) FROM runs WHERE run_uuid = %s", (run.info.run_id,)).fetchone()
    assert found == (1,)
    keys = [item["Key"] for item in object_store.client().list_objects_v2(Bucket=bucket, Prefix="runs/")["Contents"]]
    assert f"runs/0/{run.info.run_id}/artifacts/plot.svg" in keys


def test_a_model_version_moves_through_the_registry(on_stores):
    address, _, _ = on_stores
    client = MlflowClient(address)
    run = client.create_run("0")
    client.create_registered_model("moves")
    version = client.create_model_version("moves", f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_registered_model_alias("moves", "champion", version.version)

    assert client.get_model_version_by_alias("moves", "champion").run_id == run.info.run_id


def test_the_server_has_a_user_interface(on_stores):
    address, _, _ = on_stores
    with urllib.request.urlopen(address, timeout=30) as page:
        assert page.headers.get_content_type() == "text/html"
        assert b"<title>MLflow</title>" in page.read()


def test_wrong_keys_of_the_object_store_are_an_error_for_the_client(
    object_store: stores.ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    object_store.client().create_bucket(Bucket="closed")
    wrong = object_store.env | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    backend = f"sqlite:///{tmp_path}/tracking.db"
    with make_server(tmp_path, backend=backend, artifacts="s3://closed/runs", env=wrong) as address:
        client = MlflowClient(address)
        run = client.create_run("0")
        with pytest.raises(MlflowException, match="500"):
            client.log_text(run.info.run_id, "a picture", "plot.svg")

    assert "SignatureDoesNotMatch" in (tmp_path / "err.txt").read_text()
    assert "Contents" not in object_store.client().list_objects_v2(Bucket="closed")
