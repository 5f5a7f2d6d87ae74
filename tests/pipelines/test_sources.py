"""Tables from names, files, databases and S3: what is read, and the one line where it cannot be."""

import contextlib
import datetime
import gzip
import hashlib
import json
import socket
import sqlite3
import time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import columns as typed_columns
from pipelines.errors import PipelineError
from pipelines.sources import BUNDLED, ReadOptions, parse, read
from serving.scorecard.inputs import Cleaning
from tests.effort import times
from tests.patience import soon

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1"


def parsed(content: bytes | str, filename: str = "t.csv") -> dict:
    content = content.encode() if isinstance(content, str) else content
    return parse(content, filename, filename).columns.to_pydict()


def refused(content: bytes | str, filename: str = "t.csv") -> str:
    """The one line that a file is refused with."""
    with pytest.raises(PipelineError) as caught:
        parsed(content, filename)
    line = str(caught.value)
    assert "\n" not in line
    assert filename in line
    return line


# --- bundled tables and where data may come from


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_table_has_rows_a_task_and_a_digest_that_stays(name):
    table = read(name)
    assert table.columns.num_rows > 10
    assert table.task == BUNDLED[name]
    assert table.source == f"scikit-learn:{name}"
    assert table.digest == read(name).digest
    assert (table.target == "target") == (name != "linnerud")


def test_diabetes_is_in_its_raw_units():
    assert set(read("diabetes").columns["sex"].to_pylist()) == {1.0, 2.0}


def test_a_file_goes_before_the_bundled_table_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris").write_text("a,b\n1,2\n")
    assert read("iris").columns.column_names == ["a", "b"]
    assert read("breast-cancer").name == "breast_cancer"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("nothing.csv", r"nothing.csv is not there; give a file, .*diabetes"),
        (".", "takes a file, found the folder"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("https://example.org/t.csv", "found https://; download the file first"),
        ("s3://bucket", "expected the address of one object, s3://bucket/key"),
        ("s3://bucket/folder/", "expected the address of one object"),
        ("nosuch://host/db", "no driver for nosuch"),
        ("postgresql://u:se:cret@host:port/db", "not a SQLAlchemy URL"),
    ],
)
def test_what_is_not_there_is_one_line(data, line):
    with pytest.raises(PipelineError, match=line) as caught:
        read(data, query="t" if "://" in data and data[0] in "np" else None)
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_query_goes_with_a_database_only():
    with pytest.raises(PipelineError, match="--query goes with a database URL, found --data iris"):
        read("iris", query="t")


