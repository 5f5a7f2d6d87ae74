"""`score --record`: the prediction log has the rows of a job that are answered, once, or none of them."""

import csv
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving import batch
from serving.batch import ScoreRequest
from serving.errors import ServingError
from serving.functions.sampling import hashed, sampled
from serving.scorecard import Scorecard
from tests import forked
from tests.command import run
from tests.serving.batch.test_score import ROWS, expected
from tests.serving.scorecard import portable
from tests.serving.server import servers

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorecard of ``servers.classification``."""
    path = tmp_path_factory.mktemp("card") / "visits.json"
    path.write_text(servers.classification().dumps(), encoding="utf-8")
    return path


def table(path: Path, *rows: dict[str, Any], times: int = 1) -> Path:
    """A CSV file of rows that the model answers, or that begin as one of these."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, servers.MIXED, lineterminator="\n")
        writer.writeheader()
        for row in rows or ({},):
            writer.writerows([servers.MIXED | row] * times)
    return path


def score(card: Path, source: Path, out: Path, log: Path | str, **more: Any) -> batch.request.Scored:
    return batch.score(ScoreRequest(str(card), str(source), str(out), record=str(log), **more))


def recorded(log: Path) -> list[dict[str, Any]]:
    if not list(log.rglob("*.parquet")):
        return []
    rows = duckdb.sql(f"select * from read_parquet('{log}/**/*.parquet', union_by_name=true) order by request_id, row")
    return rows.to_arrow_table().to_pylist()


@pytest.mark.parametrize("name", ["regression", "softmax"])
def test_hard_rows_are_recorded_as_the_model_read_and_answered_them(name: str, tmp_path: Path) -> None:
    card: Scorecard = portable.scorecard(name)
    (tmp_path / "card.json").write_text(card.dumps(), encoding="utf-8")
    kinds = {"town": pa.string(), "grade": pa.string()}
    fields = [pa.field(column, kinds.get(column, pa.float64())) for column in portable.GOOD]
    pq.write_table(pa.Table.from_pylist(ROWS, pa.schema(fields)), tmp_path / "rows.parquet")

    done = score(tmp_path / "card.json", tmp_path / "rows.parquet", tmp_path / "out.parquet", tmp_path / "log")

    wanted, refused = expected(card, ROWS)
    found = recorded(tmp_path / "log")
    assert [row["row"] for row in found] == [place for place in range(len(ROWS)) if place not in refused]
    assert {row["request_id"] for row in found} == {done.files[0].request_id}
    labels = [f"probability_{label}" for label in card.classes or ()]
    for row, answer in zip(found, wanted, strict=True):
        assert row["prediction"] == (answer[0] if labels else pytest.approx(answer[0], rel=1e-11))
        assert [row[label] for label in labels] == pytest.approx(list(answer[1:]), rel=1e-11)
        for item in card.inputs:
            assert row[f"feature_{item.name}"] == item.read(ROWS[row["row"]][item.name], card.cleaning)
        assert (row["role"], row["status"], row["latency_ms"], row["sampling"]) == ("batch", 200, None, 1.0)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["prediction"].to_pylist() == [row["prediction"] for row in found]
    assert {row["time"] for row in found} == set(out["scored_at"].to_pylist())


def test_the_columns_are_those_of_a_function_and_a_hashed_one_is_nowhere(card: Path, tmp_path: Path) -> None:
    from serving.functions.function import HttpFunction

    lines: list[str] = []
    settings = {"RECORD": "stdout", "RECORD_HASH": "region", "RECORD_KEY": KEY}
    about = {"model": "visits", "version": "7", "digest": ""}
    asked = HttpFunction(servers.classification(), about, settings, write=lambda line, _: lines.append(line))
    body = json.dumps({"dataframe_records": [servers.MIXED]}).encode()
    asked("POST", "/invocations", [("Content-Type", "application/json")], body)
    (tmp_path / "key").write_text(KEY)
    words = ["--record", "log", "--record-hash", "region", "--record-key", "key"]
    source = table(tmp_path / "t.csv", times=3)
    done = run(
        "score", str(card), "--input", str(source), "--output", "o.csv", *words, folder=tmp_path, package="serving"
    )
    assert done.code == 0, done.err
    rows = recorded(tmp_path / "log")
    assert f"o.csv: 3 rows, recorded as {rows[0]['request_id']}" in done.out
    wanted = json.loads(lines[-1])
    for name in ("feature_age", "feature_visits", "feature_member", "feature_region", "prediction", "probability_yes"):
        assert (
            rows[0][name] == pytest.approx(wanted[name], rel=1e-12) if "prob" in name else rows[0][name] == wanted[name]
        )
    assert rows[0]["feature_region"] == hashed(KEY.encode(), "north")
    assert all(b"north" not in file.read_bytes() for file in (tmp_path / "log").rglob("*") if file.is_file())


