"""Lines of JSON that functions write, and what `collect` makes of them."""

import gzip
import json
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from serving.__main__ import cli
from serving.errors import ServingError
from serving.functions.function import HttpFunction
from serving.functions.sampling import hashed, sampled
from serving.prediction_log.lines import collect
from tests.serving.server import servers

CARD = servers.classification()
ABOUT = {"model": "visits", "version": "7", "digest": "sha256:" + "ab" * 32}
HEADERS = [("Content-Type", "application/json")]


def function(**environment: str) -> tuple[HttpFunction, list[str]]:
    lines: list[str] = []
    return HttpFunction(
        CARD, ABOUT, {"RECORD": "stdout", **environment}, write=lambda line, _: lines.append(line)
    ), lines


def ask(asked: HttpFunction, value: object, id: str = "one", path: str = "/invocations") -> int:
    body = json.dumps(value).encode()
    return asked("POST", path, [*HEADERS, ("X-Request-Id", id)], body).status


def logged(log: Path) -> list[dict]:
    rows = duckdb.sql(f"select * from read_parquet('{log}/**/*.parquet', union_by_name=true)")
    return rows.order("request_id, row").to_arrow_table().to_pylist()


def test_a_function_writes_the_row_that_the_server_records(tmp_path: Path):
    asked, lines = function()
    assert ask(asked, {"dataframe_records": [servers.MIXED, {**servers.MIXED, "region": None}]}) == 200
    assert ask(asked, {"dataframe_records": [servers.MIXED], "params": {"output": "probabilities"}}, "two") == 200
    assert ask(asked, {"dataframe_records": [{"age": "x"}]}, "three") == 400
    (tmp_path / "lines").write_text("\n".join(["START RequestId", *lines, "{broken"]))
    found = collect([str(tmp_path / "lines")], str(tmp_path / "log"))
    assert (found.rows, found.broken) == (4, 0)
    one, second, three, two = logged(tmp_path / "log")
    assert (one["model"], one["version"], one["role"], one["row"], one["status"]) == ("visits", "7", "champion", 0, 200)
    assert (one["feature_age"], one["feature_visits"], one["feature_member"], one["feature_region"]) == (
        *(40.0, 3, True, "north"),
    )
    assert (one["prediction"], two["prediction"]) == ("yes", "yes")
    assert one["probability_yes"] == CARD.probabilities_row(servers.MIXED)[1]
    assert second["feature_region"] is None
    assert (three["row"], three["status"], three["feature_age"]) == (None, 400, None)


def test_without_the_setting_no_row_is_written():
    asked, lines = function(RECORD="")
    assert ask(asked, {"dataframe_records": [servers.MIXED]}) == 200
    assert not any("prediction_log" in line for line in lines)


def test_what_is_no_prediction_of_a_caller_who_was_let_in_is_no_row():
    asked, lines = function(API_KEYS="ab" * 32)
    assert ask(asked, {"dataframe_records": [servers.MIXED]}) == 401
    assert asked("GET", "/ping", [], b"").status == 200
    assert not any("prediction_log" in line for line in lines)


def test_columns_are_left_out_hashed_or_dropped_without_a_key():
    asked, lines = function(RECORD_COLUMNS="age,region", RECORD_HASH="region", RECORD_KEY="k" * 16)
    ask(asked, {"dataframe_records": [servers.MIXED]})
    row = json.loads(lines[-1])
    assert {name for name in row if name.startswith("feature_")} == {"feature_age", "feature_region"}
    assert row["feature_region"] == hashed(b"k" * 16, "north")
    asked, lines = function(RECORD_HASH="region")
    ask(asked, {"dataframe_records": [servers.MIXED]})
    assert "feature_region" not in json.loads(lines[-1])
    assert "north" not in "".join(lines)