# --- delimited text


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\r\n1,2\r\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\r1,2\r", {"a": ["1"], "b": ["2"]}),
        ("\ufeffa,b\n1,2", {"a": ["1"], "b": ["2"]}),
        ("\n\r\n\na,b\n\n1,2\n\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a;b\n1,5;2\n", {"a": ["1,5"], "b": ["2"]}),
        ("\ufeffsep=;\r\na, b;c\r\n1,5;2\r\n", {"a, b": ["1,5"], "c": ["2"]}),
        ("a\tb\n1\t\n", {"a": ["1"], "b": [""]}),
        ("a|b\nx, y|2\n", {"a": ["x, y"], "b": ["2"]}),
        ("note, b;c\nx;y\n", {"note, b": ["x"], "c": ["y"]}),
        ('"a\nx","b,""q"""\n1,"2\n3"\n', {"a\nx": ["1"], 'b,"q"': ["2\n3"]}),
        (" a , b b \n 1 , x \n", {"a": [" 1 "], "b b": [" x "]}),
        (
            "a,a.b,A,größe,\u2028\n1,2,3,4,5\n",
            {"a": ["1"], "a.b": ["2"], "A": ["3"], "größe": ["4"], "Unnamed: 4": ["5"]},
        ),
        ("a,\n1,\n", {"a": ["1"], "Unnamed: 1": [""]}),
        ("only\n1\n2\n", {"only": ["1", "2"]}),
        (f"{'n' * 300},b\n1,2\n", {"n" * 300: ["1"], "b": ["2"]}),
        ("2019,2020\n1,2\n", {"2019": ["1"], "2020": ["2"]}),
    ],
)
def test_text_in_its_many_forms(text, columns, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert read(str(path)).columns.to_pydict() == columns


def test_every_value_stays_as_it_was_written():
    values = ["1", "1.0", " 1", "NA", "?", "true", "007", "1_000", "2020-01-01", "inf", ""]
    text = "a,b\n" + "".join(f"{value},x\n" for value in values)
    assert parsed(text)["a"] == values


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "found an empty file"),
        ("\n\n", "the first line, which names the columns, is empty"),
        (",,\n1,2,3\n", "the first line, which names the columns, is empty"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 values, the first line names 2 columns"),
        ("sep=;\na;b\n1;2\n3\n", "line 4 has 1 value, the first line names 2 columns"),
        ("a,b\n1,2\n3\n", "line 3 has 1 value, the first line names 2"),
        ("a,b\n" + "1,2,\n" * 400 + "3,4,5\n", "names 2 columns, and row 401 below it has 3 values"),
        ("made by hand\na,b\n1,2\n", "the first line is one value, line 2 has 2; begin with a line that names"),
        ("a,b\n1,2\n# sum\n3,4\n", "line 3 begins with '#'; take out comments"),
        ("name   age\nAnn Lee   5\nBob   6\n", "no delimiter was found: .*--sep"),
        (b"a,b\n1,\xe9\x81\n", "is not UTF-8 text .byte 6., nor Western European; .*--encoding"),
        ("имя,город\nпётр,москва\n".encode("cp1251"), "nor Western European; .*--encoding, for example cp1250, cp1251"),
        (b"\xff\xfea\0,\0b", "is not utf-16 text"),
        (b"a,b\n\x011,\xe9\n", "is binary"),
        (b"<!DOCTYPE html>\n<html>", "is a web page; download the table itself"),
        (b"@RELATION iris\n", "is an ARFF file"),
        (b"\x80\x04\x95\x10", "is a Python pickle"),
        (PNG, "is binary, neither text nor Parquet"),
        (b"a,b\n1,\0\n", "is binary"),
        (b"PK\x03\x04....", "Excel workbook"),
        (b"SQLite format 3\0....", "sqlite:///"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-30], "cannot be read as CSV: .*[Tt]runcated"),
        (b"\x1f\x8b junk", "cannot be read as CSV"),
        (gzip.compress(b"\x28\xb5\x2f\xfd....", mtime=0), "zstd"),
        ('a,b\n1,"' + "x" * 200_000 + "\n", "1 value|field larger than field limit|cannot be read"),
    ],
)
def test_what_is_no_table_of_text_is_one_line(content, line):
    import re

    assert re.search(line, refused(content))


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone_is_an_empty_table(text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(PipelineError, match="expected rows, found an empty table"):
        read(str(path))


@pytest.mark.parametrize("header", ["target,b,target", "a, a ,b"])
def test_two_columns_of_one_name_are_refused(header, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n1,2,3\n")
    with pytest.raises(PipelineError, match=r"column names must differ, found '(target|a)' more than once"):
        read(str(path))


def test_rows_longer_than_a_block_and_headers_longer_than_a_line_buffer(tmp_path):
    long = "x" * 3_000_000
    assert parsed(f'a,b\n1,"{long}"\n')["b"] == [long]
    names = [f"column_{place}" for place in range(20_000)]
    assert list(parsed(",".join(names) + "\n" + ",".join("1" * 20_000) + "\n")) == names


def test_quoted_line_breaks_across_blocks():
    rows = [f'{place},"first\nsecond {place}"' for place in range(100_000)]
    columns = parsed("a,b\n" + "\n".join(rows) + "\n")
    assert columns["b"] == [f"first\nsecond {place}" for place in range(100_000)]


text_cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(text_cells, text_cells), min_size=1, max_size=20))
def test_whatever_the_csv_module_writes_is_read_back(rows):
    import csv
    import io

    written = io.StringIO()
    names = ("one column", "another one")  # longer than any cell: a name among the values may be one of them
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([names, *rows])
    columns = parsed(written.getvalue())
    assert list(zip(*(columns[name] for name in names), strict=True)) == rows


