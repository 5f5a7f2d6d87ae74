"""Batch scoring by a model's own code: the answers of ``evaluate``, rejects, and failures that leave nothing."""

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from pipelines import sources, versions
from pipelines.evaluation import asking
from registry.client import connect
from serving import batch
from serving.batch import ScoreRequest
from serving.errors import ServingError
from tests.logged import logged
from tests.serving.scorecard import portable

DRAW = np.random.default_rng(0)
ROWS = 300
TABLE = pd.DataFrame(
    {
        "age": DRAW.normal(50, 20, ROWS).round(2),
        "kids": DRAW.integers(0, 4, ROWS),
        "member": DRAW.random(ROWS) < 0.5,
        "town": DRAW.choice(["Ham", "York", "Bath"], ROWS),
        "opened": pd.date_range("2020-01-01", periods=ROWS, freq="31h"),
    }
)
LABELS = np.where((TABLE["age"] > 50) ^ TABLE["member"], "yes", "no")
SIGNATURE = ModelSignature(
    Schema(
        [
            ColSpec("double", "age"),
            ColSpec("long", "kids"),
            ColSpec("boolean", "member"),
            ColSpec("string", "town"),
            ColSpec("datetime", "opened"),
            ColSpec("long", "rank", required=False),
        ]
    ),
    Schema([ColSpec("string")]),
)


