"""Training through its public door: what is registered, logged and kept as evidence."""

import html
import json
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipelines import estimators
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.planning import Settings, plan_training
from pipelines.training import Trained, train
from registry import evidence
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}


def artifacts(trained: Trained, tmp_path: Path) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=trained.run_id, dst_path=str(tmp_path / trained.run_id)))


def test_a_regression_is_registered_with_all_that_was_measured(tracking: str, tmp_path: Path) -> None:
    trained = train(Settings("diabetes", estimator="linear"))

    client = mlflow.MlflowClient()
    version = client.get_model_version("diabetes", trained.version)
    run = client.get_run(trained.run_id)
    assert (trained.name, trained.version, trained.task) == ("diabetes", "1", "regression")
    assert run.info.status == "FINISHED"
    metrics = run.data.metrics
    assert {"mse", "rmse", "r2", "mae", "cv/rmse", "cv/rmse_std", "training/rmse"} <= metrics.keys()
    assert metrics["rmse"] < metrics["baseline/rmse"]
    assert metrics["holdout/rmse_low"] < metrics["rmse"] < metrics["holdout/rmse_high"]
    assert run.data.metrics["rmse"] == pytest.approx(run.data.metrics["mse"] ** 0.5)
    assert run.data.params["estimator.class"] == "LinearRegression"
    assert run.data.params["estimator.fit_intercept"] == "True"
    assert run.inputs.dataset_inputs[0].dataset.name == "diabetes"
    assert version.run_id == trained.run_id
    assert "LinearRegression predicts `target` from 10 columns of `scikit-learn:diabetes`" in version.description
    assert f"RMSE {metrics['rmse']:.4g} (baseline {metrics['baseline/rmse']:.4g})" in version.description
    assert client.get_experiment(run.info.experiment_id).name == "diabetes"
    assert "Predicts `target` (regression)" in client.get_registered_model("diabetes").description
    page = run.data.tags["mlflow.note.content"]
    assert f"| RMSE | {metrics['rmse']:.4g} | {metrics['holdout/rmse_low']:.4g} to " in page
    assert "MSE, RMSE and R² are better than the baseline's" in page
    assert re.search(r"gates diabetes 1\n.*promote diabetes 1 --stage Production", page)

    files = artifacts(trained, tmp_path)
    document = evidence.read(files / evidence.TRAINING)
    assert version.tags[evidence.DIGEST_TAG] == evidence.digest(files / evidence.TRAINING)
    assert document.lineage.data.digest.startswith(f"sha256:{version.tags['data.digest']}")
    assert document.suite.success
    assert document.parity.passed
    assert document.cross_validation.folds == 5
    assert {path.name for path in (files / "pictures").iterdir()} >= {"residuals.png", "coefficients.png"}
    assert (files / "validation" / "data-docs.html").exists()
    assert "<html" in (files / "model_card.html").read_text()


@pytest.mark.parametrize("name", ["yes no", "grün ✓", "a\\b [x] =~;$&+,!*(){}^`|<>", "m-1", "x" * 256])
def test_a_name_is_taken_as_it_is_given(tracking: str, tmp_path: Path, name: str) -> None:
    trained = train(Settings(str(tables.linear(tmp_path / "made by hand.csv")), name=name, **QUICK))
    assert trained.name == name
    assert mlflow.pyfunc.load_model(f"models:/{name}/1").metadata.get_input_schema()
    assert mlflow.pyfunc.load_model(f"models:/{name}/latest").metadata.get_input_schema()


@pytest.mark.parametrize(
    ("file", "registered"), [("made by hand", "made-by-hand"), ("#1 who?@home\t'x'", "1-who-home-x"), ("a%b", "a-b")]
)
def test_a_name_is_made_of_the_file(tracking: str, tmp_path: Path, file: str, registered: str) -> None:
    trained = train(Settings(str(tables.linear(tmp_path / f"{file}.csv")), **QUICK))
    assert trained.name == registered
    assert mlflow.pyfunc.load_model(f"models:/{registered}/1").metadata.get_input_schema()


