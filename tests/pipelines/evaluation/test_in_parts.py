"""An evaluation in parts is the evaluation in memory: the same rows, evidence, answers, notes and errors."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.data.pandas_dataset import from_pandas
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.evaluation import judged_table
from pipelines.evaluation.evaluate import Evaluation, EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.streaming import raw
from pipelines.training import train
from registry import evidence
from registry.evidence import adoption, files
from tests.command import ROOT, run
from tests.pipelines.alike import alike
from tests.pipelines.streaming.test_streamed import QUICK, TARGETS, table

#: What of the evidence is of the moment, or of rounding.
OWN = ("created", "command", "time")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "ROWS", 97)
    monkeypatch.setattr(judged_table, "SAMPLE", 100)


@dataclass(frozen=True)
class Written:
    """What an evaluation gave and wrote."""

    evaluation: Evaluation
    document: dict[str, Any]
    tables: dict[str, pa.Table]


def written(evaluation: Evaluation, folder: Path) -> Written:
    """What an evaluation wrote; a later one may write it anew."""
    assert evaluation.artifacts is not None
    path = Path(mlflow.artifacts.download_artifacts(evaluation.artifacts, dst_path=str(folder)))
    document = msgspec.to_builtins(evidence.read(path))
    tables = {str(file.relative_to(path)): pq.read_table(file) for file in sorted(path.glob("**/*.parquet"))}
    return Written(evaluation, without_own(document), tables)


def without_own(document: Any) -> Any:
    """A document without what is of the moment."""
    if isinstance(document, dict):
        return {name: without_own(value) for name, value in document.items() if name not in OWN}
    return document


def both(request: EvaluationRequest, tmp_path: Path) -> tuple[Written, Written]:
    """The same evaluation in memory and in parts; asserts that they are alike."""
    one, other = (
        written(evaluate(replace(request, engine=engine)), tmp_path / engine) for engine in ("memory", "stream")
    )
    alike(one.document, other.document)
    alike(msgspec.to_builtins(one.evaluation.other_metrics), msgspec.to_builtins(other.evaluation.other_metrics))
    assert one.evaluation.notes == other.evaluation.notes
    assert one.tables.keys() == other.tables.keys()
    for name, answers in one.tables.items():
        assert answers.schema == other.tables[name].schema
        for column in answers.column_names:
            values, parts = answers[column].to_numpy(), other.tables[name][column].to_numpy()
            if values.dtype.kind == "f":
                np.testing.assert_allclose(parts, values, rtol=1e-12, atol=1e-12)
            else:
                assert parts.tolist() == values.tolist()
    return one, other


def trained(path: Path, target: str, **given: Any) -> None:
    """Train a version of the model ``m``."""
    roles = Roles(target=target, drop=[name for name in TARGETS if name != target], **given.pop("roles", {}))
    train(Settings(str(path), name="m", roles=roles, engine="memory", **{**QUICK, **given}))


def test_two_classes_beside_the_champion_on_another_table(tracking: str, tmp_path: Path) -> None:
    path, new = tmp_path / "t.parquet", tmp_path / "new.csv"
    table().to_parquet(path)
    trained(path, "churn")
    trained(path, "churn", estimator="logistic", parameters={"C": "0.01"}, positive="no")
    mlflow.MlflowClient().transition_model_version_stage("m", "1", "Production")
    frame = table(seed=9)
    frame.loc[frame.index % 50 == 3, "churn"] = None
    frame.to_csv(new, index=False)

    memory, _ = both(EvaluationRequest("m", str(new), sensitive=["city", "vip"], resamples=50), tmp_path)

    assert (memory.evaluation.rows, memory.evaluation.other) == (900 - 18, "1")
    assert memory.evaluation.notes == ("18 rows without a value of 'churn' are left out",)
    assert len(memory.tables) == 3
    beside = [answers.num_rows for name, answers in memory.tables.items() if name.startswith(files.BESIDE)]
    assert beside == [beside[0]] * 2
    assert 100 < beside[0] < 300, "those that neither was trained on, would they be in its table"
    assert memory.document["profile"]["city"]["missing"] > 0


def test_three_classes_of_a_table_that_has_grown(tracking: str, tmp_path: Path) -> None:
    path, grown = tmp_path / "t.csv", tmp_path / "grown.jsonl"
    table().to_csv(path, index=False)
    trained(path, "grade")
    frame = pd.concat([table(), table(seed=4)])
    frame.to_json(grown, orient="records", lines=True)

    memory, _ = both(EvaluationRequest("m", str(grown), rows="holdout", resamples=20), tmp_path)
    assert 250 < memory.evaluation.rows < 500


def test_a_regression_whose_rows_were_held_out_by_time(tracking: str, tmp_path: Path) -> None:
    """A column by which metrics are broken down is of another type than its sample, which is found on the way."""
    path, later = tmp_path / "t.csv", tmp_path / "later.csv"
    days = pd.Timestamp("2025-11-25") + pd.to_timedelta(np.random.default_rng(1).integers(0, 60, 900), unit="D")
    # Some parts alone do not tell whether the day comes first.
    table().assign(day=days.strftime("%d/%m/%Y")).to_csv(path, index=False)
    trained(path, "amount", roles={"time": "day"})
    frame = table(seed=7).assign(shop=[f"{row % 7}" if row != 555 else "new" for row in range(900)])
    frame["day"] = (days + pd.Timedelta(days=20)).sort_values().strftime("%d/%m/%Y")
    frame.to_csv(later, index=False)

    sensitive = ["shop", "income", "age", "city"]
    memory, _ = both(EvaluationRequest("m", str(later), sensitive=sensitive, resamples=50), tmp_path)

    assert memory.evaluation.rows == 900
    assert "of these 900 rows are not later than 2026-01-" in memory.evaluation.notes[0]
    names = [[group["group"] for group in found["groups"]] for found in memory.document["fairness"]]
    assert names[0] == [*"0123456", "new"]
    assert [len(found) for found in names[1:]] == [4, 4, 5]


def log(frame: pd.DataFrame, target: str, estimator: Any, columns: list[str], *, signed: bool) -> None:
    """Log a version of ``m`` as people do who do not know this project: a pickle, with or without a signature."""
    texts = [name for name in columns if frame[name].dtype.kind not in "fiub"]
    numbers = [name for name in columns if name not in texts]
    steps = make_column_transformer(
        (SimpleImputer(), numbers), (OneHotEncoder(handle_unknown="ignore"), texts), ("drop", ["same"])
    )
    inputs = frame[[*columns, "same"]].astype(dict.fromkeys(numbers, "float64"))
    pipeline = make_pipeline(steps, estimator).fit(inputs, frame[target])
    with mlflow.start_run():
        mlflow.log_input(from_pandas(frame, name="mine"), context="training")
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(inputs, pipeline.predict(inputs)) if signed else None,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            registered_model_name="m",
        )


def test_a_version_that_was_logged_by_others_is_adopted(tracking: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table().to_parquet(path, index=False)
    log(table(), "grade", LogisticRegression(max_iter=3000), ["age", "debt", "city"], signed=True)

    request = EvaluationRequest("m", str(path), target="grade", resamples=20, sensitive=["vip"], replace=True)
    memory, stream = both(request, tmp_path)

    assert memory.document["parity"]["rows"] == 900
    assert memory.document["model"]["scores"]
    assert memory.evaluation.scorecard == stream.evaluation.scorecard is not None
    assert memory.evaluation.notes[-1].startswith("the run of m version 1 logged this very table as its training data")
    assert adoption.TAG in mlflow.MlflowClient().get_model_version("m", "1").tags


def test_a_version_without_a_scorecard_and_a_signature_whose_columns_a_sample_mistakes(
    tracking: str, tmp_path: Path
) -> None:
    """What the version does not tell, the table's values do: all of them, wherever they are."""
    path = tmp_path / "t.csv"
    frame = table()
    log(frame, "vip", RandomForestClassifier(5, random_state=0), ["age", "debt", "city"], signed=False)
    frame["same"] = frame["same"].astype(object)
    frame.loc[555, "same"] = "other"
    frame["zip"] = pd.Series(range(900), dtype=object).where(frame.index % 300 != 250, "none of them")
    frame.to_csv(path, index=False)

    memory, _ = both(EvaluationRequest("m", str(path), target="vip", resamples=0, replace=True), tmp_path)

    assert memory.evaluation.scorecard is None
    assert memory.document["profile"]["same"]["distinct"] == 2


