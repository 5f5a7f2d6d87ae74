"""The ledger: an append-only chain of rows in SQLite or PostgreSQL, its lock, its leases, its place."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import ledger
from registry.errors import RegistryError
from registry.ledger import DONE, INTENT, UNDONE, Anchor, Ledger, LedgerEntry
from tests import stores
from tests.patience import soon

ROOT = Path(__file__).parents[2]

INTENDED = LedgerEntry(
    kind="promote",
    state=INTENT,
    model="diabetes",
    version="3",
    source="Staging",
    target="Production",
    actor="ann",
    reason="better on every group",
    digest="sha256:00",
    verdict={"passed": True, "results": [{"gate": "bound", "passed": True}]},
    details={"moves": []},
)


@pytest.fixture(params=["sqlite", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger that is not there yet, in either kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def book(uri: str) -> Iterator[Ledger]:
    with ledger.open(uri) as book:
        yield book


@contextlib.contextmanager
def database(uri: str) -> Iterator[Callable]:
    """Run SQL in a ledger's database by other means than the ledger's."""
    if uri.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
            yield connection.execute
    else:
        with psycopg.connect(uri) as connection:
            yield connection.execute


@contextlib.contextmanager
def tampering(uri: str) -> Iterator[Callable]:
    """Run SQL in a ledger's database with its triggers out of the way, as somebody with all rights could."""
    with database(uri) as run:
        if uri.startswith("sqlite"):
            found = run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            off, on = [f"DROP TRIGGER {name}" for name, _ in found], [sql for _, sql in found]
        else:
            tables = ("lifecycle_ledger", "lifecycle_ledger_head")
            off, on = ([f"ALTER TABLE {table} {to} TRIGGER USER" for table in tables] for to in ("DISABLE", "ENABLE"))
        for statement in off:
            run(statement)
        yield run
        for statement in on:
            run(statement)


# The chain


def test_rows_are_read_back_as_they_were_written(book: Ledger):
    first = book.append(INTENDED)
    second = book.append(replace(INTENDED, state=DONE, intent=first, details={"moves": [], "größe": 1.5}))

    stored = book.entries("diabetes")
    assert [entry.id for entry in stored] == [first, second] == [1, 2]
    assert stored[0] == replace(
        INTENDED, id=1, time=stored[0].time, previous="0" * 64, hash=stored[0].hash, details={"moves": []}
    )
    assert stored[1].previous == stored[0].hash
    assert stored[1].details == {"moves": [], "größe": 1.5}
    assert stored[0].time.endswith("+00:00")
    assert book.entries("another") == []
    assert book.verify() is None


