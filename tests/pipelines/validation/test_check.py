"""``validate``: a table against its suite, and a suite drafted, edited and used."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipelines.errors import PipelineError
from pipelines.planning import Settings
from pipelines.training import train
from pipelines.validation.check import CriticalFailure, check
from tests.pipelines import tables


def test_a_drafted_suite_is_written_judged_on_held_out_rows_and_then_used(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv")
    suite = tmp_path / "suites" / "t.json"

    drafted = check(str(path), target="outcome", draft=True, output=str(suite))
    used = check(str(path), suite=str(suite))

    assert drafted.drafted == suite
    assert 0 < drafted.rows < 400
    assert drafted.result.success
    assert used.rows == 398, "two rows have no target"
    files = {found.path for found in mlflow.MlflowClient().list_artifacts(used.run_id, "validation")}
    assert files == {"validation/suite.json", "validation/result.json", "validation/data-docs.html"}
    assert mlflow.get_run(used.run_id).info.status == "FINISHED"


def test_an_edited_suite_decides(tracking: str, tmp_path: Path) -> None:
    path, suite = tables.linear(tmp_path / "t.csv"), tmp_path / "t.json"
    check(str(path), draft=True, output=str(suite))
    document = json.loads(suite.read_text())
    document["expectations"].append(
        {
            "type": "expect_column_values_to_be_in_set",
            "severity": "critical",
            "kwargs": {"column": "colour", "value_set": ["green"]},
            "meta": {},
        }
    )
    suite.write_text(json.dumps(document))

    with pytest.raises(CriticalFailure, match=r"column 'colour'.*green") as failure:
        check(str(path), suite=str(suite))
    assert [finding.column for finding in failure.value.checked.result.failures] == ["colour"]

    (failed,) = mlflow.search_runs(
        experiment_names=["t"], filter_string="attributes.status = 'FAILED'", output_format="list"
    )
    assert "validate t" in failed.info.run_name


def test_a_draft_does_not_overwrite_unless_told(tracking: str, tmp_path: Path) -> None:
    path, suite = tables.linear(tmp_path / "t.csv"), tmp_path / "t.json"
    suite.write_text("{}")

    with pytest.raises(PipelineError, match="is there already"):
        check(str(path), draft=True, output=str(suite))
    assert suite.read_text() == "{}"

    check(str(path), draft=True, output=str(suite), overwrite=True)
    assert json.loads(suite.read_text())["expectations"]


def test_without_a_suite_it_says_how_to_get_one(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="draft one with --profile yes"):
        check(str(tables.linear(tmp_path / "t.csv")))


def test_a_table_is_checked_against_the_suite_of_the_version_in_production(tracking: str, tmp_path: Path) -> None:
    path = tables.linear(tmp_path / "made.csv")
    trained = train(Settings(str(path), folds=0, resamples=0, pictures=False))
    mlflow.MlflowClient().transition_model_version_stage("made", trained.version, "Production")
    pd.read_csv(path).drop(columns="x").to_csv(tmp_path / "less.csv", index=False)

    assert check(str(path)).origin == "the suite of made version 1 in Production"
    with pytest.raises(PipelineError, match="'x'"):
        check(str(tmp_path / "less.csv"), name="made")


def test_a_file_called_like_a_bundled_table_is_another_table(tracking: str, tmp_path: Path) -> None:
    path = tables.linear(tmp_path / "diabetes.csv")

    trained = train(Settings(str(path), folds=0, resamples=0, pictures=False))

    assert trained.metrics["r2"].value > 0.9