def test_a_failed_job_leaves_no_row_and_one_that_is_run_again_none_twice(card: Path, tmp_path: Path) -> None:
    folder, log, out = tmp_path / "in", tmp_path / "log", tmp_path / "out"
    folder.mkdir()
    table(folder / "a.csv", times=5)
    table(folder / "b.csv", {}, {"age": "secret"}, times=2)
    with pytest.raises(ServingError, match="1 of 2 files"):
        score(card, folder, out, log, rejects="fail")
    assert len(recorded(log)) == 5
    table(folder / "b.csv", {}, {"age": 41.0}, times=2)
    done = score(card, folder, out, log, rejects="fail")
    assert [file.done_before for file in done.files] == [True, False]
    assert len(recorded(log)) == 9
    score(card, folder, out, log, overwrite=True, rejects="fail", record_columns=("age",))
    assert len(recorded(log)) == 9
    assert not list(log.glob("_recording/*"))
    # Other rows, or another place of the answers, are another job.
    table(folder / "b.csv", {"age": 42.0})
    score(card, folder, out, log, rejects="fail")
    assert len(recorded(log)) == 10
    # What was scored without a record is not done for one with it.
    score(card, folder, tmp_path / "plain", log)
    assert len(recorded(log)) == 16


def test_an_earlier_run_of_another_day_is_replaced(card: Path, tmp_path: Path) -> None:
    source, log = table(tmp_path / "t.csv"), tmp_path / "log"
    score(card, source, tmp_path / "o.csv", log)
    (day,) = log.glob("model=*/date=*")
    day.rename(day.with_name("date=2020-01-01"))
    score(card, source, tmp_path / "o.csv", log, overwrite=True)
    assert [path.parent.name for path in log.rglob("*.parquet")] == [day.name]


def test_a_job_that_is_killed_leaves_no_row_and_the_next_one_cleans(card: Path, tmp_path: Path) -> None:
    source, log = table(tmp_path / "t.csv", times=300_000), tmp_path / "log"
    words = ["score", str(card), "--input", str(source), "--output", str(tmp_path / "o.csv"), "--record", str(log)]
    with open(os.devnull, "w") as quiet:
        job = forked.Program(
            "serving", words, folder=tmp_path, environment=dict(os.environ), out=quiet.fileno(), err=quiet.fileno()
        )
        servers.wait(lambda: job.poll() is not None or list(log.glob("_recording/*.tmp")))
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert not (tmp_path / "o.csv").exists()
    assert recorded(log) == []
    assert list(log.glob("_recording/*.tmp"))
    score(card, table(tmp_path / "t.csv"), tmp_path / "o.csv", log)
    assert len(recorded(log)) == 1
    assert not list(log.glob("_recording/*"))


def test_a_database_has_the_rows_of_the_last_run(card: Path, tmp_path: Path) -> None:
    source, url = table(tmp_path / "t.csv", times=4), f"sqlite:///{tmp_path}/log.db"
    for _ in range(2):
        score(card, source, tmp_path / "o.csv", url, overwrite=True)
    score(card, source, tmp_path / "other.csv", url)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        query = "select count(*), count(distinct request_id), min(feature_region) from prediction_log_visits"
        assert connection.execute(query).fetchall() == [(8, 2, "north")]


def test_a_share_is_chosen_by_the_job_and_the_row(card: Path, tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", times=200)
    done = score(card, source, tmp_path / "o.csv", tmp_path / "log", record_share=0.3)
    id = done.files[0].request_id
    assert [row["row"] for row in recorded(tmp_path / "log")] == [
        row for row in range(200) if sampled(f"{id}/{row}", 0.3)
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"engine": "duckdb"}, "the rows of --engine duckdb do not pass through this process; leave --engine out"),
        ({"engine": "spark"}, "the rows of --engine spark"),
        ({"engine": "database"}, "the rows of --engine database"),
        ({"record_columns": ("aeg",)}, "the model has no column 'aeg'; it has 'age'"),
        ({"record_hash": ("age",)}, "--record-key FILE"),
        ({"record": "/dev/null/log"}, "the folder cannot be made"),
        ({"record": None, "record_hash": ("age",)}, "needs --record"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_scored(
    card: Path, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    out = tmp_path / "o.csv"
    given = {"record": str(tmp_path / "log"), **asked}
    with pytest.raises(ServingError, match=said):
        batch.score(ScoreRequest(str(card), str(table(tmp_path / "t.csv")), str(out), **given))
    assert not out.exists()


def test_a_full_disk_stops_the_job_and_nothing_of_it_stays(card: Path, tmp_path: Path) -> None:
    """A log that cannot be written stands for the disk."""
    log = tmp_path / "log"
    log.mkdir()
    (log / "_recording").write_text("no folder")
    with pytest.raises(ServingError, match=r"--record: the prediction log cannot be written: "):
        score(card, table(tmp_path / "t.csv"), tmp_path / "o.csv", log)
    assert not (tmp_path / "o.csv").exists()
    assert not list(tmp_path.glob(".*"))