@given(text=st.text(st.characters()), number=st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_number_is_kept(tmp_path_factory: pytest.TempPathFactory, text: str, number: float):
    path = tmp_path_factory.mktemp("any")
    with ledger.open(f"sqlite:///{path}/ledger.db") as book:
        book.append(replace(INTENDED, reason=text, actor=text, details={text: [number, text]}))
        (stored,) = book.entries("diabetes")
        assert book.verify() is None
    shutil.rmtree(path)
    assert stored.details == {text: [number, text]}
    assert stored.reason == text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(book: Ledger):
    book.append(INTENDED)
    with pytest.raises(ValueError, match="JSON compliant"):
        book.append(replace(INTENDED, details={"rmse": float("nan")}))
    assert len(book.entries()) == 1
    assert book.verify() is None


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of six rows."""
    path = tmp_path_factory.mktemp("written") / "ledger.db"
    with ledger.open(f"sqlite:///{path}") as book:
        for number in range(3):
            intent = book.append(replace(INTENDED, version=str(number), reason=f"reason {number}"))
            book.append(replace(INTENDED, version=str(number), reason=f"reason {number}", state=DONE, intent=intent))
    return path


COLUMNS = [
    *("id", "time", "kind", "state", "intent", "model", "version", "source", "target", "actor", "reason"),
    *("digest", "verdict", "details", "previous", "hash"),
]
VALUES = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-5, 20), st.none(), st.binary())


@given(row=st.integers(1, 6), column=st.sampled_from(COLUMNS), value=VALUES)
def test_any_change_of_any_field_of_any_row_is_found(
    tmp_path_factory: pytest.TempPathFactory, written: Path, row: int, column: str, value: object
):
    path = tmp_path_factory.mktemp("changed") / "ledger.db"
    shutil.copyfile(written, path)
    with tampering(f"sqlite:///{path}") as run:
        before = run(f"SELECT {column} FROM lifecycle_ledger WHERE id = ?", (row,)).fetchone()
        with contextlib.suppress(sqlite3.IntegrityError):  # the table itself refuses it
            run(f"UPDATE lifecycle_ledger SET {column} = ? WHERE id = ?", (value, row))
        # What SQLite made of it, and not of another row's type.
        changed = run("SELECT rowid FROM lifecycle_ledger WHERE rowid = ?", (row,)).fetchone()
        after = changed and run(f"SELECT {column} FROM lifecycle_ledger WHERE id = ?", (row,)).fetchone()
    with ledger.open(f"sqlite:///{path}") as book:
        broken = book.verify()
    shutil.rmtree(path.parent)
    if after == before:
        assert broken is None
    else:
        assert broken is not None
        assert broken.id <= row
        assert str(broken.id) in broken.reason


@pytest.mark.parametrize("row", range(1, 7))
def test_a_row_that_was_removed_is_found(written: Path, tmp_path: Path, row: int):
    shutil.copyfile(written, tmp_path / "ledger.db")
    with tampering(f"sqlite:///{tmp_path}/ledger.db") as run:
        run(f"DELETE FROM lifecycle_ledger WHERE id = {row}")
    with ledger.open(f"sqlite:///{tmp_path}/ledger.db") as book:
        broken = book.verify()
    assert (broken and broken.id, broken and broken.reason) == (row, f"row {row} is not there")


@given(st.permutations(range(1, 7)))
def test_rows_in_another_order_are_found(tmp_path_factory: pytest.TempPathFactory, written: Path, order: list[int]):
    path = tmp_path_factory.mktemp("reordered") / "ledger.db"
    shutil.copyfile(written, path)
    with tampering(f"sqlite:///{path}") as run:
        run("UPDATE lifecycle_ledger SET id = -id")
        for place, row in enumerate(order, 1):
            run(f"UPDATE lifecycle_ledger SET id = {place} WHERE id = -{row}")
    with ledger.open(f"sqlite:///{path}") as book:
        broken = book.verify()
    shutil.rmtree(path.parent)
    moved = next((place for place, row in enumerate(order, 1) if place != row), None)
    assert (broken.id if broken else None) == moved


def test_a_row_that_was_put_behind_the_last_is_found(written: Path, tmp_path: Path):
    from registry.ledger.entries import row_of

    path = tmp_path / "ledger.db"
    shutil.copyfile(written, path)
    with ledger.open(f"sqlite:///{path}") as book:
        last = book.entries()[-1]
        row = row_of(INTENDED, id=7, time=last.time, previous=last.hash)
        with tampering(f"sqlite:///{path}") as run:
            run(f"INSERT INTO lifecycle_ledger VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
        broken = book.verify()
        assert broken is not None
        assert broken.id == 7
        with pytest.raises(RegistryError, match=r"row 7 cannot follow row 6; see .*history --verify"):
            book.append(INTENDED)


def test_a_ledger_that_was_written_anew_is_found_by_what_the_versions_say(written: Path, tmp_path: Path):
    with ledger.open(f"sqlite:///{written}") as book:
        anchors = [
            Anchor("diabetes", entry.version, 0, entry.id, entry.hash) for entry in book.entries() if entry.intent
        ]
        assert book.verify(lambda: anchors) is None
    with ledger.open(f"sqlite:///{tmp_path}/ledger.db") as forged:
        for number in range(3):
            forged.append(replace(INTENDED, version=str(number), reason="nobody asked"))
        assert forged.verify() is None
        broken = forged.verify(lambda: anchors)
        assert broken is not None
        assert broken.id == 2


ROW = "2, time, kind, state, intent, model, version, source, target, actor, reason, digest, verdict, details"

REFUSED = {
    "a change": "UPDATE lifecycle_ledger SET reason = 'x'",
    "a deletion": "DELETE FROM lifecycle_ledger",
    "a row that follows no row": f"INSERT INTO lifecycle_ledger SELECT {ROW}, 'x', 'x' FROM lifecycle_ledger",
    "a row that skips one": f"INSERT INTO lifecycle_ledger SELECT 3{ROW[1:]}, hash, 'x' FROM lifecycle_ledger",
    "a row below the first": f"INSERT INTO lifecycle_ledger SELECT -1{ROW[1:]}, hash, 'x' FROM lifecycle_ledger",
    "a change of the head's hash": "UPDATE lifecycle_ledger_head SET hash = 'x'",
    "a head that goes back": "UPDATE lifecycle_ledger_head SET last = 0",
    "a head that goes on": "UPDATE lifecycle_ledger_head SET last = 2",
    "another version": "UPDATE lifecycle_ledger_head SET schema_version = 1",
    "no head": "DELETE FROM lifecycle_ledger_head",
    "two heads": "INSERT INTO lifecycle_ledger_head VALUES (7, 0, 'x')",
}
#: In one kind of database.
REFUSED_IN = {
    "sqlite": [
        f"INSERT OR REPLACE INTO lifecycle_ledger SELECT 1{ROW[1:]}, previous, 'x' FROM lifecycle_ledger",
        "UPDATE OR REPLACE lifecycle_ledger SET id = 2",
        "INSERT OR REPLACE INTO lifecycle_ledger_head VALUES (2, 0, 'x')",
        f"INSERT INTO lifecycle_ledger SELECT NULL{ROW[1:]}, hash, 'x' FROM lifecycle_ledger",
    ],
    "postgresql": [
        "TRUNCATE lifecycle_ledger",
        "TRUNCATE lifecycle_ledger_head",
        f"INSERT INTO lifecycle_ledger SELECT 1{ROW[1:]}, previous, 'x' FROM lifecycle_ledger "
        "ON CONFLICT (id) DO UPDATE SET hash = 'x'",
    ],
}


def test_the_database_itself_refuses_changes(uri: str, book: Ledger):
    book.append(INTENDED)
    for statement in (*REFUSED.values(), *REFUSED_IN[uri.partition(":")[0]]):
        with pytest.raises((sqlite3.DatabaseError, psycopg.Error), match="append-only"), database(uri) as run:
            run(statement)
    assert book.verify() is None
    assert book.append(INTENDED) == 2


def test_a_closing_row_is_not_replaced_by_another(uri: str, book: Ledger):
    first = book.append(INTENDED)
    book.append(replace(INTENDED, state=DONE, intent=first))
    verb = "INSERT OR REPLACE" if uri.startswith("sqlite") else "INSERT"
    again = f"{verb} INTO lifecycle_ledger SELECT 3{ROW[1:]}, hash, 'x' FROM lifecycle_ledger WHERE id = 2"
    with pytest.raises((sqlite3.DatabaseError, psycopg.Error), match="append-only"), database(uri) as run:
        run(again)
    assert [entry.id for entry in book.entries()] == [1, 2]


def test_a_trigger_that_is_gone_is_told(uri: str, book: Ledger):
    book.append(INTENDED)
    with database(uri) as run:
        if uri.startswith("sqlite"):
            run("DROP TRIGGER lifecycle_ledger_head_update")
        else:
            run("ALTER TABLE lifecycle_ledger_head DISABLE TRIGGER lifecycle_ledger_head_update")
    broken = book.verify()
    assert broken is not None
    assert broken.reason == "what refuses changes of its rows is gone: the trigger lifecycle_ledger_head_update"


def test_a_changed_row_is_found_in_postgresql_too(new_database: Callable[[], str]):
    uri = new_database()
    with ledger.open(uri) as book:
        for number in range(3):
            book.append(replace(INTENDED, version=str(number)))
        with tampering(uri) as run:
            run("UPDATE lifecycle_ledger SET actor = 'bob' WHERE id = 2")
        broken = book.verify()
    assert broken == ledger.Broken(2, "row 2 was changed after it was written")


def test_writers_at_one_time_keep_one_chain(uri: str):
    def write(writer: int) -> None:
        # Each makes the tables, if the others have not.
        with ledger.open(uri) as book:
            for number in range(10):
                book.append(replace(INTENDED, actor=f"writer {writer}", version=str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with ledger.open(uri) as book:
        entries = book.entries()
        assert book.verify() is None
    assert [entry.id for entry in entries] == list(range(1, 81))
    for writer in range(8):
        own = [entry.version for entry in entries if entry.actor == f"writer {writer}"]
        assert own == [str(number) for number in range(10)]


# Transitions


def test_an_intent_is_open_until_it_is_closed_and_is_closed_once(book: Ledger):
    first, second = book.append(INTENDED), book.append(replace(INTENDED, model="other"))
    assert [entry.id for entry in book.open_intents()] == [first, second]
    assert [entry.id for entry in book.open_intents("other")] == [second]

    book.append(replace(INTENDED, state=UNDONE, intent=first))
    assert [entry.id for entry in book.open_intents()] == [second]
    with pytest.raises(RegistryError, match=f"transition {first} was finished by another process"):
        book.append(replace(INTENDED, state=DONE, intent=first))
    assert [entry.state for entry in book.entries(intent=first)] == [INTENT, UNDONE]
    assert book.verify() is None


def test_rows_are_appended_together_or_not_at_all(book: Ledger):
    first = book.append(INTENDED)
    closing = replace(INTENDED, state=DONE, intent=first)
    with pytest.raises(RegistryError, match="finished by another process"):
        book.extend([INTENDED, closing, closing])
    assert len(book.entries()) == 1
    assert book.verify() is None


# The lock

HOLD = """
import sys, time
from registry import ledger
with ledger.open(sys.argv[1]) as book, book.lock("diabetes"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_holds_the_lock_and_others_wait(uri: str, book: Ledger):
    inside, most = [], []

    def hold(_: int) -> None:
        with ledger.open(uri) as own, own.lock("diabetes") as lock:
            inside.append(1)
            most.append(len(inside))
            lock.check()
            time.sleep(0.02)
            inside.pop()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hold, range(6)))
    assert most == [1] * 6


