"""Tables of answers: replaced, added to or refused, and whole or as they were, whatever happens to the job."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy

from serving import batch, databases
from serving.batch import ScoreRequest
from serving.databases.writing import writing
from serving.errors import ServingError
from tests.command import Command, failed
from tests.patience import soon
from tests.serving.batch import tables
from tests.serving.batch.test_score import good, saved
from tests.serving.scorecard import portable


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


@pytest.fixture(params=tables.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with no table of answers."""
    url = tables.address(request.param, request, tmp_path)
    tables.drop(url, "nightly", "nightly_rejects")
    return url


def asked(card: str, source: Path | str, url: str, **more: Any) -> ScoreRequest:
    return ScoreRequest(card, str(source), url, **{"output_table": "nightly", "keep": ("id",)} | more)


def ids(url: str, table: str = "nightly") -> list[int]:
    return [row["id"] for row in tables.rows_of(url, f"SELECT id FROM {table} ORDER BY id")]


def test_a_table_is_refused_replaced_or_added_to(url: str, card: str, tmp_path: Path) -> None:
    rows = good(3).astype(object)
    rows.loc[1, "amount"] = "x"
    rows.to_csv(tmp_path / "t.csv", index=False)
    for _ in range(2):
        done = batch.score(asked(card, tmp_path / "t.csv", url, append=True))
        assert (done.rows, done.rejected) == (3, 1)
    assert ids(url) == ["0", "0", "2", "2"]
    assert ids(url, "nightly_rejects") == ["1", "1"]
    with pytest.raises(ServingError, match="nightly is there already; give --append, --overwrite"):
        batch.score(asked(card, tmp_path / "t.csv", url))
    good(1).to_csv(tmp_path / "t.csv", index=False)
    batch.score(asked(card, tmp_path / "t.csv", url, overwrite=True))
    assert ids(url) == ["0"]
    assert ids(url, "nightly_rejects") == []
    assert {name for name in tables.tables_of(url) if name.startswith("nightly")} == {"nightly", "nightly_rejects"}


def test_columns_of_all_types_of_a_file(url: str, card: str, tmp_path: Path) -> None:
    table = good(2).assign(
        whole=[1, 2**60], real=[0.1, None], text=["", None], day=pd.to_datetime(["2026-01-31", None]).date,
        at=pd.to_datetime(["2026-01-31T10:30:00.123456Z", None]), raw=[b"\x00\xff", None], flags=[True, None],
        tags=[["a"], None], doc=[{"a": 1}, {"a": None}],
    )  # fmt: skip
    table.to_parquet(tmp_path / "t.parquet")
    kept = ("id", "whole", "real", "text", "day", "at", "raw", "flags", "tags", "doc")
    batch.score(asked(card, tmp_path / "t.parquet", url, keep=kept))
    first, second = tables.rows_of(url, "SELECT * FROM nightly ORDER BY id")
    assert (first["whole"], second["whole"], first["real"], bytes(first["raw"])) == (1, 2**60, 0.1, b"\x00\xff")
    assert (first["text"], str(first["day"]), str(first["at"])[:26]) == ("", "2026-01-31", "2026-01-31 10:30:00.123456")
    assert (first["flags"], first["tags"], first["doc"]) == (True, '["a"]', '{"a": 1}')
    assert [second[name] for name in ("real", "text", "day", "at", "raw", "flags", "tags")] == [None] * 7


def test_a_table_that_lacks_a_column_is_left_as_it_is(url: str, card: str, tmp_path: Path) -> None:
    with tables.engine(url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE nightly (id INTEGER, prediction INTEGER)")
        connection.exec_driver_sql("INSERT INTO nightly VALUES (7, 0)")
    good(1).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ServingError, match=r"the table \S*nightly lacks the column 'probability_False'; it has"):
        batch.score(asked(card, tmp_path / "t.parquet", url, append=True))
    assert ids(url) == [7]


