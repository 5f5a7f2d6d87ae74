"""Batch scoring by Spark: the answers and rejects of the other engines, whole or not at all, on a real Spark."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving import batch
from serving.batch import ScoreRequest, scratch
from serving.batch.spark.settings import SparkSettings
from serving.errors import ServingError
from tests import effort
from tests.command import ROOT, failed, run
from tests.serving import sparks
from tests.serving.batch.test_score import ROWS, assert_alike, expected, good, rejected, saved
from tests.serving.scorecard import portable

sparks.need()

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def port() -> int:
    return sparks.free_port()


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator:
    with sparks.server(tmp_path_factory.mktemp("spark"), port) as session:
        yield session


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


def asked(card: str, source: object, out: object, **more: Any) -> ScoreRequest:
    return ScoreRequest(card, str(source), str(out), engine="spark", **more)


def answered(folder: Path) -> pd.DataFrame:
    assert (folder / "_SUCCESS").exists()
    return pd.read_parquet(folder)


MODELS = ["softmax", *(["regression", "isotonic ensemble", "power target", "mlp softmax"] if effort.THOROUGH else [])]


@pytest.mark.parametrize("name", MODELS)
def test_hard_rows_are_answered_and_rejected_as_one_by_one(name: str, tmp_path: Path) -> None:
    card = portable.scorecard(name)
    rows = [row for row in ROWS if not any(isinstance(v, float) and 1e20 < abs(v) < math.inf for v in row.values())]
    kinds = {"town": pa.string(), "grade": pa.string()}
    fields = [pa.field(column, kinds.get(column, pa.float64())) for column in portable.GOOD]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), tmp_path / "rows.parquet")

    done = batch.score(asked(saved(card, tmp_path), tmp_path / "rows.parquet", tmp_path / "out.parquet"))

    wanted, refused = expected(card, rows)
    assert (done.engine, done.rows, done.rejected) == ("spark", len(rows), len(refused))
    found = answered(tmp_path / "out.parquet")
    assert list(found)[-2:] == ["model_version", "scored_at"]
    names = ["prediction", *(name for name in found if name.startswith("probability_"))]
    assert_alike([tuple(row) for row in found[names].itertuples(index=False)], wanted, rows)
    assert rejected(tmp_path / "out.rejects.csv") == refused


def test_texts_of_csv_files_are_cleaned_and_folders_are_kept(card: str, tmp_path: Path, spark) -> None:
    """Numbers in texts, words for missing values, line ends in cells; and a reject is found by its file and row."""
    towns = ["New\nTown", "x;y", ' "Ham" ', "?", "Ham", "Ham"]
    for day, bad in (("2026-11-01", 4), ("2026-11-02", 1)):
        part = tmp_path / "in" / f"day={day}" / "part.csv"
        part.parent.mkdir(parents=True)
        table = good(6).astype(object).assign(town=towns, amount=["4", " 5 ", "", "1e3", "6", "7"])
        table.loc[bad, "amount"] = "x"
        table.to_csv(part, index=False, sep=";", lineterminator="\n")

    done = batch.score(asked(card, tmp_path / "in", tmp_path / "out", keep=("id", "town")))

    assert (done.rows, done.rejected) == (12, 2)
    parts = sorted((tmp_path / "out").glob("day=*/*.csv"))
    assert [path.parent.name for path in parts] == ["day=2026-11-01", "day=2026-11-02"]
    found = pd.read_csv(parts[0], dtype=str, keep_default_na=False)
    assert list(found)[:3] == ["id", "town", "prediction"]
    assert found["town"].tolist() == [towns[place] for place in (0, 1, 2, 3, 5)]
    rejects = pd.read_csv(tmp_path / "out.rejects.csv")
    assert rejects["row"].tolist() == [4, 1]
    assert [Path(path).parent.name for path in rejects["file"]] == ["day=2026-11-01", "day=2026-11-02"]
    # The same without Spark.
    text = ScoreRequest(card, str(tmp_path / "in"), str(tmp_path / "duckdb"), keep=("id", "town"))
    batch.score(text)
    other = pd.read_csv(tmp_path / "duckdb" / "day=2026-11-01" / "part.csv", dtype=str, keep_default_na=False)
    assert found["town"].tolist() == other["town"].tolist()
    assert found["probability_True"].astype(float).tolist() == pytest.approx(other["probability_True"].astype(float))


def test_rows_of_a_text_that_is_read_in_parts_keep_their_numbers(card: str, tmp_path: Path, spark) -> None:
    table = good(400).astype(object)
    bad = [0, 57, 58, 213, 399]
    table.loc[bad, "amount"] = "x"
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    spark.conf.set("spark.sql.files.maxPartitionBytes", "3000")
    try:
        done = batch.score(asked(card, tmp_path / "t.jsonl", tmp_path / "out", rejects=str(tmp_path / "r.csv")))
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert (done.rows, done.rejected) == (400, 5)
    assert len(list((tmp_path / "out").glob("*.parquet"))) > 5
    assert sorted(rejected(tmp_path / "r.csv")) == bad
    assert done.files[0].rejects == str(tmp_path / "r.csv")


def test_tables_of_the_catalog(card: str, tmp_path: Path, spark) -> None:
    table = good(4).astype({"amount": object})
    table.loc[2, "amount"] = "x"
    table["amount"] = table["amount"].astype(str)
    spark.createDataFrame(table.to_dict("records")).write.saveAsTable("customers")
    request = asked(card, "table:customers", "table:scores", keep=("id",), rejects=str(tmp_path / "r.csv"))

    with pytest.raises(ServingError, match="some rows cannot be scored; table:scores is not written"):
        batch.score(ScoreRequest(**{**vars(request), "rejects": "fail"}))
    assert not spark.catalog.tableExists("scores")
    done = batch.score(request)

    assert (done.rows, done.rejected) == (4, 1)
    assert sorted(row["id"] for row in spark.table("scores").collect()) == [0, 1, 3]
    # Of a table, a row is known by the columns that are kept.
    assert pd.read_csv(tmp_path / "r.csv").iloc[0].tolist()[:2] == [2, "amount"]
    with pytest.raises(ServingError, match="table:scores is there already; give --overwrite"):
        batch.score(ScoreRequest(**{**vars(request), "rejects": "fail"}))
    with pytest.raises(ServingError, match="table:nowhere: there is no such table"):
        batch.score(asked(card, "table:nowhere", tmp_path / "out"))


def test_a_table_without_rows_and_patterns(card: str, tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / "in" / f"day={day}").mkdir(parents=True)
        good(day * 2).to_parquet(tmp_path / "in" / f"day={day}" / "t.parquet")
    done = batch.score(asked(card, tmp_path / "in" / "day=[2-9]" / "*.parquet", tmp_path / "out"))
    assert done.rows == 4
    assert len(pd.read_parquet(tmp_path / "out" / "day=2")) == 4
    good(1).head(0).to_csv(tmp_path / "t.csv", index=False)
    assert batch.score(asked(card, tmp_path / "t.csv", tmp_path / "empty.csv")).rows == 0


HEADER = "amount,rooms,flag,town,grade\n"


@pytest.mark.parametrize(
    ("name", "content", "more", "says"),
    [
        ("t.csv", "amount,rooms,flag,town\n1,2,1,x\n", {}, "lacks the column that the model reads: 'grade'"),
        ("t.csv", "", {}, "is empty"),
        ("t.csv", f"{HEADER}secret,2,1,x\n", {}, "a line cannot be read: it is damaged, or has more or fewer cells"),
        ("t.csv", f"{HEADER}secret,2,1,x,low,1\n", {}, "a line cannot be read"),
        ("t.csv", f"{HEADER}secret,2,1,x,low\n", {"rejects": "fail"}, "1 of 1 rows cannot be scored, the first: row 0"),
        ("t.csv", f"{HEADER}1,2,1,x,low\n", {"keep": ("id",)}, "--keep: the table has no column 'id'"),
        ("t.csv", f"{HEADER}1,2,1,x,low\n", {"outputs": ("reasons",)}, "--engine spark gives no reasons"),
        ("t.csv", f"{HEADER}1,2,1,x,low\n", {"rejects": "r.parquet"}, "ends with .csv"),
        ("t.csv", f'{HEADER}4,3,1,"a ""secret"""b,low\n', {}, r"t\.csv: a line cannot be read: text follows a closing"),
        ("t.jsonl", '{"amount": 1, "secret": \n', {}, r"t\.jsonl: a line cannot be read"),
        ("t.jsonl", "null\n", {}, "lacks columns that the model reads"),
        (
            "t.jsonl",
            '{"amount": [1], "rooms": 1, "flag": true, "town": "", "grade": ""}\n',
            {},
            "'amount', which is of",
        ),
        ("t.parquet", "no Parquet at all", {}, "a file of it, which is damaged or no Parquet"),
        ("t.xlsx", "secret", {}, "expected Parquet, CSV .* found 't.xlsx'"),
    ],
)
def test_what_does_not_fit_leaves_nothing(
    name: str, content: str, more: dict, says: str, card: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ServingError, match=says) as error:
        batch.score(asked(card, tmp_path / name, tmp_path / "out", **more))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_dates_are_refused_by_name_and_nothing_is_written_over(card: str, tmp_path: Path) -> None:
    table = good(2)
    table.assign(amount=pd.Timestamp("2026-11-30")).to_parquet(tmp_path / "dates.parquet")
    table.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("as it was")
    for source, out, says in (
        ("dates.parquet", "new", "reads the column 'amount', which is of the type timestamp"),
        ("t.parquet", "out", "is there already; give --overwrite"),
        ("t.parquet", "t.parquet", "is the input itself"),
        ("nothing.parquet", "new", "there is no such file or folder"),
    ):
        with pytest.raises(ServingError, match=says):
            batch.score(asked(card, tmp_path / source, tmp_path / out))
    assert (tmp_path / "out" / "precious").read_text() == "as it was"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mark = scratch.owner().rpartition("-")[0]
    left = [f".out.{mark}-{process}.0a.{end}" for process in (dead.pid, os.getpid()) for end in ("scoring", "old")]
    for name in left:
        (tmp_path / name).mkdir()
    assert batch.score(asked(card, tmp_path / "t.parquet", tmp_path / "out", overwrite=True)).rows == 2
    assert len(answered(tmp_path / "out")) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".out")) == sorted(left[2:])


