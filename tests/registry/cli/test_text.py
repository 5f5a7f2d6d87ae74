"""Words and figures: numbers for people, names that were meant, tables whose columns stand under each other."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.cli.text import (
    aligned,
    as_json,
    did_you_mean,
    escaped,
    figure,
    fitted,
    listed,
    one_line,
    parts,
    unquoted,
    width,
)


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
    assert did_you_mean("Acuracy", ["rmse", "accuracy"]) == "did you mean 'accuracy'?"
    assert did_you_mean("xyzzy", ["rmse", "accuracy"], otherwise="no such word") == "no such word"


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


#: A verdict, as the gates print it.
GATES = [
    ("gate", "", "reason"),
    ("bound", "pass", "rmse 1 is within 10"),
    ("schema", "FAIL", ("breaks with version 1: column 'a' is gone;", "required column 'b' is new")),
]


def test_a_table_is_wrapped_to_the_terminal():
    assert fitted(GATES, 45) == [
        "gate          reason",
        "------  ----  -------------------------------",
        "bound   pass  rmse 1 is within 10",
        "schema  FAIL  breaks with version 1: column",
        "              'a' is gone;",
        "              required column 'b' is new",
    ]
    # Without a terminal a row is a line, to be searched.
    assert fitted(GATES, None)[-1] == (
        "schema  FAIL  breaks with version 1: column 'a' is gone; required column 'b' is new"
    )


def test_columns_without_a_place_go_below_the_others():
    rows = [("id", "time", "to", "reason"), ("7", "2026-03-01 12:30:05", "Production", "better\nlog loss, see 12")]
    assert fitted(rows, 40) == [
        "id  time                 to",
        "    reason",
        "-----------------------------------",
        "7   2026-03-01 12:30:05  Production",
        "    better log loss, see 12",
    ]


@given(
    rows=st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.text(max_size=60), min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    room=st.integers(10, 120),
)
def test_a_wrapped_table_keeps_every_word_and_its_width(rows: list[list[str]], room: int):
    lines = fitted(rows, room)
    words = [word for row in rows for cell in row for word in escaped(" ".join(cell.split())).split(" ") if word]
    there = [word for line in lines for word in line.split(" ") if word and set(word) != {"-"}]
    assert sorted(there) == sorted(word for word in words if set(word) != {"-"})
    # The longest word may be wider than any column, and the first column is never wrapped.
    first = max(width(escaped(" ".join(row[0].split()))) for row in rows)
    longest = max(map(width, words), default=0)
    assert max(map(width, lines)) <= max(room, first + 2 + longest)


def test_signs_that_are_wide_or_nothing_do_not_shift_a_column():
    lines = aligned([("model", "x"), ("糖尿病", "1"), ("schön", "2"), ("scho\u0308n", "3")])
    assert {width(line[: line.index(value)]) for line, value in zip(lines[2:], "123", strict=True)} == {8}


NAMES = st.lists(st.text().map(str.strip).filter(bool), min_size=1)


@given(names=NAMES)
def test_law_any_name_can_be_written_in_a_list(names: list[str]):
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    assert [unquoted(part) for part in parts(", ".join(quoted))] == names


@given(names=NAMES)
def test_law_a_name_without_commas_and_quotes_needs_none(names: list[str]):
    plain = [name.replace(",", "").replace('"', "").strip() for name in names]
    assert [unquoted(part) for part in parts(",".join(plain))] == [name for name in plain if name]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"a, b"=2,c=1', ['"a, b"=2', "c=1"]),
        ('5" pipe,x', ['5" pipe', "x"]),
        ("a,,", ["a"]),
        ("", []),
    ],
)
def test_a_quote_counts_where_a_part_begins(text: str, found: list[str]):
    assert parts(text) == found


@pytest.mark.parametrize("text", ['"a, b', 'c,"', '"a""'])
def test_a_quote_that_is_not_closed_is_refused(text: str):
    with pytest.raises(ValueError, match="a double quote is not closed"):
        parts(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer, 糖尿病, 👩\u200d🔬 and C:\\x", "größer, 糖尿病, 👩\u200d🔬 and C:\\x"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("one\r\ntwo\x7f\x9b", "one\\r\\ntwo\\x7f\\x9b"),
        ("\u202egnp.exe\u2066\u200f\ufeff", "\\u202egnp.exe\\u2066\\u200f\\ufeff"),
        ("\u2028\u2029\x85\ud800", "\\u2028\\u2029\\x85\\ud800"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped(text: str, shown: str):
    assert escaped(text) == shown


@given(st.text())
def test_nothing_that_is_escaped_steers_and_it_is_one_line(text: str):
    shown = escaped(text)
    assert not [sign for sign in shown if unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs")]
    assert len(shown.splitlines()) <= 1
    assert escaped(shown) == shown
    assert "\u202e" not in shown


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_json_for_the_terminal_is_the_same_json(content: dict):
    text = as_json(content)
    assert json.loads(text) == content
    assert not [sign for sign in text if sign != "\n" and unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs")]


def test_the_cells_of_a_table_are_escaped_and_aligned():
    assert aligned([("name", "x"), ("a\x1bb", "1")]) == ["name    x", "------  -", "a\\x1bb  1"]
