"""Eight processes promote at one moment, again and again: there is one champion every time, and it is the best."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import history, ledger
from registry.ledger import DONE
from tests import forked
from tests.effort import times
from tests.lifecycle import promoting
from tests.registry.registered import register

PROCESSES, RACES = 8, times(100)


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The addresses of a tracking store and of a ledger, both in the same kind of database."""
    if request.param == "sqlite":
        return request.getfixturevalue("tracking"), f"sqlite:///{tmp_path}/ledger.db"
    new_database: Callable[[], str] = request.getfixturevalue("new_database")
    both = new_database()
    return both, both


def test_there_is_one_champion_after_every_race(places: tuple[str, str]):
    tracking, book = places
    client = MlflowClient(tracking, tracking)
    register(client, "raced", PROCESSES)
    versions = [str(number) for number in range(1, PROCESSES + 1)]

    context = forked.context()
    barrier = context.Barrier(PROCESSES)
    racing = [
        context.Process(target=promoting.race, args=(tracking, book, "raced", own, versions, RACES, barrier))
        for own in versions
    ]
    for process in racing:
        process.start()
    for process in racing:
        process.join()
    assert [process.exitcode for process in racing] == [0] * PROCESSES

    with ledger.open(book) as opened:
        assert opened.verify() is None
        assert opened.open_intents() == []
        done = history.done(opened.entries("raced"))
    # Each was let through against the champion that it replaced, and against no other.
    champion = None
    for entry in done:
        assert entry.state == DONE
        assert entry.verdict is not None
        assert entry.verdict["champion"] == champion
        champion = entry.version
    assert len({entry.reason for entry in done}) > RACES / 2