@pytest.mark.parametrize("suffix", ["csv.gz", "csv"])
def test_gzip_is_told_by_its_first_bytes_and_the_digest_is_of_the_file(tmp_path, suffix):
    content = gzip.compress(b"a,b\n1,2\n", mtime=0)
    path = tmp_path / f"sales.2024.{suffix}"
    path.write_bytes(content)
    table = read(str(path))
    assert table.columns.to_pydict() == {"a": ["1"], "b": ["2"]}
    assert table.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert table.name == "sales.2024"
    assert parse(content, path.name, "s").digest == table.digest


# --- Parquet


def parquet(columns: dict | pa.Table, tmp_path) -> pa.Table:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(table, path)
    return read(str(path)).columns


def test_parquet_keeps_its_types_and_is_told_by_its_first_bytes(tmp_path):
    columns = {
        "decimal": pa.array([Decimal("1.50"), None]),
        "codes": pa.array([7, 8]).dictionary_encode(),
        "day": pa.array([datetime.date(2020, 1, 1), None]),
        "at": pa.array([datetime.datetime(2020, 1, 1), None], pa.timestamp("us", tz="Europe/Vienna")),
        "record": pa.array([{"x": 1}, None]),
        "list": pa.array([[1], None]),
        "half": pa.array(np.array([1, 2], "float16")),
        "big": pa.array([2**64 - 1, None], pa.uint64()),
        "flag": pa.array([True, None]),
    }
    table = parquet(columns, tmp_path)
    assert table.column_names == list(columns)
    assert table["big"].to_pylist() == [2**64 - 1, None]
    renamed = tmp_path / "t.csv"
    (tmp_path / "t.parquet").rename(renamed)
    assert read(str(renamed)).columns.equals(table)


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="column names must differ, found 'a'"):
        parquet(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path)


@pytest.mark.parametrize("content", [b"PAR1 and no more", b"a,b\n1,2\n", PNG])
def test_what_is_no_parquet_is_one_line(content):
    assert "cannot be read as Parquet" in refused(content, "t.parquet")


def test_parquet_without_rows_or_columns_is_an_empty_table(tmp_path):
    for table in (pa.table({"a": pa.array([], pa.int64())}), pa.table({})):
        with pytest.raises(PipelineError, match="found an empty table"):
            parquet(table, tmp_path)


# --- JSON lines


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('{"a": 1, "b": "x"}\n{"a": 2.5}\n', {"a": [1.0, 2.5], "b": ["x", None]}),
        ('{"a": 1}\n\n{"a": "x"}\n{"a": true}\n{"b": 1}', {"a": ["1", "x", "true", None], "b": [None, None, None, 1]}),
        ('\ufeff{"a": "x\u2028y"}\n{"a": 1}\n', {"a": ["x\u2028y", "1"]}),
        ('{"a": NaN}\n{"a": 1}\n', {"a": [pytest.approx(np.nan, nan_ok=True), 1.0]}),
        ('{"a": 123456789012345678901}\n{"a": 1}\n', {"a": [123456789012345678901.0, 1.0]}),
    ],
)
def test_json_lines(text, columns):
    assert parsed(text, "t.jsonl") == columns


def test_columns_of_scalars_of_several_types_are_told():
    lines = [
        {"n": 3, "t": True, "m": 1},
        {"n": "5+", "t": "unknown", "m": 2.5},
        {"n": 3.0, "t": False, "m": None},
    ]
    table = parse("\n".join(map(json.dumps, lines)).encode(), "t.jsonl", "t")
    assert table.columns.to_pydict() == {
        "n": ["3", "5+", "3"],
        "t": ["true", "unknown", "false"],
        "m": [1.0, 2.5, None],
    }
    assert table.notes == (
        "'n' holds numbers and texts, all read as text",
        "'t' holds true and false and texts, all read as text",
    )


