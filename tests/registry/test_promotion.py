"""Versions move through the stages by plan, verdict and ledger, with their aliases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import annotations, history, ledger, promotion, stages
from registry import client as clients
from registry.errors import RegistryError
from registry.gates import Verdict
from registry.ledger import DONE, INTENT, UNDONE, Ledger
from registry.promotion import PromotionRefused
from registry.stages import ARCHIVED, PRODUCTION, STAGING, State
from registry.transitions import recover
from tests.logged import before_writes
from tests.registry.registered import assert_mirrored, by_ui, failing, passing, recording, register, staged, take_back

NAME = "diabetes"


@pytest.fixture
def client(tracking: str) -> MlflowClient:
    client = clients.connect()
    register(client, NAME, 4)
    return client


@pytest.fixture
def book(tracking: str) -> Iterator[Ledger]:
    with ledger.open() as book:
        yield book


def promote(client: MlflowClient, book: Ledger, version: str, stage: str = PRODUCTION, judge=passing, **more):
    more = {"reason": "better", "actor": "ann", **more}
    return promotion.promote(client, book, NAME, version, stage=stage, judge=judge, **more)


def read(client: MlflowClient) -> State:
    return stages.read(client, NAME)


# Promotion


def test_stage_and_alias_move_together_through_staging_to_production(client: MlflowClient, book: Ledger):
    promote(client, book, "1", STAGING)
    assert staged(read(client)) == {"1": STAGING}
    assert read(client).aliases == {"challenger": "1"}

    promote(client, book, "1", PRODUCTION)
    assert staged(read(client)) == {"1": PRODUCTION}
    assert read(client).aliases == {"champion": "1"}

    promote(client, book, "2", STAGING)
    transition = promote(client, book, "2", PRODUCTION)
    assert staged(read(client)) == {"1": ARCHIVED, "2": PRODUCTION}
    assert read(client).aliases == {"champion": "2"}
    assert [(move.version, move.source, move.target) for move in transition.plan.moves] == [
        ("2", STAGING, PRODUCTION),
        ("1", PRODUCTION, ARCHIVED),
    ]


def test_a_second_version_in_staging_replaces_the_first(client: MlflowClient, book: Ledger):
    promote(client, book, "1", STAGING)
    promote(client, book, "2", STAGING)
    assert staged(read(client)) == {"1": ARCHIVED, "2": STAGING}
    assert read(client).aliases == {"challenger": "2"}


def test_production_may_be_entered_from_any_stage(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    promote(client, book, "2")
    promote(client, book, "1")
    assert staged(read(client)) == {"1": PRODUCTION, "2": ARCHIVED}
    assert_mirrored(read(client))


def test_the_ledger_keeps_who_why_and_by_which_verdict(client: MlflowClient, book: Ledger):
    promote(client, book, "1", STAGING)
    transition = promote(client, book, "1", reason=" better\non every  group ", actor="jo", breaking=True)

    intent, done = book.entries(NAME)[-2:]
    assert (intent.state, done.state, done.intent, transition.id) == (INTENT, DONE, intent.id, intent.id)
    for entry in (intent, done):
        assert (entry.kind, entry.model, entry.version) == ("promote", NAME, "1")
        assert (entry.source, entry.target) == (STAGING, PRODUCTION)
        assert (entry.actor, entry.reason, entry.digest) == ("jo", "better on every group", "sha256:ab")
        assert entry.verdict == passing("1", None).to_dict() | {"results": [dict(entry.verdict["results"][0])]}
        assert entry.details["breaking"] is True
    assert book.verify() is None


def test_the_versions_tell_the_story_too(client: MlflowClient, book: Ledger):
    promote(client, book, "1", reason="first of all")
    transition = promote(client, book, "2", reason="better")

    state = read(client)
    intent, closing = book.entries(NAME)[2:]
    assert transition.id == intent.id == 3
    for version, words in (("2", "None → Production by ann: better"), ("1", "Production → Archived by ann: version 2")):
        assert state.versions[version].tags["ledger"].startswith(words)
        assert state.versions[version].tags["ledger"].endswith(f"(ledger 3, row 4 {closing.hash})")
    first, _, told = state.versions["1"].description.partition("\n\n")
    assert first == "as trained"
    assert [line.partition("UTC: ")[2] for line in told.split("\n")] == [
        "None → Production by ann: first of all (ledger 1)",
        "Production → Archived by ann: version 2 came; better (ledger 3)",
    ]
    assert book.verify(lambda: annotations.anchors(client)) is None


def test_a_description_keeps_its_text_and_the_newest_lines():
    line = "- 2026-01-01 12:00 UTC: Staging → Production by ann: {} (ledger {})"
    text = annotations.described("By hand.\n\n- a list", line.format("one", 1))
    assert text == "By hand.\n\n- a list\n\n" + line.format("one", 1)
    assert annotations.described(text, line.format("one", 1)) == text
    for number in range(2, 200):
        text = annotations.described(text, line.format("more", number))
    assert len(text) <= 5000
    assert text.startswith("By hand.\n\n- a list\n\n- 2026")
    assert text.endswith("(ledger 199)")
    assert "(ledger 2)" not in text
    full = "x" * 4990
    assert annotations.described(full, line.format("one", 1)) == full
    assert annotations.described("", line.format("one", 1)) == line.format("one", 1)


def test_a_version_that_fails_its_gates_is_not_moved_and_nothing_is_written(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    before, rows = read(client), book.entries()
    with pytest.raises(
        PromotionRefused, match=r"version 2 of 'diabetes' is not promoted to Production: suite: .*; bound: "
    ) as caught:
        promote(client, book, "2", judge=failing)
    assert "\n" not in str(caught.value)
    assert caught.value.verdict == failing("2", "1")
    assert read(client) == before
    assert book.entries() == rows


def test_a_dry_run_plans_and_judges_and_writes_nothing(client: MlflowClient, book: Ledger, tmp_path: Path):
    by_ui(client, NAME, "1", PRODUCTION)
    before = read(client)
    for judge in (passing, failing):
        transition = promote(client, book, "2", judge=judge, dry_run=True)
        assert transition.id is None
        assert transition.verdict == judge("2", "1")
        assert [(move.version, move.target) for move in transition.plan.moves] == [("2", PRODUCTION), ("1", ARCHIVED)]
        assert [(one.alias, one.before, one.after) for one in transition.plan.aliases] == [("champion", None, "2")]
    assert read(client) == before
    assert not list(tmp_path.glob("ledger*"))


def test_a_version_is_judged_against_the_champion_and_never_against_itself(client: MlflowClient, book: Ledger):
    asked: list[tuple[str, str | None]] = []
    promote(client, book, "1", judge=recording(asked))
    promote(client, book, "2", STAGING, judge=recording(asked))
    promote(client, book, "2", judge=recording(asked))
    assert asked == [("1", None), ("2", "1"), ("2", "1")]


def test_a_champion_that_came_while_it_was_judged_is_judged_against_too(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    asked: list[str | None] = []

    def judge(version: str, champion: str | None) -> Verdict:
        asked.append(champion)
        if champion == "1":
            promote(client, book, "3")  # by somebody else, meanwhile
        return passing(version, champion) if champion == "1" else failing(version, champion)

    with pytest.raises(PromotionRefused):
        promote(client, book, "2", judge=judge)
    assert asked == ["1", "3"]
    assert staged(read(client)) == {"1": ARCHIVED, "3": PRODUCTION}


def test_a_version_that_is_there_already_stays_and_is_not_judged(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    rows = book.entries()
    transition = promote(client, book, "1", judge=failing)
    assert transition.id is None
    assert transition.notes == ["version 1 is in Production already"]
    assert book.entries() == rows


def test_an_alias_that_is_missing_is_set(client: MlflowClient, book: Ledger):
    by_ui(client, NAME, "1", PRODUCTION)
    promote(client, book, "1")
    assert read(client).aliases == {"champion": "1"}


def test_two_that_were_put_into_production_by_hand_are_one_again(client: MlflowClient, book: Ledger):
    for version in "123":
        by_ui(client, NAME, version, PRODUCTION)
    assert len(read(client).in_stage(PRODUCTION)) == 3
    promote(client, book, "2")
    assert staged(read(client)) == {"1": ARCHIVED, "2": PRODUCTION, "3": ARCHIVED}
    assert_mirrored(read(client))


def test_other_aliases_and_versions_are_left_alone(client: MlflowClient, book: Ledger):
    client.set_registered_model_alias(NAME, "canary", "3")
    by_ui(client, NAME, "4", ARCHIVED)
    promote(client, book, "1")
    assert read(client).aliases == {"canary": "3", "champion": "1"}
    assert staged(read(client)) == {"1": PRODUCTION, "4": ARCHIVED}


def test_the_champion_does_not_go_back_to_staging(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    with pytest.raises(RegistryError, match="version 1 of 'diabetes' is in Production, which it would leave empty"):
        promote(client, book, "1", STAGING)
    assert staged(read(client)) == {"1": PRODUCTION}


@pytest.mark.parametrize(
    ("name", "version", "stage", "reason", "told"),
    [
        (
            "nobody",
            "1",
            PRODUCTION,
            "r",
            r"no registered model 'nobody' in sqlite:\S+mlflow.db; `python -m registry list` shows what there is",
        ),
        (NAME, "9", PRODUCTION, "r", "model 'diabetes' has no version '9'; there are: 1, 2, 3, 4"),
        (NAME, "champion", PRODUCTION, "r", "model 'diabetes' has no version 'champion'"),
        (NAME, "1", ARCHIVED, "r", "promoted to Staging or Production, found 'Archived'"),
        (NAME, "1", PRODUCTION, " \n ", "expected a reason for the transition"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    client: MlflowClient, book: Ledger, name: str, version: str, stage: str, reason: str, told: str
):
    with pytest.raises(RegistryError, match=told):
        promotion.promote(client, book, name, version, stage=stage, reason=reason, actor="ann", judge=passing)
    assert book.entries() == []


@pytest.mark.parametrize("name", ["a'b", 'a "b" é', 'it\'s "both"', 'it.s "both"', "x = 1 AND y", "100%_x"])
def test_models_of_any_name_are_moved(tracking: str, book: Ledger, name: str):
    client = clients.connect()
    for one in (name, name.replace("'", "_"), name.replace("_", "x")):
        if one not in stages.models(client):
            register(client, one, 2)
    for version in "12":
        promotion.promote(client, book, name, version, stage=PRODUCTION, reason="r", actor="a", judge=passing)
    assert staged(stages.read(client, name)) == {"1": ARCHIVED, "2": PRODUCTION}
    assert [str(version.version) for version in stages.versions_in(client, name, PRODUCTION)] == ["2"]
    assert all(staged(stages.read(client, one)) == {} for one in stages.models(client) if one != name)


# Rejection


def test_a_rejected_version_is_archived_and_loses_the_alias(client: MlflowClient, book: Ledger):
    promote(client, book, "1", STAGING)
    transition = promotion.reject(client, book, NAME, "1", reason="drifts", actor="jo")
    assert staged(read(client)) == {"1": ARCHIVED}
    assert read(client).aliases == {}
    entry = book.entries(NAME)[-1]
    assert (entry.kind, entry.state, entry.intent, entry.reason) == ("reject", DONE, transition.id, "drifts")
    assert (entry.source, entry.target) == (STAGING, ARCHIVED)
    assert "Staging → Archived by jo: drifts" in read(client).versions["1"].description


def test_the_champion_is_not_rejected(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    with pytest.raises(RegistryError, match="leave empty; go back with `python -m registry rollback diabetes"):
        promotion.reject(client, book, NAME, "1", reason="drifts", actor="jo")
    assert staged(read(client)) == {"1": PRODUCTION}


def test_a_version_that_is_archived_is_rejected_where_it_is(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    promote(client, book, "2")
    promotion.reject(client, book, NAME, "1", reason="drifts", actor="jo")
    assert staged(read(client)) == {"1": ARCHIVED, "2": PRODUCTION}
    assert history.disowned(book.entries(NAME)) == {("1", read(client).versions["1"].created)}
    assert "by jo: drifts" in read(client).versions["1"].tags["ledger"]


@pytest.mark.parametrize("stage", [STAGING, PRODUCTION])
def test_a_rejected_version_is_not_promoted_again(client: MlflowClient, book: Ledger, stage: str):
    promotion.reject(client, book, NAME, "2", reason="unfair", actor="jo")
    with pytest.raises(PromotionRefused, match=r"rejected by jo \(unfair\); register another version in its place"):
        promote(client, book, "2", stage)
    assert not promote(client, book, "2", stage, dry_run=True).verdict.passed
    assert staged(read(client)) == {"2": ARCHIVED}


def test_a_dry_rejection_writes_nothing(client: MlflowClient, book: Ledger, tmp_path: Path):
    transition = promotion.reject(client, book, NAME, "1", reason="drifts", actor="jo", dry_run=True)
    assert [(move.version, move.target) for move in transition.plan.moves] == [("1", ARCHIVED)]
    assert staged(read(client)) == {}
    assert not list(tmp_path.glob("ledger*"))


# Several calls


@pytest.mark.parametrize("archive", [False, True])
def test_a_move_by_hand_is_taken_back_the_champion_first(client: MlflowClient, book: Ledger, archive: bool):
    promote(client, book, "1")
    promote(client, book, "2", STAGING)
    by_ui(client, NAME, "2", PRODUCTION, archive=archive)
    counts = []
    calls = [("1", PRODUCTION), ("2", STAGING)]
    count = lambda step: counts.append(len(read(client).in_stage(PRODUCTION)))  # noqa: E731
    with before_writes(count):
        take_back(client, book, NAME, "2", calls)
    assert staged(read(client)) == {"1": PRODUCTION, "2": STAGING}
    assert read(client).aliases == {"champion": "1", "challenger": "2"}
    assert 0 not in counts
    assert counts[-1] == 1
    assert history.disowned(book.entries(NAME)) == {("2", read(client).versions["2"].created)}


# What is left of one that was cut short


class Cut(BaseException):
    """Somebody interrupted."""


def cut_at(place: int):
    """An observer that interrupts before the write of that number."""
    seen: list[str] = []

    def observe(step: str) -> None:
        seen.append(step)
        if len(seen) == place:
            raise Cut

    return observe


def test_where_nothing_is_open_recovery_does_nothing(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    rows = book.entries()
    assert recover(client, book) == recover(client, book, NAME) == []
    assert book.entries() == rows


def test_one_that_moved_nothing_is_undone_and_one_that_moved_the_stage_is_completed(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    for place, state, stage in ((3, UNDONE, {"1": PRODUCTION}), (4, DONE, {"1": ARCHIVED, "2": PRODUCTION})):
        with pytest.raises(Cut), before_writes(cut_at(place)):
            promote(client, book, "2")
        (row,) = recover(client, book)
        assert row.state == state
        assert staged(read(client)) == stage
        assert_mirrored(read(client))
        assert book.open_intents() == []


def test_the_next_command_says_what_it_finished(client: MlflowClient, book: Ledger):
    with pytest.raises(Cut), before_writes(cut_at(4)):
        promote(client, book, "1")
    transition = promote(client, book, "2")
    assert transition.notes == ["promote of version 1 (ledger 1) was cut short: completed"]
    assert staged(read(client)) == {"1": ARCHIVED, "2": PRODUCTION}
    assert [one.version for one in history.intervals(book.entries(NAME))] == ["1", "2"]


def test_what_was_moved_by_hand_meanwhile_stays(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    with pytest.raises(Cut), before_writes(cut_at(4)):
        promote(client, book, "2")
    by_ui(client, NAME, "3", PRODUCTION, archive=True)
    (row,) = recover(client, book)
    assert row.state == UNDONE
    assert row.details["recovered"] == "moved by hand meanwhile"
    assert staged(read(client)) == {"1": ARCHIVED, "2": ARCHIVED, "3": PRODUCTION}


def test_what_was_deleted_meanwhile_does_not_stand_in_the_way(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    with pytest.raises(Cut), before_writes(cut_at(5)):
        promote(client, book, "2")
    client.delete_model_version(NAME, "2")
    (row,) = recover(client, book)
    assert (row.state, row.details["recovered"]) == (UNDONE, "the version is gone")

    with pytest.raises(Cut), before_writes(cut_at(3)):
        promote(client, book, "3")
    client.delete_registered_model(NAME)
    (row,) = recover(client, book)
    assert (row.state, row.details["recovered"]) == (UNDONE, "the model is gone")


def test_a_taking_back_that_was_cut_short_in_its_middle_is_completed(client: MlflowClient, book: Ledger):
    promote(client, book, "1")
    promote(client, book, "2", STAGING)
    by_ui(client, NAME, "2", PRODUCTION, archive=True)
    with pytest.raises(Cut), before_writes(cut_at(4)):
        take_back(client, book, NAME, "2", [("1", PRODUCTION), ("2", STAGING)])
    assert staged(read(client)) == {"1": PRODUCTION, "2": ARCHIVED}
    (row,) = recover(client, book)
    assert row.state == DONE
    assert staged(read(client)) == {"1": PRODUCTION, "2": STAGING}
    assert_mirrored(read(client))