def test_two_jobs_with_one_output(url: str, card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good(1).to_parquet(tmp_path / "t.parquet")
    address = databases.find(url if "sqlite" not in url else f"{url}?timeout=0", "--output", new=True)
    with writing(address, "nightly", append=False, overwrite=True):
        says = "database is locked" if "sqlite" in url else "another job is writing the table nightly; wait"
        with pytest.raises(ServingError, match=says):
            batch.score(asked(card, tmp_path / "t.parquet", address.given, overwrite=True))
    assert batch.score(asked(card, tmp_path / "t.parquet", url)).rows == 1


def many(url: str) -> int:
    """Fill a table with so many rows that it takes a while to score them."""
    tables.fill(url, "many_rows", [{**portable.GOOD, "id": place} for place in range(32)])
    count = 32
    with tables.engine(url).begin() as connection:
        while count < 30_000:
            columns = ", ".join(portable.GOOD)
            connection.exec_driver_sql(
                f"INSERT INTO many_rows (id, {columns}) SELECT id + {count}, {columns} FROM many_rows"
            )
            count *= 2
    return count


# A job may end before it is told to.
TRIES = 10

WRITERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE state <> 'idle' AND query ~ '^(INSERT INTO|COPY)'",
    # What InnoDB tells of transactions is up to a tenth of a second old, in which all may be over.
    "mariadb": "SELECT id FROM information_schema.processlist WHERE info REGEXP '^INSERT INTO'",
}


def kind_of(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def busy(url: str) -> Callable[[], bool]:
    """Whether rows are being written."""
    if kind_of(url) == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        before = path.stat().st_size
        return lambda: path.stat().st_size > before + 500_000
    engine = tables.engine(url)

    def asks() -> bool:
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql(WRITERS[kind_of(url)]).fetchall())

    return asks


