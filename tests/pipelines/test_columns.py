"""Typing of raw columns: what each holds, and that training reads every value as serving does."""

import datetime
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines import columns, spelling
from pipelines.errors import PipelineError
from serving.scorecard.inputs import BOOLEAN, CATEGORY, MISSING_TEXT, NUMBER, Cleaning, Input, InputError

CLEANING = Cleaning()


def chunked(values, kind=None) -> pa.ChunkedArray:
    """Values in chunks of three, as files give them."""
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    parts = [array.slice(start, 3) for start in range(0, max(len(array), 1), 3)]
    return pa.chunked_array(parts, array.type)


def inferred(values, kind=None) -> columns.TypedColumn:
    return columns.infer("c", chunked(values, kind), CLEANING)


def listed(values: pd.Series) -> list:
    """The values, None where missing."""
    return [None if value != value else value for value in values.tolist()]


@pytest.mark.parametrize(
    ("texts", "values", "integer"),
    [
        (["1", "2", "-3", "+4", "007"], [1, 2, -3, 4, 7], True),
        (["1", "", "?", "NA", "n/a", " ", "3"], [1, None, None, None, None, None, 3], True),
        ([" 1 ", "\t2.5\n", "\u00a03\u2003"], [1, 2.5, 3], False),
        (["1.0", "2.0"], [1, 2], False),
        (["1e3", ".5", "5.", "-1E-2"], [1000, 0.5, 5, -0.01], False),
        (["NaN", "nan", "1.#IND", "-nan", "2"], [None, None, None, None, 2], True),
        (
            ["9007199254740993", "123456789012345678901234567890"],
            [9007199254740992, 123456789012345678901234567890.0],
            True,
        ),
        (["0.1", "0.30000000000000004", "4.9e-324", "1e-400"], [0.1, 0.30000000000000004, 5e-324, 0.0], False),
        (["inf", "1", "-Infinity"], [math.inf, 1, -math.inf], False),
        (["1e400", "1"], [math.inf, 1], False),
        ([None, "1", None], [None, 1, None], True),
    ],
)
def test_text_that_is_numbers(texts, values, integer):
    found = inferred(texts)
    assert (found.type, found.integer) == (NUMBER, integer)
    assert found.values.dtype == "float64"
    assert listed(found.values) == values


@pytest.mark.parametrize(
    "texts",
    [
        ["1,234", "5"],
        ["1_000", "2"],
        ["10%", "20%"],
        ["$5", "$6"],
        ["0x1f", "1"],
        ["٣", "٤"],
        ["yes", "no"],
        ["true", "1"],
        ["T", "F"],
        ["1 2", "3"],
    ],
)
def test_text_that_looks_like_numbers_or_booleans_is_a_category(texts):
    found = inferred(texts)
    assert found.type == CATEGORY
    assert listed(found.values) == texts


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["true", "false", "TRUE", "False", " true "], [1, 0, 1, 0, 1]),
        (["true", "", None, "NA", "?"], [1, None, None, None, None]),
    ],
)
def test_text_that_is_true_and_false(texts, values):
    found = inferred(texts)
    assert found.type == BOOLEAN
    assert listed(found.values) == values


def test_categories_are_trimmed_and_blanks_are_missing():
    found = inferred([" a b ", "a b", "\u2003c\u00a0", "", "null", None, "None", "größe", "A"])
    assert found.values.dtype == "str"
    assert listed(found.values) == ["a b", "a b", "c", None, None, None, None, "größe", "A"]


@pytest.mark.parametrize("values", [["", "?", None], [None, None]])
def test_a_column_without_a_value_is_a_category_of_missing_ones(values):
    found = inferred(values, pa.string())
    assert found.type == CATEGORY
    assert found.values.isna().all()
    assert len(found.values) == len(values)
    assert columns.infer("c", pa.chunked_array([pa.nulls(2)]), CLEANING).values.isna().all()


@pytest.mark.parametrize(
    "texts",
    [
        ["2020-12-31", "2021-01-01"],
        ["2020-12-31T23:59:59Z", "2021-01-01 00:00:00.123+01:00", "2020-01-01 10:00"],
        ["31.12.2020", "1.1.2021 14:05"],
        ["12/31/2020", "1/2/20", "12/31/2020 2:05 PM"],
        ["2020/12/31", "2021/01/01"],
        ["31-Dec-2020", "1 January 2021"],
        ["Dec 31, 2020", "Jan 1 2021"],
        ["2020-12-31", None, "NA"],
    ],
)
def test_dates_in_many_spellings(texts):
    assert inferred(texts).type == columns.DATE


