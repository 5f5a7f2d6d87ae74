"""MLflow's own tools take a trained version: by every URI, from files, in an environment made for it."""

import csv
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from pipelines import features
from pipelines.dataset import Roles
from pipelines.planning import Settings
from pipelines.training import train
from serving import flavor
from serving.scorecard import Input, compile
from tests import stores
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}
URI = "models:/made/1"
LIKELY = {"output": "probabilities"}
#: `mlflow` starts uvicorn and uv, and looks for them on the PATH.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@dataclass(frozen=True)
class Made:
    """A trained classifier in a store, typed rows to ask it with missing values among them, and its answers."""

    folder: Path
    rows: pd.DataFrame
    answers: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("made")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        train(Settings(str(tables.hostile(folder / "raw.csv")), name="made", roles=Roles(target="outcome"), **QUICK))
        loaded = mlflow.pyfunc.load_model(URI)
        schema = loaded.metadata.get_input_schema()
        types = dict(zip(schema.input_names(), schema.pandas_types(), strict=True))
        # What MLflow's own reader of CSV takes: `?` is a missing value to us and an error to it.
        kept = [row for row in csv.reader(io.StringIO((folder / "raw.csv").read_text())) if "?" not in row]
        file = io.StringIO()
        csv.writer(file).writerows(kept[:101])
        file.seek(0)
        rows = pd.read_csv(file, dtype=types)[list(types)]
        assert rows.isna().any().sum() >= 3
        yield Made(folder, rows, loaded.predict(rows).tolist())


def tool(*words: str, made: Made, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mlflow", *words],
        cwd=made.folder,
        env={**os.environ, "PATH": PATH, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=250,
    )


def test_every_uri_names_the_same_model(made: Made) -> None:
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("made", "champion", "1")
    version = client.get_model_version("made", "1")
    folder = mlflow.artifacts.download_artifacts(URI, dst_path=str(made.folder / "downloaded"))

    for uri in (URI, "models:/made@champion", f"runs:/{version.run_id}/model", version.source, folder):
        assert mlflow.pyfunc.load_model(uri).predict(made.rows).tolist() == made.answers, uri


def test_predict_reads_json_and_csv_files(made: Made) -> None:
    as_json, as_csv = made.folder / "rows.json", made.folder / "rows.csv"
    split = json.loads(made.rows.to_json(orient="split", index=False))
    as_json.write_text(json.dumps({"dataframe_split": split, "params": LIKELY}))
    made.rows.to_csv(as_csv, index=False)
    ours = mlflow.pyfunc.load_model(URI).predict(made.rows, params=LIKELY)

    common = ("models", "predict", "-m", URI, "--env-manager", "local")
    tool(*common, "-i", str(as_json), "-t", "json", "-o", str(made.folder / "answers.json"), made=made)
    printed = tool(*common, "-i", str(as_csv), "-t", "csv", made=made).stdout

    found = pd.DataFrame(json.loads((made.folder / "answers.json").read_text())["predictions"])
    np.testing.assert_allclose(found[ours.columns], ours, atol=1e-12)
    assert json.loads(printed.splitlines()[-1])["predictions"] == made.answers


def test_an_environment_made_of_its_requirements_serves_it(made: Made) -> None:
    port = stores.free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "--env-manager", "uv", "-h", stores.HOST]
    env = {"PATH": PATH, "MLFLOW_ENV_ROOT": str(made.folder / "environments")}
    body = json.dumps({"dataframe_split": json.loads(made.rows.to_json(orient="split", index=False))}).encode()
    address = f"http://{stores.HOST}:{port}"
    with stores.process([*command, "-p", str(port)], folder=made.folder, env=env) as server:
        try:
            server.wait(lambda: stores.answers(f"{address}/ping"))
        except RuntimeError as error:
            if "error sending request" in str(error) and not os.environ.get("CI"):
                pytest.skip("the package index is out of reach, and uv's cache has not all of the packages")
            raise
        request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)["predictions"]

    (python,) = (made.folder / "environments").glob("*/bin/python")
    assert found == made.answers
    script = "import importlib.metadata, importlib.util as u\nprint(importlib.metadata.version('scikit-learn'), "
    script += "[u.find_spec(name) for name in ('pipelines', 'great_expectations')])"
    said = subprocess.run(
        [python, "-I", "-c", script], cwd=made.folder, capture_output=True, text=True, check=True
    ).stdout
    assert said.split(" ", 1)[0] == importlib.metadata.version("scikit-learn")
    assert said.split(" ", 1)[1].strip() == "[None, None]"


