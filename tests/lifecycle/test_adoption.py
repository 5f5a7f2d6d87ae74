"""A version that was logged by plain MLflow and then evaluated: from there on it is a version as any other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipelines.evaluation.evaluate import Evaluation, EvaluationRequest, evaluate
from registry import judging, listing, policy, promotion
from registry.evidence import adoption
from registry.evidence.fetch import fetch_evidence
from serving import models
from serving.exporting import export
from serving.packaging import plan
from serving.scorecard import Scorecard
from serving.server.cache import Cache
from serving.server.follower.registry import RegistryFollower
from tests.serving.server import registries

ROWS = 300
POLICY = policy.read().default


@dataclass(frozen=True)
class Store:
    """A registry in a folder, with version 1 of ``people``, and the table that it is judged by."""

    registry: registries.Registry
    table: Path
    pipeline: Pipeline
    first: Evaluation

    @property
    def client(self) -> MlflowClient:
        return self.registry.client

    @property
    def tags(self) -> dict[str, str]:
        return self.client.get_model_version("people", "1").tags


def people(seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": draw.integers(18, 90, ROWS), "monthly income": draw.normal(3e3, 1e3, ROWS)})
    frame["region"] = draw.choice(["north", "south"], ROWS)
    frame["risk"] = np.where(frame["age"] + frame["monthly income"] / 100 + draw.normal(0, 9, ROWS) > 85, "high", "low")
    return frame


def holed(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with empty cells in the columns of numbers and of text."""
    return frame.assign(
        **{"monthly income": frame["monthly income"].mask(frame.index % 7 == 0)},
        region=frame["region"].mask(frame.index % 11 == 0),
    )


def fitted(frame: pd.DataFrame) -> Pipeline:
    """What a tutorial fits: numbers imputed and scaled, categories one-hot."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("numbers", numbers, ["age", "monthly income"]), ("texts", texts, ["region"])])
    return Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(frame, frame["risk"])


def log(pipeline: Pipeline, frame: pd.DataFrame, name: str) -> None:
    """Log and register a pipeline as people do who do not know this project: with a pickle."""
    mlflow.sklearn.log_model(
        pipeline,
        name="model",
        signature=infer_signature(frame, pipeline.predict(frame)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
        registered_model_name=name,
    )


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("adoption")
    registry = registries.on_sqlite(empty_store, folder)
    frame = people()
    pipeline = fitted(frame)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in registry.env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        with mlflow.start_run():
            log(pipeline, frame[["age", "monthly income", "region"]], "people")
        holed(frame).to_csv(folder / "people.csv", index=False)
        first = evaluate(EvaluationRequest("people", str(folder / "people.csv"), target="risk", resamples=20))
        yield Store(registry, folder / "people.csv", pipeline, first)


def test_it_is_judged_and_what_is_not_known_is_said(store: Store) -> None:
    frame = pd.read_csv(store.table)
    found = fetch_evidence(store.client, store.client.get_model_version("people", "1"))

    assert store.first.metrics["accuracy"].value == pytest.approx(store.pipeline.score(frame, frame["risk"]))
    assert store.first.caveat == "logged without this platform; judged on rows that it may have been trained on"
    assert found.digest == found.tagged_digest
    document = found.document
    assert (document.adopted, document.holdout.possibly_trained_on) == (True, True)
    assert (document.lineage, document.suite) == (None, None)
    assert document.evaluation is not None
    assert document.evaluation.data.source == str(store.table)
    assert document.model.estimator == "LogisticRegression"
    assert document.parity is not None
    assert document.parity.passed
    assert document.parity.rows == ROWS
    assert document.parity.refusals.refused == 0, "empty cells are missing values"


def test_its_own_run_is_left_alone_and_the_evaluations_keeps_all(store: Store) -> None:
    version = store.client.get_model_version("people", "1")
    place = adoption.place(version.tags, version.run_id)
    assert place is not None
    assert place.run_id != version.run_id
    assert store.client.list_artifacts(version.run_id) == []
    kept = {file.path for file in store.client.list_artifacts(place.run_id, place.path)}
    assert kept == {f"{place.path}/{name}" for name in ("evidence.json", "holdout.parquet", "scorecard.json")}
    run = store.client.get_run(place.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["accuracy"] == store.first.metrics["accuracy"].value
    page = Path(store.client.download_artifacts(place.run_id, "model_card.html", str(store.table.parent))).read_text()
    assert "This version was logged without this platform; judged on rows that it may have been trained on." in page
    assert "its metrics may be too good" not in page
    assert "they may be too good" in page
    assert version.description.startswith("Adopted: logged without this platform; judged on rows that it may have ")


def test_the_list_marks_it(store: Store) -> None:
    (row,) = listing.rows(store.client, policy.read(), "people")
    assert row.adopted == "judged on rows that it may have been trained on"
    assert row.metrics["accuracy"] == store.first.metrics["accuracy"].value
    assert row.estimator == "LogisticRegression"


@pytest.fixture
def without_pickle(store: Store) -> Iterator[None]:
    """The version's pickle is away: whoever reads it fails."""
    place = Path(store.client.get_model_version_download_uri("people", "1"))
    (pickle,) = (
        Path(mlflow.artifacts.download_artifacts(str(place))).glob("*.pkl") if place.exists() else _pickles(store)
    )
    pickle.rename(pickle.with_suffix(".away"))
    yield
    pickle.with_suffix(".away").rename(pickle)