def test_a_lock_is_waited_for_so_long_and_not_longer(uri: str, book: Ledger):
    with ledger.open(uri) as other, other.lock("diabetes"):
        start = time.monotonic()
        with (
            pytest.raises(RegistryError, match=r"has been moving versions of 'diabetes' for over 0\.3 s"),
            book.lock("diabetes", wait=0.3),
        ):
            pass
        assert 0.2 < time.monotonic() - start < soon(5)
    with book.lock("diabetes", wait=0.3):
        pass


def test_rows_are_appended_while_the_lock_is_held(uri: str, book: Ledger):
    with book.lock("diabetes"), ledger.open(uri) as other:
        assert other.append(INTENDED) == 1
        assert book.append(INTENDED) == 2


def test_the_lock_of_a_killed_process_is_free_at_once(uri: str, book: Ledger):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, uri], stdout=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RegistryError, match="another process"), book.lock("diabetes", wait=0.2):
            pass
        holder.kill()
        holder.wait()
        start = time.monotonic()
        with book.lock("diabetes"):
            pass
        assert time.monotonic() - start < soon(3)


def test_a_lock_that_was_lost_is_noticed(new_database: Callable[[], str]):
    uri = new_database()
    with ledger.open(uri) as book, book.lock("diabetes") as lock:
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(RegistryError, match="the lock of model 'diabetes' was lost"):
            lock.check()


