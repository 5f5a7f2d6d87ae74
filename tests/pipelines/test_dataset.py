"""From a raw table to features and a target: roles, what is left out and why, and the targets that are refused."""

import datetime
import json
import uuid

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import profile
from pipelines.dataset import CLASSIFICATION, REGRESSION, Dataset, Roles, prepare
from pipelines.errors import PipelineError, TargetNeeded
from pipelines.sources import Table, parse, read
from tests.effort import times

ROWS = 60
DRAW = np.random.default_rng(0)
X = DRAW.standard_normal(ROWS)
Y = DRAW.standard_normal(ROWS)


def prepared(columns: dict, *, task_of_estimator=None, **roles) -> Dataset:
    """A table of 60 rows with a feature x and a target y beside the columns given."""
    table = pa.table({"x": X, "y": Y} | columns)
    return prepare(Table(table, "t", "t.csv", "sha256:0"), Roles(**roles), task_of_estimator=task_of_estimator)


def left_out(name: str, values, **roles) -> str | None:
    return prepared({name: values}, **roles).left_out.get(name)


def refused(columns: dict, **roles) -> str:
    with pytest.raises(PipelineError) as caught:
        prepared(columns, **roles)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def numbers(low: int, high: int, *, distinct: bool = False) -> list[int]:
    draw = np.random.default_rng(1)
    return draw.choice(np.arange(low, high), ROWS, replace=not distinct).tolist()


