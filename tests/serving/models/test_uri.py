"""Model URIs: what each form says, and that every form of one version means the same model, wherever its files are."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.store.artifact import s3_artifact_repo

from registry.errors import RegistryError
from serving import flavor, models
from serving.errors import ServingError
from serving.models import ModelURI
from serving.models.uri import AliasURI, ArtifactURI, LocalURI, StageURI, VersionURI
from serving.scorecard import Scorecard
from tests import stores
from tests.command import ROOT
from tests.serving.server import servers

NAMES = st.text(st.characters(exclude_characters="/:\0", exclude_categories=["Cs"]), min_size=1)
ALIASES = NAMES.filter(lambda text: "@" not in text)
RUN = "0123456789abcdef0123456789abcdef"


@given(name=NAMES, number=st.integers(1, 10**6))
def test_a_version_is_read_as_it_is_written(name: str, number: int) -> None:
    uri = VersionURI(name, str(number))
    assert ModelURI.read(str(uri)) == uri


@given(name=NAMES, alias=ALIASES)
def test_an_alias_is_read_as_it_is_written(name: str, alias: str) -> None:
    uri = AliasURI(name, alias)
    assert ModelURI.read(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/wine/Production", StageURI("wine", "Production")),
        ("models:/wine/latest", StageURI("wine", "latest")),
        ("models:/wine/3/", VersionURI("wine", "3")),
        ("models:/a@b/3", VersionURI("a@b", "3")),
        ("models:/a@b@champion", AliasURI("a@b", "champion")),
        (f"models:/m-{RUN}", ArtifactURI(f"models:/m-{RUN}")),
        (f"models:/m-{RUN}/2", VersionURI(f"m-{RUN}", "2")),
        ("models://profile@databricks/wine/3", ArtifactURI("models://profile@databricks/wine/3")),
        (f"runs:/{RUN}/model", ArtifactURI(f"runs:/{RUN}/model")),
        ("s3://bucket/path/model", ArtifactURI("s3://bucket/path/model")),
        ("mlflow-artifacts:/1/models/m/artifacts", ArtifactURI("mlflow-artifacts:/1/models/m/artifacts")),
    ],
)
def test_each_form_is_known(text: str, expected: ModelURI) -> None:
    assert ModelURI.read(text) == expected
    assert (models.registered(text) is None) == isinstance(expected, ArtifactURI)


def test_a_path_is_a_model_with_or_without_a_scheme(tmp_path: Path) -> None:
    folder = tmp_path / "a model"
    folder.mkdir()
    for text in (str(folder), folder.as_uri(), f"file:{folder.as_posix()}"):
        uri = ModelURI.read(text)
        assert isinstance(uri, LocalURI)
        assert (uri.path, uri.title, uri.local) == (folder, "a model", True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is neither an existing path nor a URI; give models:/NAME/VERSION"),
        ("wine", "'wine' is neither an existing path nor a URI"),
        ("no/such/folder", "neither an existing path nor a URI"),
        ("file:///no/such/folder", "there is nothing at /no/such/folder; give models:/NAME/VERSION"),
        ("models:/wine", "models:/wine names no version; give models:/NAME/VERSION"),
        ("models:/wine@", "names no version"),
        ("models:/@champion", "names no version"),
        ("models:/", "names no version"),
        ("models:/wine/3/scorecard.json", "is no name and version of a model"),
        ("models:/wine//", "is no name and version of a model"),
    ],
)
def test_what_is_no_model_is_told_what_one_is(text: str, says: str) -> None:
    with pytest.raises(ServingError) as caught:
        ModelURI.read(text)
    assert says in str(caught.value)
    assert models.registered(text) is None


@dataclass
class Logged:
    """A registered version, and the ways to name it.

    Parameters
    ----------
    uris : forms that mean it.
    """

    card: Scorecard
    folder: Path
    uris: list[str]


def log(name: str, answer: float, folder: Path) -> Logged:
    """Log a model of this project's flavor, register and stage it, and put it into a folder."""
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    from serving.scorecard import compile

    table = pd.DataFrame({"age": np.arange(9.0), "weight": np.arange(9.0) ** 2})
    fitted = make_pipeline(LinearRegression()).fit(table, table["age"] + answer)
    card = compile(fitted)
    # A new workspace has no experiment.
    with mlflow.start_run(experiment_id=mlflow.create_experiment(f"{name} {answer}")) as run:
        info = flavor.log_model(fitted, card, inputs=card.inputs, classes=(), example=table.head(2))
    client = mlflow.MlflowClient()
    version = mlflow.register_model(info.model_uri, name).version
    client.set_registered_model_alias(name, "champion", version)
    client.transition_model_version_stage(name, version, "Production")
    path = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(folder))
    return Logged(
        card,
        Path(path),
        [
            f"models:/{name}/{version}",
            f"models:/{name}@champion",
            f"models:/{name}/Production",
            f"models:/{name}/production",
            f"models:/{name}/latest",
            info.model_uri,
            f"runs:/{run.info.run_id}/{info.name}",
            client.get_model_version_download_uri(name, version),
            path,
            Path(path).as_uri(),
            f"{path}/scorecard.json",
        ],
    )