@pytest.mark.parametrize(
    "text",
    [
        "2024-01",
        "01/2024",
        "2024-Q1",
        "Q1 2024",
        "2024Q1",
        "31.12.23",
        "31-12-23",
        "12/31/23",
        "13:45",
        "13:45:10.5",
        "1:05 pm",
        "Dec-23",
        "Dec 2023",
        "Jan '23",
        "23-Dec",
        "2022-W52",
        "2022W52",
        "2022-W52-1",
        "20231231T120000",
        "Thu, 31 Dec 2020 10:00:00 GMT",
        "31. Dezember 2023",
        "3 mars 2024",
        "2023年12月31日",
        "Monday, January 1, 2024",
        "2020-12-31T23:59:59.123456789Z",
    ],
)
def test_dates_in_more_spellings(text):
    assert inferred([text, text]).type == columns.DATE


@pytest.mark.parametrize(
    "texts",
    [
        ["1.2.3", "4.5.6"],
        ["2020", "2021"],
        ["20-30", "30-40"],
        ["1/2", "3/4"],
        ["a-2020-01-01", "x"],
        ["marker-12", "marker-13"],
        ["Decision 2020", "Mayor 2021"],
        ["2019-20", "2020-21"],
        ["125:30", "99:75"],
        ["1.2.3.4", "10.0.0.1"],
        ["5-10", "10-15"],
    ],
)
def test_what_is_no_date(texts):
    assert inferred(texts).type != columns.DATE


def test_a_few_words_among_many_numbers_are_refused_and_told():
    texts = [str(value) for value in range(95)] + ["12 cm", "unknown", "unknown", "x" * 500, "a\nb"]
    with pytest.raises(PipelineError) as caught:
        inferred(texts)
    line = str(caught.value)
    assert "'c' cannot be read as one type: 95 values are numbers and 5 are text ('unknown', " in line
    assert "--drop" in line
    assert "\n" not in line
    assert len(line) < 300


def test_a_few_words_among_few_numbers_are_categories():
    assert inferred(["1", "2", "3", "3 or more"] * 30).type == CATEGORY


@pytest.mark.parametrize(
    ("values", "kind", "type", "expected", "integer"),
    [
        ([1, None], pa.int64(), NUMBER, [1, None], True),
        ([2**64 - 1, 0], pa.uint64(), NUMBER, [1.8446744073709552e19, 0], True),
        ([2**53 + 1, None], pa.int64(), NUMBER, [2**53, None], True),
        (np.array([1.5, np.nan], "float16"), pa.float16(), NUMBER, [1.5, None], False),
        ([0.1, None], pa.float32(), NUMBER, [float(np.float32(0.1)), None], False),
        ([1e300, -math.inf], pa.float64(), NUMBER, [1e300, -math.inf], False),
        ([Decimal("0.10"), None], pa.decimal128(38, 2), NUMBER, [0.1, None], False),
        ([Decimal("12345678901234567.8")], pa.decimal256(60, 1), NUMBER, [12345678901234567.8], False),
        ([True, None, False], pa.bool_(), BOOLEAN, [1, None, 0], False),
        ([" a", None, "NA"], pa.large_string(), CATEGORY, ["a", None, None], False),
        (["1", None], pa.string_view(), NUMBER, [1, None], True),
        ([b"a", None], pa.binary(), CATEGORY, ["a", None], False),
        ([7, 8, None], pa.dictionary(pa.int8(), pa.int64()), NUMBER, [7, 8, None], True),
        (["x", "y", None], pa.dictionary(pa.int8(), pa.string()), CATEGORY, ["x", "y", None], False),
    ],
)  # fmt: skip
def test_typed_columns(values, kind, type, expected, integer):
    found = columns.infer("c", chunked(pa.array(values, kind)), CLEANING)
    assert (found.type, found.integer) == (type, integer)
    assert listed(found.values) == expected


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([datetime.date(2020, 1, 1), None], pa.date32()),
        ([datetime.date(9999, 1, 1), None], pa.date64()),
        ([datetime.datetime(9999, 1, 1), None], pa.timestamp("us")),
        ([datetime.datetime(2020, 1, 1)], pa.timestamp("ms", tz="Europe/Vienna")),
        ([datetime.time(12, 30), None], pa.time64("us")),
        ([datetime.timedelta(1), None], pa.duration("s")),
        ([pa.MonthDayNano([1, 2, 3]), None], pa.month_day_nano_interval()),
    ],
)
def test_moments_are_dates(values, kind):
    found = columns.infer("c", chunked(pa.array(values, kind)), CLEANING)
    assert found.type == columns.DATE
    assert found.values.isna().tolist() == [value is None for value in values]


@pytest.mark.parametrize("values", [[[1], None], [{"x": 1}, None], [b"\xff\xfe", None]])
def test_what_is_no_single_value_is_nested(values):
    found = inferred(values)
    assert found.type == columns.NESTED
    assert len(found.values) == 2