def _pickles(store: Store) -> list[Path]:
    return [*store.registry.folder.glob("mlruns/**/model.pkl")]


@pytest.mark.usefixtures("without_pickle")
def test_every_command_has_its_scorecard_and_none_reads_its_pickle(store: Store) -> None:
    card = models.find("models:/people/1").scorecard
    assert card is not None
    assert card.digest == store.first.scorecard == store.tags[adoption.SCORECARD_TAG]
    assert Scorecard.loads(export("models:/people/1", "scorecard").decode()).digest == card.digest
    packaged = plan("models:/people/1", "aws-lambda", options={"front": "none"}, allow_ungated=True)
    assert packaged.digest == card.digest

    row = {"age": 40, "monthly income": "", "region": " north "}
    clean = pd.DataFrame([{"age": 40, "monthly income": np.nan, "region": "north"}])
    assert card.predict_row(row) == store.pipeline.predict(clean)[0]
    assert card.probabilities_row(row) == pytest.approx(store.pipeline.predict_proba(clean)[0].tolist(), abs=1e-12)


@pytest.mark.usefixtures("without_pickle")
def test_it_is_promoted_served_and_rolled_back_to(store: Store, tmp_path: Path) -> None:
    """By the gates and not by its pickle; the ledger keeps what is not known of it."""
    client, cache = store.client, Cache(tmp_path / "cache", "test")
    cache.make()
    source = client.get_model_version("people", "1")
    judge = judging.StageJudge(client, "people", POLICY, "Production").judge_or_fail
    with store.registry.ledger as book:
        moved = promotion.promote(
            client, book, "people", "1", stage="Production", reason="good", actor="ann", judge=judge
        )
        assert moved.verdict is not None
        assert moved.verdict.caveats == (f"{store.first.caveat}; the policy allows it",)
        (kept,) = (entry.verdict for entry in book.entries("people") if entry.state == "done")
        assert kept is not None
        assert moved.verdict.caveats[0] in [result["reason"] for result in kept["results"]]

        follower = RegistryFollower(client, book, cache, policy.read)
        follower.look()
        (served,) = cache.read().models
        assert served.champion is not None
        assert served.champion.card == store.first.scorecard

        client.create_model_version("people", source.source, source.run_id)
        promotion.promote(
            client,
            book,
            "people",
            "2",
            stage="Production",
            reason="newer",
            actor="ann",
            judge=registries._passing("Production"),
        )
        back = promotion.rollback(client, book, "people", reason="worse", actor="ann")
    assert (back.plan.version, back.notes) == ("1", ["version 1 has its scorecard"])
    client.delete_model_version("people", "2")


def test_evaluated_again_it_keeps_its_evidence_until_rows_are_declared_unseen(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its target is remembered."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    before = store.tags
    new = tmp_path / "new.csv"
    people(seed=1).rename(columns={"risk": "target"}).assign(risk=people(seed=1)["risk"]).to_csv(new, index=False)

    again = evaluate(EvaluationRequest("people", str(new), resamples=0))
    assert again.artifacts is not None
    assert "/evidence/evaluations/" in again.artifacts
    assert store.tags == before

    unseen = evaluate(EvaluationRequest("people", str(new), resamples=0, unseen=True))
    assert unseen.caveat == "logged without this platform; judged on rows that anna declared unseen"
    assert unseen.artifacts == store.tags[adoption.URI_TAG] != before[adoption.URI_TAG]
    assert store.tags[adoption.SCORECARD_TAG] == before[adoption.SCORECARD_TAG]
    document = fetch_evidence(store.client, store.client.get_model_version("people", "1")).document
    assert not document.holdout.possibly_trained_on
    assert document.holdout.declared_unseen is not None
    assert document.holdout.declared_unseen.by == "anna"
    assert document.model.target == "risk"
    description = store.client.get_model_version("people", "1").description
    assert description.count("Adopted: ") == 1
    assert "anna declared unseen" in description

    replaced = evaluate(EvaluationRequest("people", str(new), resamples=0, replace=True))
    assert replaced.artifacts == store.tags[adoption.URI_TAG] != unseen.artifacts
    assert store.tags[adoption.TAG] == adoption.POSSIBLY_TRAINED_ON