@pytest.fixture(scope="module")
def served_artifacts(tmp_path_factory: pytest.TempPathFactory, tracking_server: str) -> Iterator[Logged]:
    """A version behind a tracking server that hands out its artifacts itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking_server)
        yield log("uris", 1, tmp_path_factory.mktemp("uris"))


def test_all_forms_mean_the_same_model(
    served_artifacts: Logged, tracking_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server)
    for uri in served_artifacts.uris:
        model = models.find(uri)
        assert model.scorecard, uri
        assert model.scorecard.digest == served_artifacts.card.digest, uri
        registered = models.registered(uri)
        assert (model.name, model.version) == (("uris", "1") if registered else (None, None))
        assert (model.run_id is not None, model.title == "uris") == (bool(registered), bool(registered))
    assert any(uri.startswith("mlflow-artifacts:/") for uri in served_artifacts.uris)


def test_an_object_store_is_asked_without_a_registry(
    served_artifacts: Logged, object_store: stores.ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    # Both keep what they have seen: another test's store may have had this address, or other keys.
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    client = object_store.client()
    client.create_bucket(Bucket="uris")
    for path in served_artifacts.folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "uris", f"a/model/{path.relative_to(served_artifacts.folder)}")

    model = models.find("s3://uris/a/model")

    assert model.title == "model"
    assert model.scorecard
    assert model.scorecard.digest == served_artifacts.card.digest
    assert model.example(served_artifacts.card) == {"age": 0.0, "weight": 0.0}
    assert {path.name for path in model.files.folder().iterdir()} == {
        path.name for path in served_artifacts.folder.iterdir()
    }
    with pytest.raises(RegistryError, match=r"^s3://uris/nothing cannot be fetched: there is no file"):
        _ = models.find("s3://uris/nothing").scorecard
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(RegistryError, match=r"^s3://uris/a/model cannot be fetched: the artifact store refused: "):
        _ = models.find("s3://uris/a/model").scorecard


def test_one_name_means_another_model_in_another_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stores.tracking_server(tmp_path, env={"MLFLOW_ENABLE_WORKSPACES": "true"}) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        logged: dict[str, Logged] = {}
        for number, workspace in enumerate(("red", "white")):
            mlflow.create_workspace(workspace)
            monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
            logged[workspace] = log("wine", number, tmp_path / workspace)
        for workspace, expected in logged.items():
            monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
            for uri in expected.uris:
                assert models.find(uri).portable().digest == expected.card.digest, (workspace, uri)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("models:/nope/1", "no registered model 'nope'"),
        ("models:/win/1", "did you mean 'wine'?"),
        ("models:/wine/7", "model 'wine' has no version '7'; there are: 1"),
        ("models:/wine@challenger", "model 'wine' has no alias 'challenger'; its aliases: 'champion'"),
        ("models:/wine/Staging", "no version of 'wine' is in stage 'Staging'; name a version or an alias"),
        ("models:/wine/Prod", "model 'wine' has no version 'Prod'; there are: 1"),
        ("runs:/abc/model", "Run with id=abc not found"),
        (f"models:/m-{RUN}", RUN),
    ],
)
def test_a_version_that_is_not_there_is_told_what_there_is(uri: str, says: str, tracking: str) -> None:
    client = mlflow.MlflowClient()
    client.create_registered_model("wine")
    client.create_model_version("wine", "mlruns")
    client.set_registered_model_alias("wine", "champion", "1")

    with pytest.raises(RegistryError) as caught:
        _ = models.find(uri).scorecard

    assert re.match(re.escape(uri) + " cannot be (resolved|fetched): ", str(caught.value))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_files_is_no_model(tmp_path: Path) -> None:
    model = servers.model(tmp_path / "m", None)
    assert models.find(str(model)).scorecard is None
    shutil.rmtree(model)
    model.mkdir()
    with pytest.raises(ServingError, match="is no MLflow model: it has neither MLmodel nor scorecard"):
        _ = models.find(str(model)).scorecard


@pytest.mark.parametrize("module", ["serving.models", "serving.server.worker", "serving.server.supervisor"])
def test_neither_mlflow_nor_the_registry_is_imported_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"mlflow", "sqlalchemy", "registry.client", "pandas"} & set(loaded.split()) == set()
