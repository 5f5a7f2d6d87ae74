"""What a model answers: one number or label a row, in whatever way it gives them, or one line that says why not."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from serving.errors import ServingError
from serving.models.native import answering
from serving.models.native.messages import BOOLEAN_IF_KNOWN, Layout

TABLE = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.1, 0.9]})
FITTED = LogisticRegression().fit(TABLE, ["no", "no", "yes"])


@pytest.mark.parametrize(
    "given",
    [
        np.array([1.5, 2.5, 3.5]),
        np.array([[1.5], [2.5], [3.5]]),
        [1.5, 2.5, 3.5],
        pd.Series([1.5, 2.5, 3.5]),
        pd.DataFrame({"prediction": [1.5, 2.5, 3.5]}),
        pd.Series([3.5, 1.5, 2.5], index=[2, 0, 1]),
    ],
)
def test_numbers_in_any_form(given: Any) -> None:
    found = answering.answers(lambda table: given, None, "predict", TABLE)
    assert (found.predictions.tolist(), found.probabilities) == ([1.5, 2.5, 3.5], None)


@pytest.mark.parametrize(
    "given",
    [np.zeros((3, 2)), [1.0], {"a": [1, 2, 3]}, "text", [[1], [1, 2], []], np.array([1j, 2j, 3j]), None],
)
def test_what_is_not_one_a_row_is_refused(given: Any) -> None:
    with pytest.raises(ServingError, match=r"it answers 3 rows by .*; expected one number or label a row"):
        answering.answers(lambda table: given, None, "predict", TABLE)


@pytest.mark.parametrize(
    "given", [pd.Series([1.5, 2.5, 3.5], index=list("abc")), pd.Series([1, 2, 3], index=[0, 0, 1])]
)
def test_answers_of_other_rows_are_refused(given: pd.Series) -> None:
    with pytest.raises(ServingError, match="have another index than the rows"):
        answering.answers(lambda table: given, None, "predict", TABLE)


@pytest.mark.parametrize("given", [pd.date_range("2026-01-01", periods=3), [None, date(2026, 1, 1), date(2026, 1, 2)]])
def test_dates_are_no_answers(given: Any) -> None:
    with pytest.raises(ServingError, match="it answers by dates or times; expected numbers or labels"):
        answering.answers(lambda table: given, None, "predict", TABLE)


def test_several_outputs_are_to_be_logged_one_by_one() -> None:
    with pytest.raises(ServingError, match=r"by an array of shape \(3, 2\); .* a row; log one model for each output$"):
        answering.answers(lambda table: np.zeros((3, 2)), None, "predict", TABLE)


def test_a_classifier_gives_its_probabilities_too() -> None:
    found = answering.answers(FITTED.predict, FITTED, "predict", TABLE)
    assert found.predictions.tolist() == FITTED.predict(TABLE).tolist()
    np.testing.assert_array_equal(found.probabilities, FITTED.predict_proba(TABLE))


def test_a_model_that_answers_probabilities_predicts_the_likeliest_class() -> None:
    found = answering.answers(FITTED.predict_proba, FITTED, "predict_proba", TABLE)
    assert found.predictions.tolist() == FITTED.predict(TABLE).tolist()
    with pytest.raises(ServingError, match="pyfunc_predict_fn='decision_function'; only predictions are read"):
        answering.answers(FITTED.decision_function, FITTED, "decision_function", TABLE)


def table(folder: Path, frame: pd.DataFrame, layout: Layout) -> Any:
    content = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.OSFile(str(folder / "rows"), "wb") as target, pa.ipc.new_file(target, content.schema) as file:
        file.write_table(content)
    return answering.table(folder / "rows", layout)


def test_columns_get_the_types_of_the_signature(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "long": [1.0, 2.0],
            "gap": [1.0, np.nan],
            "flag": [1.0, 0.0],
            "text": pd.Series(["x", None], dtype="str"),
            "day": ["2026-01-01", "2026-01-02"],
            "double": [0.5, np.nan],
        }
    )
    found = table(tmp_path, frame, Layout(["long", "boolean", "boolean", "string", "datetime", "double"]))
    assert [str(dtype) for dtype in found.dtypes][:3] == ["int64", "object", "bool"]
    assert found["gap"].tolist() == [True, None]
    assert found["text"].dtype == object
    assert found["day"].dtype.kind == "M"
    known = table(tmp_path, frame[["flag", "gap"]], Layout([BOOLEAN_IF_KNOWN] * 2))
    assert [str(dtype) for dtype in known.dtypes] == ["bool", "float64"]
    assert found["double"].dtype == "float64"


def test_columns_without_names_are_an_array_and_whole_names_are_numbers(tmp_path: Path) -> None:
    np.testing.assert_array_equal(table(tmp_path, TABLE, Layout(array=True)), TABLE.to_numpy())
    named = TABLE.set_axis(["0", "1"], axis=1)
    assert list(table(tmp_path, named, Layout(["double", "double"], whole_names=True)).columns) == [0, 1]


@pytest.mark.parametrize("labels", [["a", "b"], [True, False], [1, 2], [0.5, 1.5]])
def test_answers_are_read_as_they_were_written(labels: list, tmp_path: Path) -> None:
    for given in (np.array(labels), np.array(labels, dtype=object)):
        answering.write(answering.Answers(given, np.eye(2)), tmp_path / "answers")
        found = answering.read(tmp_path / "answers")
        assert found.predictions.tolist() == labels
        np.testing.assert_array_equal(found.probabilities, np.eye(2))
