"""The same command with the same seed twice: the same coefficients, metrics and answers, to the last bit."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from pipelines import training
from pipelines.planning import Settings
from registry import client as registry_client
from tests import command

DIABETES, CANCER, IRIS = "diabetes", "breast_cancer", "iris"

#: Every estimator of the catalogue that draws random numbers, or a solver of it that does.
DRAWING = {
    "mlp-regressor": (DIABETES, {"max_iter": "40", "early_stopping": "true"}),
    "linear-svr": (DIABETES, {}),
    "lasso": (DIABETES, {"selection": "random"}),
    "elastic-net": (DIABETES, {"selection": "random"}),
    "ridge": (DIABETES, {"solver": "sag", "max_iter": "50"}),
    "mlp-classifier": (IRIS, {"max_iter": "40"}),
    "logistic": (CANCER, {"solver": "saga", "max_iter": "20"}),
    "linear-svm": (IRIS, {}),
}


@dataclass(frozen=True)
class Made:
    """What a training made of its table: all that a second one must make again.

    Parameters
    ----------
    scorecard : its JSON text, in which every coefficient is.
    metrics : MLflow's values, by name.
    holdout : key, target, prediction and probabilities of the held-out rows.
    """

    scorecard: str
    metrics: dict[str, float]
    holdout: pd.DataFrame

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Made)
            and self.scorecard == other.scorecard
            and self.metrics == other.metrics
            and self.holdout.equals(other.holdout)
        )


def made(client, name: str, version: str) -> Made:
    """What a version of a store is made of."""
    from mlflow.artifacts import download_artifacts

    found = client.get_model_version(name, version)
    holdout = client.download_artifacts(found.run_id, "evidence/training/holdout.parquet")
    return Made(
        scorecard=Path(download_artifacts(f"models:/{name}/{version}/scorecard.json")).read_text(encoding="utf-8"),
        metrics=client.get_run(found.run_id).data.metrics,
        holdout=pd.read_parquet(holdout),
    )


def trained(client, estimator: str, *, seed: int) -> Made:
    data, parameters = DRAWING[estimator]
    judged = {"folds": 2, "resamples": 20, "suite": "none", "pictures": False}
    found = training.train(Settings(data, estimator=estimator, parameters=parameters, seed=seed, **judged))
    return made(client, found.name, found.version)


@pytest.mark.parametrize("estimator", DRAWING)
def test_the_same_seed_makes_the_same_model(estimator: str, tracking: str):
    client = registry_client.connect()
    first = trained(client, estimator, seed=7)
    assert {"holdout/rmse_low", "cv/rmse", "training/rmse"} <= first.metrics.keys() or "cv/log_loss" in first.metrics
    assert first == trained(client, estimator, seed=7)


def test_another_seed_moves_the_folds_and_the_model_and_not_the_holdout(tracking: str):
    client = registry_client.connect()
    first, other = (trained(client, "mlp-regressor", seed=seed) for seed in (7, 8))
    assert first.scorecard != other.scorecard
    assert first.metrics["cv/rmse"] != other.metrics["cv/rmse"]
    assert first.holdout[["key", "target"]].equals(other.holdout[["key", "target"]])
    assert not first.holdout["prediction"].equals(other.holdout["prediction"])


def test_another_seed_of_a_model_that_draws_nothing_moves_the_folds_alone(tracking: str):
    client = registry_client.connect()

    def linear(seed: int) -> Made:
        found = training.train(
            Settings(DIABETES, estimator="linear", seed=seed, folds=2, resamples=0, suite="none", pictures=False)
        )
        return made(client, found.name, found.version)

    first, other = linear(0), linear(1)
    assert first.scorecard == other.scorecard
    assert first.holdout.equals(other.holdout)
    assert first.metrics["rmse"] == other.metrics["rmse"]
    assert first.metrics["cv/rmse"] != other.metrics["cv/rmse"]


def test_the_same_command_twice(tracking: str, tmp_path: Path):
    words: Sequence[str] = ("train", "--data", CANCER, "--estimator", "mlp", "--param", "max_iter=30", "--seed", "11")
    words = (*words, "--folds", "2", "--intervals", "20", "--pictures", "no", "--suite", "none")
    folders = [tmp_path / "one", tmp_path / "other"]
    for place, folder in enumerate(folders):
        folder.mkdir()
        # What Python's own hashing, which differs from process to process, might change.
        done = command.run(*words, folder=folder, env={"PYTHONHASHSEED": str(place)})
        assert done.code == 0, done.err
    client = registry_client.connect()
    assert made(client, CANCER, "1") == made(client, CANCER, "2")
    assert os.listdir(folders[0]) == os.listdir(folders[1])
