"""A candidate whose rows have other keys than the champion's: not comparable, until an evaluation makes it so."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipelines.dataset import Roles
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.training import train
from registry import evidence, policy
from registry.judging import StageJudge
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "pictures": False}


@pytest.fixture
def client(tracking: str, tmp_path: Path) -> mlflow.MlflowClient:
    """A registry with a champion of two columns, and a candidate of one whose rows go by the other as their id."""
    path = tables.linear(tmp_path / "made.csv", rows=900)
    train(Settings(str(path), **QUICK))
    client = mlflow.MlflowClient()
    client.transition_model_version_stage("made", "1", "Production")
    train(Settings(str(path), roles=Roles(id=["x"]), **{**QUICK, "suite": "none"}))
    return client


def champion_gate(client: mlflow.MlflowClient):
    rules = policy.read().for_model("made")
    verdict = StageJudge(client, "made", rules, "Production").judge("2", "1")
    return next(result for result in verdict.results if result.gate == "champion")


def test_evaluate_makes_them_comparable_on_rows_that_neither_was_trained_on(
    client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    before = champion_gate(client)
    evaluate(
        EvaluationRequest("models:/made/2", str(tables.linear(tmp_path / "new.csv", rows=1500, seed=7)), resamples=0)
    )
    after = champion_gate(client)

    assert not before.passed
    assert "python -m pipelines evaluate --model models:/made/2" in before.reason
    assert "gone 'colour'" in before.reason
    # The candidate lacks a column that matters: it is compared now, and found worse.
    assert not after.passed
    assert "worse than version 1" in after.reason


def test_rows_that_a_version_was_trained_on_do_not_count(client: mlflow.MlflowClient, tmp_path: Path) -> None:
    evaluate(EvaluationRequest("models:/made/2", str(tmp_path / "made.csv"), rows="all", resamples=0))

    run = client.get_model_version("made", "2").run_id
    kept = Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path="evidence"))
    held = set(pd.read_parquet(kept / "training" / evidence.HOLDOUT)["key"])
    (beside,) = kept.glob("evaluations/*/beside/1/candidate/holdout.parquet")
    compared = pd.read_parquet(beside)["key"]
    assert 0 < len(compared) < 0.1 * 900, "both held out a fifth, by different keys"
    assert set(compared) <= held