def test_runs_and_extension_types_are_read_as_what_they_hold():
    import pyarrow.compute as pc

    runs = pa.chunked_array([pc.run_end_encode(pa.array([1, 1, 2]))])
    assert listed(columns.infer("c", runs, CLEANING).values) == [1, 1, 2]
    uuids = pa.chunked_array([pa.array([b"\xff" * 16], pa.uuid())])
    assert columns.infer("c", uuids, CLEANING).type == columns.NESTED


def test_keys_are_text_where_float64_would_run_them_together():
    raw = chunked([2**53, 2**53 + 1, None])
    assert listed(columns.infer_key("c", raw, CLEANING).values) == [str(2**53), str(2**53 + 1), None]
    assert listed(columns.infer_key("c", chunked([str(2**53 + 1), " 1"]), CLEANING).values) == [str(2**53 + 1), "1"]
    mixture = [str(value) for value in range(99)] + ["C100"]
    assert listed(columns.infer_key("c", chunked(mixture), CLEANING).values) == mixture
    assert listed(columns.infer_key("c", chunked([1, 2]), CLEANING).values) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["1,234", "12,345", "999"], "numbers with thousands separators ('1,234')"),
        (["3,14", "2,7", "1"], "numbers with a decimal comma ('3,14')"),
        (["0,004", "-1,234", "0,517"], "numbers with a decimal comma"),
        (["10%", "2.5 %"], "percentages"),
        (["$5", "$1,200.50"], "amounts"),
        (["5 EUR", "7.50 EUR"], "amounts"),
        (["1_000", "2 000"], "grouped"),
        (["a", "1,234"], ""),
        (["1", "2", "x"], "numbers but for 'x' (33 %)"),
        (["5 kg", "7.5 kg", "10"], "numbers with their unit ('5 kg')"),
        (["20°C", "-1,5°C"], "numbers with their unit"),
        (["A1", "B2"], ""),
        (["5A", "7B", "12C"], ""),
        (["SKU-00001", "SKU-00002"], ""),
        (["ABC123", "ABC456"], ""),
        (["(892)", "1,921", "15"], "negative numbers in brackets ('(892)')"),
        (["($1,200.50)", "$3"], "negative numbers in brackets"),
        (["11K", "48M", "8"], "numbers with K, M or B for thousands, millions or billions ('11K')"),
        (["$1.2M", "$300K"], "numbers with K, M or B"),
        (["892-", "15"], "numbers with their minus behind ('892-')"),
        (["−5", "3", "−7,5"], "numbers with a typographic minus"),
        (["１２３", "４５"], "numbers in digits that are not 0 to 9"),
        (["٣", "٤"], "numbers in digits that are not 0 to 9"),
        (["1,23,456", "12,34,567"], "numbers grouped as in India"),
        (["1.234.567", "12.345.678"], "numbers with dots between their digits"),
        (["<0.5", "1.2", ">100"], "numbers with a comparison before them"),
        (["1/2", "3/4"], "fractions"),
        (["0x1f", "0xff"], "hexadecimal"),
        (["5,000+", "10,000+"], "numbers with a plus behind them"),
        (["12 %", "3‰"], "percentages"),
        (["1.2.3", "4.5.6"], ""),
        (["5+", "3", "2"], ""),
        (["0h 5m", "3h", "2 days, 7 mins"], "durations ('0h 5m')"),
        (["PT3H7M", "P1DT2H"], "durations"),
        (["1", "2", "-"], "numbers but for '-' (33 %)"),
        (["1", "2,5", "3.5", "n/k", "#DIV/0!", "1"], "numbers but for 'n/k', '#DIV/0!' (33 %)"),
        (["1", "2", "3", "4", "a", "b", "c"], ""),
        (["1", "2", "4-5"], ""),
        (["1", "-"], ""),
        (["10-20", "30-40"], ""),
        (["S", "M", "L"], ""),
        (["<=50K", ">50K"], ""),
    ],
)
def test_spellings_of_numbers_are_named(values, what):
    found = getattr(spelling.described(pd.Series(values)), "what", "")
    assert what in found
    assert bool(found) == bool(what)


@pytest.mark.parametrize("late", ["", " 7 ", "7.5", "x", "inf", "?", "+7", "1e400"])
def test_what_comes_late_in_a_long_column_counts(late):
    texts = [str(place % 300) for place in range(3000)]
    texts[2500] = late
    column = Input("c", NUMBER)
    assert same(converted(chunked(texts), column, CLEANING), one_by_one(texts, column, CLEANING))
    if late == "x":
        with pytest.raises(PipelineError, match="2999 values are numbers and 1 is text"):
            inferred(texts)
    else:
        found = inferred(texts)
        assert found.type == NUMBER
        assert found.integer == (late not in ("7.5", "inf", "1e400"))


# --- laws

