"""The first use of an SQLite tracking store: by many at once, by one that is killed, and after MLflow broke it."""

import contextlib
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import warnings
from multiprocessing.synchronize import Barrier
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base

from registry import tracking_store
from registry.errors import RegistryError
from registry.tracking_store import path_of, prepare
from tests import forked
from tests.command import ROOT
from tests.registry.killing import PATIENCE, dying, killed


def revisions() -> list[str]:
    """MLflow's migrations, the first one first."""
    script = ScriptDirectory.from_config(utils._get_alembic_config(""))
    return [one.revision for one in script.walk_revisions()][::-1]


def make_old(path: Path, *, revision: str) -> None:
    """An MLflow store of an older release, with a run in it."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with warnings.catch_warnings(), engine.connect() as connection:
        warnings.simplefilter("ignore")
        config = utils._get_alembic_config(str(engine.url))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'old', 'active')")
        connection.execute(
            "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, source_type, user_id, "
            "start_time, artifact_uri, source_name, source_version, entry_point_name) "
            "VALUES ('0123', 'kept', 'FINISHED', 'active', 7, 'LOCAL', 'ann', 1, 'mlruns', '', '', '')"
        )


def usable(path: Path) -> list[str]:
    """The names of the experiments of a store that MLflow works on."""
    client = mlflow.MlflowClient(f"sqlite:///{path}")
    assert client.search_registered_models() == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revisions()[-1],)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return sorted(one.name for one in client.search_experiments())


# Many at once


def first_use(uri: str, barrier: Barrier, kind: int) -> None:
    """Use a store at the moment that others do: by the platform's client, or as MLflow itself would."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    os.chdir(Path(uri.removeprefix("sqlite:///")).parent)
    barrier.wait(PATIENCE)
    if kind % 2:
        from registry import client

        client.connect().search_experiments()
    else:
        tracking_store.tracking_store(uri, "mlruns").search_experiments()
        tracking_store.registry_store(uri).search_registered_models()


