"""Which version is served: what the registry and the ledger say together."""

from collections.abc import Sequence
from dataclasses import replace

from registry.ledger import DONE, INTENT, NOTED, UNDONE, LedgerEntry
from registry.stages import State, VersionState
from serving.server.follower.choice import Choice, choose

PASS, FAIL = {"passed": True, "stage": "Production"}, {"passed": False, "stage": "Production"}


def state(stages: dict[str, str], *, champion: str | None = None, created: int = 0) -> State:
    """A model with versions in stages."""
    versions = {
        number: VersionState(number, stage, created + int(number), 0, None, "", {}) for number, stage in stages.items()
    }
    return State("wine", versions, {"champion": champion} if champion else {})


class Book:
    """A ledger's rows of one model, as the platform writes them."""

    def __init__(self) -> None:
        self.rows: list[LedgerEntry] = []
        self._stages: dict[str, str] = {}

    def move(self, version: str, target: str, kind: str = "promote", *, verdict=None, done: bool = True, **details):
        """A transition; whatever else is in the stage is archived."""
        moves = [{"version": version, "created": int(version), "from": self._stages.get(version, "None"), "to": target}]
        for other, stage in self._stages.items():
            if stage == target and other != version and target in ("Production", "Staging"):
                moves.append({"version": other, "created": int(other), "from": stage, "to": "Archived"})
        row = LedgerEntry(
            kind,
            INTENT,
            "wine",
            version,
            moves[0]["from"],
            target,
            "ann",
            "why",
            verdict=verdict,
            details={**details, "moves": moves},
            id=len(self.rows) + 1,
        )
        self.rows.append(row)
        if done:
            self.rows.append(replace(row, state=DONE, intent=row.id, id=row.id + 1))
            self._stages |= {move["version"]: move["to"] for move in moves}
        return self

    def note(self, version: str) -> "Book":
        """A version that was moved to Production by hand, and failed."""
        self.rows.append(
            LedgerEntry(
                "by-hand", NOTED, "wine", version, "None", "Production", "UI", "", verdict=FAIL, id=len(self.rows) + 1
            )
        )
        return self


def chosen(state: State, entries: Sequence[LedgerEntry] = (), *, by_hand: str = "revert") -> Choice:
    return choose(state, entries, by_hand=by_hand)


def test_a_promoted_version_is_served() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    assert chosen(state({"1": "Production"}), book.rows).champion == "1"


def test_after_a_rollback_the_one_that_came_back_is_served() -> None:
    book = Book().move("1", "Production", verdict=PASS).move("2", "Production", verdict=PASS)
    book.move("1", "Production", "rollback")
    found = chosen(state({"1": "Production", "2": "Archived"}), book.rows)
    assert (found.champion, found.waiting) == ("1", "")


def test_without_a_version_in_production_nothing_is_served() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    assert not chosen(state({"1": "Archived", "2": "Staging"}), book.rows).staged


def test_a_move_by_hand_waits_for_its_verdict_and_the_last_one_goes_on() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    found = chosen(state({"1": "Archived", "2": "Production"}), book.rows)
    assert (found.champion, found.fallback) == (None, ("1",))
    assert "version 2 was moved to Production by hand and is not judged" in found.waiting
    assert "python -m registry watch" in found.waiting


def test_a_move_by_hand_beside_the_champion_changes_nothing_yet() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    found = chosen(state({"1": "Production", "2": "Production"}, champion="2"), book.rows)
    assert (found.champion, found.waiting != "") == ("1", True)


def test_a_move_by_hand_that_passed_is_served() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    book.move("2", "Production", "by-hand", verdict=PASS, outcome="adopted")
    assert chosen(state({"1": "Archived", "2": "Production"}), book.rows).champion == "2"


def test_a_move_by_hand_that_failed_is_served_where_it_is_let_stand() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    book.move("2", "Production", "by-hand", verdict=FAIL, outcome="flagged")
    assert chosen(state({"1": "Archived", "2": "Production"}), book.rows).champion == "2"