#: Raw text of every sort that a file holds.
words = st.one_of(
    st.sampled_from(sorted(MISSING_TEXT)),
    st.sampled_from(["true", "FALSE", "yes", "inf", "-Infinity", "1e400", "1_0", "1,0", "0x1", "1e", ".", "+", "--1"]),
    st.sampled_from(["nan(1)", "٣", "1\x002"]),
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.text("0123456789+-.eE_ inf", max_size=6),
    st.text(max_size=4),
)  # fmt: skip
spaced = st.builds(
    "{}{}{}".format, st.sampled_from(["", " ", "\t", "\u00a0", "\x1f"]), words, st.sampled_from(["", " ", "\u2003"])
)
raw_text = st.lists(st.none() | spaced, min_size=1, max_size=12)
wanted = st.builds(Input, st.just("c"), st.sampled_from([NUMBER, BOOLEAN, CATEGORY]), st.booleans(), st.booleans())


def one_by_one(values: list, column: Input, cleaning: Cleaning):
    """What ``Input.read`` says of each value: the values, or the first refusal."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(column.read(value, cleaning))
        except InputError as error:
            return str(error.at(row))
    return found


def converted(raw: pa.ChunkedArray, column: Input, cleaning: Cleaning):
    try:
        return listed(columns.convert(raw, column, cleaning))
    except InputError as error:
        return str(error)


def same(one, other) -> bool:
    """Equal to the last bit; -0.0 is not 0.0."""
    return repr(one) == repr(other)


@given(
    raw_text, wanted, st.sampled_from([CLEANING, Cleaning(trim=False), Cleaning(True, frozenset({"", "-999", "1"}))])
)
@example(["-999", "1", "2"], Input("c", NUMBER), Cleaning(True, frozenset({"-999"})))
@example(["1", " 2", "x"], Input("c", NUMBER, integer=True), CLEANING)
def test_text_is_converted_as_serving_reads_it(values, column, cleaning):
    assert same(converted(chunked(values, pa.string()), column, cleaning), one_by_one(values, column, cleaning))


typed = st.one_of(
    st.tuples(st.just(pa.int64()), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
    st.tuples(st.just(pa.uint64()), st.lists(st.none() | st.integers(0, 2**64 - 1))),
    st.tuples(st.just(pa.float64()), st.lists(st.none() | st.floats())),
    st.tuples(st.just(pa.float32()), st.lists(st.none() | st.floats(width=32))),
    st.tuples(st.just(pa.float64()), st.lists(st.none() | st.sampled_from([0.0, 1.0, -0.0, 2.0]))),
    st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans())),
    st.tuples(st.just(pa.decimal128(38, 10)), st.lists(st.none() | st.decimals(-(10**20), 10**20, places=10))),
    st.tuples(st.just(pa.date32()), st.lists(st.none() | st.dates())),
    st.tuples(st.just(pa.list_(pa.int64())), st.lists(st.none() | st.just([1]))),
    st.tuples(st.just(pa.struct({"x": pa.int64()})), st.lists(st.none() | st.just({"x": 1}))),
    st.tuples(st.just(pa.dictionary(pa.int32(), pa.string())), st.lists(st.none() | spaced)),
    st.tuples(st.just(pa.null()), st.lists(st.none())),
)


@given(typed, wanted)
def test_typed_values_are_converted_as_serving_reads_them(pair, column):
    kind, values = pair
    array = chunked(pa.array(values, kind))
    assert same(converted(array, column, CLEANING), one_by_one(array.to_pylist(), column, CLEANING))


@given(st.one_of(raw_text.map(lambda values: (pa.string(), values)), typed))
def test_what_training_infers_a_model_reads_again(pair):
    kind, values = pair
    raw = chunked(pa.array(values, kind))
    found = columns.infer("c", raw, CLEANING)
    assert len(found.values) == len(values)
    if found.type not in (NUMBER, BOOLEAN, CATEGORY) or (found.type == NUMBER and np.isinf(found.values).any()):
        return
    again = columns.convert(raw, found.as_input(), CLEANING)
    pd.testing.assert_series_equal(again, found.values, check_exact=True)


@given(st.text("0123456789+-.eE_ infaNxX,\x00\u0663", max_size=7))
def test_a_number_is_the_same_number_by_both_ways(text):
    """One value alone takes the fast way; with an infinite one beside it, the slow way."""
    fast = converted(chunked([text]), Input("c", NUMBER), CLEANING)
    assert same(fast, one_by_one([text], Input("c", NUMBER), CLEANING))


def test_arrow_trims_what_python_trims():
    spaces = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF and chr(code).isspace()]
    assert listed(inferred([f"{space}1{space}" for space in spaces]).values) == [1.0] * len(spaces)
    others = ["\u200b", "\ufeff", "\u2060", "\x00"]
    assert inferred([f"{mark}1" for mark in others]).type == CATEGORY
