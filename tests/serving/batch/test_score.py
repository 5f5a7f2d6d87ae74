"""Batch scoring: answers and rejects of tables in files, whatever scores them, in files that are whole or not there."""

import contextlib
import csv
import errno
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import batch
from serving.batch import ScoreRequest
from serving.batch.texts import ReadSettings
from serving.errors import InputError, ServingError
from serving.scorecard import Scorecard
from tests.command import ROOT, failed, run
from tests.effort import times
from tests.logged import logged
from tests.serving.scorecard import portable

ENGINES = ("duckdb", "numpy")
#: Rows that a typed file can hold: texts without a zero byte.
ROWS = [row for row in portable.RAW if "\0" not in str(row["town"])]


def saved(card: Scorecard, folder: Path) -> str:
    """The path of a scorecard's file."""
    path = folder / "card.json"
    path.write_text(card.dumps(), encoding="utf-8")
    return str(path)


def expected(card: Scorecard, rows: list[dict[str, Any]]) -> tuple[list[Any], dict[int, tuple[str, str]]]:
    """The answers of a scorecard to the rows that have one, and the column and reason of the others by row."""
    answers, refused = [], {}
    for place, row in enumerate(rows):
        try:
            likely = card.probabilities_row(row) if card.has_probabilities else []
            answers.append((card.predict_row(row), *likely))
        except InputError as error:
            refused[place] = (error.column, error.reason)
    return answers, refused


def rejected(path: Path) -> dict[int, tuple[str, str]]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["row"]): (row["column"], row["reason"]) for row in csv.DictReader(file)}


def answered(path: Path, card: Scorecard) -> list[tuple]:
    table = pd.read_parquet(path)
    names = ["prediction", *(name for name in table if name.startswith("probability_"))]
    assert list(table)[-2:] == ["model_version", "scored_at"]
    return [tuple(row) for row in table[names].itertuples(index=False)]


def assert_alike(found: list[tuple], wanted: list[tuple], rows: list[dict[str, Any]]) -> None:
    for got, want in zip(found, wanted, strict=True):
        if isinstance(want[0], float):
            assert got == pytest.approx(want, rel=1e-11, abs=1e-12)
        else:
            assert got[0] == want[0]
            assert got[1:] == pytest.approx(want[1:], rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", ["regression", "binary", "softmax", "power target", "mlp softmax", "isotonic ensemble"]
)
def test_hard_rows_are_answered_and_rejected_as_one_by_one(name: str, engine: str, tmp_path: Path) -> None:
    card = portable.scorecard(name)
    rows = [row for row in ROWS if not any(isinstance(v, float) and 1e20 < abs(v) < math.inf for v in row.values())]
    kinds = {"town": pa.string(), "grade": pa.string()}
    fields = [pa.field(column, kinds.get(column, pa.float64())) for column in portable.GOOD]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), tmp_path / "rows.parquet")

    done = batch.score(
        ScoreRequest(
            saved(card, tmp_path), str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"), engine=engine
        )
    )

    wanted, refused = expected(card, rows)
    assert (done.engine, done.rows, done.rejected) == (engine, len(rows), len(refused))
    assert_alike(answered(tmp_path / "out.parquet", card), wanted, rows)
    assert rejected(tmp_path / "out.rejects.csv") == refused


NUMBERS, WORDS = (
    ["4", " 4.5 ", "1e3", "inf", "-0", "3.0", "1.0", "0", "true"],
    ["x", "", "NA", "York", " Ham", "high", "low", "?"],
)
TEXTS = st.sampled_from([*NUMBERS, *WORDS])


@settings(max_examples=times(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(portable.GOOD, TEXTS)), min_size=1, max_size=12), st.data())
def test_rows_of_text_files_are_scored_alike_by_all(tmp_path: Path, rows: list[dict[str, str]], data: Any) -> None:
    """CSV and JSON lines, by DuckDB and by NumPy; the counts add up."""
    card = portable.scorecard(data.draw(st.sampled_from(["regression", "softmax"])))
    form = data.draw(st.sampled_from(["csv", "jsonl"]))
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted, refused = expected(card, rows)
    for engine in ENGINES:
        out = tmp_path / f"{engine}.parquet"
        done = batch.score(ScoreRequest(saved(card, tmp_path), str(path), str(out), engine=engine, overwrite=True))
        assert (done.rows, done.rejected) == (len(rows), len(refused))
        assert_alike(answered(out, card), wanted, rows)
        assert rejected(tmp_path / f"{engine}.rejects.csv") == refused


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