def test_a_version_that_was_put_back_after_anothers_failure_is_served() -> None:
    book = Book().move("1", "Production", verdict=PASS).note("2")
    book.move("1", "Production", "revert")
    found = chosen(state({"1": "Production", "2": "None"}), book.rows)
    assert (found.champion, found.waiting) == ("1", "")


def test_a_failing_verdict_for_another_stage_is_none_for_production() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    book.move("1", "Production", "revert", verdict={"passed": False, "stage": "Staging"}, outcome="reverted")
    assert chosen(state({"1": "Production"}), book.rows).champion == "1"


def test_a_failing_verdict_that_was_not_let_stand_is_not_served() -> None:
    book = Book().move("1", "Production", verdict=PASS).move("2", "Production", verdict=FAIL)
    there = state({"1": "Archived", "2": "Production"})
    found = chosen(there, book.rows)
    assert (found.champion, found.waiting) == (None, "version 2 failed its gates when it was last judged")
    assert chosen(there, book.rows, by_hand="flag").champion == "2"


def test_a_transition_that_is_under_way_is_not_served_yet() -> None:
    book = Book().move("1", "Production", verdict=PASS).move("2", "Production", verdict=PASS, done=False)
    found = chosen(state({"1": "Archived", "2": "Production"}), book.rows)
    assert (found.champion, found.fallback) == (None, ("1",))
    assert found.waiting == "version 2 is being promoted"


def test_a_transition_that_was_undone_or_is_of_another_version_is_not_under_way() -> None:
    book = Book().move("1", "Production", verdict=PASS).move("2", "Production", verdict=PASS, done=False)
    book.rows.append(replace(book.rows[-1], state=UNDONE, intent=book.rows[-1].id, id=9))
    book.move("3", "Production", verdict=PASS, done=False)
    found = chosen(state({"1": "Archived", "2": "Production", "3": "Staging"}), book.rows)
    assert "version 2 was moved to Production by hand and is not judged" in found.waiting


def test_a_ledger_that_knows_nothing_of_the_model_may_be_another() -> None:
    assert "is LEDGER_URI that of the commands?" in chosen(state({"1": "Production"})).waiting
    book = Book().move("1", "Production", verdict=PASS)
    assert "LEDGER_URI" not in chosen(state({"1": "Archived", "2": "Production"}), book.rows).waiting


def test_a_version_of_the_same_number_in_a_deleted_model_says_nothing() -> None:
    book = Book().move("1", "Production", verdict=PASS)
    found = chosen(state({"1": "Production"}, created=1000), book.rows)
    assert (found.champion, found.fallback) == (None, ())


def test_what_nobody_ever_judged_is_not_served() -> None:
    found = chosen(state({"1": "Production"}))
    assert (found.champion, found.fallback) == (None, ())
    assert "python -m registry watch" in found.waiting


def test_the_challenger_is_what_the_ledger_knows_in_staging() -> None:
    book = (
        Book().move("1", "Production", verdict=PASS).move("2", "Staging", verdict={"passed": True, "stage": "Staging"})
    )
    assert chosen(state({"1": "Production", "2": "Staging"}), book.rows).challenger == "2"
    assert chosen(state({"1": "Production", "2": "None", "3": "Staging"}), book.rows).challenger is None


def test_of_several_that_the_ledger_knows_the_alias_tells_the_champion() -> None:
    book = Book()
    for number in ("1", "2"):
        moves = [{"version": number, "created": int(number), "from": "None", "to": "Production"}]
        book.rows.append(
            LedgerEntry(
                "by-hand", DONE, "wine", number, "None", "Production", "UI", "", intent=1, details={"moves": moves}
            )
        )
    there = {"1": "Production", "2": "Production"}
    assert chosen(state(there), book.rows).champion == "2"
    assert chosen(state(there, champion="1"), book.rows).champion == "1"
