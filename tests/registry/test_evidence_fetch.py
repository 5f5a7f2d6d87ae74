"""Evidence of a registered version, fetched from its run."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import client, evidence, gates, policy, stages
from registry.errors import RegistryError
from registry.evidence.fetch import EvidenceError, VersionEvidence, fetch_evidence
from registry.judging import StageJudge
from tests.registry import made

POLICY = policy.read().default


@pytest.fixture
def mlflow_client(tracking: str) -> MlflowClient:
    return client.connect()


def fetched(client: MlflowClient, number: str) -> VersionEvidence:
    return fetch_evidence(client, stages.model_version(client, "made", number))


def folder_of(client: MlflowClient, number: str) -> Path:
    """Where the evidence of a version is kept."""
    run = client.get_run(client.get_model_version("made", number).run_id)
    return Path(run.info.artifact_uri) / evidence.TRAINING


def test_what_was_registered_is_read(mlflow_client: MlflowClient):
    table = made.holdout([1.0, 2.0])
    number = made.register(mlflow_client, "made", table)
    found = fetched(mlflow_client, number)
    assert (found.name, found.version, found.holdout.to_pydict()) == ("made", number, table.to_pydict())
    assert found.digest == found.tagged_digest == evidence.digest(folder_of(mlflow_client, number))
    assert found.document.lineage.seed == 0
    assert gates.judge(found, None, POLICY).passed


def test_one_number_changed_in_the_run_is_found(mlflow_client: MlflowClient):
    number = made.register(mlflow_client, "made")
    path = folder_of(mlflow_client, number) / evidence.DOCUMENT
    document = json.loads(path.read_text())
    document["metrics"]["rmse"]["value"] = 0.5
    path.write_text(json.dumps(document))
    verdict = gates.judge(fetched(mlflow_client, number), None, POLICY)
    assert [result.gate for result in verdict.failures] == ["evidence"]


def test_latency_is_read_from_tags_and_metrics(mlflow_client: MlflowClient):
    metrics = {
        **made.content(made.holdout([1.0]))["metrics"],
        "latency_p99_ms": {"value": 3.5, "low": None, "high": None},
    }
    number = made.register(mlflow_client, "made", metrics=metrics)
    mlflow_client.set_model_version_tag("made", number, "latency.server_ms", "0.25")
    mlflow_client.set_model_version_tag("made", number, "latency.note", "on a laptop")
    assert fetched(mlflow_client, number).latency == {"latency_p99_ms": 3.5, "latency.server_ms": 0.25}


def test_a_version_that_nobody_judged(mlflow_client: MlflowClient):
    run = mlflow_client.create_run("0")
    mlflow_client.create_registered_model("made")
    mlflow_client.create_model_version("made", f"runs:/{run.info.run_id}/model", run.info.run_id)
    with pytest.raises(EvidenceError, match=r"made version 1 has no evidence: .* run `python -m pipelines evaluate"):
        fetched(mlflow_client, "1")


def test_a_version_without_a_run(mlflow_client: MlflowClient):
    mlflow_client.create_registered_model("made")
    mlflow_client.create_model_version("made", "/tmp/model")
    with pytest.raises(
        EvidenceError, match="made version 1 has no evidence: nobody has judged it; run `python -m pipelines evaluate"
    ):
        fetched(mlflow_client, "1")


def test_a_version_whose_run_is_gone(mlflow_client: MlflowClient, tracking: str):
    import sqlite3

    made.register(mlflow_client, "made")
    with sqlite3.connect(tracking.removeprefix("sqlite:///")) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("UPDATE runs SET run_uuid = 'gone'")
    with pytest.raises(EvidenceError, match=r"made version 1: its run [0-9a-f]+ is gone, its evidence with it; train"):
        fetched(mlflow_client, "1")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (evidence.DOCUMENT, b"{", "evidence.json is damaged: not JSON"),
        (evidence.DOCUMENT, b"{}", "evidence is of schema version 1, found None"),
        (evidence.DOCUMENT, b"\xff\xfe{", "made version 1: "),
        (evidence.HOLDOUT, b"PAR1", "holdout.parquet is damaged"),
        (evidence.HOLDOUT, b"", "holdout.parquet is damaged"),
        (evidence.HOLDOUT, None, "evidence is incomplete: holdout.parquet is not there"),
        (evidence.DOCUMENT, None, "no evidence: evidence.json is not there"),
    ],
)
def test_evidence_that_is_damaged(mlflow_client: MlflowClient, name: str, content: bytes | None, says: str):
    made.register(mlflow_client, "made")
    path = folder_of(mlflow_client, "1") / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(EvidenceError) as caught:
        fetched(mlflow_client, "1")
    assert says in str(caught.value)
    assert "evaluate" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_version_that_is_not_there_and_those_that_are(mlflow_client: MlflowClient):
    made.register(mlflow_client, "made")
    for number in ("7", "x", "../1"):
        with pytest.raises(RegistryError, match=r"'made' has no version .*; there are: 1"):
            stages.model_version(mlflow_client, "made", number)
    with pytest.raises(RegistryError, match="no registered model 'mode'"):
        stages.model_version(mlflow_client, "mode", "1")


def test_a_champion_without_evidence_is_not_comparable(mlflow_client: MlflowClient):
    mlflow_client.create_registered_model("made")
    run = mlflow_client.create_run("0")
    mlflow_client.create_model_version("made", f"runs:/{run.info.run_id}/model", run.info.run_id)
    number = made.register(mlflow_client, "made")
    verdict = StageJudge(mlflow_client, "made", POLICY, "Production").judge(number, "1")
    assert [result.gate for result in verdict.failures] == ["champion", "schema"]
    assert "not comparable: made version 1 has no evidence" in verdict.summary()
    assert "`python -m pipelines evaluate --model models:/made/1 --data TABLE`" in verdict.summary()
    assert verdict.champion == "1"
    # For Staging neither counts.
    assert StageJudge(mlflow_client, "made", POLICY, "Staging").judge(number, "1").passed