class Sign(mlflow.pyfunc.PythonModel):
    """Tells neither its columns nor its classes."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return (model_input["a"] > 0).astype(int).to_numpy()


def test_a_label_that_the_sample_lacks_is_a_class_of_a_version_that_tells_none(tracking: str, tmp_path: Path) -> None:
    path, numbers = tmp_path / "t.csv", np.random.default_rng(0).normal(size=900)
    mlflow.pyfunc.log_model(python_model=Sign(), name="model", registered_model_name="m", pip_requirements=["mlflow"])
    truth = np.where(numbers + np.random.default_rng(1).normal(size=900) > 0, 1, 0)
    truth[555] = 2
    pd.DataFrame({"a": numbers, "y": truth}).to_csv(path, index=False)

    found = written(evaluate(EvaluationRequest("m", str(path), target="y", engine="stream", resamples=0)), tmp_path)

    assert found.document["model"]["classes"] == [0, 1, 2]
    assert found.evaluation.rows == 900
    assert found.evaluation.metrics["accuracy"].value == pytest.approx((truth == (numbers > 0)).mean())


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("age", "old", "row 555, column 'age': expected a number, found text; m version 1 was not trained on such"),
        ("amount", "much", "target: column 'amount' cannot be read as one type: .* are numbers and 1 is text"),
    ],
)
def test_a_row_that_contradicts_the_version_or_the_others_is_refused(
    tracking: str, tmp_path: Path, column: str, value: str, told: str
) -> None:
    path = tmp_path / "t.csv"
    table().to_csv(path, index=False)
    trained(path, "amount")
    frame = table(seed=9).astype({column: object})
    frame.loc[555, column] = value
    frame.to_csv(path, index=False)

    for engine in ("memory", "stream"):
        with pytest.raises(PipelineError, match=told):
            evaluate(EvaluationRequest("m", str(path), engine=engine, resamples=0))


def test_a_folder_is_judged_in_parts_by_the_command(tracking: str, tmp_path: Path) -> None:
    path, folder = tmp_path / "t.parquet", tmp_path / "sales"
    table().to_parquet(path)
    trained(path, "amount")
    folder.mkdir()
    for place in range(2):
        table(seed=place).to_parquet(folder / f"{place}.parquet")

    done = run("evaluate", "--model", "m", "--data", str(folder), "--intervals", "0", "--json", folder=tmp_path)

    assert done.code == 0, done.err
    assert f"reading {folder} in parts" in done.err
    assert json.loads(done.out)["rows"] == 1800


#: Judges a small table, and then one that the memory which is left does not hold.
LIMITED = """
import resource, sys
from pipelines.evaluation import judged_table, measurement
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.streaming import raw

raw.ROWS, judged_table.SAMPLE, measurement.MOST_COMPARED = 8192, 10_000, 10_000
small, large, more = sys.argv[1], sys.argv[2], int(sys.argv[3])


def judge(data, engine):
    return evaluate(EvaluationRequest("m", data, rows="all", engine=engine, resamples=0)).rows


judge(small, "stream")
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + more, used + more))
print(judge(large, "stream"))
try:
    judge(large, "memory")
except Exception as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system's limit of memory is Linux's")
def test_the_memory_does_not_grow_with_the_table(tracking: str, tmp_path: Path) -> None:
    rows, columns = 400_000, 50
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(rows, columns)), columns=[f"x{place}" for place in range(columns)])
    frame["amount"] = frame.sum(axis=1) + draw.normal(size=rows)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    frame.head(2000).to_parquet(small)
    frame.to_parquet(large, row_group_size=20_000, index=False, compression="none")
    train(Settings(str(small), name="m", roles=Roles(target="amount"), **QUICK))

    words = [sys.executable, "-c", LIMITED, str(small), str(large), str(rows * columns * 6)]
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    told, refused = done.stdout.splitlines()
    assert int(told) == rows
    assert "alloc" in refused, "there is no memory for the whole of it"
