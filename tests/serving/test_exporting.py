"""``python -m serving export``: a version as a file that answers without MLflow, whole or not at all."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from pipelines import sources
from pipelines.dataset import Roles
from pipelines.evaluation import typed_columns
from pipelines.planning import Settings
from pipelines.training import train
from registry.client import connect
from serving import models
from serving.exporting import export
from serving.scorecard import Scorecard, exports
from serving.scorecard.exports.sql import DIALECTS
from tests import stores
from tests.command import ROOT, Command, failed, run
from tests.patience import soon
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}

RUNNING = "  running the code of {} in a process of its own, to compile a scorecard from it\n"

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import exported
found = sorted(set(sys.modules) - before - {"exported"})
answers = []
for row in json.load(sys.stdin):
    try:
        answers.append([exported.predict(row), exported.probabilities(row)])
    except exported.InputError as error:
        answers.append(str(error))
json.dump([answers, found], sys.stdout)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Iterator[Path]:
    """A folder with a store that has two trained versions, ``linear`` and ``made``."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        train(Settings(str(tables.hostile(folder / "raw.csv")), name="made", roles=Roles(target="outcome"), **QUICK))
        train(Settings(str(tables.linear(folder / "linear.csv")), name="linear", **QUICK))
        yield folder


def command(*words: str, folder: Path, **settings):
    return run("export", *words, folder=folder, package="serving", **settings)


def test_the_python_file_answers_alone_as_the_version_does(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "exported.py"
    done = command("models:/made/1", "--format", "python", "-o", str(file), folder=store)
    assert (done.code, done.out) == (0, ""), done.err
    assert f"{file.stat().st_size:,} bytes" in done.err

    raw = sources.parse((store / "raw.csv").read_bytes(), "raw.csv", "raw.csv")
    names = [column.name for column in models.find("models:/made/1").portable().inputs]
    rows = pd.read_csv(store / "raw.csv", dtype=str, keep_default_na=False)[names].to_dict("records")
    command_line = [sys.executable, "-S", "-E", "-c", ASK, str(tmp_path)]
    alone = subprocess.run(
        command_line, input=json.dumps([*rows, {**rows[0], "age": "forty"}]), capture_output=True, text=True,
        cwd=tmp_path, check=True,
    )  # fmt: skip
    answers, imported = json.loads(alone.stdout)

    typed = pd.DataFrame({name: typed_columns.typed(raw, name) for name in names})
    native = mlflow.sklearn.load_model("models:/made/1")
    loaded = mlflow.pyfunc.load_model("models:/made/1")
    served = typed.astype({"owns.car": bool})
    assert imported == ["math"]
    assert answers.pop() == "column 'age': expected a number, found text"
    assert {label for label, _ in answers} == {"yes", "no"}
    assert [label for label, _ in answers] == native.predict(typed).tolist() == loaded.predict(served).tolist()
    likely = loaded.predict(served, params={"output": "probabilities"})
    np.testing.assert_allclose([p for _, p in answers], likely, atol=1e-12)


def test_the_document_goes_to_standard_output_where_no_file_is_named(store: Path, tmp_path: Path) -> None:
    printed = command("models:/linear/1", folder=store)
    written = command("models:/linear/1", "--format", "scorecard", "--output", str(tmp_path / "c.json"), folder=store)

    assert (printed.code, printed.err) == (0, "")
    assert (written.code, written.out) == (0, "")
    assert (tmp_path / "c.json").read_text(encoding="utf-8") == printed.out
    assert Scorecard.loads(printed.out).predict_row({"x": 1.0, "colour": "red"}) == pytest.approx(5, abs=0.1)


def test_the_sql_answers_in_a_database_as_the_version_does(store: Path, tmp_path: Path) -> None:
    """Over the raw file as DuckDB reads it: all text, and with the types that it finds itself."""
    file = tmp_path / "made.sql"
    words = ("--format", "sql", "--table", "raw", "--keep", 'age,"owns.car"')
    done = command("models:/made/1", *words, "-o", str(file), folder=store)
    assert (done.code, done.out) == (0, ""), done.err

    loaded = mlflow.pyfunc.load_model("models:/made/1")
    raw = sources.parse((store / "raw.csv").read_bytes(), "raw.csv", "raw.csv")
    names = [column.name for column in models.find("models:/made/1").portable().inputs]
    served = pd.DataFrame({name: typed_columns.typed(raw, name) for name in names}).astype({"owns.car": bool})
    for how in ("all_varchar = true", "auto_detect = true"):
        with duckdb.connect() as database:
            database.execute(f"CREATE TABLE raw AS SELECT * FROM read_csv('{store / 'raw.csv'}', header = true, {how})")
            cursor = database.execute(file.read_text(encoding="utf-8"))
            names, rows = [item[0] for item in cursor.description], cursor.fetchall()
        assert names == ["age", "owns.car", "prediction", "probability_no", "probability_yes"]
        assert [row[2] for row in rows] == loaded.predict(served).tolist()
        likely = loaded.predict(served, params={"output": "probabilities"})
        np.testing.assert_allclose([row[3:] for row in rows], likely, atol=1e-12)


def test_a_file_says_which_version_it_is_of(store: Path, tmp_path: Path) -> None:
    """By its number, whatever it was asked for by: an alias moves."""
    connect().set_registered_model_alias("made", "tried", "1")
    digest = models.find("models:/made/1").portable().digest
    for uri in ("models:/made/1", "models:/made@tried", "models:/made/latest"):
        content = export(uri, "sql").decode()
        assert content.startswith("-- made version 1: its answers in DuckDB.\n-- Scorecard " + digest)
    folder = mlflow.artifacts.download_artifacts("models:/made/1", dst_path=str(tmp_path / "a model"))
    assert export(folder, "sql").decode().startswith(f"-- {Path(folder).name}: its answers in DuckDB.\n")


def test_a_model_that_sql_cannot_say_leaves_no_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"Age": [1.0, 2.0, 3.0, 4.0], "age": [4.0, 1.0, 3.0, 2.0]})
    fitted = LogisticRegression().fit(table, [0, 1, 1, 0])
    mlflow.sklearn.save_model(
        fitted, str(tmp_path / "twins"), pip_requirements=["scikit-learn"], serialization_format="cloudpickle"
    )

    refused = command("twins", "--format", "sql", "-o", "twins.sql", folder=tmp_path)
    written = command("twins", "--format", "sql", "--dialect", "postgres", folder=tmp_path)

    failed(refused, says="columns 'Age' and 'age' (DuckDB): it takes them for one: rename one of them")
    assert not (tmp_path / "twins.sql").exists()
    assert (written.code, written.err) == (0, RUNNING.format("twins"))
    assert 'raw_row."Age"' in written.out