# Leases


def test_a_lease_is_one_holders_until_it_ends(uri: str, book: Ledger):
    assert book.lease("watch", "first", 600)
    with ledger.open(uri) as other:
        assert not other.lease("watch", "second", 600)
        assert other.lease("another", "second", 600)
        # It is renewed, and ends soon.
        assert book.lease("watch", "first", 0.1)
        deadline = time.monotonic() + 60
        while not other.lease("watch", "second", 600):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not book.lease("watch", "first", 600)
        book.release("watch", "first")
        assert not book.lease("watch", "first", 600)
        other.release("watch", "second")
        assert book.lease("watch", "first", 600)


def test_of_several_that_want_a_lease_at_one_time_one_gets_it(uri: str):
    def ask(number: int) -> bool:
        with ledger.open(uri) as book:
            return book.lease("watch", f"holder {number}", 60)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


# What is in the database


def test_a_ledger_that_is_not_there_reads_as_empty_and_is_not_made(uri: str, tmp_path: Path):
    with ledger.open(uri) as book:
        assert book.entries() == book.open_intents() == []
        assert book.verify() is None
        broken = book.verify(lambda: [Anchor("diabetes", "1", 0, 3, "ab")])
        assert broken is not None
        assert broken.id == 3
    assert list(tmp_path.iterdir()) == []
    if uri.startswith("postgresql"):
        with database(uri) as run:
            assert run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE lifecycle_ledger_version SET version_num = '9999'", "of schema 9999, this release reads .*: upgrade"),
        ("ALTER TABLE lifecycle_ledger RENAME COLUMN actor TO usr", "tables .* that are no ledger's; set LEDGER_URI"),
        ("UPDATE lifecycle_ledger_version SET version_num = 'x'", "tampered with: no release wrote its version"),
        ("DELETE FROM lifecycle_ledger_version", "tampered with: no release wrote its version"),
        ("DROP TABLE lifecycle_ledger_version", "tampered with: the record of its version is missing"),
        ("DROP TABLE lifecycle_ledger_unanchored", "tampered with: its table lifecycle_ledger_unanchored is gone"),
        ("DROP TABLE lifecycle_leases", "tampered with: its table lifecycle_leases is gone"),
    ],
)
def test_a_ledger_of_another_shape_is_refused_in_one_line(uri: str, book: Ledger, change: str, told: str):
    book.append(INTENDED)
    with database(uri) as run:
        run(change)
    for use in (lambda other: other.entries(), lambda other: other.append(INTENDED)):
        with ledger.open(uri) as other, pytest.raises(RegistryError, match=told) as caught:
            use(other)
        assert "\n" not in str(caught.value)
    with ledger.open(uri) as other:
        if "tampered" in told:
            broken = other.verify()
            assert broken is not None
            assert "tampered with" in broken.reason
        else:
            with pytest.raises(RegistryError, match=told):
                other.verify()


