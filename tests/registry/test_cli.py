"""``python -m registry``: what it prints, for people and for programs, and how it exits."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import client, ledger
from registry.__main__ import cli
from tests.patience import soon
from tests.registry import made
from tests.registry.forging import Forgery, appended, forge
from tests.registry.watching import ROOT

GOOD, BAD = made.holdout([1.0] * made.ROWS), made.holdout([60.0] * made.ROWS)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def registry(tracking: str) -> MlflowClient:
    return client.connect()


@pytest.fixture
def run(tracking: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: another one would import MLflow anew each time."""

    def run(*words: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli(words)
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def refused(done: Done) -> str:
    """The one line that a command fails with."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def program(*words: str) -> subprocess.CompletedProcess:
    """Run the program as people do."""
    command = [sys.executable, "-m", "registry", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_help_is_there_at_once():
    program("--help")
    took = []
    for _ in range(3):
        began = time.monotonic()
        done = program("--help")
        took.append(time.monotonic() - began)
    for command in ("list", "gates", "promote", "reject", "rollback", "history", "watch"):
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE)
    # 0.3 s on an idle machine; what must not be imported takes seconds.
    assert min(took) < soon(1.0)


def test_help_imports_nothing_heavy():
    heavy = {"mlflow", "numpy", "pandas", "pyarrow", "sqlalchemy", "yaml", "sklearn", "requests"}
    code = f"import sys, registry.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_the_program_ends_as_its_commands_do(registry: MlflowClient):
    made.register(registry, "made", BAD)
    done = program("gates", "made", "1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\nfailed: 1 gate\n" in done.stdout
    done = program("gates", "made", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: model 'made' has no version '2'; there are: 1\n"


def test_nothing_is_registered_yet(run: Run):
    done = run("list")
    assert done.returncode == 0
    assert "`python -m pipelines main` trains and registers two models" in done.stdout
    # From another folder than the one with the models it says so, too.
    assert f"Nothing is registered in sqlite:///{Path.cwd()}/mlflow.db yet" in done.stdout


@pytest.mark.parametrize("command", [(), ("promote",), ("history",)])
def test_debug_is_an_option_everywhere(run: Run, registry: MlflowClient, command: tuple[str, ...]):
    words = ("promote", "nobody", "1", "--stage", "Staging", "--reason", "r")
    words = ("history", "nobody") if command == ("history",) else words
    done = run(*words, "--debug") if command else run("--debug", *words)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: no registered model 'nobody'")


def test_the_list_shows_versions_side_by_side_and_marks_the_champion(run: Run, registry: MlflowClient):
    for table in (GOOD, BAD):
        made.register(registry, "diabetes", table)
    made.register(registry, "schön & gut", made.labels([0.2, 0.8] * 30))
    assert run("promote", "diabetes", "1", "--stage", "production", "--reason", "the first").returncode == 0
    done = run("list")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows.count(["diabetes"]) == 1
    (header,) = [row for row in rows if "rmse" in row]
    assert header == ["version", "stage", "alias", "estimator", "rmse", "created", "(UTC)"]
    (first,) = [row for row in rows if row[:1] == ["*"] and row[1:2] == ["1"]]
    assert first[:6] == ["*", "1", "Production", "champion", "LinearRegression", "1"]
    assert ["2", "-", "LinearRegression", "60"] in [row[:4] for row in rows]
    assert "schön & gut" in done.stdout
    (row,) = json.loads(run("list", "schön & gut", "--json").stdout)
    assert (row["version"], row["metrics"], row["champion"]) == ("1", {"accuracy": 1.0}, False)


def test_gates_pass(run: Run, registry: MlflowClient):
    made.register(registry, "made", GOOD)
    done = run("gates", "made", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "made version 1 for Production" in lines
    assert re.search(r"^baseline  pass  rmse 1 is better than the baseline's \(mean\) 50$", done.stdout, re.MULTILINE)
    assert "passed" in lines


def test_gates_fail(run: Run, registry: MlflowClient):
    made.register(registry, "made", BAD)
    done = run("gates", "made", "1", "--stage", "staging")
    assert done.returncode == 1
    assert re.search(r"^baseline  FAIL    rmse 60 is not better than", done.stdout, re.MULTILINE)
    # For Staging nobody asks whether it beats the champion.
    assert re.search(r"^champion  \(pass\)  ", done.stdout, re.MULTILINE)
    assert "\nfailed: 1 gate\n" in done.stdout
    told = json.loads(run("gates", "made", "1", "--json").stdout)
    assert (told["model"], told["version"], told["passed"], told["champion"]) == ("made", "1", False, None)
    assert {result["gate"]: result["passed"] for result in told["results"]}["baseline"] is False


def test_tables_fit_the_terminal_and_keep_every_word(run: Run, registry: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    made.register(registry, "risk", GOOD)
    made.register(registry, "risk", GOOD, schema={"inputs": [made.number("bmi")], "left_out": [], "target": "risk"})
    reason = "the first version of this model that everybody has agreed on, after a long talk in March"
    run("promote", "risk", "1", "--stage", "Production", "--reason", reason)
    commands = [("gates", "risk", "2"), ("list",), ("history", "risk")]
    whole = [run(*words).stdout.partition("\nNext:")[0] for words in commands]
    assert reason in whole[-1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        for words, plain in zip(commands, whole, strict=True):
            told = run(*words).stdout.partition("\nNext:")[0]
            assert max(map(len, told.splitlines())) <= columns
            assert sorted(told.replace("-", " ").split()) == sorted(plain.replace("-", " ").split())


def test_gates_compare_with_the_champion_and_may_break(run: Run, registry: MlflowClient):
    made.register(registry, "made", GOOD)
    assert run("promote", "made", "1", "--stage", "Production", "--reason", "first").returncode == 0
    made.register(registry, "made", GOOD, inputs=[made.number("age")])
    done = run("gates", "made", "2")
    assert done.returncode == 1
    assert "made version 2 for Production, against version 1" in done.stdout
    assert "column 'bmi' is gone" in done.stdout
    assert run("gates", "made", "2", "--breaking").returncode == 0


def test_a_policy_is_named(run: Run, registry: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made.register(registry, "made", GOOD)
    strict = tmp_path / "strict.yaml"
    strict.write_text("bounds: {rmse: 0.5}\n")
    assert run("gates", "made", "1", "--policy", str(strict)).returncode == 1
    with monkeypatch.context() as patch:
        patch.setenv("LIFECYCLE_POLICY", str(strict))
        assert run("gates", "made", "1").returncode == 1
    assert run("gates", "made", "1").returncode == 0
    strict.write_text("bound: {rmse: 0.5}\n")
    assert "unknown key 'bound'; did you mean 'bounds'?" in refused(run("gates", "made", "1", "--policy", str(strict)))


def test_what_is_not_there(run: Run, registry: MlflowClient):
    made.register(registry, "made", GOOD)
    assert "no registered model 'mode'; did you mean 'made'?" in refused(run("gates", "mode", "1"))
    assert "'made' has no version '7'; there are: 1" in refused(run("gates", "made", "7"))
    assert "no registered model 'mode'; did you mean 'made'?" in refused(run("list", "mode"))
    assert "no registered model 'mode'; did you mean 'made'?" in refused(run("history", "mode"))
    assert re.search(r"no registered model 'other' in sqlite:///\S+/mlflow.db; ", refused(run("history", "other")))
    run_id = registry.create_run("0").info.run_id
    registry.create_model_version("made", f"runs:/{run_id}/model", run_id)
    assert "run `python -m pipelines evaluate --model models:/made/2 --data TABLE`" in refused(
        run("gates", "made", "2")
    )


def test_a_server_that_is_away(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("LEDGER_URI", f"sqlite:///{tmp_path}/ledger.db")
    for words in (["list"], ["gates", "made", "1"], ["watch", "--once"], ["history", "made"]):
        began = time.monotonic()
        assert "does not answer" in refused(run(*words))
        assert time.monotonic() - began < soon(15)


def test_history_tells_the_moves_and_verifies_them(run: Run, registry: MlflowClient):
    made.register(registry, "made", GOOD)
    assert "no entry" in run("history", "made").stdout
    run("promote", "made", "1", "--stage", "Staging", "--reason", "to be tried")
    done = run("history", "made", "--verify")
    assert done.returncode == 0
    assert re.search(r"promote +1 +None +Staging +\S+ +done +to be tried$", done.stdout, re.MULTILINE)
    assert "The ledger is whole: 2 rows" in done.stdout
    # Under the id that the promotion told, and that tags and followers name.
    assert re.search(r"^1 .* promote ", done.stdout, re.MULTILINE)
    (intent, closed) = json.loads(run("history", "made", "--json").stdout)
    assert (intent["state"], closed["state"], closed["intent"]) == ("intent", "done", intent["id"])
    assert closed["verdict"]["passed"] is True


def test_history_finds_a_row_that_was_changed(run: Run, registry: MlflowClient):
    import contextlib
    import sqlite3

    made.register(registry, "made", GOOD)
    run("promote", "made", "1", "--stage", "Staging", "--reason", "to be tried")
    with contextlib.closing(sqlite3.connect("ledger.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE lifecycle_ledger SET reason = 'because' WHERE id = 2")
    done = run("history", "made", "--verify")
    assert done.returncode == 1
    assert "The ledger was tampered with: row 2 was changed after it was written." in done.stdout
    assert json.loads(run("history", "made", "--verify", "--json").stdout)["broken"]["id"] == 2


HOSTILE = "\x1b[2J\u202eevil\x9b\u2066"


def test_what_other_people_wrote_does_not_reach_the_terminal_as_it_is(
    run: Run, registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    name = "made\u202e"
    made.register(registry, name, GOOD)
    registry.set_model_version_tag(name, "1", "estimator", HOSTILE)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", f"ann{HOSTILE}")
    found = [
        run("promote", name, "1", "--stage", "Production", "--reason", f"better{HOSTILE}"),
        run("history", name, "--verify"),
        run("history", name, "--json"),
        run("list"),
        run("list", "--json"),
        run("gates", name, "1"),
        run("gates", name, "1", "--json"),
        run("history", f"another{HOSTILE}"),
        run("promote", name, "7", "--stage", "Production", "--reason", "x"),
        run("watch", "--once"),
    ]
    registry.set_registered_model_alias(name, "challenger", "1")
    found.append(run("watch", "--once"))
    for done in found:
        said = done.stdout + done.stderr
        assert said
        assert not set(said) & set("\x1b\u202e\x9b\u2066"), said
    assert "better\\x1b[2J\\u202eevil\\x9b\\u2066" in found[1].stdout
    assert json.loads(found[2].stdout)[0]["reason"] == f"better{HOSTILE}"


FORGERIES: dict[str, Forgery] = {
    "row 2 is not the one that the tag of made version 1 names": lambda rows: [
        *rows[:-1],
        {**rows[-1], "actor": "bob"},
    ],
    "row 2 is not there, which the tag of made version 1 names": lambda rows: rows[:-1],
    "row 4 is not named by the tag of any version that it moved": lambda rows: appended(rows, "done"),
}


@pytest.mark.parametrize("told", FORGERIES)
def test_history_finds_an_end_of_the_ledger_that_was_written_anew(run: Run, registry: MlflowClient, told: str):
    made.register(registry, "made", GOOD)
    run("promote", "made", "1", "--stage", "Staging", "--reason", "to be tried")
    forge(Path("ledger.db"), FORGERIES[told])
    done = run("history", "made", "--verify")
    assert done.returncode == 1
    assert f"The ledger was tampered with: {told}." in done.stdout


def test_watch_once_settles_and_ends(run: Run, registry: MlflowClient):
    made.register(registry, "made", GOOD)
    assert "nothing was changed by hand" in run("watch", "--once").stderr
    registry.set_registered_model_alias("made", "champion", "1")
    done = run("watch", "--once", "yes")
    assert (done.returncode, "made version 1: alias champion set by hand; passed 9 gates: kept" in done.stderr) == (
        0,
        True,
    )
    with ledger.open() as book:
        assert book.verify() is None
    assert registry.get_model_version("made", "1").current_stage == "Production"
