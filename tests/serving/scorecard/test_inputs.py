"""One raw value becomes a number, a category or a missing value, or is refused by the name of its column."""

import decimal
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.scorecard import AS_IS, Cleaning, Input, InputError
from serving.scorecard.inputs import DECIMALS, MISSING_TEXT, THOUSANDS
from serving.scorecard.scalars import number, scalar_text

NUMBER, WHOLE = Input("n", "number"), Input("n", "number", integer=True)
FLAG, WORD = Input("b", "boolean"), Input("c", "category")
CLEAN = Cleaning()
MARKS = [(decimal, thousands) for decimal in DECIMALS for thousands in THOUSANDS if decimal != thousands]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_a_number_is_itself_in_any_writing(value):
    assert NUMBER.read(value) == NUMBER.read(repr(value), CLEAN) == NUMBER.read(f"  {value!r}\n", CLEAN) == float(value)
    assert NUMBER.reader()(value) == float(value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(2.5), 2.5),
        (decimal.Decimal("1.25"), 1.25),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7.0),
    ],
)
def test_scalars_of_other_libraries_are_numbers(raw, value):
    assert NUMBER.read(raw) == value
    assert type(NUMBER.read(raw)) is float


@pytest.mark.parametrize("raw", [None, math.nan, np.nan, np.float32("nan"), pd.NA, pd.NaT, decimal.Decimal("nan")])
@pytest.mark.parametrize("spec", [NUMBER, WHOLE, FLAG, WORD])
def test_missing_is_missing(raw, spec):
    assert spec.read(raw) is None
    with pytest.raises(InputError, match="a value is required"):
        Input(spec.name, spec.type, null=False).read(raw)


@pytest.mark.parametrize("text", sorted(MISSING_TEXT))
def test_words_for_missing_count_only_where_text_is_cleaned(text):
    assert NUMBER.read(f" {text} ", CLEAN) is WORD.read(f"\t{text}", CLEAN) is None
    assert WORD.read(text, AS_IS) == text


@pytest.mark.parametrize("raw", ["1_000", "1,000", "0x1f", "one", "١", "1e", "--1", "e5", "1.2.3", "", " 1", "true"])
def test_what_is_no_decimal_number_is_refused(raw):
    with pytest.raises(InputError, match="column 'n': expected a number, found text"):
        NUMBER.read(raw)


@pytest.mark.parametrize("raw", [math.inf, -math.inf, 10**400, "1e999", "-inf", "Infinity", np.inf])
def test_infinity_is_refused(raw):
    with pytest.raises(InputError, match="finite"):
        NUMBER.read(raw)
    with pytest.raises(InputError, match="finite"):
        NUMBER.reader()(raw)


@pytest.mark.parametrize("raw", [True, np.bool_(False), [1], {"a": 1}, (1,), object(), b"1", 1j, np.array([1.0, 2.0])])
def test_what_is_no_number_is_refused_without_showing_it(raw):
    with pytest.raises(InputError, match=r"^column 'n': expected a number, found an? \w+$"):
        NUMBER.read(raw)


def test_a_fraction_is_no_whole_number():
    assert WHOLE.read(3.0) == WHOLE.read("3.0") == WHOLE.reader()(3) == 3.0
    for raw in (3.5, "3.5", np.float32(0.5)):
        with pytest.raises(InputError, match="whole number"):
            WHOLE.reader()(raw)


@pytest.mark.parametrize(
    ("raw", "value"), [(True, 1), (0, 0), (1.0, 1), ("TRUE", 1), ("false", 0), ("0", 0), (np.bool_(1), 1)]
)
def test_truth(raw, value):
    assert FLAG.read(raw) == value
    assert type(FLAG.read(raw)) is float


@pytest.mark.parametrize("raw", [2, 0.5, "yes", "", [], math.inf])
def test_what_is_neither_true_nor_false_is_refused(raw):
    with pytest.raises(InputError, match="expected true or false"):
        FLAG.read(raw)


@pytest.mark.parametrize("raw", [["a"], {}, b"a", pd.Timestamp("2024-01-01"), 1j, pytest.param(10**5000, id="long")])
def test_what_is_no_scalar_is_no_text(raw):
    with pytest.raises(InputError, match=r"column 'c': expected text, found an? "):
        WORD.read(raw)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (True, "true"),
        (np.bool_(False), "false"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (np.int64(-7), "-7"),
        (np.float32(0.5), "0.5"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (1e16, "10000000000000000"),
        (10**20, "100000000000000000000"),
        (math.inf, "inf"),
        (decimal.Decimal("3.00"), "3"),
        (decimal.Decimal("0.10"), "0.1"),
        (" 00501 ", " 00501 "),
        (np.str_("1E5"), "1E5"),
    ],
)
def test_a_scalar_among_texts_is_text(raw, text):
    assert scalar_text(raw) == text
    assert WORD.read(raw, CLEAN) == text.strip()


