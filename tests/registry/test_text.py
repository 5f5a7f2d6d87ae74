"""Words and figures: numbers for people, names that were meant, tables whose columns stand under each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.text import aligned, closest, figure, listed, one_line, width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (53.14159, "53.14"),
        (0.000012345, "1.234e-05"),
        (9999.4, "9999"),
        (12345.678, "12,346"),
        (-1234567.0, "-1,234,567"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_for_people(value: float | None, text: str):
    assert figure(value) == text


def test_names_are_quoted_and_the_first_few():
    assert listed(["a", 1]) == "'a', 1"
    assert listed(range(10), most=2) == "0, 1 and 8 more"


def test_the_name_that_was_meant():
    assert closest("Acuracy", ["rmse", "accuracy"]) == "accuracy"
    assert closest("xyzzy", ["rmse", "accuracy"]) is None


@given(text=st.text(max_size=50), most=st.integers(1, 20))
def test_one_line_is_one_line_and_no_longer(text: str, most: int):
    line = one_line(text, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1


def test_a_table_has_a_rule_and_columns():
    assert aligned([("name", "value"), ("rmse", "53.1"), ("r", "")]) == [
        "name  value",
        "----  -----",
        "rmse  53.1",
        "r",
    ]


def test_signs_that_are_wide_or_nothing_do_not_shift_a_column():
    lines = aligned([("model", "x"), ("糖尿病", "1"), ("schön", "2"), ("scho\u0308n", "3")])
    assert {width(line[: line.index(value)]) for line, value in zip(lines[2:], "123", strict=True)} == {8}