def test_json_lines_with_objects_and_lists_keep_their_other_columns():
    lines = '{"a": {"x": 1}, "b": 1}\n{"a": [1], "b": 2}\n{"a": "t", "b": "u"}\n'
    found = parse(lines.encode(), "t.ndjson", "t").columns
    assert found["b"].to_pylist() == ["1", "2", "u"]
    assert typed_columns.infer("a", found["a"], Cleaning()).type == typed_columns.NESTED


def test_a_line_longer_than_a_block():
    long = "x" * 3_000_000
    assert parsed(json.dumps({"a": long}) + '\n{"a": "y"}\n', "t.jsonl")["a"] == [long, "y"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1\n2\n", "line 1 is not an object"),
        ('{"a": 1}\n[1]\n', "line 2 is not an object"),
        ('{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ('[{"a": 1}]', 'one JSON array, expected an object a line; .*orient="records", lines=True'),
        ('{"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}', 'holds whole columns, .*orient="records", lines=True'),
        ('{"columns": ["a"], "index": [0], "data": [[1]]}', 'holds whole columns, .*orient="records", lines=True'),
        ('{\n "a": {\n  "0": 1 }\n}', 'one JSON object.*orient="records", lines=True'),
        ("[" * 100_000, "one JSON array"),
        ('{"a": ' + "[" * 100_000, "line 1 is not JSON|cannot be read"),
        ("a,b\n1,2\n", "is not JSON"),
    ],
)
def test_what_is_no_json_lines_is_one_line(text, line):
    import re

    assert re.search(line, refused(text, "t.jsonl"))


# --- laws of any bytes

junk = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode),
    st.text('ab,;|\t"\n\r 1.{}[]:', max_size=60).map(str.encode),
    st.binary(max_size=40).map(lambda rest: b"PAR1" + rest + b"PAR1"),
    st.binary(max_size=40).map(lambda rest: gzip.compress(rest, mtime=0)[:-3]),
    st.text(max_size=40).map(lambda rest: gzip.compress(rest.encode(), mtime=0)),
)


@settings(max_examples=times(300))
@given(junk, st.sampled_from(["t.csv", "t.tsv", "t.parquet", "t.jsonl", "t", "t.csv.gz", "t.parquet.gz", ".csv"]))
def test_any_bytes_are_a_table_or_one_line(content, filename):
    found: pa.Table | str
    try:
        found = parse(content, filename, filename).columns
    except PipelineError as error:
        found = str(error)
    assert isinstance(found, pa.Table) or len(found.splitlines()) == 1


# --- SQL


