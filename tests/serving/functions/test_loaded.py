"""Models without a scorecard answer as MLflow's own scoring server does, and read requests by our contract."""

import json
import math
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.pyfunc import scoring_server
from mlflow.types import Schema

from serving.contract import RequestError, read
from serving.functions.loaded import LoadedPyfunc, encoded
from serving.functions.signature import Signature
from serving.server.pyfunc import framing
from serving.server.pyfunc.client import decoded
from tests.serving.server import pyfuncs
from tests.serving.server.pyfuncs import Function, columns, custom, parameters, tensor

MIXED = columns(x="double", small="float", n="long", i="integer", ok="boolean", text="string", day="datetime")
ROW = {"x": 1.5, "small": 0.1, "n": 2**62, "i": 3, "ok": True, "text": "héé", "day": "2026-11-30T08:15:00"}


def _told(frame: pd.DataFrame, params: dict) -> list[str]:
    return [str(value) for row in frame.itertuples(index=False) for value in row]


def _summed(frame: pd.DataFrame, params: dict) -> np.ndarray:
    return frame.select_dtypes("number").sum(axis=1).to_numpy() * params.get("factor", 1.0)


MODELS: dict[str, tuple[Any, ModelSignature | None]] = {
    "numbers": (_summed, ModelSignature(columns(a="double", b="double"))),
    "kinds": (_told, ModelSignature(MIXED)),
    "factor": (_summed, ModelSignature(columns(a="double", b="double"), params=parameters(factor=2.0))),
    "tensor": (lambda data, _: data.sum(axis=1), ModelSignature(Schema([tensor("float64", -1, 3)]))),
    "image": (lambda data, _: data.mean(axis=(1, 2)), ModelSignature(Schema([tensor("float32", -1, 2, 2)]))),
    "whole": (lambda data, _: data.sum(axis=1), ModelSignature(Schema([tensor("int64", -1, 2)]))),
    "named": (
        lambda data, _: data["a"].sum(axis=1) + data["b"],
        ModelSignature(Schema([tensor("float64", -1, 2, name="a"), tensor("float64", -1, name="b")])),
    ),
    "none": (lambda data, _: len(data), None),
    "table": (lambda frame, _: frame.assign(label="x"), ModelSignature(columns(a="double", b="double"))),
    "dict": (lambda frame, _: {"mean": frame.mean().to_dict()}, ModelSignature(columns(a="double"))),
    "lists": (lambda frame, _: [[1, "a", None], {"b": np.float32(2)}], ModelSignature(columns(a="double"))),
    "series": (lambda frame, _: frame["a"], ModelSignature(columns(a="double"))),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pyfunc")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Path]:
    return {
        name: custom(folder / name, Function(function), signature) for name, (function, signature) in MODELS.items()
    }


def ours(path: Path, body: bytes, kind: str = "application/json") -> Any:
    """The answer to a request, through all that is between a worker and a model but the socket."""
    signature = Signature(yaml.safe_load((path / "MLmodel").read_text()))
    asked = signature.question(read(body, kind))
    model = LoadedPyfunc(mlflow.pyfunc.load_model(str(path)))
    ((header, content),) = framing.FrameReader().feed(framing.request(asked.table, id=1))
    code, reply = encoded(model.predict(framing.asked(header, content)))
    return decoded({"kind": framing.FOUND, "code": code}, reply, known=True, summary="")


def theirs(path: Path, body: bytes, kind: str = "application/json") -> Any:
    """The answer of MLflow's scoring server."""
    model = mlflow.pyfunc.load_model(str(path))
    found = scoring_server.invocations(body, kind, model, model.metadata.get_input_schema())
    return json.loads(found.response)["predictions"]


BODIES = [
    ("numbers", {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2.5], [None, 4]]}}),
    ("numbers", {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}),
    ("numbers", {"inputs": {"a": [1, 2], "b": [3, 4]}}),
    ("numbers", {"instances": [{"a": 1, "b": 2}]}),
    ("kinds", {"dataframe_records": [ROW]}),
    ("kinds", {"dataframe_records": [{**ROW, "text": None, "x": None}]}),
    ("factor", {"dataframe_records": [{"a": 1, "b": 2}], "params": {"factor": 3.0}}),
    ("factor", {"dataframe_records": [{"a": 1, "b": 2}]}),
    ("tensor", {"inputs": [[1, 2, 3], [4, 5, 6.5]]}),
    ("tensor", {"instances": [[1, 2, 3]]}),
    ("image", {"inputs": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}),
    ("whole", {"inputs": [[1, 2], [3, 4]]}),
    ("named", {"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}}),
    ("named", {"instances": [{"a": [1, 2], "b": 5}, {"a": [3, 4], "b": 6}]}),
    ("none", {"inputs": [[1, 2], [3, 4]]}),
    ("none", {"dataframe_split": {"columns": ["a"], "data": [[1], [2], [3]]}}),
    ("table", {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}),
    ("dict", {"dataframe_records": [{"a": 1}, {"a": 3}]}),
    ("lists", {"dataframe_records": [{"a": 1}, {"a": 3}]}),
    ("series", {"dataframe_records": [{"a": 1}, {"a": 3}]}),
]


@pytest.mark.parametrize(("name", "body"), BODIES)
def test_an_answer_is_that_of_mlflows_server(name: str, body: dict, models: dict[str, Path]) -> None:
    content = json.dumps(body).encode()
    assert ours(models[name], content) == theirs(models[name], content)


@pytest.mark.parametrize("name", ["numbers", "none", "table"])
def test_csv_is_read_as_mlflows_server_reads_it(name: str, models: dict[str, Path]) -> None:
    body = b"a,b\n1,2.5\n3,\n"
    if name == "table":
        body = b"a,b\n1,2.5\n3,4\n"
    assert ours(models[name], body, "text/csv") == theirs(models[name], body, "text/csv")


def asked(signature: ModelSignature | None, body: Any) -> Any:
    about = {"signature": signature.to_dict()} if signature else {}
    return Signature(about).question(read(json.dumps(body).encode(), "application/json"))


@pytest.mark.parametrize(
    ("schema", "body", "says"),
    [
        (columns(n="long"), [[3.5]], "row 0, column 'n': expected a whole number, found a fraction"),
        (columns(n="long"), [[2**63]], "row 0, column 'n': expected a whole number from"),
        (columns(n="integer"), [[2**31]], "row 0, column 'n': expected a whole number from"),
        (columns(n="long"), [[None]], "row 0, column 'n': a value is required"),
        (columns(ok="boolean"), [["perhaps"]], "row 0, column 'ok': expected true or false"),
        (columns(x="double"), [["a lot"]], "row 0, column 'x': expected a number, found text"),
        (columns(day="datetime"), [["yesterday"]], "row 0, column 'day': expected a date and time"),
        (columns(day="datetime"), [[20260101]], "row 0, column 'day': expected a date and time"),
        (columns(x="double", y="double"), {"features": {"x": 1}}, "column 'y': the column is required"),
        (Schema([tensor("int64", -1, 2)]), {"inputs": [[1, 2.5]]}, "expected whole numbers, found a fraction"),
        (Schema([tensor("int8", -1, name="a")]), {"inputs": {"a": [1.5]}}, "tensor 'a': expected whole numbers"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place(schema: Schema, body: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        asked(ModelSignature(schema), body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("params", "says"),
    [([1], "expected an object"), ({"factor": "two"}, "'factor' to be double"), ({"output": "nothing"}, "output is")],
)
def test_parameters_that_do_not_fit(params: Any, says: str) -> None:
    signature = ModelSignature(columns(a="double"), params=parameters(factor=1.0))
    with pytest.raises(RequestError, match=says):
        asked(signature, {"features": [1], "params": params})


def test_a_short_form_is_one_row_if_it_has_one_dimension_less() -> None:
    image = ModelSignature(Schema([tensor("float64", -1, 2, 2)]))
    one, several = asked(image, {"features": [[1, 2], [3, 4]]}), asked(image, [[[1, 2], [3, 4]]])
    assert (one.one, one.table.value) == (True, {"inputs": [[[1, 2], [3, 4]]]})
    assert (several.one, several.table.value) == (False, {"inputs": [[[1, 2], [3, 4]]]})
    assert asked(None, [1, 2]).one
    assert not asked(None, [[1, 2]]).one


def test_rows_of_several_requests_are_answered_at_once_as_one_by_one(tmp_path: Path) -> None:
    path = pyfuncs.forest(tmp_path / "forest")
    model = LoadedPyfunc(mlflow.pyfunc.load_model(str(path)))
    assert model.by_row
    requests = [model.signature.question([[30.0 + number, 50.0], [41.0, 60.0 + number]]).table for number in range(5)]
    together = model.predict_all(requests)
    assert together is not None
    for request, found in zip(requests, together, strict=True):
        assert encoded(found) == encoded(model.predict(request))


def test_requests_to_a_model_of_ones_own_are_answered_one_by_one(models: dict[str, Path]) -> None:
    model = LoadedPyfunc(mlflow.pyfunc.load_model(str(models["numbers"])))
    assert model.predict_all([model.signature.question([[1, 2]]).table] * 2) is None


def test_a_number_that_is_not_finite_is_null_in_json() -> None:
    for found in (np.array([[1.0, math.nan]]), [[1.0, math.inf]], pd.DataFrame({"a": [1.0, -math.inf]})):
        code, content = encoded(found)
        assert code == "j"
        assert "null" in content.decode()
        json.loads(content, parse_constant=pytest.fail)


def test_whole_numbers_keep_all_their_digits(models: dict[str, Path]) -> None:
    body = json.dumps({"dataframe_records": [{**ROW, "n": 2**62 + 1}]}).encode()
    assert str(2**62 + 1) in ours(models["kinds"], body)
