"""The container variant: a model without a scorecard, answered by MLflow's pyfunc behind the same contract."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema

from serving import packaging
from serving.contract import RequestError
from serving.errors import ServingError
from serving.functions.pyfunc import Pyfunc
from serving.packaging import emulator
from serving.packaging.plan import PackagePlan
from serving.packaging.zipping import zipped
from tests.serving.functions import lambdas
from tests.serving.functions.lambdas import Called
from tests.serving.packaging import packages


@pytest.fixture(scope="module")
def planned(store: Path) -> PackagePlan:
    return packaging.plan("models:/tree/1", "aws-lambda", allow_ungated=True)


def test_the_plan_says_that_it_is_a_container_and_why(planned: PackagePlan) -> None:
    assert planned.variant == "container"
    assert "DecisionTreeClassifier" in planned.reason
    assert (planned.archive, planned.zipped) == (None, None)
    assert planned.settings["PackageType"] == "Image"
    assert planned.settings["MemorySize"] == 2048
    assert any("docker" in note for note in planned.notes)
    assert planned.digest.startswith("sha256:")


def test_it_is_built_with_exact_pins_and_the_same_bytes(planned: PackagePlan, tmp_path: Path) -> None:
    first = packaging.build(planned, tmp_path / "first")
    second = packaging.build(packaging.plan("models:/tree/1", "aws-lambda", allow_ungated=True), tmp_path / "second")
    assert first.sha256 == second.sha256
    folder = first.folder
    assert (folder / "requirements.txt").read_text().splitlines() == sorted(packages.PINS)
    dockerfile = (folder / "Dockerfile").read_text()
    assert re.search(r"^FROM public\.ecr\.aws/lambda/python:3\.\d+$", dockerfile, re.M)
    assert 'CMD ["lambda_function.handler"]' in dockerfile
    for copied in re.findall(r"^COPY (.*) \./", dockerfile, re.M):
        assert all((folder / name).exists() for name in copied.split())
    assert (folder / "model" / "MLmodel").is_file()
    assert "PackageType: Image" in (folder / "template.yaml").read_text()
    assert "ecr" in (folder / "serverless.yml").read_text()


@pytest.fixture(scope="module")
def function(planned: PackagePlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulator.RunningFunction]:
    """What the image would run, in this environment, which has what the model needs."""
    archive = tmp_path_factory.mktemp("image") / "content.zip"
    archive.write_bytes(zipped(planned.package))
    with emulator.running(archive) as function:
        yield function


def test_the_image_answers_by_the_contract(function: emulator.RunningFunction) -> None:
    model, table = packages.tree()
    rows = table.head(4)
    expected = model.predict(rows).tolist()
    for body in (
        {"dataframe_records": rows.to_dict("records")},
        {"dataframe_split": {"columns": [*rows.columns], "data": rows.to_numpy().tolist()}},
        {"inputs": rows.to_dict("list")},
    ):
        found = function.invoke(lambdas.second(json.dumps(body).encode(), content_type="application/json"))
        assert (found["statusCode"], json.loads(found["body"])) == (200, {"predictions": expected})
    assert function.invoke({"X": [20.0, 1]}) == {"prediction": expected[0]}
    csv = rows.to_csv(index=False).encode()
    assert json.loads(function.invoke(lambdas.second(csv, content_type="text/csv"))["body"]) == {
        "predictions": expected
    }


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"dataframe_records": [{"age": 20.0}]}, "column 'visits': the column is required"),
        ({"dataframe_records": [{"age": 20.0, "visits": 1}, {"age": "x", "visits": 1}]}, "row 1, column 'age'"),
        ({"dataframe_records": [{"age": 20.0, "visits": 1.5}]}, "expected a whole number"),
        ({"dataframe_records": [{"age": 20.0, "visits": None}]}, "a value is required"),
        ({"X": [1.0, 1], "params": {"output": "probabilities"}}, "predictions alone"),
        ({"X": [1.0, 1], "params": {"output": "explain"}}, "predictions alone"),
        ({"nothing": 1}, "expected one of the keys"),
    ],
)
def test_what_is_wrong_is_refused_as_elsewhere(function: emulator.RunningFunction, body: dict, says: str) -> None:
    found = function.invoke(lambdas.second(json.dumps(body).encode(), content_type="application/json"))
    assert found["statusCode"] == 400
    assert says in json.loads(found["body"])["message"]


class Doubled(mlflow.pyfunc.PythonModel):
    """Answers in whatever form it is told to."""

    def __init__(self, form):
        self.form = form

    def predict(self, context, model_input, params=None):
        return self.form(model_input["x"] * 2)


ROWS = [{"y": 3.0}, {"y": 4.0}]


@pytest.mark.parametrize(
    ("form", "answers"),
    [
        (np.asarray, [3.0, 4.0]),
        (pd.Series, [{"x": 3.0}, {"x": 4.0}]),
        (list, [3.0, 4.0]),
        (lambda x: pd.DataFrame({"y": x}), ROWS),
        (lambda x: np.asarray(x).reshape(-1, 1), [[3.0], [4.0]]),
    ],
)
def test_any_form_of_answer_is_what_mlflow_makes_of_it(form, answers: list, tmp_path: Path) -> None:
    called = function_of(Doubled(form), tmp_path, pd.DataFrame({"x": [1.0]}))
    assert called({"X": [[1.5], [2.0]]}) == {"prediction": answers}
    assert called({"X": [1.5]}) == {"prediction": answers[0]}
    assert called({"dataframe_records": [{"x": 1.5}, {"x": 2.0}]}) == {"predictions": answers}


class Described(mlflow.pyfunc.PythonModel):
    """Answers with the values that it is given, and their types."""

    def predict(self, context, model_input, params=None):
        assert model_input["b"].dtype == bool
        return ["/".join(map(str, row)) for row in model_input.to_numpy().tolist()]


def test_optional_columns_and_types(tmp_path: Path) -> None:
    inputs = Schema([ColSpec("string", "s"), ColSpec("boolean", "b"), ColSpec("float", "f", required=False)])
    called = function_of(Described(), tmp_path, ModelSignature(inputs))
    assert called({"inputs": {"s": ["a"], "b": [1]}}) == {"predictions": ["a/True"]}
    assert called({"inputs": {"s": ["a"], "b": [False], "f": [1.5]}}) == {"predictions": ["a/False/1.5"]}
    assert called.handler.card.predict_row({"s": "a", "b": "true"}) == "a/True"


class Summed(mlflow.pyfunc.PythonModel):
    """Sums each row of an array, or fails."""

    def predict(self, context, model_input, params=None):
        return np.asarray(model_input, dtype=float).sum(axis=1)


@pytest.mark.parametrize("example", [np.array([[1.0, 2.0]]), None])
def test_tensors_and_models_without_a_signature(example, tmp_path: Path) -> None:
    called = function_of(Summed(), tmp_path, example)
    assert called({"instances": [[1.0, 2.0], [3.0, 4.5]]}) == {"predictions": [3.0, 7.5]}
    found = called({"instances": [["x", 2.0]]})
    assert found["error_code"] == ("INTERNAL_ERROR" if example is None else "INVALID_PARAMETER_VALUE")
    with pytest.raises(RequestError, match="found rows of named columns"):
        called.handler.card.predict_row({"x": 1.0})


def function_of(model: mlflow.pyfunc.PythonModel, folder: Path, given) -> Called:
    """The function of a model with a signature, an example to infer one from, or none."""
    signature = given if given is None or isinstance(given, ModelSignature) else infer_signature(given)
    mlflow.pyfunc.save_model(folder / "m", python_model=model, signature=signature, pip_requirements=[])
    return Called(Pyfunc(mlflow.pyfunc.load_model(str(folder / "m"))))


class TestRefused:
    @pytest.fixture
    def model(self, store: Path, tmp_path: Path) -> Path:
        return Path(mlflow.artifacts.download_artifacts("models:/tree/1", dst_path=str(tmp_path / "model")))

    def plan(self, model: Path) -> PackagePlan:
        return packaging.plan(str(model), "aws-lambda", options={"name": "f"}, allow_ungated=True)

    def test_a_requirement_without_a_release(self, model: Path) -> None:
        (model / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn>=1.0\n")
        with pytest.raises(ServingError, match=r"does not pin 'scikit-learn>=1\.0'"):
            self.plan(model)
        (model / "requirements.txt").unlink()
        with pytest.raises(ServingError, match=r"no requirements\.txt"):
            self.plan(model)

    def test_a_python_that_lambda_has_not(self, model: Path) -> None:
        (model / "python_env.yaml").write_text("python: 3.8.10\n")
        with pytest.raises(ServingError, match=r"logged with Python 3\.8, and Lambda's images have 3\.11"):
            self.plan(model)

    def test_probabilities(self, model: Path) -> None:
        with pytest.raises(ServingError, match="predictions alone"):
            packaging.plan(str(model), "aws-lambda", options={"output": "probabilities"}, allow_ungated=True)
