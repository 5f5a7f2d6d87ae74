"""``mlflow models serve`` answers good requests as the contract does."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests

from serving import flavor
from serving.contract import reply
from serving.scorecard import Scorecard
from tests import stores
from tests.serving.contract import cases
from tests.serving.contract.cases import ALSO_MLFLOW, INPUTS, NAMES, Case


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[tuple[str, Scorecard]]:
    """The address of MLflow's scoring server on a model of the four inputs, and its scorecard."""
    folder = tmp_path_factory.mktemp("serve")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    card, port = cases.scorecard("labels"), stores.free_port()
    pipeline, table = cases.fitted("labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        mlflow.set_tracking_uri(None)
        with mlflow.start_run():
            example = table[NAMES].dropna().head(2).astype({"owns": bool})
            info = flavor.log_model(
                pipeline, card, inputs=INPUTS, classes=["no", "yes"], example=example, gaps={"owns"}
            )
        path = mlflow.artifacts.download_artifacts(info.model_uri, dst_path=str(folder / "model"))
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", path, "--env-manager", "local"]
        # `mlflow models serve` looks for uvicorn on the PATH.
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        address = f"http://{stores.HOST}:{port}"
        with stores.process(
            [*command, "-h", stores.HOST, "-p", str(port)], folder=folder, env={"PATH": programs}
        ) as server:
            server.wait(lambda: stores.answers(f"{address}/ping"))
            yield address, card


@pytest.mark.parametrize("case", ALSO_MLFLOW, ids=lambda case: case.name)
def test_it_answers_alike(served: tuple[str, Scorecard], case: Case) -> None:
    address, card = served
    answer = requests.post(
        f"{address}/invocations", data=case.body, headers={"Content-Type": case.content_type}, timeout=30
    )
    assert (answer.status_code, answer.json()) == reply(card, case.body, case.content_type)
