"""What somebody does to a ledger who may write its database, and not the registry, is found by ``--verify``."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from registry import annotations, ledger, promotion, stages
from registry.errors import RegistryError
from registry.ledger import DONE, INTENT, NOTED, UNDONE, Anchor, Ledger, LedgerEntry
from registry.ledger.entries import COLUMNS
from registry.stages import ARCHIVED, PRODUCTION, STAGING
from registry.transitions import recover
from tests.logged import before_writes
from tests.registry.forging import Forgery, Row, appended, forge, unguarded
from tests.registry.registered import assert_mirrored, passing, register, staged

NAME = "diabetes"


@pytest.fixture
def client(tracking: str) -> MlflowClient:
    """A client of a registry with a model of three versions."""
    client = MlflowClient(tracking, tracking)
    register(client, NAME, 3)
    return client


def open_book(folder: Path) -> Ledger:
    return ledger.open(f"sqlite:///{folder}/ledger.db")


def promote(client: MlflowClient, book: Ledger, version: str, stage: str = PRODUCTION, **given) -> None:
    promotion.promote(client, book, NAME, version, stage=stage, reason="better", actor="ann", judge=passing, **given)


@pytest.fixture
def moved(client: MlflowClient, tmp_path: Path) -> Path:
    """The ledger of two promotions to Production and one to Staging."""
    with open_book(tmp_path) as book:
        for version, stage in (("1", PRODUCTION), ("2", PRODUCTION), ("3", STAGING)):
            promote(client, book, version, stage)
        assert book.verify(lambda: annotations.anchors(client)) is None
    return tmp_path / "ledger.db"


def changed(number: int, **values: str | None) -> Forgery:
    def change(rows: list[Row]) -> list[Row]:
        rows[number].update(values)
        return rows

    return change


FORGERIES: dict[str, Forgery] = {
    "another reason in the last row": changed(-1, reason="nobody asked"),
    "another actor in the last row": changed(-1, actor="bob"),
    "another time in the last row": changed(-1, time="2020-01-01T00:00:00.000000+00:00"),
    "the last transition undone": changed(-1, state="undone"),
    "another reason in the last intent": changed(-2, reason="nobody asked"),
    "another verdict at the beginning": changed(0, verdict=None),
    "the last row gone": lambda rows: rows[:-1],
    "the last transition gone": lambda rows: rows[:-2],
    "the first transition gone": lambda rows: rows[2:],
    "all but the first gone": lambda rows: rows[:2],
    "all gone": lambda rows: [],
    "a transition put in between": lambda rows: [*appended(rows[:2], "done"), *rows[2:]],
    "two transitions in the other order": lambda rows: [*rows[2:4], *rows[:2], *rows[4:]],
    "the last transition once more": lambda rows: appended(rows, "done"),
    "an earlier transition once more": lambda rows: [
        *rows,
        {**rows[0], "id": 7},
        {**rows[1], "id": 8, "intent": 7},
    ],
    "a promotion by nobody": lambda rows: appended(rows, "done", actor="bob", reason="nobody asked"),
    "a promotion that was undone": lambda rows: appended(rows, "undone", actor="bob"),
    "a promotion as the first release wrote it": lambda rows: appended(
        rows,
        "done",
        details=json.dumps(
            {name: value for name, value in json.loads(rows[-1]["details"]).items() if name != "schema"}
        ),
    ),
    "a closing row without an intent": lambda rows: [*rows, {**rows[-1], "id": 7, "intent": 99}],
    "a closing row of a follower's": lambda rows: [*rows, {**rows[-1], "id": 7, "intent": 2}],
}


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_whose_chain_and_head_hold_is_found(client: MlflowClient, moved: Path, what: str, pending: bool):
    forge(moved, FORGERIES[what], pending=pending)
    with open_book(moved.parent) as book:
        assert book.verify() is None or "closing row" in what
        assert book.verify(lambda: annotations.anchors(client)) is not None


@st.composite
def forgeries(draw: st.DrawFn) -> Forgery:
    """Any one change of six rows, or several."""

    def one() -> Forgery:
        place, other = draw(st.integers(0, 5)), draw(st.integers(0, 5))
        column = draw(st.sampled_from([name for name in COLUMNS if name not in ("id", "intent", "previous", "hash")]))
        value = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5))

        def swap(rows: list[Row]) -> list[Row]:
            if max(place, other) < len(rows):
                rows[place], rows[other] = rows[other], rows[place]
            return rows

        def write(rows: list[Row]) -> list[Row]:
            if place < len(rows):
                rows[place][column] = (
                    json.dumps({"moves": [], "why": value}) if column in ("details", "verdict") else value
                )
            return rows

        return draw(
            st.sampled_from(
                [
                    swap,
                    write,
                    lambda rows: rows[:place] + rows[place + 1 :],
                    lambda rows: rows[:place] + rows[place : place + 1] * 2 + rows[place + 1 :],
                    lambda rows: rows[:place] + rows[other : other + 2] + rows[place:],
                ]
            )
        )

    several = [one() for _ in range(draw(st.integers(1, 3)))]

    def together(rows: list[Row]) -> list[Row]:
        for forgery in several:
            rows = forgery(rows)
        return rows

    return together


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Anchor]]:
    """A ledger of three transitions, and what the tags of their versions say."""
    path = tmp_path_factory.mktemp("recorded") / "ledger.db"
    anchors = []
    with open_book(path.parent) as book:
        for number in range(3):
            move = {"version": str(number), "from": "None", "to": "Staging", "created": number}
            intent = LedgerEntry(
                kind="promote",
                state=INTENT,
                model=NAME,
                version=str(number),
                source="None",
                target="Staging",
                actor="ann",
                reason=f"reason {number}",
                verdict={"passed": True},
                details={"schema": 2, "moves": [move]},
            )
            opened = book.append(intent)
            (closed,) = book.extend([replace(intent, state=DONE, intent=opened)])
            book.anchored(closed.id)
            anchors.append(Anchor(NAME, str(number), number, closed.id, closed.hash))
        assert book.verify(lambda: anchors) is None
    return path, anchors


@given(forgery=forgeries())
def test_any_forgery_is_found(
    tmp_path_factory: pytest.TempPathFactory, recorded: tuple[Path, list[Anchor]], forgery: Forgery
):
    original, anchors = recorded
    path = tmp_path_factory.mktemp("forged") / "ledger.db"
    shutil.copyfile(original, path)
    with unguarded(original) as connection:
        before = [dict(row) for row in connection.execute("SELECT * FROM lifecycle_ledger ORDER BY id")]
    try:
        after = forge(path, forgery)
    except sqlite3.IntegrityError:
        return  # the table itself refuses it
    with open_book(path.parent) as book:
        broken = book.verify(lambda: anchors)
    shutil.rmtree(path.parent)
    assert (broken is None) == (after == before)


@given(
    table=st.sampled_from(["lifecycle_ledger_head", "lifecycle_ledger_version", "lifecycle_ledger_unanchored"]),
    value=st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.integers(-3, 9)),
    data=st.data(),
)
def test_any_change_of_the_other_tables_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    recorded: tuple[Path, list[Anchor]],
    table: str,
    value: object,
    data: st.DataObject,
):
    original, anchors = recorded
    path = tmp_path_factory.mktemp("changed") / "ledger.db"
    shutil.copyfile(original, path)
    with unguarded(path) as connection:
        before = connection.execute(f"SELECT * FROM {table}").fetchall()
        names = [column[0] for column in connection.execute(f"SELECT * FROM {table}").description]
        what = data.draw(st.sampled_from(["DELETE", "INSERT", *names]))
        with contextlib.suppress(sqlite3.IntegrityError):
            if what == "DELETE":
                connection.execute(f"DELETE FROM {table}")
            elif what == "INSERT":
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", [value] * len(names))
            else:
                connection.execute(f"UPDATE {table} SET {what} = ?", [value])
        after = connection.execute(f"SELECT * FROM {table}").fetchall()
    with open_book(path.parent) as book:
        try:
            found = book.verify(lambda: anchors) is not None
        except RegistryError as error:
            found = "a newer release" in str(error)
    shutil.rmtree(path.parent)
    # A closing row that is named, and is said to wait for it: so a crash in between leaves it.
    waiting = table == "lifecycle_ledger_unanchored" and {row[0] for row in after} <= {2, 4, 6}
    assert found == ([tuple(row) for row in before] != [tuple(row) for row in after] and not waiting)


def test_a_crash_before_the_closing_row_is_named_hides_no_other_content(client: MlflowClient, moved: Path):
    seen: list[str] = []

    def observe(step: str) -> None:
        seen.append(step)
        if seen[-2:] == ["done", "tag of 3"]:
            raise KeyboardInterrupt

    with open_book(moved.parent) as book:
        with pytest.raises(KeyboardInterrupt), before_writes(observe):
            promote(client, book, "3")
        assert [row.id for row in book.unanchored()] == [8]
        assert book.verify(lambda: annotations.anchors(client)) is None
    for name, value in {"reason": "nobody asked", "actor": "bob", "version": "1"}.items():
        copy = moved.with_name("copy") / "ledger.db"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(moved, copy)
        forge(copy, changed(-1, **{name: value}))
        with open_book(copy.parent) as book:
            broken = book.verify(lambda: annotations.anchors(client))
            assert (broken and broken.reason) == "row 8 does not close the intent that it names"
    # Without the mark it is no crash.
    with unguarded(moved) as connection:
        connection.execute("DELETE FROM lifecycle_ledger_unanchored")
    with open_book(moved.parent) as book:
        broken = book.verify(lambda: annotations.anchors(client))
        assert (broken and broken.reason) == "row 8 is not named by the tag of any version that it moved"


def test_an_intent_that_somebody_wrote_into_the_ledger_moves_nothing(client: MlflowClient, moved: Path):
    before = staged(stages.read(client, NAME))
    state = stages.read(client, NAME)
    with open_book(moved.parent) as book:
        # As if the first of its two calls had been made.
        details = {
            "moves": [{"version": "1", "from": ARCHIVED, "to": PRODUCTION, "created": state.versions["1"].created}],
            "calls": [["3", STAGING], ["1", PRODUCTION]],
            "aliases": [{"alias": "champion", "before": "2", "after": "1"}],
            "before": {"1": ARCHIVED, "2": PRODUCTION, "3": "None"},
        }
        for shape in ({}, {"schema": 2}):
            forged = LedgerEntry(
                kind="promote", state=INTENT, model=NAME, version="1", source=ARCHIVED, target=PRODUCTION,
                actor="bob", reason="nobody asked", details={**shape, **details},
            )  # fmt: skip
            book.append(forged)
            assert [row.state for row in recover(client, book)] == [UNDONE]
            assert staged(stages.read(client, NAME)) == before
            assert_mirrored(stages.read(client, NAME))
            assert (
                stages.read(client, NAME)
                .versions["1"]
                .tags["ledger"]
                .startswith("Archived → Production by bob: undone, nothing was moved; nobody asked (ledger")
            )
        assert book.verify(lambda: annotations.anchors(client)) is None


def test_what_the_registry_no_longer_has_is_no_tampering(client: MlflowClient, moved: Path):
    client.delete_model_version(NAME, "3")
    with open_book(moved.parent) as book:
        assert book.verify(lambda: annotations.anchors(client)) is None
    client.rename_registered_model(NAME, "renamed")
    with open_book(moved.parent) as book:
        assert book.verify(lambda: annotations.anchors(client)) is None
        book.append(LedgerEntry("watch", NOTED, "", "", "", "", "watch", "began"))
        assert book.verify(lambda: annotations.anchors(client)) is None
    client.delete_registered_model("renamed")
    with open_book(moved.parent) as book:
        assert book.verify(lambda: annotations.anchors(client)) is None


def test_what_is_moved_while_it_is_verified_is_no_tampering(client: MlflowClient, moved: Path):
    with open_book(moved.parent) as book, open_book(moved.parent) as other:

        def reading(*, before: bool) -> Callable[[], list[Anchor]]:
            def read() -> list[Anchor]:
                found = [] if before else annotations.anchors(client)
                promote(client, other, "1" if before else "2")
                return annotations.anchors(client) if before else found

            return read

        assert book.verify(reading(before=True)) is None
        assert book.verify(reading(before=False)) is None
        assert book.verify(lambda: annotations.anchors(client)) is None
