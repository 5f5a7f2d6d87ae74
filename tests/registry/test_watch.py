"""The watch: what is changed by hand is seen, judged, brought into line or put back, and written down."""

import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from mlflow import MlflowClient

from registry import client, ledger, policy, promotion, reconcile, stages
from registry.errors import RegistryError
from registry.gates import GateResult, Verdict
from registry.judging import StageJudge
from registry.ledger import DONE, NOTED, Ledger
from registry.policy import Policies
from registry.watch import EVERY, Watch
from tests import stores
from tests.effort import times
from tests.logged import before_writes
from tests.patience import soon
from tests.registry import made
from tests.registry.watching import program, said

GOOD, BAD = made.holdout([1.0] * made.ROWS), made.holdout([9.0] * made.ROWS)
POLICIES = policy.read()


@pytest.fixture
def registry(tracking: str) -> MlflowClient:
    return client.connect()


@pytest.fixture
def book(tracking: str) -> Iterator[Ledger]:
    with ledger.open() as book:
        yield book


@pytest.fixture
def watcher(registry: MlflowClient, book: Ledger) -> Watch:
    """A watcher that has watched before anything was changed."""
    return watching(registry, book)


def watching(registry: MlflowClient, book: Ledger, policies: Policies = POLICIES) -> Watch:
    found = Watch(registry, book, policies)
    found.look()
    return found