# --- features and what is none


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", numbers(18, 90)),
        ("age", list(range(20, 20 + ROWS))),
        ("zip", numbers(10_000, 99_999, distinct=True)),
        ("zip code", [f"{value:05}" for value in numbers(0, 99_999, distinct=True)]),
        ("year", list(range(1960, 1960 + ROWS))),
        ("house_number", numbers(1, 400, distinct=True)),
        ("HouseNumber", numbers(1, 400, distinct=True)),
        ("salary", numbers(1000, 100_000, distinct=True)),
        ("paid", numbers(0, 10_000, distinct=True)),
        ("grid", numbers(0, 10_000, distinct=True)),
        ("id_type", ["passport", "licence", "none"] * 20),
        ("store_id", [1, 2, 3] * 20),
        ("key", ["C", "D", "E"] * 20),
        ("answer", ["yes", "no", ""] * 20),
        ("one or nothing", ["x", None] * 30),
        ("flag", [True, False, None] * 20),
        ("number or nothing", [1.5, None] * 30),
        ("spaces in name", ["a", "b"] * 30),
        ("weird.\"name', \n\u2028größe", [1.5, 2.5] * 30),
        ("n" * 300, [1.5, 2.5] * 30),
        ("X", [1.5, 2.5] * 30),
        ("rate", ["10%", "20%"] * 30),
        ("salary", list(range(44_000, 44_000 + 100 * ROWS, 100))),
        ("income_month", list(range(25_000, 25_000 + 100 * ROWS, 100))),
        ("candidates", list(range(25_000, 25_000 + 100 * ROWS, 100))),
        ("article", [20_239_900 + value for value in range(ROWS)]),
        ("price", [202_350 + value for value in range(ROWS)]),
        ("size", ["5+", "3", "2"] * 20),
    ],
)
def test_a_feature_is_kept(name, values):
    dataset = prepared({name: values})
    assert name not in dataset.left_out
    assert dataset.features[name].notna().any()
    assert [column.name for column in dataset.inputs] == ["x", name] == list(dataset.features.columns)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("customer_id", numbers(0, 10**6, distinct=True), "an identifier"),
        ("customer_id", [value // 2 for value in range(5000, 5000 + 2 * ROWS, 2)], "an identifier"),
        ("ID", [f"A{value}" for value in range(ROWS)], "an identifier"),
        ("Customer ID", numbers(0, 10**6, distinct=True), "an identifier"),
        ("PassengerId", list(range(1, ROWS + 1)), "a row number"),
        ("Id.", list(range(1, ROWS + 1)), "a row number"),
        ("EmployeeNumber", numbers(0, 10**6, distinct=True), "an identifier"),
        ("invoice no", [f"I-{value}" for value in range(ROWS)], "an identifier"),
        ("Unnamed: 0", numbers(0, 10**6, distinct=True), "an identifier"),
        ("__index_level_0__", numbers(0, 10**6, distinct=True), "an identifier"),
        ("anything", list(range(ROWS)), "a row number"),
        ("shuffled", DRAW.permutation(ROWS).tolist(), "a row number"),
        ("big", [2**53 + value for value in range(ROWS)], "beyond 2.53"),
        ("big", [2**62 + value for value in range(ROWS)], "no whole numbers beyond 2.53 apart"),
        ("serial", list(range(700, 700 + ROWS)), "an identifier"),
        ("rowid", list(range(700, 700 + ROWS)), "an identifier"),
        ("code", [f"SKU-{value:05}" for value in range(ROWS)], "nearly unique text"),
        ("token", [str(uuid.UUID(int=value)) for value in range(ROWS)], "nearly unique text .60 different in 60"),
        ("note", [f"some text {value % 40}" for value in range(ROWS)], "nearly unique text .40 different in 60"),
        (
            "price",
            [f"1,{value:03}" for value in range(ROWS)],
            r"thousands separators .'1,000'., read as text; write them",
        ),
        ("preis", [f"{value},5" for value in range(ROWS)], "decimal comma"),
        ("mass", [f"{value}.5 kg" for value in range(ROWS)], r"numbers with their unit .'0.5 kg'., read as text"),
        ("constant", [7.0] * ROWS, "constant"),
        ("constant", ["a"] * ROWS, "constant"),
        ("constant", [True] * ROWS, "constant"),
        ("nothing", [None] * ROWS, "missing throughout"),
        ("nothing", [" ", "?", "NA"] * 20, "missing throughout"),
        ("nothing", [float("nan")] * ROWS, "missing throughout"),
        ("day", [datetime.date(2020, 1, 1 + value % 28) for value in range(ROWS)], "dates or times"),
        ("day", ["2020-01-31", "31.12.2020", "12/31/2020"] * 20, "dates or times"),
        ("day", ["2024-01", "2024-02"] * 30, "dates or times.*--keep takes each as a category"),
        ("quarter", ["2024-Q1", "2024-Q2"] * 30, "dates or times"),
        ("clock", [f"{value % 24:02}:30" for value in range(ROWS)], "dates or times"),
        ("week", ["2024-W01", "2024-W52"] * 30, "dates or times"),
        ("seen", ["Dec-23", "Jan-24"] * 30, "dates or times"),
        ("d", [20_230_101 + value % 28 for value in range(ROWS)], "written as 20231231; .*--keep takes them as plain"),
        ("date", [20_230_101, 20_231_231] * 30, "written as 20231231"),
        ("m", [202_301 + value % 12 for value in range(ROWS)], "months written as 202312"),
        ("epoch_ms", [1_672_531_200_000 + 86_400_000 * value for value in range(ROWS)], "milliseconds since 1970"),
        ("created_at", [1_672_531_200.5 + 3600 * value for value in range(ROWS)], "seconds since 1970"),
        ("excel_serial", [44_927 + 7 * value for value in range(ROWS)], "days as Excel counts them"),
        ("OrderDate", [44_927.5 + value for value in range(ROWS)], "days as Excel counts them"),
        ("student_id", [1000 + value % 25 for value in range(ROWS)], "an identifier"),
        ("student_id", [1000.0 + value % 25 for value in range(ROWS)], "an identifier"),
        ("student_id", [None, *(1000.0 + value for value in range(ROWS - 1))], "an identifier"),
        ("user id", [f"u{value % 25}" for value in range(ROWS)], "an identifier"),
        (
            "balance",
            [f"({value})" if value % 2 else f"{value}" for value in range(ROWS)],
            "negative numbers in brackets",
        ),
        ("followers", [f"{value}{'KM'[value % 2]}" for value in range(ROWS)], "numbers with K, M or B"),
        ("list", [[1]] * ROWS, "not single numbers or texts"),
        ("record", [{"x": 1}] * ROWS, "not single numbers or texts"),
    ],
)
def test_what_is_no_feature_is_left_out_with_its_reason(name, values, reason):
    import re

    found = left_out(name, values)
    assert found is not None
    assert re.search(reason, found)


def test_keep_overrules_what_looks_like_an_identifier_but_not_a_constant():
    assert left_out("customer_id", numbers(0, 10**6, distinct=True), keep=("customer_id",)) is None
    assert left_out("note", [f"text {value}" for value in range(ROWS)], keep=("note",)) is None
    assert left_out("c", [1.0] * ROWS, keep=("c",)) == "constant"