@pytest.mark.parametrize("times", [4])
def test_eight_at_one_moment_all_succeed(tmp_path: Path, times: int):
    making = forked.context()
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        barrier = making.Barrier(8)
        uri = f"sqlite:///{folder}/mlflow.db"
        processes = [making.Process(target=first_use, args=(uri, barrier, kind)) for kind in range(8)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
        assert [process.exitcode for process in processes] == [0] * 8
        assert usable(folder / "mlflow.db") == ["Default"]
        assert sorted(path.name for path in folder.iterdir()) == ["mlflow.db", "mlflow.lock.db"]


def test_eight_that_find_an_older_store_migrate_it_once(tmp_path: Path):
    path = tmp_path / "mlflow.db"
    make_old(path, revision=revisions()[30])
    making = forked.context()
    barrier = making.Barrier(8)
    processes = [making.Process(target=first_use, args=(f"sqlite:///{path}", barrier, kind)) for kind in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * 8
    assert usable(path) == ["Default", "old"]
    assert mlflow.MlflowClient(f"sqlite:///{path}").get_run("0123").info.run_name == "kept"


# Killed in the middle


def die_preparing(uri: str, place: int) -> None:
    dying(place)
    prepare(uri)


def die_in_mlflow(uri: str, place: int) -> None:
    """As MLflow without this project makes or migrates a store."""
    dying(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils._initialize_tables(utils.create_sqlalchemy_engine(uri))


@pytest.mark.parametrize("place", [1, 40, 150])
def test_whoever_comes_after_one_that_was_killed_making_it_makes_it(tmp_path: Path, place: int):
    path = tmp_path / "mlflow.db"
    assert killed(die_preparing, f"sqlite:///{path}", place)
    assert not path.exists()
    prepare(f"sqlite:///{path}")
    assert usable(path) == ["Default"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mlflow.db", "mlflow.lock.db"], "nothing is left over"


@pytest.mark.parametrize("place", [1, 20, 90, 160])
def test_whoever_comes_after_one_that_was_killed_migrating_it_goes_on(tmp_path: Path, place: int):
    path = tmp_path / "mlflow.db"
    make_old(path, revision=revisions()[30])
    assert killed(die_preparing, f"sqlite:///{path}", place)
    prepare(f"sqlite:///{path}")
    assert usable(path) == ["Default", "old"]
    assert mlflow.MlflowClient(f"sqlite:///{path}").get_run("0123").info.run_name == "kept"


# Left half-migrated by MLflow without the lock


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a store stays as it is needs no long look where nobody else is there."""
    monkeypatch.setattr(tracking_store, "_STILL", 0.3)


def test_a_new_store_that_mlflow_left_half_made_is_completed_or_told_to_be_deleted(tmp_path: Path, hasty: None):
    told = []
    for place in (2, 30, 61, 150, 270):
        path = tmp_path / f"{place}.db"
        uri = f"sqlite:///{path}"
        assert killed(die_in_mlflow, uri, place)
        try:
            prepare(uri)
        except RegistryError as error:
            told.append(str(error))
            path.unlink()
            prepare(uri)
        assert usable(path) == ["Default"]
    assert told
    for line in told:
        assert re.fullmatch(
            r"the tracking database \S+ was left half-migrated by a process that was cut short, "
            "and holds no runs or models: delete it, and run the command again",
            line,
        )


def copies(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE name LIKE '\\_alembic\\_tmp\\_%' ESCAPE '\\'"
        return [name for (name,) in connection.execute(query)]


def test_an_older_store_that_was_left_half_migrated_is_repaired_as_it_is_told(tmp_path: Path, hasty: None):
    for place in range(1, 200, 7):
        path = tmp_path / f"{place}.db"
        uri = f"sqlite:///{path}"
        make_old(path, revision=revisions()[12])
        if not killed(die_in_mlflow, uri, place) or not copies(path):
            continue
        with pytest.raises(RegistryError, match=r"left half-migrated .* keep a copy of it, then run") as caught:
            prepare(uri)
        assert "\n" not in str(caught.value)
        commands = re.findall(r"`([^`]+)`", str(caught.value))
        assert len(commands) == 2
        for words in commands:
            program, *rest = shlex.split(words)
            program = {"python": [sys.executable], "mlflow": [sys.executable, "-m", "mlflow"]}[program]
            subprocess.run([*program, *rest], check=True, cwd=tmp_path, capture_output=True)
        assert usable(path) == ["Default", "old"]
        assert mlflow.MlflowClient(uri).get_run("0123").info.run_name == "kept"
        return
    pytest.fail("no kill left a copied table")


# What MLflow itself does where this project is installed


def test_mlflow_knows_the_entry_points_and_takes_the_lock(tmp_path: Path):
    from importlib.metadata import entry_points

    found = {
        group: entry_points(group=group, name="sqlite")
        for group in ("mlflow.tracking_store", "mlflow.model_registry_store")
    }
    if not all(found.values()):
        pytest.fail("the project is not installed as it is now: pip install --no-deps -e .")
    script = "import mlflow; mlflow.search_experiments(); mlflow.search_registered_models()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mlflow.db", "mlflow.lock.db"]


def test_a_server_keeps_where_its_artifacts_go(tmp_path: Path):
    script = (
        "import mlflow.server.handlers as handlers\n"
        f"store = handlers._get_tracking_store('sqlite:///{tmp_path}/mlflow.db', 'mlflow-artifacts:/')\n"
        f"handlers._get_model_registry_store('sqlite:///{tmp_path}/mlflow.db').search_registered_models()\n"
        "print(store.get_experiment('0').artifact_location)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "mlflow-artifacts:/0"


# Where it is


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", Path("mlflow.db")),
        ("sqlite:////data/mlflow.db", Path("/data/mlflow.db")),
        ("sqlite+pysqlite:////data/a b.db?timeout=3", Path("/data/a b.db")),
        ("sqlite:////data/a%20b.db", Path("/data/a b.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:x?mode=memory&uri=true", None),
        ("postgresql://ann:secret@host/mlflow", None),
        ("http://host:5000", None),
        ("mlruns", None),
    ],
)
def test_the_file_of_a_uri(uri: str, path: Path | None):
    assert path_of(uri) == path


def test_a_store_in_an_empty_file_is_made_there(tmp_path: Path):
    path = tmp_path / "mlflow.db"
    path.touch()
    prepare(f"sqlite:///{path}")
    assert usable(path) == ["Default"]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"the tracking database .*/file/mlflow\.db cannot be used") as caught:
        prepare(f"sqlite:///{tmp_path}/file/mlflow.db")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("notes\n" * 100)
    with pytest.raises(
        RegistryError, match="cannot be used: file is not a database; see that it is a database"
    ) as caught:
        prepare(f"sqlite:///{tmp_path}/mlflow.db")
    assert "\n" not in str(caught.value)
