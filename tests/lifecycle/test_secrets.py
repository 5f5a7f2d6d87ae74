"""No secret of a command is stored or printed: tracking store, artifacts, ledger, output and errors are searched."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import pandas as pd
import psycopg
import pytest
import sqlalchemy
from mlflow import MlflowClient

from pipelines.__main__ import cli as pipelines
from registry.__main__ import cli as registry
from tests import command
from tests.command import BARE, Done, run
from tests.pipelines import tables

#: Each has a part that no encoding changes, by which it is searched for.
PASSWORD = "tiger4711@x:/?#[%&=+ 'y"
PART = "tiger4711"
SECRET = "s3cr3t-0815-word"
KEPT = ("--name", "kept", *BARE)


@pytest.fixture(scope="module")
def login(postgresql: str) -> str:
    """The name of a PostgreSQL role that owns a database of its name, and whose password is ``PASSWORD``."""
    name = "keeper"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(psycopg.sql.Identifier(name), PASSWORD)
        )
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    return name


@pytest.fixture(scope="module")
def place(postgresql: str) -> str:
    """Host and port of the PostgreSQL server."""
    return urlsplit(postgresql).netloc.rpartition("@")[2]


@pytest.fixture(scope="module")
def table(login: str, place: str, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A table, which is in the role's database as ``made``, too."""
    made = pd.read_csv(tables.linear(tmp_path_factory.mktemp("made") / "made.csv"))
    engine = sqlalchemy.create_engine(f"postgresql://{login}:{quote(PASSWORD, safe='')}@{place}/{login}")
    made.to_sql("made", engine, index=False)
    engine.dispose()
    return made


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command in this process, which has imported what another one would have to import each time."""

    def said(group, *words: str) -> Done:
        monkeypatch.setattr(sys, "argv", [group.name or "", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            group(words)
        return Done(int(ended.value.code or 0), *capfd.readouterr(), seconds=0)

    return said


def kept(folder: Path, *said: Done) -> dict[str, str]:
    """All that is in files below a folder, databases among them, and all that was said."""
    found = {str(file.relative_to(folder)): file.read_bytes().decode("latin-1") for file in files(folder)}
    assert any(name.endswith(".db") for name in found)
    for number, done in enumerate(said):
        found |= {f"output {number}": done.out, f"errors {number}": done.err}
    return found


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.name not in ("made.db", "policy.yaml")]


def leaks(found: Mapping[str, str], *secrets: str) -> list[str]:
    return [f"{name}: {text[max(0, text.index(one) - 80) :][:200]}" for name, text in found.items()
            for one in secrets if one in text]  # fmt: skip


def run_of(tracking: str) -> dict:
    client = MlflowClient(tracking)
    (found,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return found.to_dictionary()


URLS = {
    "encoded": "postgresql://{user}:{quoted}@{place}/{user}",
    "in the query": "postgresql://{place}/{user}?user={user}&password={plus}",
    "all in the query": "postgresql:///{user}?user={user}&password={plus}&host={host}&port={port}",
}


@pytest.mark.parametrize("form", URLS)
def test_a_password_of_postgresql_is_nowhere_and_its_host_is(
    form: str, login: str, place: str, table: pd.DataFrame, tracking: str, said, tmp_path: Path
):
    host, _, port = place.partition(":")
    words = {"user": login, "quoted": quote(PASSWORD, safe=""), "plus": quote_plus(PASSWORD)}
    url = URLS[form].format(place=place, host=host, port=port, **words)
    query = f"SELECT * FROM made WHERE colour <> 'https://ann:{SECRET}@example.com/x'"
    words = ("train", "--data", url, "--query", query, *KEPT)
    done = run(*words, folder=tmp_path) if form == "encoded" else said(pipelines, *words)
    assert done.code == 0, done.err

    assert leaks(kept(tmp_path, done), PART, quote_plus(PASSWORD), SECRET) == []
    data = run_of(tracking)["data"]
    for text in (data["params"]["data.source"], data["tags"]["command"]):
        assert host in text
        assert login in text
        assert "WHERE colour <> " in text
        assert "https://ann:***@example.com/x" in text


@pytest.mark.parametrize(
    "form", ["sqlite:///{path}?password={secret}", "sqlite:///file:{path}?mode=ro&uri=true&key={secret}"]
)
def test_a_secret_in_the_url_of_a_file_is_nowhere_and_its_path_is(
    form: str, table: pd.DataFrame, tracking: str, said, tmp_path: Path
):
    path = tmp_path / "made.db"
    with closing(sqlite3.connect(path)) as connection:
        table.to_sql("made", connection, index=False)
    done = said(pipelines, "train", "--data", form.format(path=path, secret=SECRET), "--query", "made", *KEPT)
    assert done.code == 0, done.err
    assert str(path) in run_of(tracking)["data"]["params"]["data.source"]
    assert leaks(kept(tmp_path, done), SECRET) == []


FAILING = {
    "refused": "postgresql://ann:{secret}@127.0.0.1:1/db",
    "refused, in the query": "postgresql://127.0.0.1:1/db?user=ann&password={secret}",
    "wrong": "postgresql://ann:{secret}@{place}/postgres",
    "a bare @": "postgresql://ann:p@{secret}@{place}/postgres",
    "a bare @ and /": "postgresql://ann:p@x/{secret}@{place}/postgres",
    "no such host": "postgresql://ann:{secret}@nowhere.invalid/db",
    "no port": "postgresql://ann@nowhere.invalid:{secret}/db",
    "no driver": "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BSERVER%3Dh%3BUID%3Du%3BPWD%3D{secret}",
    "no such dialect": "nothing://ann:{secret}@h/db",
    "no URL": "postgresql:/ann:{secret}@h/db",
    "SQLCipher": "sqlite+pysqlcipher://:{secret}@/x.db",
    "the web": "https://{secret}:x-oauth-basic@example.com/a.csv?X-Amz-Signature={secret}",
    "S3": "s3://AKIA:{secret}@/",
    "a file": "file:///nowhere/x.csv?sig={secret}",
}


@pytest.mark.parametrize("form", FAILING)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_a_connection_that_fails_tells_no_secret(
    form: str, debug: tuple, place: str, tracking: str, said, tmp_path: Path
):
    url = FAILING[form].format(secret=SECRET, place=place)
    done = said(pipelines, "train", "--data", url, "--query", "made", "--name", "kept", *debug)
    assert done.code == 2, done.err
    assert done.line.startswith("error: ")
    assert leaks(kept(tmp_path, done), SECRET) == []


@pytest.mark.parametrize("form", FAILING)
def test_a_tracking_store_a_ledger_and_a_study_that_fail_tell_no_secret(
    form: str, place: str, tracking: str, said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = FAILING[form].format(secret=SECRET, place=place)
    tune = ("tune", "--data", "diabetes", "--name", "kept", "--trials", "1", "--folds", "2", "--storage", url)
    told = [said(pipelines, *tune, "--suite", "none", "--debug")]
    monkeypatch.setenv("LEDGER_URI", url)
    told.append(said(registry, "history", "kept", "--debug"))
    monkeypatch.delenv("LEDGER_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    told += [said(registry, "list", "--debug"), said(pipelines, "train", "--data", "diabetes")]
    assert [done.code for done in told] == [2, 2, 2, 2], told
    assert leaks(kept(tmp_path, *told), SECRET) == []


WORDS = {
    "token": "glpat-{secret}",
    "header": "curl -sH 'Authorization: Bearer {secret}' http://127.0.0.1:1/x",
    "variable": "API_TOKEN={secret} true; echo it was {secret}; exit 3",
    "option": "echo --password {secret} --user ann; exit 3",
    "user": "echo no answer of https://{secret}@127.0.0.1/x; exit 3",
    "hook": "echo POST /services/T0/B0/{secret}: 404 at https://hooks.slack.com/services/T0/B0/{secret}; exit 22",
    "environment": "echo $FOLLOWERS_KEY; exit 3",
    "query": "echo cannot fetch 'https://127.0.0.1/x?X-Amz-Signature={secret}&a=1'; exit 3",
    "database": "echo 'postgresql://h/db?user=u&password={secret}'; exit 3",
    "key": "echo {secret}0123456789 was refused; exit 3",
}


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_followers_and_reasons_leave_no_secret(
    store: str, login: str, place: str, tracking: str, said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if store == "postgresql":
        monkeypatch.setenv("LEDGER_URI", f"postgresql://{place}/{login}?user={login}&password={quote_plus(PASSWORD)}")
    monkeypatch.setenv("FOLLOWERS_KEY", SECRET)
    follow = [{"command": text.format(secret=SECRET), "tries": 1} for text in WORDS.values()]
    follow += [{"webhook": f"http://ann:{SECRET}@127.0.0.1:1/services/{SECRET}?token={SECRET}", "tries": 1}]
    follow += [{"name": "tell the team", "command": f"echo {SECRET} >&2; exit 1", "tries": 1}]
    # A quoted command is YAML as well as JSON.
    (tmp_path / "policy.yaml").write_text("follow: " + json.dumps(follow))
    client = MlflowClient(tracking)
    client.create_registered_model("kept")
    client.create_model_version("kept", "runs:/1/model")
    reason = f"see https://wiki.example.com/page?token={SECRET}"
    policy = ("--policy", str(tmp_path / "policy.yaml"))
    told = [
        said(registry, "reject", "kept", "1", "--reason", reason, *policy),
        said(registry, "history", "kept"),
        said(registry, "history", "kept", "--json"),
        said(registry, "history", "kept", "--verify"),
    ]
    assert [done.code for done in told] == [0] * 4, told

    assert leaks(kept(tmp_path, *told), SECRET, PART) == []
    assert leaks({"ledger": stored(os.environ.get("LEDGER_URI"))}, SECRET, PART) == []
    rows = [row for row in json.loads(told[2].out) if row["kind"] == "follow"]
    assert [row["details"]["follower"] for row in rows][:5] == [
        "command",
        "curl 127.0.0.1",
        "echo",
        "echo (2)",
        "echo 127.0.0.1",
    ]
    assert rows[-1]["details"]["follower"] == "tell the team"
    assert rows[-2]["details"]["follower"] == "127.0.0.1"
    assert "Connection refused" in rows[-2]["details"]["said"]
    assert "see https://wiki.example.com/page?token=***" in told[1].out


def stored(url: str | None) -> str:
    """All rows of all tables of a database."""
    if not url:
        return ""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        names = sqlalchemy.inspect(connection).get_table_names()
        rows = [str(row) for name in names for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{name}"'))]
    engine.dispose()
    assert rows
    return "\n".join(rows)


def test_a_token_in_the_address_of_the_git_remote_is_not_kept(tracking: str, tmp_path: Path):
    remote = f"https://{SECRET}@example.com/o/r.git?access_token={SECRET}"
    repository = tmp_path / "checkout"
    repository.mkdir()
    program = repository / "train.py"
    program.write_text("from pipelines.__main__ import cli\ncli()\n")
    for words in (
        ("init", "-q"),
        ("add", "train.py"),
        ("remote", "add", "origin", remote),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *words], cwd=repository, check=True)
    done = subprocess.run(
        [sys.executable, str(program), "train", "--data", "diabetes", *BARE],
        cwd=repository,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(command.ROOT)},
    )
    assert done.returncode == 0, done.stderr
    tags = run_of(tracking)["data"]["tags"]
    assert tags["mlflow.source.git.repoURL"].endswith("example.com/o/r.git?access_token=***")
    shutil.rmtree(repository / ".git")
    assert leaks(kept(tmp_path, Done(0, done.stdout, done.stderr, 0)), SECRET) == []


def test_mlflow_run_says_that_it_has_kept_a_secret(tracking: str, tmp_path: Path):
    url = f"postgresql://ann:{SECRET}@127.0.0.1:1/db"
    words = ("run", str(command.ROOT), "--env-manager", "local", "-e", "train", "-P", f"data={url}", "-P", "query=t")
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = run(*words, package="mlflow", folder=tmp_path, env=env)
    assert "`mlflow run` has logged the parameters as they were given, with a secret in them: " in done.err
