"""Errors of a model's code keep their words and lose the data."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.models.native import redacting
from serving.models.native.redacting import without_data
from tests.effort import times

TABLE = pd.DataFrame({"name": ["Jane Doe", "x", None], "income": [1234.5, 12.0, 7.0], "kids": [1, 2, 98765]})


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("could not convert string to float: 'Jane Doe'", "could not convert string to float: '***'"),
        ("could not convert string to float: np.str_('x')", "could not convert string to float: np.str_('***')"),
        ("unknown 'jane' in column 'name'", "unknown '***' in column 'name'"),
        ("['name', 'other'] not in index", "['name', 'other'] not in index"),
        ("'NoneType' object has no attribute 'lower'", "'NoneType' object has no attribute 'lower'"),
        ("X has 3 features, but expects 12", "X has 3 features, but expects 12"),
        ("1234.5 is too much for Jane Doe, 98765", "*** is too much for ***, ***"),
        ("it can't be 1234.50; don't", "it can't be ***; don't"),
    ],
)
def test_words_without_data(message: str, wanted: str) -> None:
    assert without_data(message, TABLE) == wanted


@settings(max_examples=times(50), deadline=None)
@given(st.lists(st.text("abc d.", min_size=2, max_size=6), min_size=1, max_size=4), st.data())
def test_no_value_is_left(values: list[str], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(values))
    table = pd.DataFrame({"COLUMN": values})
    assert "SECRET" not in without_data("bad: 'SECRET'", table.assign(COLUMN="SECRET"))
    said = without_data(f"bad: '{value}'", table)
    assert value.strip(" .") == "" or f"'{value}'" not in said


def test_a_table_that_mlflow_shows_is_hidden_whole() -> None:
    message = "Failed to enforce schema of data '   name\n0  O'Hara True' with schema '['name': double]'. Error: no"
    with pytest.raises(redacting.CodeError) as error, redacting.data_of(TABLE):
        raise ValueError(message)
    assert (error.value.name, str(error.value)) == (
        "ValueError",
        "Failed to enforce schema of data *** with schema '['name': double]'. Error: no",
    )


def test_our_own_errors_stay() -> None:
    with pytest.raises(ServingError, match="'Jane Doe'"), redacting.data_of(TABLE.to_numpy()):
        raise ServingError("'Jane Doe'")
