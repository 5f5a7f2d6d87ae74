"""The logged model: two flavors, loading without this project, side by side with other releases."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.pyfunc.scoring_server import _split_data_and_params, infer_and_parse_data
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from pipelines import features
from pipelines.dataset import Roles
from pipelines.planning import Settings
from pipelines.training import train
from serving import flavor, scorecard
from serving.scorecard import Input
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}


@pytest.fixture
def model(tracking: str, tmp_path: Path) -> Path:
    """The folder of a logged classifier of a hostile table."""
    train(Settings(str(tables.hostile(tmp_path / "t.csv")), name="made", roles=Roles(target="outcome"), **QUICK))
    return Path(mlflow.artifacts.download_artifacts("models:/made/1", dst_path=str(tmp_path / "downloaded")))


def test_it_has_exact_pins_a_signature_and_an_example(model: Path) -> None:
    meta = yaml.safe_load((model / "MLmodel").read_text())
    pins = (model / "requirements.txt").read_text().split()

    assert set(meta["flavors"]) == {"python_function", "sklearn"}
    assert all("==" in pin for pin in pins)
    assert "pytest" not in " ".join(pins)
    types = {one["name"]: one["type"] for one in json.loads(meta["signature"]["inputs"])}
    assert types == {
        "age": "double",
        tables.ODD: "double",
        tables.COMMA: "double",
        "owns.car": "boolean",
        "region": "string",
    }
    assert json.loads(meta["signature"]["outputs"])[0]["type"] == "string"
    assert (model / "input_example.json").exists()


def test_it_loads_and_answers_where_this_project_and_scikit_learn_are_not(model: Path, tmp_path: Path) -> None:
    script = f"""
