"""The log in a database: tables that widen, names that fit, errors that quote no row."""

import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy

from serving.prediction_log.database import DatabaseSink, short_name
from serving.prediction_log.schema import LoggedFeature, LogSchema
from serving.prediction_log.sink import LogError

DAY = datetime.date(2026, 11, 30)


def row(schema: LogSchema, **values: object) -> pa.RecordBatch:
    moment = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
    given = {"request_id": "one", "time": moment, "model": schema.model, "version": schema.version, **values}
    return pa.RecordBatch.from_pylist([given], schema=schema.arrow())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return request.getfixturevalue("postgresql")


def read(url: str, table: str) -> list[dict]:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        quoted = engine.dialect.identifier_preparer.quote_identifier(table)
        found = [dict(one) for one in connection.execute(sqlalchemy.text(f"select * from {quoted}")).mappings()]
    engine.dispose()
    return found


def test_a_table_widens_when_a_version_has_more_columns(url: str):
    sink = DatabaseSink(url)
    first = LogSchema("a 'model'", "1", (LoggedFeature("x", "double"),))
    second = LogSchema(
        "a 'model'", "2", (LoggedFeature("x", "double"), LoggedFeature("y:z %(s)s", "text")), labels=("yes",)
    )
    sink.write(first, DAY, row(first, feature_x=1.0))
    sink.write(second, DAY, row(second, **{"feature_x": 2.0, "feature_y:z %(s)s": "z", "probability_yes": 0.5}))
    sink.write(first, DAY, row(first, feature_x=3.0))
    sink.close()
    found = read(url, "prediction_log_a 'model'")
    assert [one["feature_x"] for one in found] == [1.0, 2.0, 3.0]
    assert [one["feature_y:z %(s)s"] for one in found] == [None, "z", None]


def test_a_column_of_another_type_is_refused_by_its_name(url: str):
    sink = DatabaseSink(url)
    first, second = (
        LogSchema("typed", "1", (LoggedFeature("x", "double"),)),
        LogSchema("typed", "2", (LoggedFeature("x", "text"),)),
    )
    sink.write(first, DAY, row(first, feature_x=1.0))
    with pytest.raises(LogError, match="cannot take version 2: its column feature_x has another type"):
        sink.write(second, DAY, row(second, feature_x="secret"))
    sink.close()


def test_old_rows_are_removed(url: str):
    sink = DatabaseSink(url)
    schema = LogSchema("aged", "1", ())
    for day in (1, 20, 29):
        moment = datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)
        sink.write(schema, DAY, row(schema, time=moment, request_id=str(day)))
    sink.expire(datetime.date(2026, 11, 20))
    sink.close()
    assert [one["request_id"] for one in read(url, "prediction_log_aged")] == ["20", "29"]


def test_names_fit_and_stay_different():
    long = "ä" * 80
    assert len(short_name(long).encode()) <= 63
    assert short_name(long) != short_name(long + "b")
    assert short_name("churn") == "churn"


def test_one_that_is_away_is_told_without_the_password():
    schema = LogSchema("churn", "1", ())
    with pytest.raises(LogError, match=r"the prediction log in postgresql:.* cannot be written") as error:
        DatabaseSink("postgresql://ann:s3cret@127.0.0.1:9/log").write(schema, DAY, row(schema))
    assert "s3cret" not in str(error.value)
