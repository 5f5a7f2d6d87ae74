"""A promotion is killed between any two of its writes, or the registry goes away: the next command mends it."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import annotations, history, ledger, promotion, stages
from registry import client as clients
from registry.errors import RegistryError
from registry.ledger import DONE, UNDONE, Ledger
from registry.stages import PRODUCTION, STAGING
from registry.transitions import recover
from tests import forked, stores
from tests.effort import some
from tests.lifecycle import promoting
from tests.logged import before_writes
from tests.registry.registered import assert_mirrored, by_ui, passing, register, staged

# Waits longer than any of these has writes.
_MANY = 40


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def killed_at() -> Callable[..., bool]:
    """Run a function of ``promoting`` in a process that dies before a write; whether it came so far."""
    context = forked.context()

    def run(work: Callable[..., None], *arguments: object) -> bool:
        process = context.Process(target=work, args=arguments)
        process.start()
        process.join(promoting.PATIENCE)
        assert process.exitcode in (0, -9), process.exitcode
        return process.exitcode != 0

    return run


@contextlib.contextmanager
def watched(tracking: str) -> Iterator[list[int]]:
    """How many versions of a model were in Production whenever that was another number, while the block runs.

    It is asked of MLflow's database itself, by one statement, hundreds of times a second.
    """
    seen: list[int] = []
    over = threading.Event()
    count = "SELECT name, sum(current_stage = 'Production') FROM model_versions GROUP BY name"

    def look() -> None:
        with contextlib.closing(sqlite3.connect(tracking.removeprefix("sqlite:///"), timeout=30)) as connection:
            while not over.wait(0.002):
                seen.extend(number for _, number in connection.execute(count).fetchall() if number not in seen[-1:])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def prepared(client: MlflowClient, opened: Ledger, name: str) -> None:
    """A model with version 1 in Production and version 2 in Staging."""
    register(client, name, 2)
    by_ui(client, name, "1", PRODUCTION)
    for version, stage in (("1", PRODUCTION), ("2", STAGING)):
        promotion.promote(client, opened, name, version, stage=stage, reason="first", actor="jo", judge=passing)


def test_killed_between_any_two_writes_of_a_promotion(tracking: str, book: str, killed_at: Callable[..., bool]):
    client = clients.connect()
    register(client, "elsewhere", 1)
    by_ui(client, "elsewhere", "1", PRODUCTION)
    # Nothing was written; the intent; its tag; the stage, two aliases, a description, a tag and a description; done,
    # and two tags that name it.
    ends = [[], [UNDONE], [UNDONE], *[[DONE]] * 6, [], [], []]
    with ledger.open(book) as opened:
        for place in some(range(1, _MANY)):
            name = f"killed before write {place}"
            prepared(client, opened, name)
            with watched(tracking) as seen:
                killed = killed_at(promoting.promote, tracking, book, name, place)
                champion = stages.read(client, name).champion
                assert opened.verify(lambda: annotations.anchors(client)) is None, "a crash is no tampering"

                rows = recover(client, opened)
            assert seen == [1]
            assert opened.verify(lambda: annotations.anchors(client)) is None
            assert opened.unanchored() == []
            assert killed == (place <= len(ends))
            if not killed:
                break
            assert [row.state for row in rows] == ends[place - 1], f"killed before write {place}"
            state = stages.read(client, name)
            assert staged(state) in ({"1": PRODUCTION, "2": STAGING}, {"1": "Archived", "2": PRODUCTION})
            assert state.champion == champion, "it is completed where the stage had moved, and undone where not"
            assert_mirrored(state)
            assert opened.open_intents() == []
            assert history.stages(opened.entries(name)) == staged(state)

            promotion.promote(client, opened, name, "2", stage=PRODUCTION, reason="again", actor="ann", judge=passing)
            assert staged(stages.read(client, name)) == {"1": "Archived", "2": PRODUCTION}
            line = stages.read(client, name).versions["2"].description.split("\n")[-1]
            assert "Staging → Production by ann" in line


def test_killed_between_any_two_writes_of_a_taking_back(tracking: str, tmp_path: Path, killed_at: Callable[..., bool]):
    client = clients.connect()
    book = f"sqlite:///{tmp_path}/ledger.db"
    before: list[list[str]] = [[], [UNDONE], [UNDONE]]
    later: list[list[str]] = []
    with ledger.open(book) as opened:
        for place in some(range(1, _MANY)):
            name = f"killed before write {place}"
            prepared(client, opened, name)
            by_ui(client, name, "2", PRODUCTION, archive=True)
            with watched(tracking) as seen:
                killed = killed_at(promoting.restore, tracking, book, name, place)
                rows = recover(client, opened)
            assert seen == [1]
            state = stages.read(client, name)
            if not killed:
                assert staged(state) == {"1": PRODUCTION, "2": STAGING}
                break
            end = [row.state for row in rows]
            # Nothing was written; the intent; its tag; from then on the stage has moved.
            if place <= len(before):
                assert end == before[place - 1]
                assert staged(state) == {"1": "Archived", "2": PRODUCTION}
            else:
                later.append(end)
                assert staged(state) == {"1": PRODUCTION, "2": STAGING}
                assert_mirrored(state)
            assert opened.verify(lambda: annotations.anchors(client)) is None
    # It is completed, until there is nothing left to complete.
    assert later == sorted(later, reverse=True)
    assert {tuple(end) for end in later} <= {(DONE,), ()}


def test_killed_between_any_two_writes_of_the_mending(tracking: str, tmp_path: Path, killed_at: Callable[..., bool]):
    client = clients.connect()
    book = f"sqlite:///{tmp_path}/ledger.db"
    with ledger.open(book) as opened:
        for place in some(range(1, _MANY)):
            name = f"killed before write {place}"
            prepared(client, opened, name)
            with watched(tracking) as seen:
                # With only its stage moved.
                assert killed_at(promoting.promote, tracking, book, name, 4)
                killed = killed_at(promoting.recover, tracking, book, name, place)
                recover(client, opened)
            assert seen == [1]
            state = stages.read(client, name)
            assert staged(state) == {"1": "Archived", "2": PRODUCTION}
            assert_mirrored(state)
            assert opened.open_intents() == []
            assert state.versions["2"].description.count("Staging → Production by ann: better") == 1
            if not killed:
                break
            assert opened.verify(lambda: annotations.anchors(client)) is None
        assert place > 8


@pytest.mark.parametrize(("step", "end"), [("stage of 2", UNDONE), ("alias champion", DONE)])
def test_a_registry_that_goes_away_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, end: str):
    with ledger.open(f"sqlite:///{tmp_path}/ledger.db") as opened, contextlib.ExitStack() as running:
        address = running.enter_context(stores.tracking_server(tmp_path))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        client = clients.connect()
        prepared(client, opened, "diabetes")

        def observe(now: str) -> None:
            if now == step:
                running.close()
                began.append(time.monotonic())

        began: list[float] = []
        away = pytest.raises(RegistryError, match=r"the tracking server http://\S+ does not answer")
        with away as caught, before_writes(observe):
            promotion.promote(
                client,
                opened,
                "diabetes",
                "2",
                stage=PRODUCTION,
                reason="better",
                actor="ann",
                judge=passing,
            )
        assert time.monotonic() - began[0] < clients.PATIENCE
        assert "\n" not in str(caught.value)
        assert len(opened.open_intents("diabetes")) == 1

        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.enter_context(stores.tracking_server(tmp_path)))
        client = clients.connect()
        (row,) = recover(client, opened)
        assert row.state == end
        state = stages.read(client, "diabetes")
        assert state.champion == ("2" if end == DONE else "1")
        assert_mirrored(state)
        assert history.stages(opened.entries("diabetes")) == staged(state)