def test_the_logged_example_is_a_request_that_is_served(made: Made) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(URI, dst_path=str(made.folder / "example")))
    request = (folder / "serving_input_example.json").read_text()
    example = mlflow.pyfunc.load_model(URI).input_example

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is to go some day, and is what people know
        served = mlflow.models.validate_serving_input(URI, request)
    mlflow.models.predict(
        URI, input_data=example, env_manager="local", output_path=str(made.folder / "answers-of-the-example.json")
    )

    assert len(served) == len(example) == 1
    assert set(served) <= {"yes", "no"}
    written = json.loads((made.folder / "answers-of-the-example.json").read_text())
    assert written["predictions"] == list(served)


def test_an_example_may_have_missing_values(tmp_path: Path) -> None:
    inputs = [Input("x", "number"), Input("owns", "boolean"), Input("colour", "category")]
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"x": draw.normal(size=200), "owns": draw.integers(0, 2, 200).astype(float)})
    table["colour"] = pd.Series(draw.choice(["red", "blue"], 200), dtype="str")
    pipeline = Pipeline([("features", features.build(inputs)), ("estimator", LogisticRegression())])
    pipeline.fit(table.mask(draw.random(table.shape) < 0.05), np.where(table["x"] + table["owns"] > 0.5, "yes", "no"))
    card = compile(pipeline, inputs)
    example = table.iloc[:20].astype({"owns": object})
    example["owns"] = example["owns"].astype(bool).astype(object)
    example.loc[0, "x"], example.loc[1, "colour"], example.loc[2, "owns"] = np.nan, None, None
    example.loc[3] = [np.nan, None, None]
    path = tmp_path / "model"

    flavor.save_model(str(path), pipeline, card, flavor.signature(inputs, ["no", "yes"], card), example)

    loaded = mlflow.pyfunc.load_model(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        served = mlflow.models.validate_serving_input(str(path), (path / "serving_input_example.json").read_text())
    expected = [card.predict_row(row) for row in example.to_dict("records")]
    assert set(expected) == {"yes", "no"}
    assert list(served) == expected
    assert loaded.predict(loaded.input_example).tolist() == expected
    assert loaded.predict(example).tolist() == expected


def test_evaluate_judges_it_as_a_model(made: Made) -> None:
    data = made.rows.assign(outcome=made.answers)

    result = mlflow.models.evaluate(
        URI, data=data, targets="outcome", model_type="classifier",
        evaluator_config={"log_explainer": False, "pos_label": "yes"},
    )  # fmt: skip

    assert result.metrics["accuracy_score"] == 1.0
    assert result.metrics["true_positives"] == made.answers.count("yes")


def test_a_loaded_model_answers_when_its_folder_is_gone(made: Made) -> None:
    script = """
import shutil, sys, mlflow.pyfunc, pandas as pd
folder = shutil.copytree(sys.argv[1], sys.argv[2])
model = mlflow.pyfunc.load_model(folder)
shutil.rmtree(folder)
rows = pd.read_pickle(sys.argv[3])
print(len(model.predict(rows)), len(model.predict(rows[:1])))
print(*(len(model.predict(rows, params={"output": output})) for output in ("probabilities", "explain")))
"""
    folder = mlflow.artifacts.download_artifacts(URI, dst_path=str(made.folder / "to-copy"))
    made.rows.to_pickle(made.folder / "rows.pickle")
    words = [folder, str(made.folder / "copy"), str(made.folder / "rows.pickle")]

    done = subprocess.run([sys.executable, "-c", script, *words], cwd=made.folder, capture_output=True, text=True)

    assert done.stdout.split() == ["100", "1", "100", "100"], done.stderr