def until_free(writes: Callable[[], bool]) -> None:
    """A server goes on for a moment when its client is gone."""
    deadline = time.monotonic() + soon(60)
    while writes() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def job(card: str, url: str, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts a job that replaces the table of answers, and gives its process when it writes rows."""
    with contextlib.ExitStack() as stack:

        def start(engine: str) -> Command:
            words = ["--input", url, "--query", "many_rows", "--output", url, "--output-table", "nightly"]
            more = ["--keep", "id", "--overwrite", "--engine", engine]
            writes, deadline = busy(url), time.monotonic() + soon(60)
            until_free(writes)
            command = stack.enter_context(Command("score", card, *words, *more, folder=tmp_path, package="serving"))
            while command.process.poll() is None and not writes() and time.monotonic() < deadline:
                time.sleep(0.002)
            return command

        yield start


@pytest.mark.parametrize(
    ("url", "engine"),
    [("postgresql", "database"), ("mariadb", "database"), ("sqlite", "database"), ("mariadb", "duckdb")],
    indirect=["url"],
)
def test_stopped_in_the_middle_the_table_is_as_before(
    engine: str, url: str, card: str, job: Callable[..., Command]
) -> None:
    """Killed, and then interrupted; the same command finishes afterwards."""
    count = many(url)
    few = "SELECT * FROM many_rows WHERE id < 3"
    batch.score(asked(card, url, url, query=few))
    for number in (signal.SIGKILL, signal.SIGINT):
        for _ in range(TRIES):
            command = job(engine)
            command.signal(number)
            done = command.done()
            if done.code != 0:
                break
            # The last rows were written before the signal came.
            batch.score(asked(card, url, url, query=few, overwrite=True))
        assert ids(url) == [0, 1, 2]
        if number == signal.SIGKILL:
            assert done.code == -9
        else:
            failed(done, says="interrupted")
    until_free(busy(url))
    assert batch.score(asked(card, url, url, query="many_rows", overwrite=True)).rows == count
    assert len(ids(url)) == count
    assert {name for name in tables.tables_of(url) if name.startswith("nightly")} == {"nightly", "nightly_rejects"}


@pytest.mark.flaky(reason="the statement may end before the database is told to kill it")
@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_dies_is_one_line(url: str, card: str, job: Callable[..., Command]) -> None:
    many(url)
    command = job("database")
    with tables.engine(url).begin() as connection:
        end = "SELECT pg_terminate_backend({})" if kind_of(url) == "postgresql" else "KILL {}"
        for (writer,) in connection.exec_driver_sql(WRITERS[kind_of(url)]).fetchall():
            connection.exec_driver_sql(end.format(writer))
    failed(command.done(), says="refused")
    assert "nightly" not in tables.tables_of(url)


def test_rights_and_names_are_looked_at_before_anything_is_scored(postgresql: str, card: str, tmp_path: Path) -> None:
    good(1).to_parquet(tmp_path / "t.parquet")
    with tables.engine(postgresql).begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN PASSWORD 's3cr3t word'")
    reader = sqlalchemy.make_url(postgresql).set(username="reader", password="s3cr3t word")
    given = reader.render_as_string(hide_password=False)
    wrong = reader.set(password="n0t this").render_as_string(hide_password=False)
    for output, more, says in (
        (given, {}, "permission denied for schema public"),
        (wrong, {}, "password authentication failed"),
        (f"sqlite:///{tmp_path}/no/folder.db", {}, "unable to open database file"),
        ("oracle://u@h/d", {}, "expected PostgreSQL, MySQL, MariaDB or SQLite, found oracle"),
        (given, {"output_table": None}, "give the name of a table by --output-table"),
        (str(tmp_path / "out.csv"), {"output_table": "t"}, "--output-table and --append go with a database"),
        (str(tmp_path / "out.csv"), {"query": "t", "output_table": None}, "--query goes with a database's URL"),
    ):
        with pytest.raises(ServingError, match=says) as error:
            batch.score(asked(card, tmp_path / "t.parquet", output, **more))
        assert "\n" not in str(error.value)
        assert "s3cr3t" not in str(error.value)
        assert "n0t" not in str(error.value)
    assert not list(tmp_path.glob("*.db"))


def test_a_table_is_not_written_over_itself(url: str, card: str) -> None:
    tables.fill(url, "nightly", [{**portable.GOOD, "id": 0}])
    with pytest.raises(ServingError, match="nightly is the input itself"):
        batch.score(asked(card, url, url, query="nightly", overwrite=True))
    assert ids(url) == [0]


def test_a_job_that_fails_makes_no_sqlite_file(card: str, tmp_path: Path) -> None:
    good(1).drop(columns="grade").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ServingError, match="lacks the column that the model reads: 'grade'"):
        batch.score(asked(card, tmp_path / "t.parquet", f"sqlite:///{tmp_path}/out.db"))
    assert not (tmp_path / "out.db").exists()


def test_infinities_that_mariadb_cannot_hold_are_named(mariadb: str, card: str, tmp_path: Path) -> None:
    tables.drop(mariadb, "nightly", "nightly_rejects")
    good(1).assign(limit=[float("inf")]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ServingError, match="the column 'limit' holds an infinity"):
        batch.score(asked(card, tmp_path / "t.parquet", mariadb, keep=("limit",)))
    assert "nightly" not in tables.tables_of(mariadb)


def test_values_of_the_table_are_in_no_error(postgresql: str, card: str, tmp_path: Path) -> None:
    tables.drop(postgresql, "nightly", "nightly_rejects")
    good(1).assign(note=["a secret"]).to_parquet(tmp_path / "t.parquet")
    batch.score(asked(card, tmp_path / "t.parquet", postgresql, keep=("id",), append=True))
    with tables.engine(postgresql).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE nightly ADD COLUMN note INTEGER")
        connection.exec_driver_sql("ALTER TABLE nightly_rejects ADD COLUMN note INTEGER")
    with pytest.raises(ServingError, match="refused a row: InvalidTextRepresentation") as error:
        batch.score(asked(card, tmp_path / "t.parquet", postgresql, keep=("id", "note"), append=True))
    assert "secret" not in str(error.value)