def by_hand(registry: MlflowClient, number: str, stage: str, *, archive: bool = False) -> None:
    """What a click in MLflow's pages does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.transition_model_version_stage("made", number, stage, archive_existing_versions=archive)


def promoted(registry: MlflowClient, book: Ledger, number: str, stage: str = "Production") -> None:
    """What ``python -m registry promote`` does."""
    judge = StageJudge(registry, "made", POLICIES.default, stage).judge
    promotion.promote(registry, book, "made", number, stage=stage, reason="it is better", actor="ann", judge=judge)


def now(registry: MlflowClient) -> tuple[dict[str, str], dict[str, str]]:
    """The stages that are not None, and the aliases."""
    state = stages.read(registry, "made")
    return {one.number: one.stage for one in state.versions.values() if one.stage != "None"}, dict(state.aliases)


def told(book: Ledger) -> list[tuple[str, str, str, str, str, str]]:
    """The moves in the ledger: what, version, from, to, by whom, state."""
    return [
        (entry.kind, entry.version, entry.source, entry.target, entry.actor, entry.state)
        for entry in book.entries("made")
        if entry.state in (DONE, NOTED)
    ]


def test_a_version_that_was_promoted_by_hand_is_kept(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    by_hand(registry, "1", "Production")
    (settled,) = watcher.look()
    assert (settled.version, settled.outcome) == ("1", "kept")
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert told(book) == [("by-hand", "1", "None", "Production", "UI", DONE)]
    entry = book.entries("made")[-1]
    assert entry.reason == "stage changed by hand from None to Production; passed 9 gates"
    assert entry.digest == registry.get_model_version("made", "1").tags["evidence.digest"]
    assert Verdict.from_dict(entry.verdict).passed
    assert "stage changed by hand" in registry.get_model_version("made", "1").description
    assert watcher.look() == []
    assert book.verify() is None


def test_one_that_fails_is_put_back_and_the_champion_stays(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    made.register(registry, "made", BAD)
    promoted(registry, book, "1")
    watcher.look()
    by_hand(registry, "2", "Production", archive=True)
    (settled,) = watcher.look()
    assert settled.outcome == "reverted"
    assert "worse than version 1: rmse is 8 (800 %) higher on 60 shared held-out rows" in settled.words
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert told(book)[1:] == [
        ("by-hand", "2", "None", "Production", "UI", NOTED),
        ("revert", "2", "Production", "None", "watch", DONE),
    ]
    assert watcher.look() == []


def test_one_that_fails_is_left_and_told_where_the_policy_flags(registry: MlflowClient, book: Ledger):
    flagging = msgspec.structs.replace(POLICIES, default=msgspec.structs.replace(POLICIES.default, by_hand="flag"))
    watcher = watching(registry, book, flagging)
    made.register(registry, "made", GOOD)
    made.register(registry, "made", BAD)
    promoted(registry, book, "1")
    by_hand(registry, "2", "Production")
    (settled,) = watcher.look()
    assert settled.outcome == "flagged"
    assert now(registry) == ({"1": "Archived", "2": "Production"}, {"champion": "2"})
    assert (
        "flagged, it fails its gates: champion: worse than version 1"
        in registry.get_model_version("made", "2").description
    )
    assert told(book)[-1] == ("by-hand", "2", "None", "Production", "UI", DONE)


def test_a_rejected_version_that_is_moved_by_hand_is_put_back(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    promotion.reject(registry, book, "made", "1", reason="unfair", actor="jo")
    by_hand(registry, "1", "Staging")
    (settled,) = watcher.look()
    assert settled.outcome == "reverted"
    assert "rejected by jo (unfair)" in settled.words
    assert now(registry) == ({"1": "Archived"}, {})
    assert watcher.look() == []


def test_an_alias_that_was_moved_by_hand_moves_the_stage(registry: MlflowClient, book: Ledger, watcher: Watch):
    for _ in range(2):
        made.register(registry, "made", GOOD)
    promoted(registry, book, "1")
    watcher.look()
    registry.set_registered_model_alias("made", "champion", "2")
    (settled,) = watcher.look()
    assert settled.outcome == "kept"
    assert now(registry) == ({"1": "Archived", "2": "Production"}, {"champion": "2"})
    assert book.entries("made")[-1].reason == "alias champion set by hand; passed 9 gates"
    registry.set_registered_model_alias("made", "challenger", "1")
    watcher.look()
    assert now(registry) == ({"1": "Staging", "2": "Production"}, {"champion": "2", "challenger": "1"})


def test_an_alias_on_a_version_that_fails_is_moved_back(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    made.register(registry, "made", BAD)
    promoted(registry, book, "1")
    registry.set_registered_model_alias("made", "champion", "2")
    (settled,) = watcher.look()
    assert settled.outcome == "reverted"
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert "alias champion set by hand; it fails" in registry.get_model_version("made", "2").description
    assert watcher.look() == []


def test_an_alias_that_was_taken_away_comes_back(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    promoted(registry, book, "1")
    watcher.look()
    registry.delete_registered_model_alias("made", "champion")
    (settled,) = watcher.look()
    assert settled.outcome == "aligned"
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert watcher.look() == []


def test_two_in_production_by_hand_are_mended_and_the_newest_wins(registry: MlflowClient, book: Ledger, watcher: Watch):
    for _ in range(3):
        made.register(registry, "made", GOOD)
    promoted(registry, book, "1")
    by_hand(registry, "3", "Production")
    time.sleep(0.01)
    by_hand(registry, "2", "Production")
    watcher.look()
    assert now(registry) == ({"1": "Archived", "2": "Production", "3": "Archived"}, {"champion": "2"})


def test_of_two_by_hand_the_older_wins_where_the_newest_fails(registry: MlflowClient, book: Ledger, watcher: Watch):
    for table in (GOOD, GOOD, BAD):
        made.register(registry, "made", table)
    promoted(registry, book, "1")
    by_hand(registry, "2", "Production")
    time.sleep(0.01)
    by_hand(registry, "3", "Production")
    watcher.look()
    assert now(registry)[0]["2"] == "Production"
    assert list(now(registry)[0].values()).count("Production") == 1


def test_a_champion_that_was_archived_by_hand_leaves_no_alias_behind(
    registry: MlflowClient, book: Ledger, watcher: Watch
):
    made.register(registry, "made", GOOD)
    promoted(registry, book, "1")
    watcher.look()
    by_hand(registry, "1", "Archived")
    (settled,) = watcher.look()
    assert settled.outcome == "kept"
    assert now(registry) == ({"1": "Archived"}, {})
    assert told(book)[-1] == ("by-hand", "1", "Production", "Archived", "UI", DONE)


def test_a_version_without_evidence_is_put_back(registry: MlflowClient, book: Ledger, watcher: Watch):
    run = registry.create_run("0")
    registry.create_registered_model("made")
    registry.create_model_version("made", f"runs:/{run.info.run_id}/model", run.info.run_id)
    by_hand(registry, "1", "Staging")
    (settled,) = watcher.look()
    assert settled.outcome == "reverted"
    assert "evidence: made version 1 has no evidence" in settled.words
    assert now(registry) == ({}, {})


def test_both_stages_at_once_are_judged_apart(registry: MlflowClient, book: Ledger, watcher: Watch):
    for table in (GOOD, GOOD, made.holdout([60.0] * made.ROWS)):
        made.register(registry, "made", table)
    promoted(registry, book, "1")
    by_hand(registry, "2", "Production")
    registry.set_registered_model_alias("made", "challenger", "3")
    outcomes = {one.version: one.outcome for one in watcher.look()}
    # 60 is worse than the baseline's 50, which Staging asks for.
    assert outcomes == {"2": "kept", "3": "reverted"}
    assert now(registry) == ({"1": "Archived", "2": "Production"}, {"champion": "2"})


def test_what_comes_to_a_stage_while_another_is_judged_is_judged_itself(
    registry: MlflowClient, book: Ledger, watcher: Watch
):
    for _ in range(3):
        made.register(registry, "made", GOOD)
    promoted(registry, book, "1")
    asked: list[tuple[str, str]] = []

    def judge(version: str, stage: str, champion: str | None) -> Verdict:
        asked.append((version, stage))
        if version == "2":
            by_hand(registry, "3", "Staging")
            registry.set_registered_model_alias("made", "challenger", "3")
        fine = version == "2"
        return Verdict(fine, (GateResult("all", fine, "as told"),), "", champion, stage)

    by_hand(registry, "2", "Production")
    for _ in range(2):
        reconcile.settle(registry, book, "made", POLICIES.default, judge=judge)
    assert asked == [("2", "Production"), ("3", "Staging")]
    assert now(registry) == ({"1": "Archived", "2": "Production"}, {"champion": "2"})


@pytest.mark.parametrize("verdict", [True, False])
def test_a_version_that_is_deleted_while_it_is_judged_is_passed_over(
    registry: MlflowClient, book: Ledger, watcher: Watch, verdict: bool
):
    for _ in range(3):
        made.register(registry, "made", GOOD)
    promoted(registry, book, "1")

    def judge(version: str, stage: str, champion: str | None) -> Verdict:
        if version == "3":
            registry.delete_model_version("made", "3")
            return Verdict(False, (GateResult("all", False, "as told"),), "", champion, stage)
        return Verdict(verdict, (GateResult("all", verdict, "as told"),), "", champion, stage)

    by_hand(registry, "2", "Production")
    time.sleep(0.01)
    by_hand(registry, "3", "Production")
    reconcile.settle(registry, book, "made", POLICIES.default, judge=judge)
    assert now(registry)[0] == ({"1": "Archived", "2": "Production"} if verdict else {"1": "Production"})
    assert reconcile.settle(registry, book, "made", POLICIES.default, judge=judge) == []


def test_what_was_missed_is_found_later(registry: MlflowClient, book: Ledger):
    made.register(registry, "made", GOOD)
    made.register(registry, "made", GOOD)
    made.register(registry, "made", BAD)
    watching(registry, book)
    promoted(registry, book, "1")
    by_hand(registry, "2", "Production", archive=True)
    registry.set_registered_model_alias("made", "challenger", "3")
    assert [one.version for one in Watch(registry, book, POLICIES).once()] == ["2", "3"]
    assert now(registry) == ({"1": "Archived", "2": "Production", "3": "Staging"}, {"champion": "2", "challenger": "3"})
    assert Watch(registry, book, POLICIES).once() == []


def test_where_the_ledger_begins_what_is_there_is_taken_as_it_is(registry: MlflowClient, book: Ledger):
    """A registry that was in use before is not emptied because its versions have no evidence."""
    run = registry.create_run("0")
    registry.create_registered_model("made")
    for _ in range(2):
        registry.create_model_version("made", f"runs:/{run.info.run_id}/model", run.info.run_id)
    by_hand(registry, "1", "Production")
    (settled,) = Watch(registry, book, POLICIES).once()
    assert settled.outcome == "flagged"
    assert "in Production when the ledger began; flagged, it fails its gates: evidence: " in settled.words
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert [entry.kind for entry in book.entries(EVERY)] == ["watch"]
    # From here on the gates are asked.
    by_hand(registry, "2", "Production", archive=True)
    assert [one.outcome for one in Watch(registry, book, POLICIES).once()] == ["reverted"]
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})


def test_a_model_that_is_renamed_keeps_its_champion(registry: MlflowClient, book: Ledger, watcher: Watch):
    """It is the same version, though the gates of the new name would not let it in."""
    for _ in range(2):
        made.register(registry, "before", GOOD)
    judge = lambda version, champion: Verdict(True, (GateResult("all", True, "fine"),), "", champion)  # noqa: E731
    given = {"stage": "Production", "reason": "it is better", "actor": "ann", "judge": judge}
    promotion.promote(registry, book, "before", "1", **given)
    watcher.look()
    registry.rename_registered_model("before", "made")
    strict = msgspec.structs.replace(
        POLICIES, models={"made": msgspec.structs.replace(POLICIES.default, bounds={"rmse": 0.1})}
    )
    (settled,) = Watch(registry, book, strict).once()
    assert settled.outcome == "flagged"
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert book.entries("made")[-1].reason.startswith("in Production when 'before' was renamed; flagged, it fails")
    # From here on the gates are asked.
    by_hand(registry, "2", "Production", archive=True)
    assert [one.outcome for one in Watch(registry, book, strict).once()] == ["reverted"]
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})


def test_a_transition_of_the_platform_is_none_by_hand(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)
    made.register(registry, "made", GOOD)
    promoted(registry, book, "1", "Staging")
    promoted(registry, book, "1")
    promoted(registry, book, "2")
    before = told(book)
    assert watcher.look() == []
    assert told(book) == before


def test_a_transition_that_is_under_way_is_not_fought_with(registry: MlflowClient, book: Ledger, watcher: Watch):
    """Between its stage and its alias a transition looks as if somebody had clicked: the watch waits for its lock."""
    made.register(registry, "made", GOOD)
    reached, go = threading.Event(), threading.Event()

    def observe(step: str) -> None:
        if step.startswith("alias"):
            reached.set()
            assert go.wait(30)

    judge = lambda version, champion: Verdict(True, (GateResult("all", True, "fine"),), "", champion)  # noqa: E731
    given = {"stage": "Production", "reason": "it is better", "actor": "ann", "judge": judge}
    promoting = threading.Thread(target=promotion.promote, args=(registry, book, "made", "1"), kwargs=given)
    found: list = []
    looking = threading.Thread(target=lambda: found.extend(watcher.look()))
    with before_writes(observe):
        promoting.start()
        assert reached.wait(30)
        looking.start()
        time.sleep(1)
        assert looking.is_alive()
        go.set()
        promoting.join()
        looking.join()
    assert found == []
    assert told(book) == [("promote", "1", "None", "Production", "ann", DONE)]


def test_a_transition_that_was_cut_short_is_finished(registry: MlflowClient, book: Ledger, watcher: Watch):
    made.register(registry, "made", GOOD)

    def killed(step: str) -> None:
        if step.startswith("alias"):
            raise KeyboardInterrupt

    judge = lambda version, champion: Verdict(True, (GateResult("all", True, "fine"),), "", champion)  # noqa: E731
    with pytest.raises(KeyboardInterrupt), before_writes(killed):
        promotion.promote(registry, book, "made", "1", stage="Production", reason="x", actor="ann", judge=judge)
    assert watcher.look() == []
    assert now(registry) == ({"1": "Production"}, {"champion": "1"})
    assert told(book) == [("promote", "1", "None", "Production", "ann", DONE)]


def test_followers_are_run_after_what_was_done_by_hand(registry: MlflowClient, book: Ledger, tmp_path: Path):
    out = tmp_path / "followed"
    follower = policy.StageHook(command=f'echo "$MODEL_NAME $MODEL_VERSION $MODEL_STAGE" >> {out}', tries=1)
    following = msgspec.structs.replace(POLICIES, default=msgspec.structs.replace(POLICIES.default, follow=(follower,)))
    watching(registry, book, following)
    made.register(registry, "made", GOOD)
    by_hand(registry, "1", "Production")
    Watch(registry, book, following).once()
    assert out.read_text() == "made 1 Production\n"


# The program


def test_the_program_sees_a_click_within_five_seconds_and_another_takes_over_when_it_dies(
    registry: MlflowClient, book: Ledger, tmp_path: Path
):
    made.register(registry, "made", GOOD)
    made.register(registry, "made", GOOD)
    with program(tmp_path, "first") as (first, log), program(tmp_path, "second") as (second, other):
        began = time.monotonic()
        while not any("watching every" in one.read_text() for one in (log, other)):
            assert time.monotonic() - began < 60, log.read_text() + other.read_text()
            time.sleep(0.05)
        if "watching every" in other.read_text():
            first, log, second, other = second, other, first, log
        said(other, "another watcher is active; standing by", within=30)
        by_hand(registry, "1", "Production")
        # The click may be there before the first look.
        seen = r"made version 1: (stage changed by hand|in Production when the ledger began).*: kept"
        assert said(log, seen, within=60) < soon(5)
        # Killed, it cannot let go of its lease.
        first.send_signal(signal.SIGKILL)
        by_hand(registry, "2", "Production")
        said(other, r"made version 2: stage changed by hand .*: kept", within=60)
        assert now(registry) == ({"1": "Archived", "2": "Production"}, {"champion": "2"})
        second.send_signal(signal.SIGTERM)
        assert second.wait(10) == 0
        assert "Traceback" not in log.read_text() + other.read_text()


def test_it_goes_on_when_the_server_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    port = stores.free_port()
    address = f"http://{stores.HOST}:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("LEDGER_URI", f"sqlite:///{tmp_path}/ledger.db")
    command = [sys.executable, "-m", "mlflow", "server", "--host", stores.HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/tracking.db"]
    command += ["--artifacts-destination", f"{tmp_path}/artifacts"]

    @contextmanager
    def server() -> Iterator[None]:
        with stores.process(command, folder=tmp_path, env=stores.LEAN_SERVER) as running:
            running.wait(lambda: stores.answers(f"{address}/health"))
            yield

    with ExitStack() as beside:
        with server():
            registry = client.connect()
            made.register(registry, "made", GOOD)
            _, log = beside.enter_context(program(tmp_path))
            said(log, "watching every", within=60)
        # The last connections may be told in other words.
        said(log, r"does not answer \(Connection refused\)", within=60)
        told = log.read_text()
        time.sleep(2)  # it is asked again and again, and told once
        assert log.read_text() == told
        with server():
            said(log, "the registry answers again", within=60)
            by_hand(client.connect(), "1", "Production")
            said(log, "made version 1", within=60)
            assert now(registry) == ({"1": "Production"}, {"champion": "1"})


# Laws


class Clicks(RuleBasedStateMachine):
    """Whatever is clicked, in whatever order, after a look all is in line."""

    NUMBERS = ("1", "2", "3", "4")

    def __init__(self) -> None:
        super().__init__()
        self.registry = client.connect()
        self.champion: str | None = None

    @initialize()
    def registered(self) -> None:
        for one in self.registry.search_registered_models():
            self.registry.delete_registered_model(one.name)
        self.book = ledger.open(f"sqlite:///{Path.cwd()}/ledger-{time.monotonic_ns()}.db")
        self.registry.create_registered_model("made")
        for _ in self.NUMBERS:
            self.registry.create_model_version("made", "/nowhere")
        self.clicked = False

    @rule(number=st.sampled_from(NUMBERS), stage=st.sampled_from(stages.STAGES), archive=st.booleans())
    def stage(self, number: str, stage: str, archive: bool) -> None:
        by_hand(self.registry, number, stage, archive=archive and stage in stages.ALIASES)
        self.clicked = True

    @rule(number=st.sampled_from(NUMBERS), alias=st.sampled_from(["champion", "challenger", "mine"]))
    def alias(self, number: str, alias: str) -> None:
        self.registry.set_registered_model_alias("made", alias, number)
        self.clicked = True

    @rule(alias=st.sampled_from(["champion", "challenger"]))
    def no_alias(self, alias: str) -> None:
        self.registry.delete_registered_model_alias("made", alias)
        self.clicked = True

    @rule(
        failing=st.sets(st.sampled_from(NUMBERS)),
        flag=st.booleans(),
        clicks=st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(stages.STAGES)), max_size=2),
    )
    def look(self, failing: set[str], flag: bool, clicks: list[tuple[str, str]]) -> None:
        before = reconcile.known(self.book.entries("made"), stages.read(self.registry, "made"))
        meanwhile = list(clicks)

        def judge(version: str, stage: str, champion: str | None) -> Verdict:
            # Somebody goes on clicking while a version is judged.
            if meanwhile:
                by_hand(self.registry, *meanwhile.pop())
            return Verdict(
                version not in failing, (GateResult("all", version not in failing, "told"),), "", champion, stage
            )

        rules = msgspec.structs.replace(POLICIES.default, by_hand="flag" if flag else "revert")
        reconcile.settle(self.registry, self.book, "made", rules, judge=judge)
        if len(meanwhile) < len(clicks):
            meanwhile.clear()
            reconcile.settle(self.registry, self.book, "made", rules, judge=judge)
        after = stages.read(self.registry, "made")
        entered = {
            number
            for number, version in after.versions.items()
            if version.stage in stages.ALIASES and before[number] != version.stage
        }
        assert flag or not entered & failing, "a version that fails its gates is in a stage"
        # A second look finds nothing to do.
        count = len(self.book.entries())
        assert reconcile.settle(self.registry, self.book, "made", rules, judge=judge) == []
        assert len(self.book.entries()) == count
        self.clicked = False

    @invariant()
    def in_line(self) -> None:
        if not hasattr(self, "book") or self.clicked:
            return
        state = stages.read(self.registry, "made")
        for stage, alias in stages.ALIASES.items():
            there = [version.number for version in state.in_stage(stage)]
            assert len(there) <= 1, f"{len(there)} versions are in {stage}"
            assert state.aliases.get(alias) == (there[0] if there else None)
        entries = self.book.entries("made")
        assert reconcile.known(entries, state) == {one.number: one.stage for one in state.versions.values()}
        assert self.book.verify() is None


def test_law_whatever_is_clicked_all_is_in_line_after_a_look(tracking: str):
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Clicks, settings=settings(max_examples=times(25), stateful_step_count=8, deadline=None))


def test_a_registry_that_is_away_is_an_error_of_once(registry: MlflowClient, book: Ledger, tmp_path: Path):
    (tmp_path / "mlflow.db").write_bytes(b"no database")
    with pytest.raises(RegistryError):
        Watch(registry, book, POLICIES).once()
