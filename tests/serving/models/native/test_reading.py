"""Columns for a model's own code: each value is read as one alone, whatever the table holds it as."""

import datetime
import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.models.native import reading
from serving.scorecard.frames import Refusals
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError
from tests.effort import times

TEXTS = ["1", " 2.5 ", "1e3", "inf", "1e999", "NA", "", "?", "true", "0", "x", "1_0", "3.0", " 3 ", "1,5", "-0"]
INPUTS = [Input("a", NUMBER), Input("a", NUMBER, integer=True, null=False), Input("a", BOOLEAN), Input("a", CATEGORY),
          Input("a", NUMBER, decimal=",")]  # fmt: skip


@settings(max_examples=times(100), deadline=None)
@given(st.lists(st.sampled_from([*TEXTS, None]), min_size=1, max_size=6), st.sampled_from(INPUTS))
def test_text_is_read_as_one_by_one(values: list[str | None], item: Input) -> None:
    found, refusals = reading.columns(
        {"a": pa.chunked_array([values], pa.string())}, [item, Input("absent", NUMBER)], (), Cleaning()
    )
    errors = {row: error.reason for row, error in refusals.by_row().items()}
    for row, (value, got) in enumerate(zip(values, found["a"].to_pylist(), strict=True)):
        wanted: object
        try:
            wanted = item.read(value, Cleaning())
        except InputError as error:
            wanted = error.reason
            got = errors.pop(row)
        assert got == wanted or (wanted is None and item.type != CATEGORY and got != got)
    assert not errors


def moments(values: object) -> tuple[list, dict[int, str]]:
    refusals = Refusals()
    found = reading.moments(Input("a", CATEGORY), values, Cleaning(), refusals)
    assert found.type == reading.MOMENT
    errors = {row: error.reason for row, error in refusals.by_row().items()}
    return [None if row in errors else value for row, value in enumerate(found.to_pylist())], errors


NOON = datetime.datetime(2026, 11, 30, 12)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.chunked_array([["2026-11-30T12:00:00", " 2026-11-30 12:00 ", "NA", None]]), [NOON, NOON, None, None]),
        (["2026-11-30T13:00:00+01:00", "20261130T120000", math.nan], [NOON, NOON, None]),
        (pa.chunked_array([[NOON, None]], pa.timestamp("ns")), [NOON, None]),
        (pa.chunked_array([[NOON]], pa.timestamp("s", "Europe/Vienna")), [NOON]),
        (pa.chunked_array([[NOON.date()]], pa.date32()), [datetime.datetime(2026, 11, 30)]),
        (pa.chunked_array([], pa.date64()), []),
        (pa.chunked_array([[None]], pa.null()), [None]),
    ],
)
def test_dates_and_times(values: object, wanted: list) -> None:
    assert moments(values) == (wanted, {})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["11/30/2026"], "expected a date and time as 2026-11-30T08:15:00, found text"),
        ([20261130], "expected a date and time as 2026-11-30T08:15:00, found a number"),
        ([["2026-11-30"]], "expected a date and time as 2026-11-30T08:15:00, found a list"),
        (["1500-01-01"], "expected a date from 1677-09-22 to 2262-04-10, found one out of this range"),
        (["0001-01-01T00:00:00+01:00"], "expected a date from 1677-09-22 to 2262-04-10, found one out of this range"),
        (pa.chunked_array([[datetime.date(9999, 1, 1)]]), "expected a date from 1677-09-22 to 2262-04-10, found one"),
    ],
)
def test_what_is_no_date_is_refused(values: object, says: str) -> None:
    _, errors = moments(values)
    assert list(errors) == [0]
    assert errors[0].startswith(says)