def test_a_share_is_that_of_the_server():
    asked, lines = function(RECORD_SHARE="0.3")
    for number in range(60):
        ask(asked, {"dataframe_records": [servers.MIXED]}, f"id-{number}")
    ids = {json.loads(line)["request_id"] for line in lines if "prediction_log" in line}
    assert ids == {f"id-{number}" for number in range(60) if sampled(f"id-{number}", 0.3)}
    assert 0 < len(ids) < 60


def test_lines_are_found_in_what_clouds_make_of_them(tmp_path: Path):
    asked, lines = function()
    ask(asked, {"dataframe_records": [servers.MIXED] * 3})
    first, second, third = (line for line in lines if "prediction_log" in line)
    exported = [
        f"2026-11-30T12:00:00 {first}",
        json.dumps({"timestamp": "x", "jsonPayload": json.loads(second)}),
        json.dumps({"message": third, "severity": "INFO"}),
        first[:60],
        json.dumps({"other": "prediction_log"}),
    ]
    (tmp_path / "lines").write_text("\n".join(exported))
    found = collect([str(tmp_path / "lines")], str(tmp_path / "log"))
    assert (found.rows, found.broken) == (3, 2)


def test_rows_none_of_which_can_be_read_are_a_failure(tmp_path: Path):
    for line, told in (("prediction_log", "0 rows added; 1 lines could not be read\n"), ("x", "0 rows added\n")):
        (tmp_path / "lines").write_text(line)
        done = CliRunner().invoke(cli, ["collect", str(tmp_path / "lines"), "--output", str(tmp_path / "log")])
        assert (done.exit_code, done.output) == (int(line != "x"), told)


def test_reading_the_same_lines_again_adds_nothing(tmp_path: Path):
    asked, lines = function()
    ask(asked, {"dataframe_records": [servers.MIXED] * 3})
    for more in ("3 rows added\n", "0 rows added; 3 were there already\n", "3 rows added; 9 were there already\n"):
        if more.startswith("3 rows added;"):  # a longer part of the same log, with a refused request
            ask(asked, {"dataframe_records": [servers.MIXED] * 2}, "two")
            ask(asked, {"dataframe_records": [{"age": "x"}]}, "three")
            lines *= 2
        (tmp_path / "lines").write_text("\n".join(lines))
        done = CliRunner().invoke(cli, ["collect", str(tmp_path / "lines"), "--output", str(tmp_path / "log")])
        assert done.output == more
    assert len(logged(tmp_path / "log")) == 6


def test_a_folder_of_files_some_of_them_compressed(tmp_path: Path):
    asked, lines = function()
    folder = tmp_path / "2026" / "11"
    folder.mkdir(parents=True)
    for number in range(4):
        ask(asked, {"dataframe_records": [servers.MIXED]}, f"id-{number}")
        text = lines[-1].encode() + b"\n"
        packed = [text, gzip.compress(text), gzip.compress(text)[:-9], b""][number]
        (folder / f"{number}").write_bytes(packed)
    with pytest.raises(ServingError, match=r"2026/11/2 is cut, or no gzip; remove it"):
        collect([str(tmp_path)], str(tmp_path / "log"))
    (folder / "2").unlink()
    assert collect([str(tmp_path / "2026")], str(tmp_path / "log")).rows == 2


def test_lines_go_into_a_database(tmp_path: Path):
    import sqlalchemy

    asked, lines = function()
    ask(asked, {"dataframe_records": [servers.MIXED] * 2})
    (tmp_path / "lines").write_text("\n".join(lines))
    url = f"sqlite:///{tmp_path / 'log.db'}"
    assert collect([str(tmp_path / "lines")], url).rows == 2
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("select prediction, feature_age from prediction_log_visits")).all()
    engine.dispose()
    assert rows == [("yes", 40.0)] * 2


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    from serving.errors import ServingError

    with pytest.raises(ServingError, match="cannot be read: No such file"):
        collect([str(tmp_path / "nothing")], str(tmp_path / "log"))