def good(count: int) -> pd.DataFrame:
    return pd.DataFrame([{**portable.GOOD, "flag": True}] * count).assign(id=range(count))


def asked(card: str, source: object, out: object, **more: Any) -> ScoreRequest:
    return ScoreRequest(card, str(source), str(out), **more)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "semicolons.csv", "t.jsonl", "t.jsonl.gz", "t.parquet"])
def test_forms_of_files(name: str, card: str, tmp_path: Path) -> None:
    table, path = good(3), tmp_path / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    elif "jsonl" in name:
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep={"t.tsv": "\t", "semicolons.csv": ";"}.get(name, ","))
    done = batch.score(asked(card, path, tmp_path / "out.csv", keep=("id",)))
    assert (done.rows, done.rejected) == (3, 0)
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found) == ["id", "prediction", "probability_False", "probability_True", "model_version", "scored_at"]
    assert found["id"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_outputs_that_are_asked_for(engine: str, card: str, tmp_path: Path) -> None:
    good(2).to_parquet(tmp_path / "t.parquet")
    out = tmp_path / "out.parquet"
    batch.score(asked(card, tmp_path / "t.parquet", out, engine=engine, keep=("id",), outputs=("prediction",)))
    assert list(pd.read_parquet(out)) == ["id", "prediction", "model_version", "scored_at"]


def test_reasons_are_the_strongest_terms_in_words(card: str, tmp_path: Path) -> None:
    good(2).to_parquet(tmp_path / "t.parquet")
    out = tmp_path / "out.parquet"
    done = batch.score(asked(card, tmp_path / "t.parquet", out, keep=("id",), outputs=("prediction", "reasons")))
    assert done.engine == "numpy"
    found = pd.read_parquet(out)["reasons"]
    wanted = Scorecard.loads(Path(card).read_text()).explain_row(portable.GOOD, reasons=3)["reasons"]
    assert found.tolist() == ["; ".join(one["text"] for one in wanted)] * 2


def test_columns_under_the_names_that_training_reads_them_by(card: str, tmp_path: Path) -> None:
    good(2).rename(columns={"amount": " amount "}).to_csv(tmp_path / "t.csv", index=False)
    assert batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.parquet")).rejected == 0
    assert "amount" in pd.read_parquet(tmp_path / "out.parquet")


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "in"
        for day in (1, 2, 3):
            part = folder / f"day=2026-11-0{day}" / "part.csv"
            part.parent.mkdir(parents=True)
            table = good(day).astype(object)
            table.loc[0, "amount"] = "x" if day == 2 else 4.0
            table.to_csv(part, index=False)
        (folder / "_SUCCESS").touch()
        (folder / ".hidden.csv").write_text("nothing")
        return folder

    def test_each_file_becomes_one_of_answers(self, card: str, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        done = batch.score(asked(card, folder, out))
        assert [(file.rows, file.rejected) for file in done.files] == [(1, 0), (2, 1), (3, 0)]
        assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.csv")) == [
            "_rejects/day=2026-11-02/part.csv",
            *(f"day=2026-11-0{day}/part.csv" for day in (1, 2, 3)),
        ]
        assert "day" not in pd.read_csv(out / "day=2026-11-01" / "part.csv")

    def test_a_job_goes_on_with_what_is_missing_or_has_changed(self, card: str, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        batch.score(asked(card, folder, out))
        (out / "day=2026-11-01" / "part.csv").unlink()
        good(5).to_csv(folder / "day=2026-11-03" / "part.csv", index=False)
        done = batch.score(asked(card, folder, out))
        assert [file.done_before for file in done.files] == [False, True, False]
        assert (done.rows, done.rejected) == (1 + 2 + 5, 1)
        again = batch.score(asked(card, folder, out, outputs=("prediction",)))
        assert not any(file.done_before for file in again.files)
        assert again.former == 0

    def test_answers_to_what_is_gone_are_left_and_counted(self, card: str, folder: Path, tmp_path: Path) -> None:
        batch.score(asked(card, folder, tmp_path / "out"))
        (folder / "day=2026-11-01" / "part.csv").unlink()
        done = run("score", card, "--input", "in", "--output", "out", folder=tmp_path, package="serving")
        assert done.out.splitlines()[-1].endswith("; left: answers to 1 file not in the input any more")
        assert (tmp_path / "out" / "day=2026-11-01" / "part.csv").exists()

    def test_a_pattern(self, card: str, folder: Path, tmp_path: Path) -> None:
        done = batch.score(asked(card, folder / "day=2026-11-0[13]" / "*.csv", tmp_path / "out"))
        assert done.rows == 4
        assert (tmp_path / "out" / "day=2026-11-03" / "part.csv").exists()

    def test_a_column_that_the_folders_tell_is_an_input(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from sklearn.linear_model import LinearRegression

        from serving.scorecard import compile

        table = pd.DataFrame({"hour": [1.0, 2.0, 3.0], "x": [1.0, 0.0, 2.0]})
        path = saved(compile(LinearRegression().fit(table, [10.0, 20.0, 30.0])), tmp_path)
        part = tmp_path / "hours" / "hour=2" / "part.parquet"
        part.parent.mkdir(parents=True)
        pd.DataFrame({"x": [0.0]}).to_parquet(part)
        batch.score(asked(path, tmp_path / "hours", tmp_path / "out"))
        found = pq.read_table(tmp_path / "out" / "hour=2" / "part.parquet")["prediction"]
        assert found.to_pylist() == [pytest.approx(20.0)]
        monkeypatch.chdir(part.parent)
        for place, source in enumerate((part, part.name)):  # by itself, too
            batch.score(asked(path, source, tmp_path / f"{place}.parquet"))
            assert pq.read_table(tmp_path / f"{place}.parquet").column_names[:2] == ["x", "prediction"]
            assert pq.read_table(tmp_path / f"{place}.parquet")["prediction"].to_pylist() == [pytest.approx(20.0)]


@pytest.mark.parametrize(
    ("content", "more", "says"),
    [
        ("amount,rooms,flag,town\n1,2,1,x\n", {}, "lacks the column that the model reads: 'grade'"),
        ("", {}, "is empty"),
        ("amount,rooms,flag,town,grade\n1,2,1,x,low\n", {"keep": ("id",)}, "--keep: the table has no column 'id'"),
        ("amount,rooms,flag,town,grade,prediction\n1,2,1,x,low,1\n", {}, "has a column 'prediction', as an answer is"),
        ("amount,rooms,flag,town,grade\nx,2,1,x,low\n", {"rejects": "fail"}, "1 of 1 rows cannot be scored, the first"),
        ("amount,rooms,flag,town,grade\n1,2,1,x,low\n", {"outputs": ("score",)}, "--outputs: expected prediction"),
        ("amount,rooms,flag,town,grade\n1,2,1,x,low\n", {"engine": "flink"}, "--engine: expected auto, duckdb"),
    ],
)
def test_what_does_not_fit_leaves_no_file(content: str, more: dict, says: str, card: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ServingError, match=says):
        batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.parquet", **more))
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_file_leaves_what_was_there(card: str, tmp_path: Path) -> None:
    good(3).to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out.parquet").write_text("as it was")
    with pytest.raises(ServingError, match="is no file that DuckDB reads"):
        batch.score(asked(card, tmp_path / "t.parquet", tmp_path / "out.parquet", overwrite=True))
    assert (tmp_path / "out.parquet").read_text() == "as it was"


def test_a_damaged_input_is_named(card: str, tmp_path: Path) -> None:
    good(5_000).assign(id=np.random.default_rng(0).random(5_000)).to_csv(tmp_path / "t.csv.gz", index=False)
    whole = (tmp_path / "t.csv.gz").read_bytes()
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ServingError, match=r"t\.csv\.gz cannot be read: "):
        batch.score(asked(card, tmp_path / "t.csv.gz", tmp_path / "out.parquet"))


@pytest.mark.parametrize("engine", ENGINES)
def test_text_after_a_closing_quote_is_read_as_in_training(engine: str, card: str, tmp_path: Path) -> None:
    lines = ["amount,rooms,flag,town,grade", '"4","3",true,"H"am,high', '"4","3",true,"Yo""rk" ,high']
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    done = batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.parquet", engine=engine))
    assert done.rejected == 0
    assert pd.read_parquet(tmp_path / "out.parquet")["town"].tolist() == ["Ham", 'Yo"rk ']


@pytest.mark.parametrize("engine", ENGINES)
def test_a_line_of_json_that_is_null_is_no_row(engine: str, card: str, tmp_path: Path) -> None:
    row = json.dumps({**portable.GOOD, "flag": True})
    for name, line in (("empty", "{}"), ("null", " null ")):
        (tmp_path / f"{name}.jsonl").write_text(f"{row}\n{line}\n{row}\n")
    done = batch.score(asked(card, tmp_path / "empty.jsonl", tmp_path / "out.parquet", engine=engine))
    assert (done.rows, done.rejected) == (3, 1)
    with pytest.raises(ServingError, match=r"null\.jsonl cannot be read: line 2 is not an object"):
        batch.score(asked(card, tmp_path / "null.jsonl", tmp_path / "other.parquet", engine=engine))


def test_errors_quote_no_line_of_the_file(card: str, tmp_path: Path) -> None:
    lines = ["amount,rooms,flag,town,grade,id", *["4,3,1,Ham,high,1"] * 30_000, "4,3,1,secret word,high"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ServingError) as error:
        batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.parquet"))
    assert "secret" not in str(error.value)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(("engine", "out"), [("duckdb", "out.csv"), ("numpy", "out.csv"), ("numpy", "out.parquet")])
def test_a_full_disk_is_told_and_leaves_nothing(engine: str, out: str, card: str, tmp_path: Path) -> None:
    good(20_000).to_parquet(tmp_path / "t.parquet")
    done = run(
        "score", card, "--input", "t.parquet", "--output", out, "--engine", engine, folder=tmp_path, package="serving",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )  # fmt: skip
    failed(done, says=f"error: {out} cannot be written: ")
    assert done.line.endswith("; free some, or name another folder")
    assert not list(tmp_path.glob("*out.*"))


def test_a_table_of_which_all_rows_are_rejected_fails(card: str, tmp_path: Path) -> None:
    good(3).astype(object).assign(amount=["1,5", "x", "1.200,5"]).to_csv(tmp_path / "t.csv", index=False)
    command = ("score", card, "--input", "t.csv", "--output", "out.csv", "--overwrite")
    done = run(*command, folder=tmp_path, package="serving")
    assert done.code == 1
    assert "3 rows = 0 answered by" in done.out
    assert done.line.startswith("error: no row was answered; most were rejected for column 'amount': expected a number")
    assert "decimal comma" in done.line
    assert len(rejected(tmp_path / "out.rejects.csv")) == 3
    good(1).head(0).to_csv(tmp_path / "t.csv", index=False)
    assert run(*command, folder=tmp_path, package="serving").code == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_whole_labels_have_64_bits(engine: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    from serving.scorecard import compile

    table = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    table.to_parquet(tmp_path / "t.parquet")
    path = saved(compile(LogisticRegression().fit(table, [0, 1, 2])), tmp_path)
    batch.score(asked(path, tmp_path / "t.parquet", tmp_path / "out.parquet", engine=engine))
    assert pq.read_schema(tmp_path / "out.parquet").field("prediction").type == pa.int64()


def test_killed_at_any_time_the_answers_are_whole_or_not_there(card: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for place in range(6):
        good(4_000).to_csv(folder / f"{place}.csv", index=False)
    command = [sys.executable, "-m", "serving", "score", card, "--input", "in", "--output", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for present in range(1, 6, 2):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list((tmp_path / "out").glob("[0-9].csv"))) < present:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (tmp_path / "out").glob("[0-9].csv"):
            assert len(pd.read_csv(path)) == 4_000
    done = batch.score(asked(card, folder, tmp_path / "out"))
    assert sum(file.done_before for file in done.files) >= 4
    assert done.rows == 24_000


def test_the_command_says_how_the_rows_add_up(card: str, tmp_path: Path) -> None:
    table = good(3).astype(object)
    table.loc[1, "amount"] = "x"
    table.to_csv(tmp_path / "t.csv", index=False)
    done = run("score", card, "--input", "t.csv", "--output", "out.csv", folder=tmp_path, package="serving")
    assert done.code == 0, done.err
    assert "out.csv: 2 rows, 1 rejected: out.rejects.csv" in done.out
    assert "3 rows = 2 answered by sha256:" in done.out
    again = run("score", card, "--input", "t.csv", "--output", "out.csv", folder=tmp_path, package="serving")
    failed(again, says="out.csv is there already; give --overwrite")


def test_a_separator_and_a_file_without_names(card: str, tmp_path: Path) -> None:
    good(2).to_csv(tmp_path / "t.csv", index=False, sep="|")
    reading = ReadSettings(sep="|")
    assert batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.csv", reading=reading)).rows == 2


def test_lines_that_begin_with_a_number_sign_and_late_quotes_are_rows(card: str, tmp_path: Path) -> None:
    head, row = "id,amount,rooms,flag,town,grade", ",4,3,true,Ham,high"
    lines = [head, f"1{row}", f"#7{row}", *[f"{place}{row}" for place in range(25_000)], '9,"4",3,true,"Ham","high"']
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    done = batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.parquet", keep=("id",)))
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert (done.rows, done.rejected) == (25_003, 0)
    assert found["id"].tolist()[1] == "#7"
    assert found["probability_True"].nunique() == 1


def test_lists_and_objects_are_rejected_as_in_requests(card: str, tmp_path: Path) -> None:
    towns = ({"a": 1}, {"a": 2}, ["Ham"], "Ham", None)
    rows: list[dict] = [{**portable.GOOD, "flag": True, "town": town} for town in towns]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = batch.score(asked(card, tmp_path / "t.jsonl", tmp_path / "out.parquet"))
    _, refused = expected(Scorecard.loads(Path(card).read_text()), rows)
    assert (done.rows, done.rejected) == (len(rows), len(refused))
    assert rejected(tmp_path / "out.rejects.csv") == refused


def test_columns_that_are_kept_have_one_text_in_csv(card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and objects as JSON, moments in UTC wherever the machine is."""
    moment = datetime(2026, 1, 2, 3, 4, 5)
    more: dict[str, tuple[pa.Array, list[str]]] = {
        "list": (pa.array([["a", 'b,"'], [], None]), ['["a","b,\\""]', "[]", ""]),
        "object": (pa.array([{"a": 1, "b": moment.date()}, {"a": None}, None]), ['{"a":1,"b":"2026-01-02"}',
                   '{"a":null,"b":null}', ""]),
        "map": (pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())), ['{"k":1}', "{}", ""]),
        "moment": (pa.array([moment, None, None]), ["2026-01-02 03:04:05", "", ""]),
        "zoned": (pa.array([moment, None, None], pa.timestamp("us", "UTC")), ["2026-01-02 03:04:05+00", "", ""]),
        "time": (pa.array([moment.time(), None, None]), ["03:04:05", "", ""]),
        "binary": (pa.array([b"a\xff", b"", None]), ["a\\xFF", "", ""]),
        "decimal": (pa.array([Decimal("1.50"), None, None]), ["1.50", "", ""]),
        "float": (pa.array([0.1, 1e30, None], pa.float32()), ["0.1", "1e+30", ""]),
    }  # fmt: skip
    table = pa.Table.from_pandas(good(3))
    for name, (values, _) in more.items():
        table = table.append_column(name, values)
    pq.write_table(table, tmp_path / "t.parquet")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    for engine in ENGINES:
        out = tmp_path / f"{engine}.csv"
        batch.score(asked(card, tmp_path / "t.parquet", out, engine=engine, keep=tuple(more)))
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for name, (_, texts) in more.items():
            assert [row[name] for row in rows] == texts
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_without_rows_has_a_file_without_rows(engine: str, card: str, tmp_path: Path) -> None:
    good(1).head(0).to_csv(tmp_path / "t.csv", index=False)
    assert batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.csv", engine=engine)).rows == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 0


def test_a_file_without_names_has_those_that_training_gives_it(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    from serving.scorecard import compile

    table = pd.DataFrame({"0": [1.0, 2.0, 3.0], "1": [1.0, 0.0, 2.0]})
    path = saved(compile(LinearRegression().fit(table, [1.0, 2.0, 3.0])), tmp_path)
    table.to_csv(tmp_path / "t.csv", index=False, header=False)
    reading = ReadSettings(header=False)
    assert batch.score(asked(path, tmp_path / "t.csv", tmp_path / "out.parquet", reading=reading)).rows == 3


def test_nothing_is_written_over_that_is_not_to_be(card: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    good(2).to_csv(folder / "a.csv", index=False)
    (out / "a.csv").write_text("precious")
    source, single = folder / "a.csv", tmp_path / "single.csv"
    for request, says in (
        (asked(card, folder, folder), "is the input .*in, or within it"),
        (asked(card, folder, out), "is there already, and was not written by this command"),
        (asked(card, source, single, rejects=str(single)), "name one file"),
        (asked(card, source, single, rejects=str(source)), "is the input itself"),
        (asked(card, source, single, rejects=str(out / "a.csv")), "is there already"),
        (asked(card, source, single, rejects=str(tmp_path / "r.parquet")), "ends with .csv"),
        (asked(card, source, source, overwrite=True), "is the input itself"),
        (asked(card, folder, folder / "scores"), "is the input .*in, or within it"),
        (asked(card, folder, tmp_path), "the input .*in is within it"),
        (asked(card, folder, tmp_path / "new", rejects=str(folder / "r")), "--rejects .*in, or within it"),
        (asked(card, f"{folder}/**/*.csv", folder / "scores"), "what is written there is input of"),
        (asked(card, source, single, rejects=str(tmp_path / "none" / "r.csv")), "--rejects .*none; make it first"),
    ):
        with pytest.raises(ServingError, match=says):
            batch.score(request)
    assert (out / "a.csv").read_text() == "precious"
    assert len(pd.read_csv(source)) == 2
    assert batch.score(asked(card, folder, out, overwrite=True)).rows == 2


@contextlib.contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Does something when a job in the block tells for the first time how far it is."""
    waiting = [action]

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if waiting and record.getMessage().startswith(("scored: ", "files: ")):
                waiting.pop()()

    logger, watch = logging.getLogger("model_lifecycle"), Watch()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(watch)
    try:
        yield
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
    assert not waiting


def halved(path: Path, *, bad: bool) -> Path:
    """A table of two rows, of which the first may be one that is rejected."""
    table = good(2).astype(object)
    table.loc[0, "amount"] = "x" if bad else 4.0
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("bad", [(True, True), (True, False), (False, True)], ids=["both", "late one", "quick one"])
def test_of_two_jobs_with_one_output_the_quicker_one_wins(bad: tuple[bool, bool], card: str, tmp_path: Path) -> None:
    late, quick = (halved(tmp_path / f"{place}.csv", bad=one) for place, one in enumerate(bad))
    out, rejects = tmp_path / "out.parquet", tmp_path / "out.rejects.csv"
    done = []
    other = asked(card, quick, out, keep=("id", "amount"))
    with meanwhile(lambda: done.append(batch.score(other))), pytest.raises(ServingError) as error:
        batch.score(asked(card, late, out, engine="numpy"))
    assert "was written by another job meanwhile, and is left as it is; give --overwrite" in str(error.value)
    assert len(pd.read_parquet(out)) == 2 - done[0].rejected
    assert "town" not in pd.read_parquet(out)
    assert rejects.exists() == bad[1]
    assert {path.name for path in tmp_path.iterdir()} - {rejects.name} == {"0.csv", "1.csv", "card.json", out.name}
    with meanwhile(lambda: batch.score(replace(other, overwrite=True))):
        batch.score(asked(card, late, out, engine="numpy", overwrite=True))
    assert "town" in pd.read_parquet(out)


def test_a_file_system_without_second_names_of_files_is_written_to(
    card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    batch.score(asked(card, halved(tmp_path / "t.csv", bad=True), tmp_path / "out.csv"))
    assert len(pd.read_csv(tmp_path / "out.csv")) == len(rejected(tmp_path / "out.rejects.csv")) == 1


def test_two_jobs_on_one_folder_lose_no_answers(card: str, tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    for place in range(2):
        halved(folder / f"{place}.csv", bad=False)
    other = asked(card, folder, tmp_path / "out", keep=("id",))
    with meanwhile(lambda: batch.score(other)), pytest.raises(ServingError, match=r"none of 2 files .* another job"):
        batch.score(asked(card, folder, tmp_path / "out", engine="numpy"))
    assert "town" not in pd.read_csv(tmp_path / "out" / "0.csv")
    assert all(file.done_before for file in batch.score(other).files)


def test_a_file_that_fails_keeps_no_other_from_being_scored(card: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "c"):
        good(2).to_csv(folder / f"{name}.csv", index=False)
    good(2).drop(columns="town").to_csv(folder / "b.csv", index=False)
    command = ("score", card, "--input", "in", "--output", "out")
    done = run(*command, folder=tmp_path, package="serving")
    failed(done, says="1 of 3 files could not be scored, the first: in/b.csv lacks the column")
    assert "not scored: in/b.csv lacks the column" in done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_scored.json", "a.csv", "c.csv"]
    good(2).to_csv(folder / "b.csv", index=False)
    assert [file.done_before for file in batch.score(asked(card, folder, tmp_path / "out")).files] == [
        True,
        False,
        True,
    ]


def test_what_killed_processes_left_is_removed(card: str, tmp_path: Path) -> None:
    from serving.batch import scratch

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    good(2).to_csv(tmp_path / "t.csv", index=False)
    mark = scratch.aside(tmp_path / "out.csv").name.rpartition(f"-{os.getpid()}-")[0]
    scratch._clean.cache_clear()
    left = [tmp_path / f"{mark}-{dead.pid}-0{ending}" for ending in ("", ".rejects")]
    others = [tmp_path / f"{mark}-{os.getpid()}-0.rejects", tmp_path / f".out.csv.{dead.pid}"]
    for path in (*left, *others):
        path.touch()
    batch.score(asked(card, tmp_path / "t.csv", tmp_path / "other.csv"))
    assert [path.exists() for path in left] == [False, False]
    assert others[1].exists()


def test_hidden_folders_are_read_by_no_pattern_but_their_own(card: str, tmp_path: Path) -> None:
    for name in ("in/a", "in/_tmp", "in/.hidden"):
        (tmp_path / name).mkdir(parents=True)
        good(2).to_csv(tmp_path / name / "t.csv", index=False)
    assert batch.score(asked(card, tmp_path / "in" / "*" / "*.csv", tmp_path / "out")).rows == 2
    assert batch.score(asked(card, tmp_path / "in" / "_*" / "*.csv", tmp_path / "own")).rows == 2


def test_too_little_memory_is_told_before_anything_is_read(card: str, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="--memory: expected at least 64MiB, found 0 bytes"):
        batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.csv", memory=0))


def test_a_column_called_as_the_number_of_a_row(card: str, tmp_path: Path) -> None:
    table = good(3).astype(object).assign(row_number_of_file=7)
    table.loc[1, "amount"] = "x"
    table.to_csv(tmp_path / "t.csv", index=False)
    done = batch.score(asked(card, tmp_path / "t.csv", tmp_path / "out.csv"))
    assert done.rejected == 1
    assert list(rejected(tmp_path / "out.rejects.csv")) == [1]
    assert pd.read_csv(tmp_path / "out.csv")["row_number_of_file"].tolist() == [7, 7]


def test_a_file_of_others_is_not_taken_for_rejects(card: str, tmp_path: Path) -> None:
    table = good(2).astype(object)
    table.loc[0, "amount"] = "x"
    table.to_csv(tmp_path / "t.csv", index=False)
    notes = tmp_path / "out.rejects.csv"
    notes.write_text("precious notes\n")
    with pytest.raises(ServingError, match=r"out\.rejects\.csv is there already; give --overwrite, or name another"):
        batch.score(ScoreRequest(card, str(tmp_path / "t.csv"), str(tmp_path / "out.csv")))
    assert notes.read_text() == "precious notes\n"
    notes.write_text("row,column,reason\n9,x,a killed job left this\n")
    batch.score(ScoreRequest(card, str(tmp_path / "t.csv"), str(tmp_path / "out.csv")))
    assert notes.read_text().splitlines()[1].startswith("0,amount,")


def test_an_interrupt_ends_a_long_query_and_leaves_nothing(tmp_path: Path) -> None:
    program = """
import duckdb
from registry.cli.interrupts import interruptible
from serving.batch import queries
query = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 < b.range % 5"
with duckdb.connect() as database:
    try:
        with interruptible():
            print("begins", flush=True)
            queries.run(database, query)
    except KeyboardInterrupt:
        assert database.execute("SELECT 1").fetchone() == (1,)
        print("ended", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "ended\n")


def test_a_long_file_tells_how_far_it_is(card: str, tmp_path: Path) -> None:
    from serving.batch.queries import Bar

    with logged() as messages:
        logging.getLogger("model_lifecycle").setLevel("DEBUG")
        bar = Bar(is_shown=True)
        for percent in (0, 3, 3, 50):
            bar.tell(percent)
    assert messages == ["scored: 0 %", "scored: 3 %", "scored: 50 %"]