def test_keep_takes_dates_as_what_they_are_written_as():
    dataset = prepared({"m": ["2024-01", "2024-02"] * 30, "d": [20_230_101, 20_231_231] * 30}, keep=("m", "d"))
    assert [(column.name, column.type) for column in dataset.inputs[1:]] == [("m", "category"), ("d", "number")]
    assert dataset.features["m"].tolist() == ["2024-01", "2024-02"] * 30
    moments = [datetime.date(2020, 1, 1 + value % 28) for value in range(ROWS)]
    assert left_out("day", moments, keep=("day",)) == "dates or times; derive numbers from them to use them"


def test_what_may_be_moments_or_identifiers_is_doubtful_until_it_is_decided():
    columns = {
        "v": [1_672_531_200 + 3600 * value for value in range(ROWS)],
        "shop_id": [value % 6 for value in range(ROWS)],
        "code": [f"{value % 9}E5" for value in range(ROWS)],
    }
    told = [note for note in prepared(columns).notes if note.startswith("'")]
    assert told == [
        "'v' may hold seconds since 1970, taken as amounts; --drop leaves it out, --keep says that this is right",
        "'shop_id' is named as identifiers are (6 different in 60), taken as amounts; "
        "--drop leaves it out, --keep says that this is right",
        "'code' holds codes with an E among their digits ('0E5'), taken as numbers; "
        "put a letter before them to have them as text",
    ]
    assert not [note for note in prepared(columns, keep=("v", "shop_id")).notes if "'v'" in note or "shop" in note]


def test_an_identifier_is_judged_by_the_rows_of_each_value():
    table = pa.table(
        {
            "shop_id": [place % 60 for place in range(6000)],
            "x": [place % 7 / 3 for place in range(6000)],
            "y": np.arange(6000) / 7,
        }
    )
    assert "shop_id" in prepare(Table(table, "t", "t", "d"), Roles()).features
    few = prepare(Table(table.slice(0, 600), "t", "t", "d"), Roles())
    assert few.left_out["shop_id"] == "an identifier; --keep overrules"


def test_a_row_number_with_gaps_where_rows_were_dropped():
    target = [None if place % 5 == 0 else float(place) for place in range(ROWS)]
    dataset = prepared({"n": list(range(ROWS)), "y": target})
    assert dataset.left_out == {"n": "a row number; --keep overrules"}
    assert dataset.dropped_rows == 12
    assert any("12 rows without a value of 'y'" in note for note in dataset.notes)


def test_words_of_a_target_that_are_read_as_missing_are_told():
    dataset = prepared({"y": ["high", "low", "None", "null", ""] * 12})
    assert dataset.classes == ["high", "low"]
    assert "36 rows without a value of 'y' ('None', 'null' among them) are dropped" in dataset.notes


def test_labels_are_told_so_that_one_spelt_in_two_ways_is_seen():
    notes = prepared({"y": ["yes", "Yes", " no", "no "] * 15}).notes
    assert "task: classification ('y' holds the labels 'Yes', 'no', 'yes')" in notes


def test_a_constant_among_the_rows_with_a_target_is_constant():
    target = [None] + [float(place) for place in range(1, ROWS)]
    assert prepared({"c": [5.0] + [1.0] * (ROWS - 1), "y": target}).left_out == {"c": "constant"}


def test_numbers_in_a_spelling_that_is_not_read_are_told():
    dataset = prepared({"rate": [f"{value % 25}%" for value in range(ROWS)]})
    assert any("'rate' holds percentages" in note for note in dataset.notes)


def test_codes_with_leading_zeros_are_numbers_and_that_is_told():
    dataset = prepared({"zip": [" 00501", "10001", "?"] * 20, "y": ["01", "02"] * 30, "n": ["0", "10", "-7"] * 20})
    told = [note for note in dataset.notes if "leading zeros" in note]
    assert [note.partition(",")[0] for note in told] == [
        "'y' holds codes with leading zeros ('01')",
        "'zip' holds codes with leading zeros ('00501')",
    ]
    assert dataset.classes == [1, 2]


def test_drop_and_roles_take_a_column_out_and_keep_its_values():
    mixture = [str(value) for value in range(ROWS - 1)] + ["C99"]
    dataset = prepared(
        {"a": mixture, "b": mixture, "c": [1.5, 2.5] * 30, "d": ["g", "h"] * 30, "e": [1, 2, 3] * 20},
        drop=("a", "c"), id=("b",), group="d", time="e", sensitive=("d", "c"),
    )  # fmt: skip
    assert list(dataset.features) == ["x"]
    assert dataset.left_out["a"] == dataset.left_out["c"] == "dropped as asked"
    assert dataset.column("b").tolist() == mixture
    assert dataset.column("d").tolist() == ["g", "h"] * 30
    assert dataset.column("y") is dataset.target
    whole = dataset.whole()
    assert list(whole) == ["x", "y", "a", "b", "c", "d", "e"] == list(dataset.order)
    assert whole["c"].tolist() == [1.5, 2.5] * 30