def test_types_and_texts_are_those_of_other_engines(tmp_path: Path) -> None:
    """Whole labels have 64 bits; lists, objects and moments have one text in CSV; a single file has its folders."""
    from sklearn.linear_model import LogisticRegression

    from serving.scorecard import compile

    inputs = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    path = saved(compile(LogisticRegression().fit(inputs, [0, 1, 2])), tmp_path)
    moments = pa.array([pd.Timestamp("2026-11-30 08:15:00.5"), None, None], pa.timestamp("us", "UTC"))
    objects = pa.array([{"a": 1, "b": "x"}, {"a": None, "b": None}, None])
    table = pa.table({"x": [0.0, 1.0, 2.0], "l": [["a", 'b"'], [], None], "o": objects, "m": moments})
    source = tmp_path / "in" / "day=1" / "t.parquet"
    source.parent.mkdir(parents=True)
    pq.write_table(table, source)
    batch.score(asked(path, source, tmp_path / "out", keep=("l", "o", "m")))
    (found,) = (tmp_path / "out" / "day=1").glob("*.parquet")
    assert pq.read_schema(found).field("prediction").type == pa.int64()
    batch.score(asked(path, source, tmp_path / "out.csv", keep=("l", "o", "m")))
    batch.score(ScoreRequest(path, str(source), str(tmp_path / "duckdb.csv"), keep=("l", "o", "m")))
    (found,) = (tmp_path / "out.csv" / "day=1").glob("*.csv")
    texts = [pd.read_csv(one, dtype=str)[["l", "o", "m"]] for one in (found, tmp_path / "duckdb.csv")]
    pd.testing.assert_frame_equal(*texts)