@pytest.mark.parametrize(
    "name", ["a/b", "a:b", "it's", "1.0", " ", "a\nb", "a@b", "who?", "#1", "a%b", " a", "a\t", "a\u200bb", "a\u00a0"]
)
def test_a_name_that_no_uri_holds_is_refused(tracking: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(PipelineError, match="--name: expected a name for the model, without any of"):
        train(Settings(str(tables.linear(tmp_path / "made.csv")), name=name, **QUICK))
    assert not mlflow.MlflowClient().search_registered_models()


def test_a_file_whose_name_leaves_none_needs_one(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"and the table's, '[?@]+', leaves none"):
        train(Settings(str(tables.linear(tmp_path / "?@.csv")), **QUICK))
    with pytest.raises(PipelineError, match="--name: expected at most 256 characters, found 257"):
        train(Settings(str(tables.linear(tmp_path / "made.csv")), name="x" * 257, **QUICK))


def test_labels_and_their_weights_are_taken_literally(tracking: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=120)
    labels = np.where(x + draw.normal(size=120) > 0, "<=5,0", ">5,0")
    pd.DataFrame({"x": x, "y": labels}).to_csv(tmp_path / "labels.csv", index=False)

    trained = train(
        Settings(
            str(tmp_path / "labels.csv"),
            positive="<=5,0",
            class_weight='"<=5,0"=2,">5,0"=0.5',
            parameters={"C": "inf"},
            **QUICK,
        )
    )

    run = mlflow.MlflowClient().get_run(trained.run_id)
    assert run.data.params["estimator.class_weight"] == "{'<=5,0': 2.0, '>5,0': 0.5}"
    assert run.data.params["estimator.C"] == "inf"
    files = artifacts(trained, tmp_path)
    model = evidence.read(files / evidence.TRAINING).model
    assert (model.positive, model.parameters) == ("<=5,0", {"C": float("inf")})
    shown = (files / "model_card.html").read_text()
    assert re.search(r'scope="row">C</th><td><span title="inf">inf</span>', shown)


def test_the_held_out_answers_are_those_of_the_registered_model(tracking: str, tmp_path: Path) -> None:
    trained = train(Settings(str(tables.linear(tmp_path / "made.csv")), **QUICK))

    held = pd.read_parquet(artifacts(trained, tmp_path) / evidence.TRAINING / evidence.HOLDOUT)
    table = pd.read_csv(tmp_path / "made.csv")
    predicted = mlflow.pyfunc.load_model(trained.model_uri).predict(table[["x", "colour"]])
    everywhere = pd.DataFrame({"target": table["target"], "said": predicted})
    merged = held.merge(everywhere, on="target")
    assert len(merged) == len(held) == trained.rows
    np.testing.assert_allclose(merged["prediction"], merged["said"], atol=1e-12)
    assert trained.metrics["mse"].value == pytest.approx(((held["target"] - held["prediction"]) ** 2).mean())


def test_a_hostile_table_becomes_a_model_and_says_what_it_left_out(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    table = tables.hostile(tmp_path / "hostile.csv")

    trained = train(Settings(str(table), roles=Roles(target="outcome"), resamples=50))

    told = "\n".join(steps.messages)
    for column in ("customer_id", "opened", "branch", "note"):
        assert f"left out: '{column}'" in told
    assert re.search(r"2 rows without .*'outcome'", told)
    document = evidence.read(artifacts(trained, tmp_path) / evidence.TRAINING)
    inputs = {one.name: one for one in document.schema.inputs}
    assert {name: one.type for name, one in inputs.items()} == {
        "age": "number",
        tables.ODD: "number",
        tables.COMMA: "number",
        "owns.car": "boolean",
        "region": "category",
    }
    assert inputs["age"].integer
    assert document.lineage.data.dropped_rows == 2
    assert document.parity.passed
    assert trained.metrics["accuracy"].value > trained.baseline["accuracy"]


@pytest.mark.parametrize("entry", estimators.CATALOGUE, ids=lambda entry: entry.name)
def test_every_estimator_of_the_catalogue_trains_with_a_scorecard(
    entry: estimators.EstimatorEntry, tracking: str, tmp_path: Path
) -> None:
    path = tables.hostile(tmp_path / "t.csv", task=entry.task)
    if entry.target:
        table = pd.read_csv(path, dtype=str)
        table["outcome"] = pd.to_numeric(table["outcome"]).clip(lower=int(entry.target == "positive")).round()
        table.to_csv(path, index=False)
    parameters = {"max_iter": "60"} if "mlp" in entry.name else {}

    trained = train(
        Settings(str(path), estimator=entry.name, parameters=parameters, roles=Roles(target="outcome"), **QUICK)
    )

    document = evidence.read(artifacts(trained, tmp_path) / evidence.TRAINING)
    assert document.model.estimator == entry.class_name
    assert document.parity is not None
    assert document.parity.passed


def test_a_threshold_for_recall_is_kept_wherever_the_model_answers(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv")
    settings = Settings(
        str(path), roles=Roles(target="outcome"), threshold="recall=0.95", positive="yes", **{**QUICK, "folds": 5}
    )

    trained = train(settings)

    document = evidence.read(artifacts(trained, tmp_path) / evidence.TRAINING)
    threshold = document.model.threshold
    assert document.model.threshold_rule == "recall=0.95"
    assert trained.metrics["recall"].value > 0.85
    held = pd.read_parquet(artifacts(trained, tmp_path) / evidence.TRAINING / evidence.HOLDOUT)
    assert ((held["probability_yes"] >= threshold) == (held["prediction"] == "yes")).all()
    assert document.cross_validation.metrics["recall"].mean == pytest.approx(0.95, abs=0.02)
    assert {"yes", "no"} == set(mlflow.pyfunc.load_model(trained.model_uri).predict(_frame(path)))
    native = mlflow.sklearn.load_model(trained.model_uri)
    np.testing.assert_array_equal(
        native.predict(_frame(path)), mlflow.pyfunc.load_model(trained.model_uri).predict(_frame(path))
    )


def _frame(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, na_values=["?"], skipinitialspace=True)
    # The native pipeline takes what training made of the text: trimmed.
    return table.astype({"age": "float64"}).assign(region=table["region"].str.strip())


def test_metrics_by_group_are_kept_where_a_sensitive_column_is_named(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv")

    trained = train(Settings(str(path), roles=Roles(target="outcome", sensitive=["region"], drop=["region"]), **QUICK))

    document = evidence.read(artifacts(trained, tmp_path) / evidence.TRAINING)
    (fairness,) = document.fairness
    assert fairness.column == "region"
    assert {"north", "south", "east"} <= {group.group for group in fairness.groups}
    assert sum(group.rows for group in fairness.groups) == trained.rows
    assert "region" not in {one.name for one in document.schema.inputs}


def test_a_suite_that_fails_stops_the_run_before_anything_is_fitted(tracking: str, tmp_path: Path) -> None:
    suite = {
        "name": "strict",
        "expectations": [
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": "x", "min_value": 100},
                "severity": "critical",
            }
        ],
    }
    (tmp_path / "strict.json").write_text(json.dumps(suite))

    with pytest.raises(PipelineError, match=r"fails 1 critical expectation of suite 'strict'.*column 'x'"):
        train(Settings(str(tables.linear(tmp_path / "made.csv")), suite=str(tmp_path / "strict.json")))

    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("made").experiment_id])
    assert run.info.status == "FAILED"
    assert "fails 1 critical expectation" in run.data.tags["mlflow.note.content"]
    assert run.inputs.dataset_inputs[0].dataset.name == "made"
    assert not run.data.metrics
    assert not client.search_registered_models()
    assert {found.path for found in client.list_artifacts(run.info.run_id, "validation")} >= {
        "validation/data-docs.html"
    }


def test_a_new_table_is_checked_against_the_suite_of_production(tracking: str, tmp_path: Path) -> None:
    first = train(Settings(str(tables.linear(tmp_path / "a.csv")), name="made", **{**QUICK, "suite": "auto"}))
    mlflow.MlflowClient().transition_model_version_stage("made", first.version, "Production")
    text = tables.linear(tmp_path / "b.csv").read_text().replace("colour", "paint")
    (tmp_path / "b.csv").write_text(text)

    with pytest.raises(PipelineError, match="colour"):
        train(Settings(str(tmp_path / "b.csv"), name="made", **{**QUICK, "suite": "auto"}))


def test_the_champion_is_compared_on_shared_rows_and_changed_keys_are_told(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    path = tables.linear(tmp_path / "a.csv", rows=600)
    first = train(Settings(str(path), name="made", **QUICK))
    mlflow.MlflowClient().transition_model_version_stage("made", first.version, "Production")

    second = train(Settings(str(path), name="made", estimator="ridge", **QUICK))
    card = (artifacts(second, tmp_path) / "model_card.html").read_text()
    train(Settings(str(path), name="made", roles=Roles(drop=["colour"]), **QUICK))
    assert "hampion" in card
    assert not any("comparable" in line for line in steps.messages)

    train(Settings(str(path), name="made", roles=Roles(id=["x"]), **QUICK))
    assert any(
        "the columns that name a row have changed: gone 'colour'; run evaluate" in line for line in steps.messages
    )


def test_rows_stay_held_out_when_the_table_grows_and_whatever_the_seed(tracking: str, tmp_path: Path) -> None:
    path = tables.linear(tmp_path / "a.csv", rows=200)
    first = train(Settings(str(path), name="made", **QUICK))
    more = tables.linear(tmp_path / "more.csv", rows=100, seed=1).read_text().split("\n", 1)[1]
    path.write_text(path.read_text() + more)

    second = train(Settings(str(path), name="made", seed=5, **QUICK))

    keys = [
        set(pd.read_parquet(artifacts(one, tmp_path) / evidence.TRAINING / evidence.HOLDOUT)["key"])
        for one in (first, second)
    ]
    assert keys[0] < keys[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "ridge", "parameters": {"alfa": "1"}}, "no such parameter; did you mean 'alpha'"),
        ({"estimator": "ridge", "parameters": {"alpha": "-1"}}, "alpha"),
        ({"estimator": "logistic", "roles": Roles(task="regression")}, "is for classification, the task is regression"),
        ({"estimator": "lassoo"}, "did you mean"),
        ({"threshold": "0.5"}, "--threshold goes with two classes"),
        ({"class_weight": "balanced"}, "--class-weight goes with a classification"),
        ({"positive": "yes"}, "--positive yes goes with two classes"),
        ({"test_size": 1.5}, "--test-size is between 0 and 1"),
        ({"roles": Roles(target="tarket")}, "no column 'tarket'; did you mean 'target'"),
        ({"suite": "nothere.json"}, "nothere.json"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_registered(
    settings: dict, message: str, tracking: str, tmp_path: Path
) -> None:
    path = tables.linear(tmp_path / "a.csv")

    with pytest.raises(PipelineError, match=message):
        train(Settings(str(path), **settings))

    assert not mlflow.MlflowClient().search_registered_models()


def test_what_was_left_out_is_told_where_what_is_left_cannot_be_split(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    lines = [f"({row / 8});{'ab'[row % 2]};{row % 3}" for row in range(300)]
    (tmp_path / "t.csv").write_text("höhe;art;target\n" + "\n".join(lines))

    with pytest.raises(PipelineError, match=r"rows are 2 different \(by 'art'\)"):
        train(Settings(str(tmp_path / "t.csv")))

    assert any("left out: 'höhe': negative numbers in brackets" in line for line in steps.messages)


def test_few_different_rows_are_told_and_kept_with_the_version(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    draw = np.random.default_rng(1)
    codes = draw.integers(0, 12, 900)
    table = pd.DataFrame({"Row": range(1, 901), "a": codes % 4 * 0.5, "b": codes // 4 * 0.5})
    table["target"] = codes + draw.standard_normal(900)
    table.to_csv(tmp_path / "few.csv", index=False)

    trained = train(Settings(str(tmp_path / "few.csv"), **QUICK))

    (note,) = trained.notes
    assert note in steps.messages
    assert "rows are 12 different (by 'a', 'b')" in note
    assert note.endswith("--id Row holds rows out one by one")
    files = artifacts(trained, tmp_path)
    assert evidence.read(files / evidence.TRAINING).holdout.notes == [note]
    assert "--id Row holds rows out one by one." in html.unescape((files / "model_card.html").read_text())
    anew = Settings(str(tmp_path / "few.csv"), name="anew", roles=Roles(id=("Row",)), **QUICK)
    assert train(anew).notes == ()


def test_a_drafted_suite_that_fails_for_few_different_rows_names_id(tracking: str, tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 6, 900)
    table = pd.DataFrame({"deck": [f"d{code}" for code in codes], "target": ["yes", "no", "no"] * 300})
    table.to_csv(tmp_path / "deck.csv", index=False)
    with pytest.raises(PipelineError, match=r"fails .* drafted from the training rows, .* are 6 different .* --id$"):
        train(Settings(str(tmp_path / "deck.csv"), roles=Roles(), test_size=0.4, **{**QUICK, "suite": "auto"}))


def test_one_fold_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="--folds: expected 0, or at least 2, found 1"):
        plan_training(Settings(str(tmp_path / "is not even read.csv"), folds=1))


@pytest.mark.parametrize(("columns", "solver"), [(2, "newton-cholesky"), (5, "lbfgs")])
def test_the_solver_is_one_for_as_many_coefficients_as_the_table_may_have(tmp_path, columns, solver):
    draw = np.random.default_rng(0)
    made = pd.DataFrame({f"c{place}": np.char.mod("v%d", draw.integers(0, 120, 600)) for place in range(columns)})
    made.assign(y=draw.choice(["no", "yes"], 600)).to_csv(tmp_path / "wide.csv", index=False)
    assert plan_training(Settings(str(tmp_path / "wide.csv"), roles=Roles(target="y"))).build().solver == solver


def test_a_drafted_suite_lets_time_go_on_and_ids_and_groups_be_others(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    table = pd.read_csv(tables.linear(tmp_path / "t.csv"))
    roles = Roles(id=("account",), group="shop", time="year")
    parts = {"account": range(300), "shop": np.arange(300) % 30, "year": np.arange(300) // 20}
    table.assign(**parts).to_csv(tmp_path / "t.csv", index=False)
    trained = train(Settings(str(tmp_path / "t.csv"), name="made", roles=roles))
    suite = artifacts(trained, tmp_path) / "validation" / "suite.json"
    assert not [line for line in steps.messages if "'year'" in line and "expected between" in line]

    table.assign(**{name: np.array(values) + 5000 for name, values in parts.items()}).to_csv(tmp_path / "later.csv")
    again = train(Settings(str(tmp_path / "later.csv"), name="made", roles=roles, suite=str(suite)))

    assert again.version == "2"


def test_a_warning_of_the_suite_is_told(tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture) -> None:
    train_on = tables.linear(tmp_path / "t.csv")
    trained = train(Settings(str(train_on), name="made"))
    suite = artifacts(trained, tmp_path) / "validation" / "suite.json"

    train(Settings(str(tables.linear(tmp_path / "n.csv", shift=1.5)), name="made", suite=str(suite)))

    assert any(re.match(r"warning: column 'x' .*between.*found .* values unexpected", line) for line in steps.messages)


def test_a_model_that_may_be_no_better_than_its_baseline_is_told(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    draw = np.random.default_rng(0)
    pd.DataFrame({"x": draw.normal(size=200), "y": draw.normal(size=200)}).to_csv(tmp_path / "noise.csv", index=False)
    train(Settings(str(tmp_path / "noise.csv"), roles=Roles(target="y"), **{**QUICK, "resamples": 100}))
    assert "R² reaches the baseline's" in steps.text
    steps.clear()
    train(Settings(str(tables.linear(tmp_path / "linear.csv")), **{**QUICK, "resamples": 100}))
    assert "baseline" not in steps.text


def test_numbers_whose_squares_nearly_leave_float64_are_trained_on(tracking: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=300)
    pd.DataFrame({"x": x * 1e140, "target": x * 1e100}).to_csv(tmp_path / "huge.csv", index=False)

    trained = train(Settings(str(tmp_path / "huge.csv"), **{**QUICK, "folds": 5}))

    assert trained.metrics["r2"].value == pytest.approx(1)