def hour(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.apply(lambda column: pd.to_datetime(column).dt.hour)


def forest(table: pd.DataFrame) -> Any:
    columns = make_column_transformer(
        (SimpleImputer(), ["age"]),
        ("passthrough", ["kids", "member"]),
        (OneHotEncoder(handle_unknown="ignore"), ["town"]),
        (FunctionTransformer(hour), ["opened"]),
    )
    return make_pipeline(columns, RandomForestClassifier(5, max_depth=5, random_state=0)).fit(table, LABELS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Path:
    """A folder with a store that has a forest, and models in folders."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        pickled: dict[str, Any] = {"serialization_format": "cloudpickle", "pip_requirements": []}
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                forest(TABLE), name="m", signature=SIGNATURE, registered_model_name="forest", **pickled
            )
        plain = RandomForestClassifier(3, random_state=0)
        numbers = TABLE[["age", "kids"]]
        mlflow.sklearn.save_model(plain.fit(numbers, TABLE["member"]), "unsigned", **pickled)
        mlflow.sklearn.save_model(plain.fit(numbers.to_numpy(), LABELS), "unnamed", **pickled)
        (folder / "code.py").write_text(OBEDIENT)
        asked = pd.DataFrame({"how": ["x"], "value": [1.0]})
        mlflow.pyfunc.save_model(
            "obedient", python_model="code.py", signature=infer_signature(asked), pip_requirements=["mlflow"]
        )
    return folder


OBEDIENT = """
import os

import mlflow


class Obedient(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        how = model_input["how"]
        if (how == "raise").any():
            raise ValueError(f"cannot use 'Jane Doe' of {model_input['value'].max()}, Jane Doe, in 'value'")
        if (how == "be killed").any():
            os.kill(os.getpid(), 9)
        if (how == "text").any():
            return ["a"] * len(how)
        return model_input["value"].where(how != "none").tolist()


mlflow.models.set_model(Obedient())
"""


@pytest.fixture(autouse=True)
def inside(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")


def scored(model: str, source: Path, out: Path, **more: Any) -> batch.request.Scored:
    return batch.score(ScoreRequest(model, str(source), str(out), **more))


def test_rows_of_all_forms_are_answered_as_evaluate_answers_them(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    table = TABLE.assign(age=TABLE["age"].where(TABLE.index % 7 > 0), town=TABLE["town"].where(TABLE.index % 5 > 0))
    table["rank"] = [1, 2, 3] * (ROWS // 3)
    table.to_parquet(folder / "a.parquet")
    texts = table.astype({"kids": "float64"}).assign(opened=table["opened"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    texts.assign(town=texts["town"].map(" {} ".format, na_action="ignore")).to_csv(folder / "b.csv", index=False)
    texts.drop(columns="rank").to_json(folder / "c.jsonl", orient="records", lines=True)

    with logged() as lines:
        done = scored("models:/forest/1", folder, tmp_path / "out", keep=("town",))

    assert "scored by its own code: models:/forest/1 has no scorecard" in lines
    assert (done.engine, done.version, done.rows, done.rejected) == ("pyfunc", "forest/1", 3 * ROWS, 0)
    assert done.run_id is not None
    assert connect().get_run(done.run_id).data.params["engine"] == "pyfunc"
    registered = versions.fetch(connect(), "models:/forest/1", tmp_path / "fetched")
    tables = [sources.read(str(folder / file)) for file in ("a.parquet", "b.csv", "c.jsonl")]
    with ExitStack() as running:
        version, _ = asking.beside(registered, tables[0], "", running)
        evaluated = [version.answer(version.read(one)) for one in tables]
    for wanted, answers in zip(evaluated, ("a.parquet", "b.csv", "c.parquet"), strict=True):
        path = tmp_path / "out" / answers
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        assert list(found)[1:4] == ["prediction", "probability_no", "probability_yes"]
        assert found["prediction"].tolist() == wanted.predictions.tolist()
        np.testing.assert_array_equal(found[["probability_no", "probability_yes"]].to_numpy(), wanted.probabilities)


def test_rows_are_recorded_with_the_types_of_the_signature(tmp_path: Path) -> None:
    table = TABLE.assign(age=TABLE["age"].where(TABLE.index % 7 > 0), town=TABLE["town"].where(TABLE.index % 5 > 0))
    table.to_parquet(tmp_path / "t.parquet")
    scored("models:/forest/1", tmp_path / "t.parquet", tmp_path / "o.parquet", record=str(tmp_path / "log"))
    (file,) = tmp_path.glob("log/model=forest/date=*/*.parquet")
    found, out = pd.read_parquet(file), pd.read_parquet(tmp_path / "o.parquet")
    for name in ("prediction", "probability_no", "probability_yes"):
        assert found[name].tolist() == out[name].tolist()
    for name in ("age", "kids", "member", "town"):
        pd.testing.assert_series_equal(found[f"feature_{name}"], table[name], check_names=False)
    assert found["feature_opened"][1] == "2020-01-02T07:00:00"
    assert found["feature_rank"].isna().all()


def test_values_that_do_not_fit_are_rejected_and_the_other_rows_answered(tmp_path: Path) -> None:
    good = {"age": "50", "kids": "1", "member": "true", "town": "Ham", "opened": "2026-11-30", "rank": "1"}
    changes = [
        {},
        {"age": "fifty"},
        {"age": "inf"},
        {"kids": "1.5"},
        {"kids": ""},
        {"kids": " 2.0 "},
        {"member": "maybe"},
        {"town": "never seen"},
        {"opened": "30.11.2026"},
        {"opened": "1500-01-01"},
        {"opened": "2026-11-30T08:15:00+01:00"},
        {"age": "NA"},
        {"rank": ""},
    ]
    pd.DataFrame([{**good, **change} for change in changes]).to_csv(tmp_path / "t.csv", index=False)
    done = scored("models:/forest/1", tmp_path / "t.csv", tmp_path / "out.csv")
    assert (done.rows, done.rejected) == (13, 8)
    with (tmp_path / "out.rejects.csv").open() as file:
        found = [tuple(row.values()) for row in csv.DictReader(file)]
    assert found == [
        ("1", "age", "expected a number, found text"),
        ("2", "age", "expected a finite number, found one that is infinite or too large"),
        ("3", "kids", "expected a whole number, found a fraction"),
        ("4", "kids", "a value is required, found none"),
        ("6", "member", "expected true or false, found text"),
        ("8", "opened", "expected a date and time as 2026-11-30T08:15:00, found text"),
        ("9", "opened", "expected a date from 1677-09-22 to 2262-04-10, found one out of this range"),
        ("12", "rank", "a value is required, found none"),
    ]
    assert pd.read_csv(tmp_path / "out.csv")["prediction"].isin(["yes", "no"]).all()


def test_whole_numbers_that_are_not_read_exactly_are_rejected(tmp_path: Path) -> None:
    table = TABLE.head(4).assign(kids=[1, 2**53, -(2**53) - 1, 2**63 - 1])
    table.to_parquet(tmp_path / "t.parquet", index=False)
    done = scored("models:/forest/1", tmp_path / "t.parquet", tmp_path / "out.csv")
    assert (done.rows, done.rejected) == (4, 3)
    assert "expected a whole number from -9007199254740991" in (tmp_path / "out.rejects.csv").read_text()


def asked(folder: Path, hows: list[str]) -> Path:
    path = folder / "t.csv"
    pd.DataFrame({"how": hows, "value": [f"{place}.5" for place in range(len(hows))]}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("hows", "says"),
    [
        (["x", "raise", "Jane Doe"], r"rows 0 to 2: obedient does not answer .*: ValueError: cannot use '\*\*\*' of "
         r"\*\*\*, \*\*\*, in 'value'"),
        (["be killed"], "obedient does not answer these rows: the process that ran its code was killed by SIGKILL"),
        (["x"] * 70_000 + ["text"], "rows 65536 to 70000: obedient predicts values of type string for some rows, and "
         "of type double for others"),
    ],
    ids=["raises", "is killed", "two types"],
)  # fmt: skip
def test_a_model_that_fails_leaves_no_file(hows: list[str], says: str, tmp_path: Path) -> None:
    asked(tmp_path, hows)
    with pytest.raises(ServingError, match=says) as error:
        scored("obedient", tmp_path / "t.csv", tmp_path / "out.parquet")
    assert "\n" not in str(error.value)
    assert "Jane" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_model_that_ends_its_process_stops_the_job_and_the_same_command_continues(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name, hows in (("a", ["x"]), ("b", ["be killed"]), ("c", ["x"])):
        asked(source, hows).rename(source / f"{name}.csv")
    with pytest.raises(ServingError, match=r"b\.csv.*, rows 0 to 0: .* was killed by SIGKILL"):
        scored("obedient", source, out)
    assert [path.name for path in out.glob("*.csv")] == ["a.csv"]
    asked(source, ["x"]).rename(source / "b.csv")
    assert scored("obedient", source, out).rows == 3
    assert sorted(path.name for path in out.glob("*.csv")) == ["a.csv", "b.csv", "c.csv"]


def test_a_row_that_gets_no_number_is_rejected(tmp_path: Path) -> None:
    asked(tmp_path, ["x", "none", "x"])
    done = scored("obedient", tmp_path / "t.csv", tmp_path / "out.parquet")
    assert (done.rows, done.rejected) == (3, 1)
    assert pd.read_parquet(tmp_path / "out.parquet")["prediction"].tolist() == [0.5, 2.5]
    assert (tmp_path / "out.rejects.csv").read_text().splitlines()[1:] == ["1,,the model gives it no finite number"]


def test_a_model_without_a_signature_is_asked_by_the_names_that_it_was_fitted_on(tmp_path: Path) -> None:
    """A table of any rows, one of none, and one of rejects alone: each has a file."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    TABLE.assign(age=[" NA", *TABLE["age"].astype(str)[1:]]).to_csv(folder / "a.csv", index=False)
    (folder / "b.csv").write_text("age,kids,town\n")
    (folder / "c.csv").write_text("age,kids,town\n50,1,Ham\n51,inf,Ham\n")
    (folder / "d.jsonl").write_text(json.dumps({"age": [1], "kids": 2, "town": "Ham"}) + "\n")
    done = scored("unsigned", folder, out, keep=("town",))
    assert [(file.rows, file.rejected) for file in done.files] == [(ROWS, 0), (0, 0), (2, 1), (1, 1)]
    assert (len(pd.read_csv(out / "b.csv")), len(pd.read_parquet(out / "d.parquet"))) == (0, 0)
    found = pd.read_csv(out / "a.csv")
    loaded = mlflow.sklearn.load_model("unsigned")
    numbers = TABLE[["age", "kids"]].assign(age=TABLE["age"].where(TABLE.index > 0))
    assert list(found) == ["town", "prediction", "probability_False", "probability_True", "model_version", "scored_at"]
    assert pd.read_parquet(out / "d.parquet")["prediction"].dtype == bool
    np.testing.assert_array_equal(found["probability_True"], loaded.predict_proba(numbers.astype(float))[:, 1])


def test_each_engine_is_for_versions_with_a_scorecard_or_without(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ServingError, match="--engine duckdb: unnamed has no scorecard; leave --engine out"):
        scored("unnamed", tmp_path / "t.csv", tmp_path / "out.csv", engine="duckdb")
    (tmp_path / "card.json").write_text(portable.scorecard("binary").dumps())
    with pytest.raises(ServingError, match=r"--engine pyfunc: .*card.json has a scorecard, which answers; leave"):
        scored(str(tmp_path / "card.json"), tmp_path / "t.csv", tmp_path / "out.csv", engine="pyfunc")


def test_what_cannot_be_scored_is_told(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ServingError, match="unnamed does not tell the names of its columns; `evaluate` it"):
        scored("unnamed", tmp_path / "t.csv", tmp_path / "out.csv")
