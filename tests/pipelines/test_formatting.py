"""Numbers for people: three significant digits, the typographer's minus, a dash where there is none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.formatting import percent, readable, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (53.123, "53.1"),
        (1237.2, "1,240"),
        (-0.0021345, "−0.00213"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.2345e7, "1.23e+07"),
        (2e-9, "2.00e−09"),
        (9.999, "10.0"),
        (999_999.0, "1.00e+06"),
        (0.00009999, "0.000100"),
        (math.inf, "inf"),
        (-math.inf, "−inf"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert readable(value) == text


@given(st.floats(-1e308, 1e308))
def test_a_number_is_read_back_to_half_of_its_third_digit(value):
    text = readable(value).replace(",", "").replace("−", "-")
    assert float(text) == pytest.approx(value, rel=0.0051, abs=0)
    digits = text.partition("e")[0].lstrip("-0.").replace(".", "")
    assert not value or len(digits) == 3 or (len(text.lstrip("-")) > 3 and "." not in text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (1_234_567, "1,234,567"),
        (-12, "−12"),
        (0.5, "0.500"),
        (["a", 3, None], "a, 3, –"),
        ("a-b", "a-b"),
    ],
)
def test_values_are_shown_by_their_kind(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.1234, "12.3 %"),
        (0.9994, "99.9 %"),
        (0.9996, "100 %"),
        (1, "100 %"),
        (-0.184, "−18.4 %"),
        (12.5, "1,250 %"),
    ],
)
def test_shares_are_percentages(share, text):
    assert percent(share) == text


def test_a_sum_that_is_zero_but_for_rounding_is_zero():
    assert readable(-6e-14, 3.2) == "0"
    assert readable(-6e-14) == "−6.00e−14"
    assert readable(-6e-9, 3.2) == "−6.00e−09"