def test_an_identifier_of_mixed_codes_does_not_stop_the_run():
    mixture = [str(value) for value in range(ROWS - 1)] + ["C99"]
    assert left_out("InvoiceNo", mixture) == "an identifier; --keep overrules"
    assert "'amount' cannot be read as one type" in refused({"amount": mixture})
    thousands = [str(value) for value in range(ROWS - 2)] + ["11K", "48M"]
    assert "write numbers with K, M or B for thousands, millions or billions ('11K')" in refused({"p": thousands})


def test_ids_without_a_value_are_told_and_an_id_of_none_is_refused():
    dataset = prepared({"k": ["a", "b", None] * 20}, id=("k",))
    assert "20 rows have no value of 'k' and count as one" in dataset.notes
    assert "'k' is missing throughout and tells no rows apart" in refused({"k": [None] * ROWS}, id=("k",))
    assert "'k' holds lists, objects or bytes" in refused({"k": [[1]] * ROWS}, group="k")


@pytest.mark.parametrize(
    ("roles", "line"),
    [
        ({"target": "Y"}, "--target: no column 'Y'; did you mean 'y'?"),
        ({"target": "zzzz"}, "--target: no column 'zzzz'; found 'x', 'y'"),
        ({"drop": ("xx",)}, "--drop: no column 'xx'; did you mean 'x'?"),
        ({"keep": ("q",)}, "--keep: no column 'q'"),
        ({"id": ("q",)}, "--id: no column 'q'"),
        ({"group": "q"}, "--group: no column 'q'"),
        ({"time": "q"}, "--time: no column 'q'"),
        ({"sensitive": ("q",)}, "--sensitive: no column 'q'"),
        ({"target": "y", "drop": ("y",)}, "--target y has another role too"),
        ({"target": "y", "group": "y"}, "--target y has another role too"),
        ({"drop": ("x",)}, "expected at least one feature, found none (x: dropped as asked); see --keep"),
    ],
)
def test_a_role_for_what_is_not_there_is_refused(roles, line):
    assert line in refused({}, **roles)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_values_are_refused(value):
    assert "column 'a' holds 1 infinite value, expected finite numbers" in refused({"a": [value] + [1.0] * (ROWS - 1)})
    assert prepared({"a": [value] + [1.0] * (ROWS - 1)}, drop=("a",)).left_out == {"a": "dropped as asked"}
    line = refused({"y": [value] + Y[1:].tolist()})
    assert "'y' holds 1 infinite value" in line
    assert "--drop" not in line


def test_numbers_whose_squares_overflow_are_refused():
    assert "column 'a' holds numbers beyond 1e+150" in refused({"a": [1e300] + [1.0] * (ROWS - 1)})
    assert "x" in prepared({"a": [1e140, None] * 30}).features


def test_a_table_of_many_columns_and_long_names_still_fails_on_one_short_line():
    many = {f"{'n' * 200}{place}": [1.0] * ROWS for place in range(50)}
    assert len(refused(many, drop=("x",))) < 500
    assert len(refused(many, target="zzzz")) < 1000


# --- targets


@pytest.mark.parametrize(
    ("values", "task", "labels"),
    [
        (["good", "bad"] * 30, CLASSIFICATION, ["bad", "good"]),
        (["a b ", " c"] * 30, CLASSIFICATION, ["a b", "c"]),
        ([True, False] * 30, CLASSIFICATION, [False, True]),
        (["true", "False"] * 30, CLASSIFICATION, [False, True]),
        ([0, 1] * 30, CLASSIFICATION, [0, 1]),
        ([1.0, 2.0] * 30, CLASSIFICATION, [1, 2]),
        (["0", "1", "2"] * 20, CLASSIFICATION, [0, 1, 2]),
        (["x", "y", None] * 20, CLASSIFICATION, ["x", "y"]),
        ([3, 4, 5] * 20, REGRESSION, []),
        ([0.5, 1.5] * 30, REGRESSION, []),
        (["1.5", " 2.5", "?"] * 20, REGRESSION, []),
        (list(range(ROWS)), REGRESSION, []),
        ([0, 1, 2, None] * 15, CLASSIFICATION, [0, 1, 2]),
    ],
)
def test_the_task_is_inferred_from_the_target(values, task, labels):
    dataset = prepared({"y": values}, target="y")
    assert (dataset.task, dataset.classes) == (task, labels)
    assert [type(label) for label in dataset.classes] == [type(label) for label in labels]
    assert len(dataset.target) == len(dataset.features) == ROWS - dataset.dropped_rows
    assert dataset.target.notna().all()
    assert dataset.target.dtype == {REGRESSION: "float64"}.get(task, dataset.target.dtype)