@pytest.mark.parametrize("change", ["DELETE FROM lifecycle_ledger_head", "DROP TABLE lifecycle_ledger_head"])
def test_a_head_that_is_gone_is_tampering(uri: str, book: Ledger, change: str):
    book.append(INTENDED)
    with database(uri) as run:
        if uri.startswith("sqlite"):
            run("DROP TRIGGER lifecycle_ledger_insert")
        for trigger in ("head_delete",) if uri.startswith("sqlite") else ("head_keep ON lifecycle_ledger_head",):
            run(f"DROP TRIGGER lifecycle_ledger_{trigger}")
        run(change)
    with ledger.open(uri) as other:
        assert [entry.id for entry in other.entries()] == [1], "what there is can still be read"
        with pytest.raises(RegistryError, match="tampered with: its head, which names the last row, is gone"):
            other.append(INTENDED)
        broken = other.verify()
        assert broken is not None
        assert "its head, which names the last row, is gone" in broken.reason


def test_mlflows_own_file_is_refused(tracking: str):
    with (
        ledger.open(tracking) as book,
        pytest.raises(RegistryError, match="MLflow's own file; the ledger needs one of"),
    ):
        book.append(INTENDED)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "ledger.db").write_text("notes\n" * 100)
    with ledger.open(f"sqlite:///{tmp_path}/ledger.db") as book, pytest.raises(RegistryError, match="not a database"):
        book.entries()


# Where it is


def place(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name in ("LEDGER_URI", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return ledger.open().title.removeprefix("the ledger ")


def test_by_default_it_is_beside_a_local_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert place(monkeypatch) == f"sqlite:///{tmp_path}/ledger.db"
    assert place(monkeypatch, MLFLOW_TRACKING_URI="sqlite:////data/x.db") == "sqlite:////data/ledger.db"
    assert place(monkeypatch, MLFLOW_TRACKING_URI="http://a", MLFLOW_REGISTRY_URI="sqlite:////r/x.db").endswith(
        "/r/ledger.db"
    )


def test_a_store_in_postgresql_holds_the_ledger_too_and_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    found = place(monkeypatch, MLFLOW_TRACKING_URI="postgresql://ann:secret@db:5433/mlflow")
    assert found == "postgresql+psycopg://ann:***@db:5433/mlflow"
    assert place(monkeypatch, LEDGER_URI="postgres://ann:secret@db/l") == "postgresql+psycopg://ann:***@db/l"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"MLFLOW_TRACKING_URI": "http://ann:secret@host:5000"},
            "a database that all its clients share; set LEDGER_URI",
        ),
        (
            {"MLFLOW_TRACKING_URI": "mysql://ann:secret@host/db"},
            "a database that all its clients share; set LEDGER_URI",
        ),
        ({"LEDGER_URI": "mysql://ann:secret@host/db"}, "SQLite or PostgreSQL, found mysql"),
        ({"LEDGER_URI": "sqlite://"}, "is a file, found sqlite"),
        ({"LEDGER_URI": "sqlite:///:memory:"}, "is a file, found sqlite"),
        ({"LEDGER_URI": "ledger.db"}, "is the address of a database, found 'ledger.db'"),
    ],
)
def test_a_place_that_cannot_hold_it_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict, told: str):
    with pytest.raises(RegistryError, match=told) as caught:
        place(monkeypatch, **variables)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_away_is_told_in_one_line_soon():
    start = time.monotonic()
    address = f"postgresql://ann:secret@127.0.0.1:{stores.free_port()}/x"
    with ledger.open(address) as book, pytest.raises(RegistryError, match=r"refused.*correct LEDGER_URI") as caught:
        book.append(INTENDED)
    assert time.monotonic() - start < soon(10)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path: Path):
    with ledger.open(f"sqlite:///{tmp_path}/no/ledger.db") as book:
        with pytest.raises(RegistryError, match="unable to open database file"):
            book.append(INTENDED)
        with pytest.raises(RegistryError, match=r"lock .*/no/ledger\.lock\.db cannot be taken"), book.lock("diabetes"):
            pass