def test_files_with_headers_of_their_own_are_refused(card: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    good(2).to_csv(tmp_path / "in" / "a.csv", index=False)
    good(2)[["id", *reversed(portable.GOOD)]].to_csv(tmp_path / "in" / "b.csv", index=False)
    with pytest.raises(ServingError, match="have different headers"):
        batch.score(asked(card, tmp_path / "in", tmp_path / "out"))


def test_a_version_without_scorecard_is_asked_by_spark_udf(tmp_path: Path) -> None:
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.neighbors import KNeighborsRegressor

    table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "z": [0.0, 1.0, 0.0]})
    model = KNeighborsRegressor(1).fit(table, [10.0, 20.0, 30.0])
    signature = infer_signature(table, model.predict(table))
    mlflow.sklearn.save_model(
        model, tmp_path / "model", signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    table.assign(id=["a", "b", "c"]).to_csv(tmp_path / "t.csv", index=False)
    uri = str(tmp_path / "model")
    done = batch.score(asked(uri, tmp_path / "t.csv", tmp_path / "out.parquet", keep=("id",)))
    assert (done.rows, done.rejected) == (3, 0)
    found = answered(tmp_path / "out.parquet")
    assert list(found) == ["id", "prediction", "model_version", "scored_at"]
    assert found["prediction"].tolist() == [10.0, 20.0, 30.0]
    table.assign(x=["1", "secret", "3"]).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(ServingError, match="the column 'x' has a value that is no double"):
        batch.score(asked(uri, tmp_path / "bad.csv", tmp_path / "bad"))
    assert not (tmp_path / "bad").exists()


def test_spark_connect(card: str, tmp_path: Path, port: int) -> None:
    table = good(3).astype(object)
    table.loc[1, "amount"] = "x"
    table.to_csv(tmp_path / "t.csv", index=False)
    remote = ("--engine", "spark", "--spark-remote", f"sc://127.0.0.1:{port}")
    where = ("--input", str(tmp_path / "t.csv"), "--output", str(tmp_path / "out.parquet"))
    done = run("score", card, *where, *remote, folder=tmp_path, package="serving")
    assert done.code == 0, done.err
    assert "3 rows = 2 answered by sha256:" in done.out
    assert len(answered(tmp_path / "out.parquet")) == 2
    assert list(rejected(tmp_path / "out.rejects.csv")) == [1]
    again = run("score", card, *where, *remote, folder=tmp_path, package="serving")
    failed(again, says="is there already; give --overwrite")


def test_spark_that_is_not_there_is_told(card: str, tmp_path: Path) -> None:
    good(1).to_csv(tmp_path / "t.csv", index=False)
    command = ("score", card, "--input", "t.csv", "--output", "out", "--engine", "spark")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        remote = f"sc://127.0.0.1:{closed.getsockname()[1]}"
        answer = run(*command, "--spark-remote", remote, folder=tmp_path, package="serving")
    failed(answer, says="no Spark Connect server answers at 127.0.0.1")
    answer = run(*command, "--spark-conf", "master", folder=tmp_path, package="serving")
    failed(answer, says="--spark-conf: expected NAME=VALUE")
    answer = run(*command, folder=tmp_path, package="serving", env={"JAVA_HOME": str(tmp_path)})
    failed(answer, says="needs Java 17 or newer, and there is none at JAVA_HOME")
    with pytest.raises(ServingError, match="are for --engine spark"):
        batch.score(ScoreRequest(card, "t.csv", "out", spark=SparkSettings(remote="sc://host")))


def test_a_job_that_is_interrupted_leaves_nothing(card: str, tmp_path: Path) -> None:
    good(500_000).to_parquet(tmp_path / "t.parquet")
    command = [sys.executable, "-m", "serving", "score", card, "--input", "t.parquet", "--output", "out"]
    command += ["--engine", "spark", "--spark-conf", f"spark.master=local[1] {sparks.QUICK}"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not list(tmp_path.glob(".out.*/_temporary/*/*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: interrupted by SIGINT")
    assert len(errors.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "t.parquet"]