def test_the_task_can_be_overruled_and_an_estimator_decides():
    assert prepared({"y": [0, 1] * 30}, task=REGRESSION).task == REGRESSION
    assert prepared({"y": [3, 4, 5] * 20}, task=CLASSIFICATION).classes == [3, 4, 5]
    assert prepared({"y": [0, 1] * 30}, task_of_estimator=REGRESSION).task == REGRESSION
    assert prepared({"y": [0, 1] * 30}, task=CLASSIFICATION, task_of_estimator=REGRESSION).task == CLASSIFICATION
    assert prepared({"y": [True, False] * 30}, task=REGRESSION).target.tolist() == [1.0, 0.0] * 30


def test_numbers_and_words_are_labels_where_labels_are_asked_for():
    values = [str(value % 25) for value in range(ROWS - 4)] + ["x"] * 4
    assert "target: column 'y' cannot be read as one type" in refused({"y": values})
    assert "--drop" not in refused({"y": values})
    assert "x" in prepared({"y": values}, task=CLASSIFICATION).classes


@pytest.mark.parametrize("name", ["target", "Label", "CLASS", "y"])
def test_a_target_goes_by_its_usual_names(name):
    table = pa.table({"x": X, name: Y})
    assert prepare(Table(table, "t", "t", "d"), Roles()).target_name == name


def test_without_a_usual_name_a_target_is_asked_for():
    with pytest.raises(PipelineError, match="--target is needed: the column to predict, one of 'x', 'z'"):
        prepare(Table(pa.table({"x": X, "z": Y}), "t", "t", "d"), Roles())


