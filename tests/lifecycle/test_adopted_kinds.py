"""Models as people log them by plain MLflow: each is judged, and compiled or told why not; no failure is unexpected."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.statsmodels
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from mlflow.models import ModelSignature, infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipelines.errors import PipelineError
from pipelines.evaluation.evaluate import Evaluation, EvaluationRequest, evaluate
from registry import judging, policy
from registry.evidence.fetch import fetch_evidence
from serving import models
from serving.errors import InputError, ServingError
from serving.exporting import export
from serving.scorecard import Scorecard
from tests.serving.server import registries

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame({"age": DRAW.integers(18, 90, 120), "income, monthly": DRAW.normal(3e3, 1e3, 120)})
TABLE["region"] = DRAW.choice(["north", "south"], 120)
TABLE["opened"] = pd.date_range("2020-01-01", periods=120)
NUMBERS = TABLE[["age", "income, monthly"]]
LABELS = np.where(TABLE["age"] + TABLE["income, monthly"] / 100 > 85, "yes", "no")
NOISY = TABLE["age"] + DRAW.normal(size=120)
AMOUNTS = 2 * TABLE["age"] + TABLE["income, monthly"] / 100

Log = Callable[[str], object]


def by_position(name: str) -> object:
    """MLflow's own quickstart: arrays, whole numbers as labels."""
    fitted = LogisticRegression(max_iter=5000).fit(NUMBERS.to_numpy(), LABELS == "yes")
    signature = infer_signature(NUMBERS.to_numpy(), fitted.predict(NUMBERS.to_numpy()))
    return mlflow.sklearn.log_model(fitted, name="m", signature=signature, **registered(name))


def by_whole_names(name: str) -> object:
    frame = pd.DataFrame(NUMBERS.to_numpy())
    fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(frame, AMOUNTS)
    signature = infer_signature(frame, fitted.predict(frame))
    return mlflow.sklearn.log_model(fitted, name="m", signature=signature, **registered(name))


def without_signature(name: str) -> object:
    """Fitted on a table with dates, which it drops."""
    taken = make_column_transformer((OneHotEncoder(), ["region"]), (StandardScaler(), list(NUMBERS)))
    fitted = make_pipeline(taken, LogisticRegression()).fit(TABLE, LABELS)
    return mlflow.sklearn.log_model(fitted, name="m", serialization_format="cloudpickle", **registered(name))


def outside_a_run(name: str) -> object:
    mlflow.end_run()
    fitted = LinearRegression().fit(NUMBERS, AMOUNTS)
    signature = infer_signature(NUMBERS, fitted.predict(NUMBERS))
    logged = mlflow.sklearn.log_model(fitted, name="m", signature=signature, pip_requirements=["scikit-learn"])
    assert logged.run_id is None
    return mlflow.register_model(logged.model_uri, name)


def forest_of_probabilities(name: str) -> object:
    fitted = RandomForestClassifier(5, random_state=0).fit(NUMBERS, LABELS)
    signature = infer_signature(NUMBERS, fitted.predict_proba(NUMBERS))
    method = {"pyfunc_predict_fn": "predict_proba", "serialization_format": "cloudpickle"}
    return mlflow.sklearn.log_model(fitted, name="m", signature=signature, **method, **registered(name))


class Rule(mlflow.pyfunc.PythonModel):
    """A rule that somebody wrote."""

    def predict(self, context, model_input: pd.DataFrame, params=None) -> list[str]:
        return ["yes" if age > 60 else "no" for age in model_input["age"]]


def rule(name: str) -> object:
    return mlflow.pyfunc.log_model(
        name="m", python_model=Rule(), pip_requirements=["mlflow"], registered_model_name=name
    )


def several_outputs(name: str) -> object:
    fitted = LinearRegression().fit(NUMBERS, np.column_stack([AMOUNTS, -AMOUNTS]))
    signature = infer_signature(NUMBERS, fitted.predict(NUMBERS))
    return mlflow.sklearn.log_model(fitted, name="m", signature=signature, **registered(name))


