"""A ledger that the first release made is read, verified and gone on with: its tables are migrated where they are."""

import contextlib
import sqlite3
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from registry import history, ledger
from registry.errors import RegistryError
from registry.ledger import DONE, INTENT, Anchor, LedgerEntry, tables
from registry.ledger.entries import closing
from tests import forked
from tests.registry.killing import dying, killed

#: As the first release wrote it: two versions promoted, one of them after a try that was undone; a follower, a watch,
#: and a promotion that was cut short.
FROZEN = Path(__file__).with_name("ledger_schema_1.sql").read_text(encoding="utf-8")

# What the first release made in PostgreSQL.
POSTGRESQL = """
CREATE TABLE lifecycle_ledger (id INTEGER NOT NULL, time VARCHAR(40) NOT NULL, kind VARCHAR(40) NOT NULL,
  state VARCHAR(40) NOT NULL, intent INTEGER, model TEXT NOT NULL, version TEXT NOT NULL, source VARCHAR(40) NOT NULL,
  target VARCHAR(40) NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, digest TEXT, verdict TEXT,
  details TEXT NOT NULL, previous VARCHAR(64) NOT NULL, hash VARCHAR(64) NOT NULL, PRIMARY KEY (id));
CREATE INDEX lifecycle_ledger_model ON lifecycle_ledger (model);
CREATE UNIQUE INDEX lifecycle_ledger_closed ON lifecycle_ledger (intent) WHERE state IN ('done', 'undone');
CREATE TABLE lifecycle_ledger_head (schema_version INTEGER NOT NULL, last INTEGER NOT NULL, hash VARCHAR(64) NOT NULL,
  PRIMARY KEY (schema_version));
CREATE TABLE lifecycle_leases (name TEXT NOT NULL, holder TEXT NOT NULL, expires FLOAT NOT NULL, PRIMARY KEY (name));
CREATE OR REPLACE FUNCTION lifecycle_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER lifecycle_ledger_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON lifecycle_ledger
  FOR EACH STATEMENT EXECUTE FUNCTION lifecycle_ledger_refuse();
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger of the first release."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FROZEN)
        if request.param == "sqlite":
            return f"sqlite:///{path}"
        uri = request.getfixturevalue("new_database")()
        with psycopg.connect(uri) as target:
            target.execute(POSTGRESQL)
            for table in ("lifecycle_ledger", "lifecycle_ledger_head"):
                for row in connection.execute(f"SELECT * FROM {table}"):
                    target.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
    path.unlink()
    return uri


def names(uri: str) -> set[str]:
    engine = sqlalchemy.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))
    try:
        return set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_it_is_read_verified_and_gone_on_with(frozen: str):
    with ledger.open(frozen) as book:
        entries = book.entries()
        assert [entry.id for entry in entries] == list(range(1, 10))
        assert entries[2].reason == "a try; größer"
        assert history.stages(entries) == {"1": "Production", "2": "Staging"}
        assert book.verify() is None
        (cut_short,) = book.open_intents()
        assert cut_short.id == 9
        assert not book.anchoring(cut_short)

        # The last closing row of each version waits to be named in the registry, as that release did not.
        assert [row.id for row in book.unanchored()] == [2, 6]
        (row,) = book.extend([closing(cut_short, DONE)])
        assert (row.id, row.previous) == (10, cut_short.hash)
        assert book.verify() is None


def test_its_tags_named_intents_only_and_that_is_no_tampering(frozen: str):
    with ledger.open(frozen) as book:
        rows = {entry.id: entry for entry in book.entries()}
        tags = [
            Anchor("diabetes", "1", 1700000000000, 1, rows[1].hash),
            Anchor("diabetes", "2", 1700000000001, 5, rows[5].hash),
        ]
        assert book.verify(lambda: tags) is None
        # One that this release wrote is another matter.
        intent = book.append(LedgerEntry(**{**_promotion(), "details": {"schema": 2, **rows[5].details}}))
        (stored,) = book.entries(intent=intent)
        book.extend([closing(stored, DONE)])
        book.anchored(stored.id + 1)
        broken = book.verify(lambda: tags)
        assert broken is not None
        assert broken.id == stored.id + 1


def test_what_a_forger_adds_behind_new_rows_is_not_taken_for_the_first_releases(frozen: str):
    with ledger.open(frozen) as book:
        details = book.entries()[4].details
        new = book.append(LedgerEntry(**{**_promotion(), "details": {"schema": 2, **details}}))
        forged = book.append(LedgerEntry(**{**_promotion(), "details": details}))
        for number, anchoring in ((new, True), (forged, True), (5, False)):
            (*_, intent) = (one for one in book.entries() if one.id == number)
            assert book.anchoring(intent) is anchoring


def _promotion() -> dict:
    return {
        **{"kind": "promote", "state": INTENT, "model": "diabetes", "version": "2", "source": "None"},
        **{"target": "Staging", "actor": "bob", "reason": "new", "digest": None, "verdict": None},
    }


def test_the_tables_are_those_that_this_release_would_make(
    frozen: str, new_database: Callable[[], str], tmp_path: Path
):
    fresh = f"sqlite:///{tmp_path}/fresh.db" if frozen.startswith("sqlite") else new_database()
    found = []
    for uri in (frozen, fresh):
        with ledger.open(uri) as book:
            book.append(LedgerEntry(**_promotion()))
        engine = sqlalchemy.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": tables.VERSIONS.name})
            assert compare_metadata(context, tables.metadata) == []
            assert context.get_current_revision() == tables.REVISION
            triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"
            if uri.startswith("postgresql"):
                triggers = (
                    "SELECT tgname, pg_get_triggerdef(t.oid), prosrc "
                    "FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal ORDER BY 1"
                )
            found.append(connection.exec_driver_sql(triggers).all())
        engine.dispose()
    assert found[0] == found[1] != []


def test_this_release_is_at_the_last_migration():
    script = ScriptDirectory(str(Path(tables.__file__).with_name("migrations")))
    assert script.get_heads() == [tables.REVISION]


def test_it_may_share_a_database_with_mlflow(new_database: Callable[[], str]):
    uri = new_database()
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('dc11669786a5')")
    with ledger.open(uri) as book:
        book.append(LedgerEntry(**_promotion()))
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("dc11669786a5",)]
        assert connection.execute("SELECT version_num FROM lifecycle_ledger_version").fetchall() == [(tables.REVISION,)]


def test_the_first_release_is_told_that_a_newer_one_made_it(frozen: str):
    with ledger.open(frozen) as book:
        book.entries()
        # It reads this column, and refuses what is not 1 with "a newer release made it, upgrade".
        engine = book._engine
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.select(tables.head.c.schema_version)).scalars().all() == [2]


def test_one_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FROZEN)
        connection.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(ledger.store, "_BUSY_FILE", 0.2)
        with ledger.open(f"sqlite:///{path}") as book, pytest.raises(RegistryError, match="locked; another process"):
            book.entries()


def migrate(uri: str, barrier: Barrier) -> None:
    """Read and write a ledger at the moment that others do."""
    with ledger.open(uri) as book:
        barrier.wait(120)
        assert len(book.entries()) >= 9
        book.append(LedgerEntry(**_promotion()))


def test_eight_processes_migrate_it_at_one_moment(frozen: str):
    making = forked.context()
    barrier = making.Barrier(8)
    processes = [making.Process(target=migrate, args=(frozen, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    with ledger.open(frozen) as book:
        assert [entry.id for entry in book.entries()] == list(range(1, 18))
        assert book.verify() is None
    assert names(frozen) >= {"lifecycle_ledger_version", "lifecycle_ledger_unanchored"}


def die_writing(uri: str, place: int) -> None:
    dying(place)
    with ledger.open(uri) as book:
        book.append(LedgerEntry(**_promotion()))


def test_one_that_was_killed_migrating_it_leaves_it_as_it_was(frozen: str):
    place = 1
    while killed(die_writing, frozen, place):
        assert "lifecycle_ledger_version" not in names(frozen)
        place += 3
    assert place > 9
    with ledger.open(frozen) as book:
        assert [entry.id for entry in book.entries()] == list(range(1, 11))
        assert book.verify() is None


def test_one_that_was_killed_making_it_leaves_none(tmp_path: Path):
    uri, place = f"sqlite:///{tmp_path}/ledger.db", 1
    while killed(die_writing, uri, place):
        with ledger.open(uri) as book:
            assert book.entries() == []
            assert book.verify() is None
        place += 3
    assert place > 15
    with ledger.open(uri) as book:
        assert [entry.id for entry in book.entries()] == [1]
        assert book.verify() is None