def test_a_scalar_may_be_a_word_for_missing():
    assert WORD.read(-999, Cleaning(missing=frozenset({"-999"}))) is None
    with pytest.raises(InputError, match="a value is required"):
        Input("c", "category", null=False).read(-999, Cleaning(missing=frozenset({"-999"})))


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "value"),
    [
        ("15,72", ",", "", 15.72),
        ("50.714", ",", ".", 50714.0),
        ("-1.234.567,5", ",", ".", -1234567.5),
        ("950", ",", ".", 950.0),
        (",5", ",", ".", 0.5),
        ("1,5e3", ",", ".", 1500.0),
        ("1,234,567.25", ".", ",", 1234567.25),
        ("12,34,567", ".", ",", 1234567.0),
        ("+1\u00a0000", ",", "\u00a0", 1000.0),
        ("1'000.5", ".", "'", 1000.5),
        ("1e3", ".", ",", 1000.0),
        ("-inf", ",", ".", -math.inf),
    ],
)
def test_a_number_is_read_by_its_marks(text, decimal, thousands, value):
    assert number(text, "n", decimal, thousands) == value


@pytest.mark.parametrize(
    ("text", "decimal", "thousands"),
    [
        ("3.14", ",", ""),
        ("1.5", ",", "."),
        ("0.123", ",", "."),
        ("1234.567", ",", "."),
        ("1.2345", ",", "."),
        ("1..234", ",", "."),
        (".234", ",", "."),
        ("1.234,5.6", ",", "."),
        ("1.234e5", ",", "."),
        ("1,5,5", ",", ""),
        ("123,45,678", ".", ","),
        ("1,23,45", ".", ","),
        ("1,234.5", ",", "."),
        ("1 234", ",", "."),
        ("1,234", ".", "_"),
        ("--1.234", ",", "."),
        ("\u0661.234", ",", "."),
        ("", ",", "."),
        (",", ",", "."),
    ],
)
def test_another_grouping_or_mark_is_refused(text, decimal, thousands):
    with pytest.raises(InputError, match="expected a number, found text"):
        number(text, "n", decimal, thousands)


@given(st.integers(-(10**15), 10**15), st.integers(0, 999), st.sampled_from(list(MARKS)))
def test_grouped_digits_are_the_number(whole, thousandths, marks):
    decimal, thousands = marks
    text = f"{whole:,}".replace(",", thousands) + f"{decimal}{thousandths:03d}"
    assert number(text, "n", decimal, thousands) == float(f"{whole}.{thousandths:03d}")


def test_the_marks_are_of_one_number():
    for mark, thousands in ((",", ","), (".", "."), (";", ""), (".", "x"), ("", "")):
        with pytest.raises(InputError, match="no number has the decimal mark"):
            Input("n", "number", decimal=mark, thousands=thousands)
    with pytest.raises(InputError, match="only a number has a decimal"):
        Input("c", "category", decimal=",")
    assert Input("n", "number", decimal=",", thousands=".").read(" 1.234,5 ", CLEAN) == 1234.5
    assert Input("n", "number", decimal=",", thousands=".").read(1.5) == 1.5


def test_inputs_are_values():
    spec = Input("a", "number", integer=True, null=False)
    assert spec == Input("a", "number", True, False) != Input("a", "number")
    assert hash(spec) == hash(Input(**spec.to_dict()))
    european = Input("a", "number", decimal=",", thousands=".")
    assert european == Input(**european.to_dict()) != Input("a", "number", decimal=",")
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert pickle.loads(pickle.dumps(CLEAN)) == CLEAN != AS_IS
    assert eval(repr(spec)) == spec
    with pytest.raises(AttributeError, match="frozen"):
        spec.name = "b"
    with pytest.raises(InputError, match="'a': the type is one of number, boolean, category, found 'date'"):
        Input("a", "date")


def test_an_error_keeps_what_it_says_over_a_pipe():
    error = pickle.loads(pickle.dumps(InputError("a\nb", "no good").at(4)))
    assert (error.column, error.reason, error.row) == ("a\nb", "no good", 4)
    assert str(error) == r"row 4, column 'a\nb': no good"


@given(st.text())
def test_any_text_is_a_number_or_refused(text):
    try:
        value = number(text, "n")
    except InputError:
        return
    assert value == float(text)