def by_statsmodels(name: str) -> object:
    return of_statsmodels(sm.OLS(NOISY, sm.add_constant(NUMBERS)).fit(), name)


def of_constant(name: str) -> object:
    return by_statsmodels(name)


def signed_without_constant(name: str) -> object:
    return of_statsmodels(sm.OLS(NOISY, sm.add_constant(NUMBERS)).fit(), name, infer_signature(NUMBERS, NOISY))


def by_formula(name: str) -> object:
    return of_statsmodels(smf.ols("y ~ np.log(age) + Q('income, monthly')", NUMBERS.assign(y=NOISY)).fit(), name)


def by_array_of_statsmodels(name: str) -> object:
    return of_statsmodels(sm.OLS(NOISY.to_numpy(), sm.add_constant(NUMBERS.to_numpy())).fit(), name)


def of_statsmodels(results: object, name: str, signature: ModelSignature | None = None) -> object:
    return mlflow.statsmodels.log_model(
        results, name="m", signature=signature, pip_requirements=["statsmodels"], registered_model_name=name
    )


def registered(name: str) -> dict:
    return {"registered_model_name": name, "pip_requirements": ["scikit-learn"]}


@dataclass(frozen=True)
class Store:
    registry: registries.Registry
    folder: Path

    def judged(self, log: Log, target: pd.Series | np.ndarray, frame: pd.DataFrame = NUMBERS) -> Evaluation:
        """What comes of a model that was logged, on the table of a frame with a target."""
        name = log.__name__
        with mlflow.start_run():
            log(name)
        path = self.folder / f"{name}.csv"
        frame.assign(y=target).to_csv(path, index=False)
        return evaluate(EvaluationRequest(name, str(path), target="y", resamples=0))


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("kinds")
    registry = registries.on_sqlite(empty_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in registry.env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        yield Store(registry, folder)


def names(model: str, number: str = "1") -> list[str]:
    card = models.find(f"models:/{model}/{number}").scorecard
    assert card is not None
    return [item.name for item in card.inputs]


def test_columns_of_an_array_are_those_of_the_table_by_position(store: Store) -> None:
    found = store.judged(by_position, LABELS == "yes")
    assert found.metrics["accuracy"].value is not None
    assert found.metrics["accuracy"].value > 0.9
    assert any("it takes those of the table by position: 'age', 'income, monthly'" in note for note in found.notes)
    assert names("by_position") == ["age", "income, monthly"]


def test_columns_that_are_called_by_whole_numbers_are_taken_by_position(store: Store) -> None:
    found = store.judged(by_whole_names, AMOUNTS)
    assert found.metrics["r2"].value == pytest.approx(1)
    assert names("by_whole_names") == ["0", "1"]
    assert found.notes[0] == (
        "the columns of by_whole_names version 1 are numbered, from 0 to 1: these of the table, by position: "
        "'age', 'income, monthly'; requests name them '0', '1', ..."
    )
    card = models.find("models:/by_whole_names/1").scorecard
    assert card is not None
    assert card.predict_row({"0": 40, "1": 3000}) == pytest.approx(110)


def test_without_a_signature_the_pipelines_own_columns_are_taken_and_dropped_ones_may_hold_anything(
    store: Store,
) -> None:
    found = store.judged(without_signature, LABELS, TABLE)
    assert found.scorecard
    card = models.find("models:/without_signature/1").scorecard
    assert card is not None
    assert card.optional == {"opened"}
    assert card.predict_row({"age": 80, "income, monthly": 5000, "region": "north", "opened": "2026-01-01"}) == "yes"


def test_a_model_that_was_logged_outside_a_run_has_its_evidence_in_the_evaluations(store: Store) -> None:
    found = store.judged(outside_a_run, AMOUNTS)
    version = store.registry.client.get_model_version("outside_a_run", "1")
    assert not version.run_id
    assert fetch_evidence(store.registry.client, version).document.metrics["r2"].value == found.metrics["r2"].value
    rules = policy.read().default
    assert judging.StageJudge(store.registry.client, "outside_a_run", rules, "Production").judge("1", None).passed


def test_a_model_that_answers_probabilities_is_judged_by_them_and_told_why_it_has_no_scorecard(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "model_lifecycle")
    found = store.judged(forest_of_probabilities, LABELS)
    assert found.scorecard is None
    assert found.metrics["accuracy"].value is not None
    assert found.metrics["accuracy"].value > 0.9
    assert found.metrics["log_loss"].value is not None
    assert any(
        "has no scorecard: it was logged with pyfunc_predict_fn='predict_proba', and a scorecard predicts" in line
        and line.count("serve it with `serve --pyfunc yes`") == 1
        for line in caplog.messages
    )
    with pytest.raises(ServingError, match="none can be made: it was logged with pyfunc_predict_fn='predict_proba'"):
        models.find("models:/forest_of_probabilities/1").portable()


def test_labels_without_probabilities_are_judged_by_what_is_known_of_them(store: Store) -> None:
    found = store.judged(rule, LABELS, TABLE)
    share = float(np.mean(np.where(TABLE["age"] > 60, "yes", "no") == LABELS))
    assert found.task == "classification"
    assert found.metrics["accuracy"].value == pytest.approx(share)
    assert (found.metrics["roc_auc"].value, found.metrics["log_loss"].value) == (None, None)
    assert found.scorecard is None


def test_a_model_of_several_outputs_is_refused_by_evaluate_as_by_export(store: Store) -> None:
    with pytest.raises(
        ServingError, match=r"several_outputs version 1 does not answer these rows: .*; log one model for each output"
    ):
        store.judged(several_outputs, AMOUNTS)
    with pytest.raises(ServingError, match="models:/several_outputs/1 has no scorecard, and none can be made: "):
        models.find("models:/several_outputs/1").portable()
    assert not store.registry.client.get_model_version("several_outputs", "1").tags


@pytest.mark.parametrize("log", [by_statsmodels, by_formula])
def test_columns_that_statsmodels_knows_are_taken_by_name(log: Log, store: Store) -> None:
    """In whatever order the table has them, and whatever else it has."""
    table = NUMBERS.assign(other=0.5, const=1.0)[["other", "income, monthly", "const", "age"]]
    found = store.judged(log, NOISY, table)
    assert not any("position" in note for note in found.notes)
    assert found.metrics["r2"].value is not None
    assert found.metrics["r2"].value > 0.9
    version = store.registry.client.get_model_version(log.__name__, "1")
    parity = fetch_evidence(store.registry.client, version).document.parity
    assert parity is not None
    assert parity.passed


def test_the_constant_of_statsmodels_is_a_column_of_ones_for_every_command(store: Store) -> None:
    with pytest.raises(
        PipelineError,
        match=r"^of_constant version 1 takes columns that the table lacks: 'const'; it has 'age', 'income, monthly', "
        r"'y'; 'const' is its constant: add a column of ones$",
    ):
        store.judged(of_constant, NOISY)
    card = Scorecard.loads(export("models:/of_constant/1", "scorecard").decode())
    assert [item.name for item in card.inputs] == ["const", "age", "income, monthly"]
    with pytest.raises(InputError, match="'const'"):
        card.predict_row({"age": 40, "income, monthly": 3000})


def test_a_signature_without_the_constant_of_statsmodels_is_refused(store: Store) -> None:
    with pytest.raises(
        ServingError, match=r"'const', which its signature lacks, .*; log it with a signature that has "
    ):
        store.judged(signed_without_constant, NOISY, sm.add_constant(NUMBERS))


def test_arrays_of_statsmodels_are_taken_by_position_as_any(store: Store) -> None:
    with pytest.raises(
        PipelineError,
        match=r"names no columns and takes 3 .* in its order; column 1 of them is its constant, a column ",
    ):
        store.judged(by_array_of_statsmodels, NOISY)
    found = store.judged(by_array_of_statsmodels, NOISY, sm.add_constant(NUMBERS))
    assert found.scorecard
    assert any("by position: 'const', 'age', 'income, monthly'" in note for note in found.notes)
    assert names("by_array_of_statsmodels", found.version) == ["const", "age", "income, monthly"]
