"""A version that was trained here, beside a champion that was not: compared on rows that neither has seen, or not."""

import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.training import train
from registry import judging, policy
from registry.gates import GateResult
from tests.pipelines import tables


@pytest.fixture
def client(tracking: str, tmp_path: Path) -> mlflow.MlflowClient:
    """A champion of one column that was logged by plain MLflow and adopted, and a candidate of two."""
    path = tables.linear(tmp_path / "made.csv", rows=600)
    frame = pd.read_csv(path)
    fitted = LinearRegression().fit(frame[["x"]], frame["target"])
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            fitted,
            name="model",
            signature=infer_signature(frame[["x"]], frame["target"]),
            pip_requirements=["scikit-learn"],
            registered_model_name="made",
        )
    evaluate(EvaluationRequest("made", str(path), resamples=0))
    client = mlflow.MlflowClient()
    client.transition_model_version_stage("made", "1", "Production")
    train(Settings(str(path), name="made", folds=0, resamples=0, pictures=False, suite="none"))
    return client


def champion_gate(client: mlflow.MlflowClient) -> GateResult:
    verdict = judging.StageJudge(client, "made", policy.read().default, "Production").judge("2", "1")
    return next(result for result in verdict.results if result.gate == "champion")


def test_they_are_compared_on_rows_that_are_declared_unseen_and_on_no_others(
    client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    before = champion_gate(client)
    assert not before.passed
    assert "version 1 may have been trained on the rows of the comparison" in before.reason

    new = str(tables.linear(tmp_path / "new.csv", rows=300, seed=7))
    undeclared = evaluate(EvaluationRequest("models:/made/2", new, resamples=0))
    assert undeclared.other == "1"
    assert undeclared.caveat == "", "of the candidate it is known"
    assert not champion_gate(client).passed

    evaluate(EvaluationRequest("models:/made/2", new, resamples=0, unseen=True))
    after = champion_gate(client)
    assert after.passed
    assert after.reason.startswith("better than version 1: rmse is ")
    # Of the candidate its own rule tells: only the rows that it holds out count.
    assert re.search(r" on [56]\d shared rows, declared to be unseen by version 1, ", after.reason)
