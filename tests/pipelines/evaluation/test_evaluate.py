"""Evaluation of registered versions: rows, evidence, the champion beside."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.training import train
from registry import evidence
from registry.errors import RegistryError
from serving.errors import ServingError
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}


def test_on_its_own_table_only_the_held_out_rows_are_judged(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv")
    trained = train(Settings(str(path), name="made", roles=Roles(target="outcome"), **QUICK))

    verdict = evaluate(EvaluationRequest("models:/made/1", str(path)))

    assert verdict.rows == trained.rows
    assert {name: found.value for name, found in verdict.metrics.items()} == pytest.approx(
        {name: found.value for name, found in trained.metrics.items()}
    )
    assert verdict.baseline == pytest.approx(trained.baseline)
    assert "/evidence/evaluations/" in verdict.artifacts


def test_training_evidence_is_not_rewritten(tracking: str, tmp_path: Path) -> None:
    path = tables.linear(tmp_path / "t.csv")
    trained = train(Settings(str(path), name="made", **QUICK))
    tag = mlflow.MlflowClient().get_model_version("made", "1").tags[evidence.DIGEST_TAG]

    evaluate(EvaluationRequest("made", str(tables.linear(tmp_path / "other.csv", seed=9)), resamples=0))

    kept = mlflow.artifacts.download_artifacts(run_id=trained.run_id, artifact_path=evidence.TRAINING)
    assert evidence.digest(Path(kept)) == tag


def test_another_table_is_judged_whole_and_the_champion_beside(tracking: str, tmp_path: Path) -> None:
    path, new = tables.linear(tmp_path / "t.csv"), tables.linear(tmp_path / "new.csv", seed=3, rows=120)
    train(Settings(str(path), name="made", **QUICK))
    train(Settings(str(path), name="made", estimator="lasso", parameters={"alpha": "0.5"}, **QUICK))
    mlflow.MlflowClient().transition_model_version_stage("made", "1", "Production")

    verdict = evaluate(EvaluationRequest("models:/made/2", str(new), resamples=0))

    assert (verdict.rows, verdict.other) == (120, "1")
    assert verdict.other_metrics["rmse"] < verdict.metrics["rmse"].value
    target = pd.read_csv(new)
    said = mlflow.pyfunc.load_model("models:/made/1").predict(target[["x", "colour"]])
    assert verdict.other_metrics["mse"] == pytest.approx(float(np.mean((target["target"] - said) ** 2)))


@pytest.mark.parametrize(
    ("change", "question", "message"),
    [
        (lambda table: table.drop(columns="colour"), {}, "lacks: 'colour'"),
        (lambda table: table.assign(x="abc"), {}, "column 'x'.*expected a number"),
        (lambda table: table.assign(target="abc"), {}, "target"),
        (lambda table: table, {"model": "models:/made/99"}, "no version '99'.*1"),
        (lambda table: table, {"model": "nosuch"}, "no registered model 'nosuch'"),
        (lambda table: table, {"model": "models:/made"}, "models:/made names no version"),
        (lambda table: table, {"model": "./"}, "is no registered version"),
        (lambda table: table, {"model": "models:/made/Production"}, "no version of 'made' is in stage"),
        (lambda table: table, {"target": "nothere"}, "no column 'nothere'"),
        (lambda table: table, {"sensitive": ["nothere"]}, "no column 'nothere'"),
        (lambda table: table, {"against": "models:/made/1"}, "is the version itself"),
        (lambda table: table, {"unseen": True}, "of made version 1 it is known which rows were held out; leave it out"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, question: dict, message: str, tracking: str, tmp_path: Path) -> None:
    train(Settings(str(tables.linear(tmp_path / "t.csv")), name="made", **QUICK))
    change(pd.read_csv(tables.linear(tmp_path / "new.csv", seed=3))).to_csv(tmp_path / "new.csv", index=False)

    with pytest.raises((PipelineError, RegistryError, ServingError), match=message):
        evaluate(EvaluationRequest(**{"model": "models:/made/1", "data": str(tmp_path / "new.csv"), **question}))


@pytest.mark.parametrize("model", ["made", "models:/made/latest"])
def test_the_newest_version_is_judged_where_none_is_named(tracking: str, tmp_path: Path, model: str) -> None:
    path = str(tables.linear(tmp_path / "t.csv"))
    for _ in range(2):
        train(Settings(path, name="made", **QUICK))

    assert (evaluate(EvaluationRequest(model, path)).version) == "2"


def test_a_class_that_the_version_does_not_know_is_named(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv")
    train(Settings(str(path), name="made", roles=Roles(target="outcome"), **QUICK))
    (tmp_path / "new.csv").write_text(path.read_text().replace(",yes\n", ",perhaps\n", 3))

    with pytest.raises(PipelineError, match=r"classes that made version 1 does not know: 'perhaps'"):
        evaluate(EvaluationRequest("made", str(tmp_path / "new.csv"), rows="all"))


def test_labels_that_look_like_numbers_are_known_where_the_others_are_not_there(tracking: str, tmp_path: Path) -> None:
    table = pd.read_csv(tables.linear(tmp_path / "t.csv"))
    table["target"] = pd.cut(table["target"], [-np.inf, 0, 2, np.inf], labels=["1", "2", "3+"])
    table.to_csv(tmp_path / "t.csv", index=False)
    train(Settings(str(tmp_path / "t.csv"), name="made", **QUICK))
    table[table["target"] != "3+"].to_csv(tmp_path / "few.csv", index=False)

    verdict = evaluate(EvaluationRequest("made", str(tmp_path / "few.csv"), rows="all"))

    assert verdict.rows == (table["target"] != "3+").sum()
    assert verdict.metrics["accuracy"].value > 0.8


def german(path: Path, rows: int, *, fractions: bool = True, seed: int = 0) -> Path:
    """``umsatz`` grouped by dots and, if asked for, ``gewicht`` with a decimal comma; the target is grouped, too."""
    draw = np.random.default_rng(seed)
    lines = ["umsatz;gewicht;y"]
    for _ in range(rows):
        sales = int(draw.integers(1_001, 99_999))
        weight = f"{draw.uniform(5, 30):.2f}".replace(".", ",") if fractions else "7"
        sales_text, target = (f"{amount:,}".replace(",", ".") for amount in (sales, sales * 3 + 7))
        lines.append(f"{sales_text};{weight};{target}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_another_table_is_read_by_the_models_own_marks(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    train(Settings(str(german(tmp_path / "t.csv", 120)), name="made", roles=Roles(target="y"), **QUICK))
    assert any(
        "numbers with decimal ',', thousands '.' (found): 'umsatz', 'gewicht', 'y'" in line for line in steps.messages
    )

    # Nothing in this table tells that its dots are thousands marks.
    bare = german(tmp_path / "bare.csv", 40, fractions=False, seed=1)
    verdict = evaluate(EvaluationRequest("made", str(bare), target="y", resamples=0))
    assert verdict.metrics["r2"].value > 0.999

    plain = tmp_path / "plain.csv"
    plain.write_text("umsatz,gewicht,y\n" + "50714,15.72,152149\n2409,5.73,7234\n" * 5)
    with pytest.raises(PipelineError, match=r"'gewicht'.* reads numbers with decimal ',', thousands '\.'"):
        evaluate(EvaluationRequest("made", str(plain), target="y", resamples=0))
