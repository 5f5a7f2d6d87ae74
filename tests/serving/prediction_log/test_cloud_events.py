"""The log as CloudEvents: what a broker takes is read by the SDK of CloudEvents, and nothing is sent twice or lost."""

import datetime
import json
import math
import re

import pyarrow as pa
import pytest

from serving.errors import ServingError
from serving.prediction_log import cloud_events, destinations
from serving.prediction_log.cloud_events import CloudEventsSink
from serving.prediction_log.lines import collect
from serving.prediction_log.schema import LoggedFeature, LogSchema
from serving.prediction_log.sink import LogError
from tests.serving.prediction_log.brokers import broker
from tests.serving.server.servers import wait

DAY = datetime.date(2026, 11, 30)
MOMENT = datetime.datetime(2026, 11, 30, 12, 0, 0, 7, tzinfo=datetime.UTC)
SCHEMA = LogSchema('café "100 %"', "3", (LoggedFeature("x", "double"), LoggedFeature("town", "text")))


def batch(count: int, size: int = 1, first: int = 0) -> pa.RecordBatch:
    rows = [
        {"request_id": f"r{number}", "row": 0, "time": MOMENT, "model": SCHEMA.model, "version": "3", "status": 200,
         "feature_x": float(number), "feature_town": "é" * size}
        for number in range(first, first + count)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA.arrow())


def test_an_event_has_the_rows_of_a_version_and_the_attributes_of_the_specification() -> None:
    with broker() as found:
        assert CloudEventsSink(found.url).write(SCHEMA, DAY, batch(3)) == 3
    ((headers, _),) = found.posted
    # The binding to HTTP has blanks, quotes and what is not ASCII percent-encoded.
    assert headers["ce-subject"] == "caf%C3%A9%20%22100%20%25%22/3"
    assert headers["content-type"] == "application/json"
    (event,) = found.events
    attributes = dict(event.get_attributes())
    assert attributes.pop("id")
    assert attributes.pop("source").startswith("/model-lifecycle/serve/")
    assert (
        attributes
        == {
            "specversion": "1.0",
            "type": "model-lifecycle.predictions",
            "time": "2026-11-30T12:00:00.000007Z",
            "subject": headers["ce-subject"],
            "datacontenttype": "application/json",
        }
        or attributes.items() >= {"specversion": "1.0", "type": "model-lifecycle.predictions"}.items()
    )
    assert [(row["request_id"], row["feature_x"], row["feature_town"]) for row in found.rows] == [
        *(("r0", 0.0, "é"), ("r1", 1.0, "é"), ("r2", 2.0, "é")),
    ]
    assert found.rows[0]["time"] == "2026-11-30T12:00:00.000007Z"
    assert list(found.rows[0]) == list(SCHEMA.columns)


def test_events_are_no_larger_than_every_intermediary_forwards_unless_a_row_is() -> None:
    rows = [*(batch(1000, 100, 0).to_pylist()), *batch(1, 50_000, 1000).to_pylist(), *batch(10, 1, 1001).to_pylist()]
    with broker() as found:
        assert CloudEventsSink(found.url).write(SCHEMA, DAY, pa.RecordBatch.from_pylist(rows, SCHEMA.arrow())) == 1011
    assert [row["request_id"] for row in found.rows] == [f"r{number}" for number in range(1011)]
    sizes = [
        len(body) + sum(len(f"{name}: {value}\r\n") for name, value in head.items()) for head, body in found.posted
    ]
    assert sum(size > 64 * 1024 for size in sizes) == 1
    assert len({event["id"] for event in found.events}) == len(found.events) < 12


def test_what_is_no_finite_number_is_null() -> None:
    rows = [{**batch(1).to_pylist()[0], "feature_x": value} for value in (math.nan, math.inf, None)]
    with broker() as found:
        CloudEventsSink(found.url).write(SCHEMA, DAY, pa.RecordBatch.from_pylist(rows, SCHEMA.arrow()))
        assert [row["feature_x"] for row in found.rows] == [None] * 3


def test_a_broker_that_fails_is_asked_again_after_a_pause_for_the_rest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_events, "_FIRST", 0.5)
    rows = batch(1500, 100)
    with broker(0, 202, 503, 302) as found:
        sink = CloudEventsSink(found.url)
        tries: list[str] = []

        def written() -> bool:
            try:
                return sink.write(SCHEMA, DAY, rows) == 1500
            except LogError as error:
                tries.append(str(error))
                return False

        wait(written)
        for said in tries:
            assert re.fullmatch("the prediction log cannot be posted to http://127.0.0.1: answered (503|302)", said)
        # It was not asked at each try; what it had taken, it was not sent again.
        assert len(tries) > len(found.posted) - len(found.events)
        assert len(found.posted) == len(found.events) + 2
        assert found.posted[1] == found.posted[2] == found.posted[3]
        assert [row["request_id"] for row in found.rows] == [f"r{number}" for number in range(1500)]


def test_an_event_that_is_refused_for_good_is_left_out_and_counted() -> None:
    rows = batch(900, 100)
    with broker(0, 202, 413) as found:
        written = CloudEventsSink(found.url).write(SCHEMA, DAY, rows)
        assert written == len(found.rows)
        assert 0 < 900 - written == len(json.loads(found.posted[1][1]))


def test_secret_headers_are_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cloud_events.HEADERS, "Authorization: Bearer s3cret\nX-Key:  also s3cret ")
    with broker(0, 401) as found:
        url = found.url.replace("http://", "http://ann:s3cret@") + "?token=s3cret"
        with pytest.raises(LogError) as error:
            CloudEventsSink(url).write(SCHEMA, DAY, batch(1))
        assert "s3cret" not in str(error.value)
        ((headers, _),) = found.posted
        assert (headers["x-key"], headers["ce-type"]) == ("also s3cret", cloud_events.TYPE)
    monkeypatch.setenv(cloud_events.HEADERS, "Bearer s3cret")
    with pytest.raises(ServingError, match=r"SERVING_RECORD_HEADERS: expected lines such as") as refused:
        destinations.check("https://broker/")
    assert "s3cret" not in str(refused.value)


def test_a_broker_takes_no_rows_that_are_to_be_whole() -> None:
    with pytest.raises(ServingError, match="--output: rows that are collected go into a folder or a database"):
        collect(["-"], "https://broker/")
    with pytest.raises(ServingError, match="expected a broker's URL such as"):
        destinations.check("https:///path")
