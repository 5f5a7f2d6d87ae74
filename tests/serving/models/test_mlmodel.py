"""What an MLmodel file says: columns by name or by position, and a line where it is damaged."""

import json
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.models import mlmodel
from serving.models.files import Folder
from serving.scorecard import Input


def written(folder: Path, inputs: object) -> Folder:
    signature = None if inputs is None else {"inputs": json.dumps(inputs)}
    content = {"flavors": {"python_function": {}, "sklearn": {}}, "signature": signature}
    (folder / "MLmodel").write_text(json.dumps(content))
    return Folder(folder)


def test_named_columns_are_inputs_in_their_order(tmp_path: Path) -> None:
    columns = [
        {"name": "age", "type": "long", "required": False},
        {"name": "born", "type": "datetime"},
        {"name": "owns", "type": "boolean", "required": True},
    ]
    found = mlmodel.read(written(tmp_path, columns), "it")

    assert found.inputs == [Input("age", "number", integer=True), Input("born", "category"), Input("owns", "boolean")]
    assert [column.required for column in found.columns] == [False, True, True]
    assert (found.width, found.flavors) == (None, {"python_function", "sklearn"})


def test_names_of_whole_numbers_are_known_as_such(tmp_path: Path) -> None:
    found = mlmodel.read(written(tmp_path, [{"name": 0, "type": "double"}, {"name": 1, "type": "double"}]), "it")
    assert [(column.name, column.whole_name) for column in found.columns] == [("0", True), ("1", True)]


@pytest.mark.parametrize(
    ("inputs", "width"),
    [
        (None, None),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}], 3),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1]}}], None),
        ([{"type": "double"}, {"type": "double"}], 2),
    ],
)
def test_a_signature_that_names_nothing_may_tell_how_many(inputs: object, width: int | None, tmp_path: Path) -> None:
    found = mlmodel.read(written(tmp_path, inputs), "it")
    assert (found.columns, found.inputs, found.width) == ((), None, width)


@pytest.mark.parametrize("text", ["", "[", "flavors: 3", "a: b", "flavors: {}\nsignature: {inputs: '['}"])
def test_a_damaged_file_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ServingError, match="it cannot be loaded: its MLmodel is damaged"):
        mlmodel.read(Folder(tmp_path), "it")


def test_without_a_file_it_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="it is no MLflow model: it has no MLmodel"):
        mlmodel.read(Folder(tmp_path), "it")
