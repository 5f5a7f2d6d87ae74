"""Rows of the log: typed as the scorecard reads them, whatever a request writes."""

import datetime
import math

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.functions.columns import column
from serving.prediction_log.rows import (
    PyfuncRows,
    RecordedRequest,
    RowBuffer,
    ScorecardRows,
    pyfunc_schema,
    scorecard_schema,
)
from serving.prediction_log.schema import RecordedColumns
from serving.scorecard.inputs import AS_IS, Input
from tests.effort import times
from tests.serving.server import servers

CARD = servers.classification()
EVERYTHING = RecordedColumns()
REQUEST = RecordedRequest("one", 1_700_000_000_123_456, 200, 1.5)

#: Raw values that the model's columns take.
ROW = st.fixed_dictionaries(
    {
        "age": st.none() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.just("40.5"),
        "visits": st.none() | st.integers(-(2**53), 2**53) | st.just(3.0),
        "member": st.booleans() | st.sampled_from([0, 1, "true", "FALSE"]),
        "region": st.none() | st.text() | st.sampled_from(["north", 3, True]),
    }
)


def batch(rows: list[dict], choice: RecordedColumns = EVERYTHING, *, found=None, failed: int = 0) -> pa.RecordBatch:
    held = ScorecardRows(CARD, choice)
    buffer = RowBuffer(scorecard_schema("visits", "3", CARD, choice), "champion", choice.share, held)
    for _ in range(failed):
        buffer.fail(REQUEST._replace(status=400))
    if rows:
        held.add_records(rows, found)
        buffer.add(REQUEST, len(rows))
    return buffer.batch()


@settings(max_examples=times(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, min_size=1, max_size=20))
def test_features_and_answers_are_those_of_the_scorecard_row_by_row(rows: list[dict]):
    found = batch(rows, failed=1).to_pylist()
    assert len(found) == len(rows) + 1
    for row, logged in zip(rows, found, strict=False):
        for item in CARD.inputs:
            read = item.read(row[item.name], CARD.cleaning)
            value = logged["feature_" + item.name]
            if isinstance(read, str):
                assert value == read.encode("utf-8", "replace").decode()
            else:
                assert value == read, item.name
        likely = CARD.probabilities_row(row)
        assert logged["probability_no"] == pytest.approx(likely[0], abs=1e-12)
        if abs(likely[0] - 0.5) > 1e-9:
            assert logged["prediction"] == CARD.predict_row(row)
    failed = found[-1]
    assert (failed["row"], failed["status"], failed["prediction"], failed["feature_age"]) == (None, 400, None, None)


@settings(max_examples=times(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, min_size=1, max_size=5))
def test_records_and_columns_give_the_same_rows(rows: list[dict]):
    held = ScorecardRows(CARD, EVERYTHING)
    buffer = RowBuffer(scorecard_schema("visits", "3", CARD, EVERYTHING), "champion", 1.0, held)
    held.add_records(rows[:1], None)
    held.add({name: [row[name] for row in rows[1:]] for name in rows[0]}, len(rows) - 1, None)
    buffer.add(REQUEST, len(rows))
    assert buffer.batch().equals(batch(rows))


def test_what_was_answered_is_logged_to_the_last_bit():
    assert batch([servers.MIXED] * 2, found=["no", "yes"]).column("prediction").to_pylist() == ["no", "yes"]


def test_types_are_those_of_the_schema_also_without_an_answered_row():
    answered, failed = batch([servers.MIXED]).schema, batch([], failed=2).schema
    assert answered.equals(failed)
    assert answered.field("time").type == pa.timestamp("us", "UTC")
    assert [str(answered.field("feature_" + name).type) for name in ("age", "visits", "member", "region")] == [
        *("double", "int64", "bool", "string"),
    ]
    (moment, _) = batch([], failed=2).column("time").to_pylist()
    assert moment == datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, datetime.UTC)


def test_columns_are_left_out_or_hashed_and_the_answer_stays_the_same():
    plain = batch([servers.MIXED]).to_pylist()[0]
    choice = RecordedColumns(only=("region", "visits"), hashed=("region", "visits"), key=b"k" * 16)
    (row,) = batch([servers.MIXED], choice).to_pylist()
    assert [name for name in row if name.startswith("feature_")] == ["feature_visits", "feature_region"]
    assert row["feature_region"] == choice.hash("north")
    assert row["feature_visits"] == choice.hash("3")
    assert row["feature_region"] != RecordedColumns(key=b"other").hash("north")
    assert (row["prediction"], row["probability_yes"]) == (plain["prediction"], plain["probability_yes"])
    (missing,) = batch([{**servers.MIXED, "region": None}], choice).to_pylist()
    assert missing["feature_region"] is None


ABOUT = {
    "signature": {
        "inputs": '[{"name": "x", "type": "double"}, {"name": "n", "type": "long"}, '
        '{"name": "day", "type": "datetime"}]',
        "outputs": '[{"type": "long"}]',
    }
}


def test_a_model_without_a_scorecard_is_recorded_by_its_signature():
    schema = pyfunc_schema("forest", "1", ABOUT, EVERYTHING)
    held = PyfuncRows({"x": "double", "n": "long", "day": "datetime"}, EVERYTHING)
    buffer = RowBuffer(schema, "challenger", 0.5, held)
    columns = [
        column(Input("x", "number"), "double", [1.5, None], AS_IS),
        column(Input("n", "number", integer=True), "long", [2**62, -1], AS_IS),
        column(Input("day", "category"), "datetime", ["2026-11-30T08:15:00", None], AS_IS),
    ]
    held.add(columns, 2, [7, 8])
    buffer.add(REQUEST, 2)
    held.add(columns, 2, {"nobody": "knows"})
    buffer.add(REQUEST, 2)
    found = buffer.batch().to_pylist()
    assert [row["feature_x"] for row in found[:2]] == [1.5, None]
    assert [row["feature_n"] for row in found[:2]] == [2**62, -1]
    assert found[0]["feature_day"] == "2026-11-30T08:15:00"
    assert [row["prediction"] for row in found] == [7, 8, None, None]
    assert found[0]["sampling"] == 0.5


@pytest.mark.parametrize(
    ("outputs", "found", "logged"),
    [
        ('[{"type": "double"}]', [1.5, math.inf], [1.5, math.inf]),
        ('[{"type": "string"}]', ["a", None], ["a", None]),
        ('[{"type": "boolean"}]', [True, "x"], [True, None]),
        ('[{"type": "long"}]', [1, 2.5], [1, None]),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]', [1, 2], [1, 2]),
        (
            '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]',
            [[1, 2], [3]],
            ["[1, 2]", "[3]"],
        ),
        ("[]", [{"label": "x"}, 3], ['{"label": "x"}', "3"]),
    ],
)
def test_answers_of_any_shape_have_one_type(outputs: str, found: list, logged: list):
    schema = pyfunc_schema("m", "1", {"signature": {"inputs": "[]", "outputs": outputs}}, EVERYTHING)
    held = PyfuncRows({}, EVERYTHING)
    buffer = RowBuffer(schema, "champion", 1.0, held)
    held.add(None, 2, found)
    buffer.add(REQUEST, 2)
    assert buffer.batch().column("prediction").to_pylist() == logged
