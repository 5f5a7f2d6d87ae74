"""The container variant: a model without a scorecard, answered by MLflow's pyfunc behind the same contract."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.types import ColSpec, Schema

from serving import packaging
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
        ({"dataframe_records": [{"age": 1.0, "visits": 1}], "params": {"output": "probabilities"}}, "no probabilities"),
        ({"dataframe_records": [{"age": 1.0, "visits": 1}], "params": {"output": "explain"}}, "no explanation"),
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


@pytest.mark.parametrize(
    "form", [np.asarray, pd.Series, list, lambda x: pd.DataFrame({"y": x}), lambda x: np.asarray(x).reshape(-1, 1)]
)
def test_any_form_of_answer_is_a_list(form, tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(
        tmp_path / "m",
        python_model=Doubled(form),
        signature=infer_signature(pd.DataFrame({"x": [1.0]})),
        pip_requirements=[],
    )
    called = Called(Pyfunc(mlflow.pyfunc.load_model(str(tmp_path / "m"))))
    assert called({"X": [[1.5], [2.0]]}) == {"prediction": [3.0, 4.0]}
    assert called({"X": [1.5]}) == {"prediction": 3.0}


def test_optional_columns_and_types() -> None:
    class Model:
        class metadata:
            @staticmethod
            def get_input_schema():
                return Schema([ColSpec("string", "s"), ColSpec("boolean", "b"), ColSpec("float", "f", required=False)])

        @staticmethod
        def predict(table):
            assert table["b"].dtype == bool
            return ["/".join(map(str, row)) for row in table.to_numpy().tolist()]

    called = Called(Pyfunc(Model))
    assert called({"inputs": {"s": ["a"], "b": [1]}}) == {"predictions": ["a/True"]}
    assert called({"inputs": {"s": ["a"], "b": [False], "f": [1.5]}}) == {"predictions": ["a/False/1.5"]}


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
