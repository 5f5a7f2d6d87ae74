"""Raw values as training files have them, to rows, tables and the modules in Python and JavaScript: one answer."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.scorecard import Cleaning, Input, InputError, Scorecard, document, exports
from serving.scorecard.inputs import DECIMALS, THOUSANDS
from serving.scorecard.loader import FEW, ScorecardModel
from serving.scorecard.scalars import scalar_text
from tests.effort import times
from tests.serving.scorecard.node import Node
from tests.system import need

WORDS = ["3", "true", "0.1", "1e-07", "-4", "00501", "a", "inf", "1000000000000000000000"]


def card(*inputs: Input, optional: str = "") -> Scorecard:
    """A sum of numbers, and of weights of the words."""
    columns: list = []
    terms = []
    for item in inputs:
        if item.type == "category":
            groups = [{"name": f"{item.name}={word}", "of": [word]} for word in WORDS]
            columns.append(
                {"input": item.name, "steps": [], "one_hot": groups, "zero": [], "otherwise": {"do": "zero"}}
            )
            terms += [{"column": group["name"], "weights": [2.0**place]} for place, group in enumerate(groups)]
        else:
            columns.append({"name": f"{item.name} filled", "input": item.name, "steps": [{"impute": -0.25}]})
            terms.append({"column": f"{item.name} filled", "weights": [0.0 if item.name == optional else 1.0]})
    model = {"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.0]}
    return Scorecard(
        document.seal(
            {
                "task": "regression",
                "inputs": [item.to_dict() for item in inputs],
                "cleaning": {"trim": True, "missing": sorted(Cleaning().missing)},
                "columns": columns,
                "model": {**model, "terms": terms},
                "decision": None,
            }
        )
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with Node(need("node"), tmp_path_factory.mktemp("node")) as process:
        yield process


def told(error: InputError) -> tuple[str, str]:
    return error.column, error.reason


def rows(found: Scorecard, asked: list[dict]) -> list:
    answers: list = []
    for row in asked:
        try:
            answers.append(found.predict_row(row))
        except InputError as error:
            answers.append(told(error))
    return answers


def python(found: Scorecard, asked: list[dict]) -> list:
    space: dict = {}
    exec(exports.write(found, "python"), space)
    answers = []
    for row in asked:
        try:
            answers.append(space["predict"](row))
        except space["InputError"] as error:
            answers.append((error.column, error.reason))
    return answers


def javascript(node: Node, found: Scorecard, asked: list[dict]) -> list:
    answers = node.ask(exports.write(found, "javascript"), asked)["answers"]
    return [answer["predict"] if "predict" in answer else (answer["column"], answer["reason"]) for answer in answers]


SCALARS = (
    st.booleans()
    | st.integers(-5, 5)
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*WORDS, " a ", "True", "3.0", "NA", None, 1e21, 0.1, 1e-7, -4.0, 3.0])
)


@settings(max_examples=times(100), deadline=None)
@given(st.lists(SCALARS, min_size=1, max_size=40))
@example([1, True, 1.0, "1", 0, False, -0.0, "true", "false", None] * 2)
@example([[1], {"a": 1}, 3])
def test_scalars_among_texts_are_read_as_their_text(node, values):
    found = card(Input("c", "category"))
    asked = [{"c": value} for value in values]
    expected = rows(found, asked)
    for value, answer in zip(values, expected, strict=True):
        if not isinstance(value, (list, dict)):
            text = None if value is None else scalar_text(value)
            assert answer == found.predict_row({"c": text})
    assert python(found, asked) == expected
    assert javascript(node, found, asked) == [list(one) if isinstance(one, list) else one for one in expected]
    _, refusals = found.tables.scores({"c": values})
    refused = refusals.by_row()
    good = [place for place, answer in enumerate(expected) if not isinstance(answer, tuple)]
    assert sorted(refused) == [place for place in range(len(values)) if place not in good]
    listed = [values[place] for place in good]
    wanted = [expected[place] for place in good]
    if listed:
        for table in (
            {"c": listed},
            pd.DataFrame({"c": pd.Series(listed, dtype=object)}),
            {"c": np.array([*listed, None], dtype=object)[:-1]},
        ):
            assert found.predict(table).tolist() == wanted
        assert (
            ScorecardModel(found).predict(pd.DataFrame({"c": pd.Series(listed, dtype=object)})[:FEW]).tolist()
            == (wanted[:FEW])
        )


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([3, -4, 7]),
        pd.Series([3.0, -4.0, math.nan]),
        pd.Series([3, None, -4], dtype="Int64"),
        pd.Series([True, False, True]),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series(pd.Categorical([3, -4, 3])),
        pd.Series([0.1, 1e-7, 2.5], dtype="float64"),
        pd.Series(["3", None, "a"], dtype="str"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_of_one_type_are_read_as_their_values(column):
    found = card(Input("c", "category"))
    expected = rows(found, [{"c": value} for value in column.tolist()])
    assert found.predict(pd.DataFrame({"c": column})).tolist() == expected
    assert found.predict(pa.table({"c": pa.array(column, from_pandas=True)})).tolist() == expected
    assert any(expected)


@settings(max_examples=times(150), deadline=None)
@given(st.data())
def test_text_numbers_are_read_by_their_marks(node, data):
    decimal, thousands = data.draw(
        st.sampled_from([(one, other) for one in DECIMALS for other in THOUSANDS if one != other])
    )
    alphabet = f"0123456789{decimal}{thousands}.,-+eE "
    digits = st.integers(-(10**9), 10**9).map(lambda value: f"{value:,}".replace(",", thousands))
    texts = st.text(alphabet=alphabet, max_size=12) | digits | digits.map(lambda text: f" {text}{decimal}50")
    values = data.draw(st.lists(texts | st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=30))
    integer = data.draw(st.booleans())
    found = card(Input("n", "number", integer=integer, decimal=decimal, thousands=thousands))
    asked = [{"n": value} for value in values]
    expected = rows(found, asked)
    assert python(found, asked) == expected
    assert javascript(node, found, asked) == expected
    _, refusals = found.tables.scores({"n": values})
    assert {place: told(error) for place, error in refusals.by_row().items()} == {
        place: answer for place, answer in enumerate(expected) if isinstance(answer, tuple)
    }


NAMED = card(Input("x", "number"), Input("Unnamed: 1", "number"), Input("c", "category"), Input("é", "boolean"))
PADDED = [
    {"x": 1, "Unnamed: 1": 2, "c": "a", "é": True},
    {" x": 1, "": 2, "c\t": "a", "\u00a0é\n": True},
    {"x ": 1, " ": 2, "c": "a", "more": object, "é": True},
    {"x": 1, "Unnamed: 1 ": 2, "c": "a", "é": True, "y": None},
    {"more": 0, "  ": 2, "x": 1, "c": "a", " é": True},
]
WRONG = [
    ({" x": 1, "x ": 2, "Unnamed: 1": 2, "c": "a", "é": True}, ("x", "several")),
    ({"x": 1, "x ": 2, "Unnamed: 1": 2, "c": "a", "é": True}, ("x", "several")),
    ({"X": 1, "Unnamed: 1": 2, "c": "a", "é": True}, ("x", "no such column")),
    ({"x": 1, "Unnamed: 1": 2, "c": "a", "e\u0301": True}, ("é", "no such column")),
    ({"": 1, "Unnamed: 1": 2, "c": "a", "é": True}, ("x", "no such column")),
]


def test_names_are_the_model_s_to_the_letter_or_once_trimmed(node):
    plain = [{name: value for name, value in row.items() if value is not object} for row in PADDED]
    expected = NAMED.predict_row(plain[0])
    assert rows(NAMED, PADDED) == python(NAMED, PADDED) == [expected] * len(PADDED)
    assert javascript(node, NAMED, plain) == [expected] * len(plain)
    for row in plain:
        for count in (1, FEW + 1):
            table = pd.DataFrame([row] * count)
            assert ScorecardModel(NAMED).predict(table).tolist() == NAMED.predict(table).tolist() == [expected] * count
        assert NAMED.predict({name: [value] for name, value in row.items()}).tolist() == [expected]
        if "Unnamed: 1" in row or "" in row:
            assert NAMED.predict(pa.table({name: [value] for name, value in row.items()})).tolist() == [expected]


@pytest.mark.parametrize(("row", "wrong"), WRONG, ids=range(len(WRONG)))
def test_names_that_are_not_or_are_there_twice_are_refused(node, row, wrong):
    column, reason = wrong
    answers = [*rows(NAMED, [row]), *python(NAMED, [row]), *javascript(node, NAMED, [row])]
    with pytest.raises(InputError) as refused:
        NAMED.predict({name: [value] for name, value in row.items()})
    for name, said in (*answers, told(refused.value)):
        assert name == column
        assert reason in said


def test_a_padded_name_of_a_model_is_found_before_a_trimmed_one():
    found = card(Input(" x", "number"), Input("x", "number"))
    assert found.predict_row({" x": 1, "x": 10}) == 11.0
    assert found.predict({" x": [1], "x": [10]}).tolist() == [11.0]
    with pytest.raises(InputError, match=r"column ' x': the column is required"):
        found.predict_row({"x ": 10})


def test_a_column_without_weight_is_looked_at_under_a_padded_name(node):
    found = card(Input("x", "number"), Input("z", "number"), optional="z")
    assert found.optional == {"z"}
    asked = [{"x": 1, " z": "text"}, {"x": 1}, {"x": 1, " z": 2}]
    expected = [("z", "expected a number, found text"), 1.0, 1.0]
    assert rows(found, asked) == python(found, asked) == javascript(node, found, asked) == expected