import sys, mlflow.pyfunc, pandas as pd
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("serving", "pipelines", "registry"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
before = "sklearn" in sys.modules
model = mlflow.pyfunc.load_model({str(model)!r})
row = {{"age": 30.0, {tables.ODD!r}: 1000001.5, {tables.COMMA!r}: 1.7, "owns.car": True, "region": "north"}}
print(model.predict(pd.DataFrame([row])).tolist(), before, "sklearn" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] in ("['yes'] False False", "['no'] False False")


def test_two_releases_of_the_scoring_code_load_side_by_side(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    (package,) = (other / "code").iterdir()
    renamed = package.rename(other / "code" / "scorecard_1_0000000b")
    loader = renamed / "loader.py"
    changed = "ScorecardModel.predict = lambda self, model_input, params=None: ['other'] * len(model_input)"
    loader.write_text(f"{loader.read_text()}\n\n{changed}\n")
    meta = (other / "MLmodel").read_text().replace(package.name, renamed.name)
    (other / "MLmodel").write_text(meta)
    row = pd.DataFrame([{"age": 30.0, tables.ODD: 1e6, tables.COMMA: 1.7, "owns.car": True, "region": "north"}])

    first, second = mlflow.pyfunc.load_model(str(model)), mlflow.pyfunc.load_model(str(other))

    assert first.predict(row)[0] in ("yes", "no")
    assert list(second.predict(row)) == ["other"]


def test_a_regression_answers_numbers_and_refuses_probabilities(tracking: str, tmp_path: Path) -> None:
    train(Settings(str(tables.linear(tmp_path / "t.csv")), name="made", **QUICK))
    model = mlflow.pyfunc.load_model("models:/made/1")
    row = pd.DataFrame([{"x": 1.0, "colour": "red"}])

    np.testing.assert_allclose(model.predict(row), [5.0], atol=0.1)
    with pytest.raises(Exception, match="probabilities are for classifiers"):
        model.predict(row, params={"output": "probabilities"})
    with pytest.raises(Exception, match="output is one of predictions, probabilities, explain"):
        model.predict(row, params={"output": "sorcery"})


def test_labels_keep_their_type(tracking: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    for name, labels in (("ints", (x > 0).astype(int) * 7), ("bools", x > 0)):
        pd.DataFrame({"x": x, "target": labels}).to_parquet(tmp_path / f"{name}.parquet")
        train(Settings(str(tmp_path / f"{name}.parquet"), **QUICK))

    ints = mlflow.pyfunc.load_model("models:/ints/1").predict(pd.DataFrame({"x": [-3.0, 3.0]}))
    bools = mlflow.pyfunc.load_model("models:/bools/1").predict(pd.DataFrame({"x": [-3.0, 3.0]}))

    assert ints.tolist() == [0, 7]
    assert ints.dtype == np.int64
    assert bools.tolist() == [False, True]
    assert bools.dtype == bool


def test_columns_without_weight_may_be_left_out(tracking: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(300, 2)), columns=["matters", "noise"])
    table["target"] = 5 * table["matters"] + draw.normal(size=300) * 0.01
    table.to_csv(tmp_path / "t.csv", index=False)
    train(Settings(str(tmp_path / "t.csv"), name="made", estimator="lasso", parameters={"alpha": "0.5"}, **QUICK))
    model = mlflow.pyfunc.load_model("models:/made/1")

    whole = model.predict(pd.DataFrame([{"matters": 1.0, "noise": 1.0}]))
    without = model.predict(pd.DataFrame([{"matters": 1.0}]))

    np.testing.assert_array_equal(whole, without)
    with pytest.raises(Exception, match="matters"):
        model.predict(pd.DataFrame([{"noise": 1.0}]))


def test_a_model_answers_when_the_folder_of_its_sibling_is_gone(tracking: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        train(Settings(str(tables.linear(tmp_path / "t.csv")), name=name, **QUICK))
    rows = pd.DataFrame({"x": np.arange(50.0), "colour": "red"})

    (tmp_path / "fetched").mkdir()
    mlflow.pyfunc.load_model("models:/first/1", dst_path=str(tmp_path / "fetched"))
    shutil.rmtree(tmp_path / "fetched")

    assert len(mlflow.pyfunc.load_model("models:/second/1").predict(rows)) == 50


def test_a_boolean_that_was_missing_at_times_may_be_missing(tracking: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    owns = pd.Series(draw.random(200) < 0.5, dtype="object").mask(draw.random(200) < 0.2)
    table = pd.DataFrame({"owns": owns, "x": draw.normal(size=200)})
    table["target"] = table["x"] + owns.map({True: 3.0, False: -3.0}).astype(float).fillna(0.0)
    table.to_parquet(tmp_path / "t.parquet")
    train(Settings(str(tmp_path / "t.parquet"), name="made", **QUICK))
    model = mlflow.pyfunc.load_model("models:/made/1")
    rows = pd.DataFrame({"owns": pd.Series([True, None, False], dtype="object"), "x": 0.0})

    assert {one.name: str(one.type) for one in model.metadata.signature.inputs}["owns"] == "DataType.string"
    yes, missing, no = model.predict(rows)
    assert no < missing - 1 < missing + 1 < yes


def test_mlflow_lets_marks_and_scalars_through_to_the_scorecard(tracking: str) -> None:
    inputs = [Input("sales", "number", integer=True, decimal=",", thousands="."), Input("opted", "category")]
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "sales": draw.integers(1_000, 99_999, 200).astype(float),
            "opted": pd.Series(draw.choice(["3", "true", "a"], 200), dtype="str"),
        }
    ).mask(draw.random((200, 2)) < 0.1)
    target = table["sales"].fillna(0.0) + table["opted"].map({"3": 3e4, "true": 2e4}).fillna(0.0)
    pipeline = Pipeline([("features", features.build(inputs)), ("model", LinearRegression())]).fit(table, target)
    card = scorecard.compile(pipeline, inputs, cleaning=scorecard.Cleaning())
    example = table.dropna().head(2)
    with mlflow.start_run():
        logged = flavor.log_model(pipeline, card, inputs=inputs, classes=(), example=example, scalars={"opted"})
        bare = flavor.log_model(pipeline, None, inputs=inputs, classes=(), example=example, scalars={"opted"})
    model = mlflow.pyfunc.load_model(logged.model_uri)

    assert [str(one.type) for one in model.metadata.signature.inputs] == ["Any", "Any"]
    for rows in (
        [{"sales": "50.714", "opted": 3}],
        [{"sales": 50714, "opted": 3.0}],
        [{"sales": 50714.0, "opted": "3"}, {"sales": "50.714", "opted": True}],
        [{"sales": None, "opted": True}],
        [{"sales": "1.000", "opted": None}],
    ):
        expected = [card.predict_row(row) for row in rows]
        np.testing.assert_allclose(model.predict(pd.DataFrame(rows)), expected)
        schema = model.metadata.get_input_schema()
        parsed = infer_and_parse_data(_split_data_and_params(json.dumps({"dataframe_records": rows}))[0], schema)
        np.testing.assert_allclose(model.predict(parsed), expected)
    np.testing.assert_allclose(model.predict(model.input_example), card.predict(example))
    # Without a scorecard the pipeline takes what training made of a row.
    types = [str(one.type) for one in mlflow.models.get_model_info(bare.model_uri).signature.inputs]
    assert types == ["DataType.double", "DataType.string"]
    np.testing.assert_allclose(mlflow.sklearn.load_model(bare.model_uri).predict(example), card.predict(example))