@pytest.mark.parametrize(
    ("columns", "likely"),
    [
        ({"churned": Y, "x": X, "z": X}, "churned"),
        ({"species": Y, "sex": Y}, "species"),
        ({"a": X, "credit_risk": Y, "z": X}, "credit_risk"),
        ({"a": X, "z": Y}, "z"),
        ({"kind": ["u", "v"] * (ROWS // 2), "z": [float(value) + 0.5 for value in range(ROWS)]}, "kind"),
        ({"a": [float(value) for value in range(ROWS)], "z": [value + 0.5 for value in range(ROWS)]}, "z"),
        ({"a": [[1]] * ROWS, "z": [[2]] * ROWS}, "z"),
    ],
)
def test_the_likely_target_is_named_in_the_error(columns, likely):
    with pytest.raises(TargetNeeded, match=f"probably '{likely}'") as needed:
        prepare(Table(pa.table(columns), "t", "t", "d"), Roles())
    assert needed.value.likely == likely


@pytest.mark.parametrize(
    ("values", "task", "line"),
    [
        ([1.5] * ROWS, "auto", "target 'y' is constant"),
        (["a", None] * 30, "auto", "target 'y' is constant, nothing"),
        (["a", "None", "?"] * 20, "auto", "target 'y' is constant but for missing values ('?', 'None'), nothing"),
        ([None] * ROWS, "auto", "target 'y' is missing throughout"),
        (["", "?"] * 30, "auto", "target 'y' is missing throughout"),
        ([datetime.date(2020, 1, 1)] * ROWS, "auto", "target 'y' holds dates"),
        (["2020-01-01", "2020-01-02"] * 30, "auto", "target 'y' holds dates"),
        ([[1], [2]] * 30, "auto", "target 'y' holds lists, objects or bytes"),
        (["a", "b"] * 30, REGRESSION, "target 'y' holds text ('a'), a regression needs numbers"),
        ([f"{value},5" for value in range(ROWS)], REGRESSION, "decimal comma ('0,5'), a regression needs numbers"),
        ([f"{value},5" for value in range(ROWS)], "auto", "60 classes in 60 rows, too many to learn; it holds numbers"),
        ([f"class {value}" for value in range(ROWS)], "auto", "60 classes in 60 rows, too many to learn"),
        (Y.tolist(), CLASSIFICATION, "target 'y' holds fractions, expected class labels"),
        ([2**53, 2**53 + 4] * 30, CLASSIFICATION, "beyond 2^53"),
        ([2**53, 2**53 + 1] * 30, "auto", "beyond 2^53, which float64 cannot tell apart; write them as text"),
        ([str(2**60), str(2**60 + 1)] * 30, CLASSIFICATION, "beyond 2^53, which float64 cannot tell apart"),
        (["a", "b"] * 29 + ["c", "a"], "auto", "every class needs at least 2 rows, found a single row of 'c' in 'y'"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(values, task, line):
    assert line in refused({"y": values}, task=task)


def test_many_classes_with_rows_enough_are_taken():
    table = pa.table({"x": np.arange(4000) / 7, "y": [f"class {place % 1000}" for place in range(4000)]})
    dataset = prepare(Table(table, "t", "t", "d"), Roles())
    assert len(dataset.classes) == 1000


# --- laws of any table

values = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 2, "", "?", "1,5", "true", "yes", "2020-01-01", "inf", " x ", datetime.date(2020, 1, 1)]),
    st.text(max_size=3),
)


@st.composite
def tables(draw) -> pa.Table:
    """Columns of one sort of value each, most of them repeated."""
    rows = draw(st.integers(1, 60))
    found = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True)):
        sort = draw(st.sampled_from(["text", "float", "int", "bool", "date", "mixed"]))
        few = draw(st.lists(values, min_size=1, max_size=6))
        cells = [few[draw(st.integers(0, len(few) - 1))] for _ in range(rows)]
        kinds = {"float": float, "int": int, "bool": bool, "date": datetime.date}
        if sort in kinds:
            kind = kinds[sort]
            found[name] = pa.array([cell if type(cell) is kind else None for cell in cells])
        else:
            found[name] = pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    return pa.table(found)


@settings(max_examples=times(150), suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from(["auto", REGRESSION, CLASSIFICATION]))
def test_any_table_is_a_dataset_or_one_line(table, task):
    target = table.column_names[0]
    found: Dataset | str
    try:
        found = prepare(Table(table, "t", "t", "d"), Roles(target=target, task=task))
    except PipelineError as error:
        found = str(error)
    if isinstance(found, str):
        assert len(found.splitlines()) == 1
        return
    assert len(found.features) == len(found.target) == table.num_rows - found.dropped_rows
    assert [column.name for column in found.inputs] == list(found.features)
    assert {target, *found.features, *found.left_out} == set(table.column_names)
    for column in found.inputs:
        dtype = found.features[column.name].dtype
        assert dtype == ("str" if column.type == "category" else "float64")
        if dtype == "float64":
            assert not np.isinf(found.features[column.name]).any()
    assert found.target.notna().all()
    assert found.target.nunique() >= 2
    assert list(found.whole()) == table.column_names
    json.dumps(msgspec.to_builtins(profile.of(found.features)), allow_nan=False)


# --- whole tables


def test_bundled_tables_take_their_own_target_and_task():
    iris = prepare(read("iris"), Roles())
    assert (iris.task, iris.classes, len(iris.inputs)) == (CLASSIFICATION, [0, 1, 2], 4)
    digits = prepare(read("digits"), Roles())
    assert {"pixel_0_0", "pixel_4_0"} & digits.left_out.keys()
    with pytest.raises(PipelineError, match="--target is needed"):
        prepare(read("linnerud"), Roles())


def test_a_table_as_people_have_them():
    text = (
        "PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Ticket,Fare,Cabin,Embarked\n"
        + "".join(
            f'{place},{place % 2},{1 + place % 3},"Surname {place}, Mr. X",{"fe" * (place % 2)}male,'
            f'{"" if place % 7 == 0 else 20 + place % 50},{place % 4},{"PC " * (place % 3 == 0)}{17000 + place},'
            f'{7.25 + place},{"C" + str(place) if place % 5 == 0 else ""},{"SCQ"[place % 3]}\n'
            for place in range(1, 201)
        )
    )  # fmt: skip
    dataset = prepare(parse(text.encode(), "titanic.csv", "titanic.csv"), Roles(target="Survived"))
    assert [column.name for column in dataset.inputs] == ["Pclass", "Sex", "Age", "SibSp", "Fare", "Embarked"]
    assert [column.integer for column in dataset.inputs] == [True, False, True, True, False, False]
    assert dataset.left_out["PassengerId"] == "a row number; --keep overrules"
    assert dataset.task == CLASSIFICATION