def test_the_help_names_every_format_dialect_and_option() -> None:
    told = " ".join(run("export", "--help", folder=ROOT, package="serving").out.split())
    names = {name for form in exports.FORMATS.values() for name in (form.name, *(f"--{one}" for one in form.options))}
    assert {name for name in (*names, *DIALECTS) if name not in told} == set()


def test_a_file_that_is_there_is_replaced_only_where_asked(store: Path, tmp_path: Path) -> None:
    file, link = tmp_path / "card.json", tmp_path / "link.json"
    file.write_text("mine")
    file.chmod(0o600)
    link.symlink_to(file)

    failed(command("models:/linear/1", "-o", str(file), folder=store), says="is there already; give --overwrite")
    assert file.read_text() == "mine"
    export("models:/linear/1", "scorecard", output=link, overwrite=True)

    assert Scorecard.loads(file.read_text()).task == "regression"
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "link.json"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["models:/linear/1", "--format", "cobol"],
            "--format is one of scorecard, python, sql, onnx, pmml, javascript, c",
        ),
        (["models:/linear/1", "--dialect", "duckdb"], "--dialect is for --format sql, found --format scorecard"),
        (["models:/linear/1", "--format", "c", "--keep", "id"], "--keep is for --format sql, found --format c"),
        (["models:/linear/1", "--format", "sql", "--quantize"], "--quantize is for --format onnx, found --format sql"),
        (["models:/linear/1", "--format", "sql", "--dialect", "oracle"], "dialect: expected one of duckdb, postgres"),
        (["models:/linear/1", "--format", "sql", "--table", "a; b"], "table: expected a name"),
        (["models:/linear/1", "--format", "sql", "--keep", "prediction"], "keep: an answer is called 'prediction'"),
        (["models:/linear/1", "-o", "no/such/card.json"], "make it first"),
        (["models:/linear/1", "-o", "."], "is no file; name one, or leave it out"),
        (["models:/linear/1", "-o", "/dev/null", "--overwrite"], "is no file; name one, or leave it out"),
        (["models:/linear/1", "-o", f"{'x' * 300}.json"], "File name too long"),
        (["models:/nope/1"], "models:/nope/1 cannot be resolved: no registered model 'nope'"),
        (
            ["models:/linear/99"],
            "cannot be resolved: model 'linear' has no version '99'; there are: 1",
        ),
        (
            ["models:/linear@champion"],
            "models:/linear@champion cannot be resolved: model 'linear' has no alias 'champion'; its aliases: none",
        ),
        (
            ["models:/linear/Staging"],
            "cannot be resolved: no version of 'linear' is in stage 'Staging'",
        ),
        (["models:/linear"], "names no version; give models:/NAME/VERSION"),
        (["linear"], "'linear' is neither an existing path nor a URI"),
        ([], "Missing argument 'MODEL_URI'"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(store: Path, words: list[str], says: str) -> None:
    before = sorted(store.rglob("*"))

    done = command(*words, folder=store)

    failed(done, says=says)
    assert done.out == ""
    assert done.seconds < soon(15)
    assert sorted(store.rglob("*")) == before


def test_a_server_that_is_away_is_told_in_time(tmp_path: Path) -> None:
    done = command("models:/made/1", folder=tmp_path, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})

    failed(done, says="does not answer (Connection refused)")
    assert done.seconds < soon(15)


