"""Text files as people have them are read as in training, and what is wrong with one is told by its line."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import PipelineError
from pipelines.sources import ReadOptions, parse
from serving import batch
from serving.batch import ScoreRequest
from serving.batch.texts import ReadSettings
from serving.errors import ServingError
from tests.effort import times
from tests.serving.batch.test_score import good, saved
from tests.serving.scorecard import portable

HEAD, ROW = "id,amount,rooms,flag,town,grade", "4,3,true,Ham,high"


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


def scored(card: str, source: Path, **more: Any) -> pd.DataFrame:
    """The answers in a Parquet file beside the source."""
    out = source.with_name("out.parquet")
    batch.score(ScoreRequest(card, str(source), str(out), overwrite=True, **more))
    return pd.read_parquet(out)


def kept(found: pd.DataFrame) -> pd.DataFrame:
    return found.loc[:, :"prediction"].drop(columns="prediction")


# --- CSV


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (f"\n\n{HEAD}\n1,{ROW}\n", {}),
        (f"sep=,\n{HEAD}\n1,{ROW}\n", {}),
        (f"# made by hand\n{HEAD}\n1,{ROW}\n", {}),
        (f"Sales of June\n\n{HEAD}\n1,{ROW}\n", {"skip_rows": 2}),
        (f'\ufeff"id"{HEAD[2:]}\n1,{ROW}\n', {}),
        (f"{HEAD}\r\n1,{ROW}\n", {}),
        (f"{HEAD}\n1,{ROW},\n", {}),
        ("{}\n1,{}\n".format(HEAD.replace(",", ", "), ROW.replace("Ham", '"Ham"').replace(",", ", ")), {}),
        (f"{HEAD}\n1,{ROW}\n".replace(",", " "), {}),
        (f"{HEAD}\n1,{ROW}\n".replace(",", "|"), {}),
        (f"{HEAD}\n1,{ROW}\n".replace(",", "\t"), {"sep": "\\t"}),
    ],
)
def test_what_stands_above_between_and_behind(content: str, more: dict, card: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content, newline="")
    found = scored(card, tmp_path / "t.csv", reading=ReadSettings(**more))
    assert kept(found).iloc[0].tolist() == ["1", "4", "3", "true", "Ham", "high"]


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_cell_that_holds_a_line_end_is_one_cell(end: str, inside: str, card: str, tmp_path: Path) -> None:
    name = f"two{inside}lines"
    lines = [f"{HEAD},name", f'1,{ROW},"{name}"', f"2,{ROW},plain", ""]
    (tmp_path / "t.csv").write_text(end.join(lines), newline="")
    assert scored(card, tmp_path / "t.csv")["name"].tolist() == [name, "plain"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl"])
def test_an_encoding_is_found_as_in_training(encoding: str, form: str, card: str, tmp_path: Path) -> None:
    table = good(200).assign(name="Zoë")
    text = (
        table.to_json(orient="records", lines=True, force_ascii=False) if form == "jsonl" else table.to_csv(index=False)
    )
    content = text.encode(encoding)
    path = tmp_path / f"t.{form}"
    path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    if form != "jsonl":
        assert set(parse(path.read_bytes(), path.name, "t").columns["name"].to_pylist()) == {"Zoë"}
    assert set(scored(card, path)["name"]) == {"Zoë"}


def test_an_encoding_that_is_given(card: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(good(2).assign(name="Łódź").to_csv(index=False).encode("cp1250"))
    found = scored(card, tmp_path / "t.csv", reading=ReadSettings(encoding="cp1250"))
    assert set(found["name"]) == {"Łódź"}
    with pytest.raises(ServingError, match="--encoding: expected one that Python knows"):
        ReadSettings(encoding="rot13")


CELLS = st.one_of(
    st.sampled_from(["", "1", "2.5", "x", "a b", 'q"q', "1,5", "a;b", "é", "line\nbreak", "#", "NA", " padded "]),
    st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"]), max_size=4),
)


@settings(max_examples=times(80), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]),
    above=st.sampled_from(["", "\n", "\r\n\n"]),
)
def test_a_file_is_read_as_training_reads_it(tmp_path: Path, rows, delimiter, end, quoting, encoding, above) -> None:
    """Whatever the delimiter, the quotes, the line ends and the encoding: the same columns, or both refuse."""
    card = saved(portable.scorecard("binary"), tmp_path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["note", "other", *portable.GOOD])
    writer.writerows([*row, *{**portable.GOOD, "flag": "true"}.values()] for row in rows)
    path = tmp_path / "t.csv"
    path.write_bytes((above + text.getvalue()).encode(encoding, errors="replace"))
    try:
        wanted = parse(path.read_bytes(), "t.csv", "t", ReadOptions(sep=delimiter, header=True)).columns.to_pandas()
    except PipelineError:
        wanted = None
    reading = ReadSettings(sep=delimiter, header=True)
    if wanted is None:
        with pytest.raises(ServingError):
            scored(card, path, reading=reading)
    else:
        found = kept(scored(card, path, reading=reading)).fillna("")
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{HEAD}\n1,{ROW}\n\n2,secret\n", "line 4 has 2 values, the first line names 6 columns"),
        (f"{HEAD}\n1,{ROW},secret\n2,{ROW}\n", "line 2 has 7 values, the first line names 6 columns"),
        (f"{HEAD},town\n1,{ROW},secret\n", "column names must differ, found 'town' more than once"),
        (f"{HEAD},Town\n1,{ROW},secret\n", "the columns 'town' and 'Town' have one name"),
        ("Sales of secret\n\n" + f"{HEAD}\n" + f"1,{ROW}\n" * 9, "seems to begin at line 3.*--skip-rows 2"),
        (f"{HEAD}\n" + f"1,{ROW}\n" * 99 + "\0", "holds a NUL byte in line 101"),
        ("PK\x03\x04secret", "is a zip archive or an Excel workbook"),
        ("<html>secret", "is a web page"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(content: str, says: str, card: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ServingError, match=says) as error:
        scored(card, tmp_path / "t.csv")
    assert "secret" not in str(error.value)
    assert not (tmp_path / "out.parquet").exists()


def test_a_late_byte_that_is_no_text(card: str, tmp_path: Path) -> None:
    rows = f"{HEAD}\n" + f"1,{ROW}\n" * 60_000
    (tmp_path / "t.csv").write_bytes(rows.encode() + b"2,4,3,true,K\xf6ln,high\n")
    assert scored(card, tmp_path / "t.csv")["town"].iloc[-1] == "Köln"
    (tmp_path / "t.csv").write_bytes(rows.encode() + b"2,4,3,true,\x81,high\n")
    with pytest.raises(ServingError, match=r"is not UTF-8 text|is not cp1252 text"):
        scored(card, tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["a[1].csv", "a*b.csv", "a?.csv", "a'b.csv", "ü %20.csv", f"{'x' * 240}.csv"])
def test_odd_names_of_files(name: str, card: str, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text(f"{HEAD}\n1,{ROW}\n2,{ROW}\n")
    (tmp_path / name).write_text(f"{HEAD}\n1,{ROW}\n")
    out = tmp_path / "out" / name
    out.parent.mkdir()
    assert batch.score(ScoreRequest(card, str(tmp_path / name), str(out))).rows == 1
    assert len(pd.read_csv(out)) == 1


# --- JSON lines


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({**portable.GOOD, "flag": True, **row}) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([9007199254740993, 1.5], ["9007199254740993", "1.5"]),
        ([9007199254740993, 2], [9007199254740993, 2]),
        ([-1, 2**63], ["-1", "9223372036854775808"]),
        ([1, 2**63], [1, 2**63]),
        ([1, 2**70], ["1", str(2**70)]),
        ([1, 1.5], [1.0, 1.5]),
        (["2026-11-01", "2026-11-02T10:00:00+02:00"], ["2026-11-01", "2026-11-02T10:00:00+02:00"]),
        (["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]),
        ([1, "x", True, None], ["1", "x", "true", None]),
        ([True, False], [True, False]),
        (["007", "1"], ["007", "1"]),
        ([{"b": 1, "a": [1.5, None]}, None], ['{"b":1,"a":[1.5,null]}', None]),
        ([None, None], [None, None]),
    ],
)
def test_columns_of_json_that_are_kept_come_out_as_they_went_in(
    values: list, wanted: list, card: str, tmp_path: Path
) -> None:
    path = lines(tmp_path / "t.jsonl", [{"kept": value} for value in values])
    scored(card, path, keep=("kept",))
    assert pq.read_table(tmp_path / "out.parquet")["kept"].to_pylist() == wanted


def test_many_columns_of_one_type_are_columns(card: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", [{f"c{place}": place for place in range(300)}])
    assert scored(card, path)["c299"].tolist() == [299]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1, "a": "secret"}\n', "line 1 has the key 'a' more than once"),
        ('{"a": 1}\n{"a": secret}\n', "line 2 is not JSON"),
        ('{"a": 1}\n["secret"]\n', "line 2 is not an object of column names and values"),
        ('["secret"]\n["secret"]\n', "each line is a JSON array"),
        ('[{"a": 1},\n{"a": 2}]\n', "it is one JSON array"),
        ('{\n"a": 1\n}\n', "it is one JSON object over many lines"),
        ('{"a": 1, "A": 2}\n', "the columns 'a' and 'A' have one name"),
    ],
)
def test_what_is_wrong_with_json_lines_is_told_by_its_line(content: str, says: str, card: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(ServingError, match=says) as error:
        scored(card, tmp_path / "t.jsonl")
    assert "secret" not in str(error.value)


# --- columns with types


@pytest.mark.parametrize("engine", ["duckdb", "numpy"])
@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("amount", pa.array([b"1"]), "BLOB"),
        ("amount", pa.array([{"a": 1}]), "STRUCT"),
        ("amount", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "MAP"),
        ("amount", pa.array([0], pa.timestamp("us", "UTC")), "TIMESTAMP WITH TIME ZONE"),
        ("amount", pa.array([True]), "BOOLEAN"),
        ("town", pa.array([[1]]), "BIGINT"),
        ("town", pa.array([b"Ham"]), "BLOB"),
    ],
)
def test_a_type_of_which_every_row_would_be_rejected_is_refused(
    name: str, values: pa.Array, kind: str, engine: str, card: str, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist([{**portable.GOOD, "flag": True}])
    pq.write_table(table.set_column(table.column_names.index(name), name, values), tmp_path / "t.parquet")
    with pytest.raises(ServingError, match=f"the column '{name}' is of type {kind}"):
        scored(card, tmp_path / "t.parquet", engine=engine)


@pytest.mark.parametrize("engine", ["duckdb", "numpy"])
def test_decimals_are_numbers_and_uuids_texts(engine: str, card: str, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**portable.GOOD, "flag": True}])
    for name, values in (
        ("amount", pa.array([4]).cast(pa.decimal128(22, 2))),
        ("town", pa.array([b"0123456789abcdef"], pa.uuid())),
    ):
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, tmp_path / "t.parquet")
    found = scored(card, tmp_path / "t.parquet", engine=engine)
    wanted = portable.scorecard("binary").probabilities_row(
        {**portable.GOOD, "flag": True, "town": "30313233-3435-3637-3839-616263646566"}
    )
    assert found[["probability_False", "probability_True"]].iloc[0].tolist() == pytest.approx(wanted, rel=1e-12)


def test_columns_of_parquet_that_differ_in_case_are_refused(card: str, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**portable.GOOD, "flag": True, "TOWN": "x"}])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ServingError, match="the columns 'town' and 'TOWN' have one name"):
        scored(card, tmp_path / "t.parquet")
