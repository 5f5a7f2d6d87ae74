"""A registry with versions to package: judged, promoted, refused, and one that no scorecard can say."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.models import infer_signature

from pipelines.planning import Settings
from pipelines.training import train
from tests.command import run
from tests.pipelines import tables
from tests.serving.packaging import packages

QUICK = {"folds": 0, "resamples": 0, "pictures": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Iterator[Path]:
    """A folder with a store: ``diabetes`` 1 in Staging, ``breast_cancer`` 1 not judged yet, ``linear`` 1 without a
    suite, ``tree`` 1 without a scorecard."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        train(Settings("diabetes", **QUICK))
        train(Settings("breast_cancer", **QUICK))
        train(Settings(str(tables.linear(folder / "linear.csv")), name="linear", suite="none", **QUICK))
        _register_tree()
        words = ("promote", "diabetes", "1", "--stage", "Staging", "--reason", "test")
        assert run(*words, folder=folder, package="registry").code == 0
        yield folder


def _register_tree() -> None:
    model, table = packages.tree()
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(table, model.predict(table)),
            pip_requirements=packages.PINS,
            serialization_format="cloudpickle",
            registered_model_name="tree",
        )