def test_a_model_of_other_means_is_exported_or_refused_by_its_step(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"a": draw.integers(0, 9, 100), "b": draw.normal(size=100)})
    labels = np.where(table["a"] + table["b"] > 4, "up", "down")
    for name, estimator in (("fine", LogisticRegression()), ("trees", RandomForestClassifier(2))):
        mlflow.sklearn.save_model(
            estimator.fit(table, labels), str(tmp_path / name), pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )  # fmt: skip

    exported = command("fine", "-o", "fine.json", folder=tmp_path)
    refused = command("trees", "-o", "trees.json", folder=tmp_path)

    size = (tmp_path / "fine.json").stat().st_size
    assert (exported.code, exported.err) == (0, f"{RUNNING.format('fine')}fine.json: {size:,} bytes\n")
    card = Scorecard.loads((tmp_path / "fine.json").read_text())
    assert {card.predict_row({"a": 9, "b": 0.0}), card.predict_row({"a": 0, "b": 0.0})} == {"up", "down"}
    failed(refused, says="RandomForestClassifier")
    assert "mlflow models serve" in refused.line
    assert not (tmp_path / "trees.json").exists()


def test_a_damaged_scorecard_is_refused(store: Path, tmp_path: Path) -> None:
    folder = Path(mlflow.artifacts.download_artifacts("models:/linear/1", dst_path=str(tmp_path / "model")))
    text = (folder / "scorecard.json").read_text()
    (folder / "scorecard.json").write_text(text.replace('"intercepts"', '"intercept"'))

    done = command(str(folder), "-o", str(tmp_path / "card.json"), folder=tmp_path)

    failed(done, says=f"{folder}: its scorecard.json is refused: ")
    assert not (tmp_path / "card.json").exists()


def test_a_reader_that_has_seen_enough_is_no_error(store: Path) -> None:
    line = f"{sys.executable} -m serving export models:/made/1 --format python | head -c 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    piped = subprocess.run(["sh", "-c", line], cwd=store, env=environment, capture_output=True, text=True)

    assert (piped.stdout, piped.stderr) == ("r", "")


def test_a_full_disk_leaves_the_file_as_it_was(store: Path, tmp_path: Path) -> None:
    folder = mlflow.artifacts.download_artifacts("models:/made/1", dst_path=str(tmp_path / "model"))
    file = tmp_path / "out" / "card.json"
    file.parent.mkdir()
    file.write_text("mine")

    # As a full disk, a limit cuts a write short.
    done = command(
        folder, "-o", str(file), "--overwrite", folder=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip

    failed(done, says="no space left to write")
    assert file.read_text() == "mine"
    assert list(file.parent.iterdir()) == [file]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    with socket.create_server((stores.HOST, 0)) as silent:
        silent.settimeout(60)
        env = {
            "MLFLOW_TRACKING_URI": f"http://{stores.HOST}:{silent.getsockname()[1]}",
            "TMPDIR": str(tmp_path / "temporary"),
        }
        words = ("export", "models:/made/1", "-o", "card.json")
        with Command(*words, folder=tmp_path, package="serving", env=env) as running:
            asked, _ = silent.accept()
            with asked:
                running.signal(signal.SIGINT)
                done = running.done()

    failed(done, says="interrupted")
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]
