"""A simulated cloud for every test here, empty when the test begins, and credentials for it."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.deployments.aws import connect
from tests.pipelines import tables
from tests.serving.deployments.made import ObservedCloud, Time
from tests.serving.deployments.simulated import REGION, Simulated, running


@pytest.fixture(scope="module")
def server() -> Iterator[Simulated]:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with running() as simulated:
        yield simulated


@pytest.fixture
def aws(server: Simulated, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """The simulated cloud, which boto3 takes for AWS."""
    server.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Path:
    """A folder with a store that has two trained versions of ``linear``."""
    from pipelines.planning import Settings
    from pipelines.training import train

    folder = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    quick = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False, "name": "linear"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for estimator in ("linear", "ridge"):
            train(Settings(str(tables.linear(folder / "linear.csv")), estimator=estimator, **quick))
    return folder


@pytest.fixture
def models(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of that store, which MLflow uses."""
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    return store


@pytest.fixture
def passing() -> Time:
    """The time of ``cloud``."""
    return Time()


@pytest.fixture(scope="module")
def clients() -> dict:
    """Of boto3, by service: each takes a while to make."""
    return {}


@pytest.fixture
def cloud(aws: Simulated, passing: Time, clients: dict) -> ObservedCloud:
    """The simulated cloud's region, as the plugin sees it."""
    found = connect(REGION)
    return ObservedCloud(found.region, found.session, passing.clock, passing.sleep, clients)