@pytest.fixture
def sqlite(tmp_path):
    path = tmp_path / "d.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            """
            CREATE TABLE plain (a INTEGER, b REAL, c TEXT);
            INSERT INTO plain VALUES (1, 1.5, 'x'), (NULL, NULL, NULL), (3, 'odd', '12:30');
            CREATE TABLE "odd name, with 50% ""quotes"":and" ("a b" INT, "c:d%e" TEXT, "f""g" TEXT);
            INSERT INTO "odd name, with 50% ""quotes"":and" VALUES (1, 'x', 'y');
            CREATE VIEW seen AS SELECT a FROM plain WHERE a IS NOT NULL;
            CREATE TABLE empty (a INT);
            """
        )
    return f"sqlite:///{path}"


def test_a_table_a_view_a_schema_and_a_query(sqlite):
    assert read(sqlite, query="plain").columns.to_pydict() == {
        "a": [1, None, 3],
        "b": ["1.5", None, "odd"],
        "c": ["x", None, "12:30"],
    }
    assert read(sqlite, query="seen").columns.to_pydict() == {"a": [1, 3]}
    assert read(sqlite, query="main.plain").columns.num_rows == 3
    table = read(sqlite, query="SELECT c AS \"a:b\", 7 % 4 AS m FROM plain WHERE c LIKE '%:30' OR c = ':x';")
    assert table.columns.to_pydict() == {"a:b": ["12:30"], "m": [3]}
    assert table.source.endswith("#SELECT c AS \"a:b\", 7 % 4 AS m FROM plain WHERE c LIKE '%:30' OR c = ':x'")


def test_columns_of_several_types_of_a_database_are_told(sqlite):
    assert read(sqlite, query="plain").notes == ("'b' holds numbers and texts, all read as text",)
    with pytest.raises(PipelineError, match="--sep goes with delimited text, found a database"):
        read(sqlite, query="plain", options=ReadOptions(sep=";"))
    table = read(sqlite, query="SELECT '1.234,5' AS a", options=ReadOptions(decimal=","))
    assert table.marks_of("a") == (",", ".")


def test_a_table_with_an_odd_name_and_odd_columns(sqlite):
    table = read(sqlite, query='odd name, with 50% "quotes":and')
    assert table.columns.to_pydict() == {"a b": [1], "c:d%e": ["x"], 'f"g': ["y"]}


def test_the_digest_is_of_the_rows(sqlite):
    assert read(sqlite, query="seen").digest == read(sqlite, query="SELECT a FROM plain WHERE a > 0").digest
    assert read(sqlite, query="seen").digest != read(sqlite, query="SELECT a FROM plain WHERE a > 1").digest


@pytest.mark.parametrize(
    ("query", "line"),
    [
        (None, "--query is needed with a database"),
        (" ", "--query is needed with a database"),
        ("nosuch", "--query nosuch: no such table; found 'empty', .*'plain'"),
        ("SELECT * FROM nosuch", "refused: no such table: nosuch"),
        ("SELECT 1; SELECT 2", "refused: .*one statement at a time"),
        (
            "DELETE FROM plain",
            "expected a table's name or a SELECT, found neither: it begins with 'DELETE'; nothing was",
        ),
        ("empty", "expected rows, found an empty table"),
        ("SELECT 1 AS a, 2 AS a", "column names must differ, found 'a'"),
        ("SELECT :x", "refused: "),
    ],
)
def test_what_a_database_refuses_is_one_line(sqlite, query, line):
    with pytest.raises(PipelineError, match=line) as caught:
        read(sqlite, query=query)
    assert "\n" not in str(caught.value)
    assert read(sqlite, query="plain").columns.num_rows == 3


def test_a_sqlite_file_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(PipelineError, match="is not there: no file"):
        read(f"sqlite:///{tmp_path}/new.db", query="t")
    assert not list(tmp_path.iterdir())


def test_a_sqlite_file_that_is_none(tmp_path):
    (tmp_path / "x.db").write_bytes(PNG * 100)
    with pytest.raises(PipelineError, match="refused: file is not a database"):
        read(f"sqlite:///{tmp_path}/x.db", query="t")


@pytest.fixture(scope="module")
def filled(postgresql):
    import psycopg

    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(
            """
            CREATE SCHEMA "odd schema";
            CREATE TABLE "odd schema"."Sales 2024" ("Größe (cm)" NUMERIC(8, 2), "100%" TEXT, "a:b" BOOLEAN,
                day DATE, at TIMESTAMPTZ, tags TEXT[], doc JSONB, n BIGINT, u UUID, raw BYTEA);
            INSERT INTO "odd schema"."Sales 2024" VALUES
                (1.25, '50%', TRUE, '2024-01-31', '2024-01-31 10:00+02', '{a}', '{"x": 1}', 9007199254740993,
                 '00000000-0000-0000-0000-000000000001', '\\x00'),
                (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
            """
        )
    return postgresql


def test_postgresql_keeps_numbers_nulls_booleans_and_dates(filled):
    columns = read(filled, query="odd schema.Sales 2024").columns
    assert columns["Größe (cm)"].to_pylist() == [1.25, None]
    assert columns["100%"].to_pylist() == ["50%", None]
    assert columns["a:b"].to_pylist() == [True, None]
    assert pa.types.is_date(columns["day"].type)
    assert pa.types.is_timestamp(columns["at"].type)
    assert columns["n"].to_pylist() == [9007199254740993, None]
    assert pa.types.is_nested(columns["tags"].type)


def test_postgresql_takes_colons_casts_and_percent_signs(filled):
    query = """SELECT 7 % 4 AS m, '10:30'::time::text AS t, '50%' LIKE '%\\%' AS "is%", ':x' AS c"""
    assert read(filled, query=query).columns.to_pydict() == {"m": [3], "t": ["10:30:00"], "is%": [True], "c": [":x"]}


def test_postgresql_changes_nothing(filled):
    deleting = 'DELETE FROM "odd schema"."Sales 2024" RETURNING n'
    with pytest.raises(PipelineError, match="nothing was executed"):
        read(filled, query=deleting)
    with pytest.raises(PipelineError, match="refused"):
        read(filled, query=f"WITH gone AS ({deleting}) SELECT n FROM gone")
    assert read(filled, query="odd schema.Sales 2024").columns.num_rows == 2


def test_a_wrong_password_is_refused_and_not_told(filled):
    import sqlalchemy

    wrong = sqlalchemy.engine.make_url(filled).set(password="s3cr:t@")
    with pytest.raises(PipelineError, match=r"refused: .*password authentication failed") as caught:
        read(wrong.render_as_string(hide_password=False), query="t")
    assert "s3cr" not in str(caught.value)
    table = read(filled, query="SELECT 1 AS a")
    assert sqlalchemy.engine.make_url(filled).password not in table.source


def test_a_missing_table_of_postgresql(filled):
    with pytest.raises(PipelineError, match="--query nosuch: no such table"):
        read(filled, query="nosuch")


def test_a_database_that_does_not_answer_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(PipelineError, match=r"postgresql://u:\*\*\*@.* refused: .*time"):
            read(f"postgresql://u:hidden@localhost:{silent.getsockname()[1]}/d", query="t")
        assert time.monotonic() - began < soon(15)


# --- S3


@pytest.fixture
def bucket(object_store, monkeypatch):
    for name, value in object_store.env.items():
        monkeypatch.setenv(name, value)
    name = "sources"
    client = object_store.client()
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="folder/sales 2024.csv", Body=b"a,b\n1,2\n")
    client.put_object(Bucket=name, Key="folder/zipped.csv.gz", Body=gzip.compress(b"a,b\n3,4\n", mtime=0))
    client.put_object(Bucket=name, Key="junk.csv", Body=PNG)
    return name


def test_objects_of_s3(bucket, monkeypatch):
    table = read(f"s3://{bucket}/folder/sales 2024.csv")
    assert table.columns.to_pydict() == {"a": ["1"], "b": ["2"]}
    assert table.name == "sales 2024"
    assert table.source == f"s3://{bucket}/folder/sales 2024.csv"
    assert table.digest == f"sha256:{hashlib.sha256(b'a,b' + chr(10).encode() + b'1,2' + chr(10).encode()).hexdigest()}"
    assert read(f"S3://{bucket}/folder/zipped.csv.gz").columns.to_pydict() == {"a": ["3"], "b": ["4"]}
    for uri, line in (
        (f"s3://{bucket}/nosuch.csv", "no such bucket or key"),
        ("s3://nosuchbucket/a.csv", "no such bucket or key"),
        (f"s3://{bucket}/junk.csv", f"s3://{bucket}/junk.csv is binary"),
    ):
        with pytest.raises(PipelineError, match=line):
            read(uri)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PipelineError, match="access refused; check the credentials"):
        read(f"s3://{bucket}/junk.csv")
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    with pytest.raises(PipelineError, match="cannot be fetched: Unable to locate credentials"):
        read(f"s3://{bucket}/junk.csv")


def test_an_s3_that_is_not_there(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    began = time.monotonic()
    with pytest.raises(PipelineError, match="cannot be fetched: Could not connect"):
        read("s3://bucket/a.csv")
    assert time.monotonic() - began < soon(15)
