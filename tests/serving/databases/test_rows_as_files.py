"""Rows of a query as a Parquet file: the values and types that training reads, whatever the batches are."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.sources import sql
from serving import databases
from serving.databases import parquet
from tests.effort import times


def fetched(url: str, query: str, path: Path) -> pa.Table:
    address = databases.find(url, "--input")
    with address.connected() as connection:
        parquet.write(databases.resolve(connection, query).run(connection), path)
    return pq.read_table(path)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**62), 2**62),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.sampled_from(["", "x", "1", " 2.5 ", "NA"]),
)
BYTES = st.one_of(st.none(), st.binary(max_size=2))


@settings(max_examples=times(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(VALUES, VALUES, BYTES), max_size=9), st.integers(1, 4))
def test_columns_of_any_values_are_read_as_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[Any, Any, Any]], batch: int
) -> None:
    path = tmp_path / "d.db"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    monkeypatch.setattr(parquet, "ROWS", batch)
    found = fetched(f"sqlite:///{path}", "t", tmp_path / "t.parquet")
    wanted = sql.read(f"sqlite:///{path}", "t").columns
    assert found.to_pydict() == wanted.to_pydict()
    assert [field.type for field in found.schema] == [field.type for field in wanted.schema]
    assert [one.name for one in tmp_path.glob("t.parquet*")] == ["t.parquet"]


def test_types_of_postgresql(postgresql: str, tmp_path: Path) -> None:
    """Decimals are numbers, and what has no type in a file is text."""
    query = """SELECT 1.25::NUMERIC AS n, NULL::INT AS nothing, DATE '2026-01-31' AS d, '{"a": [1]}'::JSONB AS j,
        ARRAY['x'] AS l, '00000000-0000-0000-0000-000000000001'::UUID AS u, INTERVAL '1 day' AS i, TRUE AS b,
        '\\x00ff'::BYTEA AS raw, 0.1::REAL AS single"""
    found = fetched(postgresql, query, tmp_path / "t.parquet").to_pylist()[0]
    assert (found["n"], found["nothing"], str(found["d"]), found["b"]) == (1.25, None, "2026-01-31", True)
    assert (found["j"], found["l"], found["i"]) == ('{"a": [1]}', '["x"]', "1 day, 0:00:00")
    assert found["u"] == "00000000-0000-0000-0000-000000000001"
    assert (found["raw"], found["single"]) == (b"\x00\xff", 0.1)


def test_types_of_mariadb(mariadb: str, tmp_path: Path) -> None:
    query = (
        "SELECT CAST(1.25 AS DECIMAL(5, 2)) AS n, DATE '2026-01-31' AS d, TRUE AS b, TIME '10:30:00' AS t, 'é😀' AS s"
    )
    found = fetched(mariadb, query, tmp_path / "t.parquet").to_pylist()[0]
    assert (found["n"], str(found["d"]), found["b"], found["t"], found["s"]) == (
        1.25,
        "2026-01-31",
        1,
        "10:30:00",
        "é😀",
    )


def test_names_that_are_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.db").touch()
    with pytest.raises(databases.DatabaseError, match="column names must differ, found 'a' more than once"):
        fetched(f"sqlite:///{tmp_path}/d.db", "SELECT 1 AS a, 2 AS a", tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("postgresql://u@h/d", True), ("mysql+pymysql://h/d", True), ("sqlite:///a.db", True), ("s3://b/k", False),
        ("a/b.csv", False), ("https://h/t.csv", False), ("C:\\t.csv", False),
    ],
)  # fmt: skip
def test_which_addresses_are_databases(text: str, is_one: bool) -> None:
    assert databases.is_url(text) == is_one
