"""The follower: what the registry, the ledger and the policy say is what the cache says, and nothing else ever."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry import last_report, policy
from registry.evidence import adoption
from registry.last_report import LastReport
from registry.watch import Watch
from serving.scorecard import Scorecard
from serving.server.cache import Cache, CachedModel, CacheError
from serving.server.cache_reader import CacheReader
from serving.server.follower import direct
from serving.server.follower.lanes import FollowerLanes
from serving.server.follower.registry import RegistryFollower
from serving.server.pyfunc import places
from serving.server.settings import ServerSettings
from tests.logged import logged
from tests.registry import made
from tests.serving.server import pyfuncs, registries, servers
from tests.serving.server.registries import Registry

ONE, TWO, THREE = (servers.regression(answer) for answer in (1, 2, 3))


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = registries.on_sqlite(empty_store, tmp_path)
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return found


class Follower:
    """A follower that looks when it is told to.

    Parameters
    ----------
    said : what it has logged.
    """

    def __init__(self, registry: Registry, folder: Path, said: list[str]):
        self.cache = Cache(folder / "cache", registry.uri)
        self.cache.make()
        self.policy = folder / "policy.yaml"
        self.policy.write_text("lineage: {commit: optional}\n")
        self._registry, self.said = registry, said
        self.begin()

    def begin(self, *, lanes: FollowerLanes | None = None) -> None:
        """As after a restart."""
        self.following = RegistryFollower(
            self._registry.client, self._registry.ledger, self.cache, lambda: policy.read(self.policy), lanes=lanes
        )

    def look(self) -> dict[str, str | None]:
        """The number of the champion of each model, by name; None where there is none."""
        self.following.look()
        return {kept.name: kept.champion.version if kept.champion else None for kept in self.cache.read().models}

    def kept(self, name: str = "wine") -> CachedModel:
        (found,) = (kept for kept in self.cache.read().models if kept.name == name)
        return found

    def watch(self) -> None:
        """Let ``registry watch`` settle what was done by hand."""
        with self._registry.ledger as book:
            Watch(self._registry.client, book, policy.read(self.policy)).once()


@pytest.fixture
def follower(registry: Registry, tmp_path: Path) -> Iterator[Follower]:
    with logged("serving.server") as said:
        yield Follower(registry, tmp_path, said)


def test_promotions_and_rollbacks_are_followed(registry: Registry, follower: Follower) -> None:
    assert follower.look() == {}
    registry.version("wine", ONE, servers.NUMBERS)
    registry.version("wine", TWO)
    assert follower.look() == {"wine": None}
    registry.promote("wine", "1")
    assert follower.look() == {"wine": "1"}
    assert follower.kept().champion.example == servers.NUMBERS
    registry.promote("wine", "2")
    assert follower.look() == {"wine": "2"}
    registry.rollback("wine")
    assert follower.look() == {"wine": "1"}
    assert follower.said == [
        "wine: no version of it is in Production",
        "wine: version 1 is served",
        "wine: version 2 is served, no longer 1",
        "wine: version 1 is served, no longer 2",
    ]


def test_the_metrics_and_the_promotion_of_a_version_are_kept(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    facts = follower.kept().champion.facts
    assert facts.arrival is not None
    assert (facts.arrival.kind, facts.arrival.actor, facts.arrival.reason) == ("promote", "ann", "test")
    assert (facts.target, facts.rows, facts.metric, facts.caveat) == ("progression", made.ROWS, "rmse", "")
    assert [(one.name, one.value, one.baseline) for one in facts.ordered] == [("rmse", 1.0, 50.0), ("mae", 1.0, None)]
    # It was read once: another policy, or a registry without it, changes nothing else.
    run = registry.client.get_model_version("wine", "1").run_id
    shutil.rmtree(registry.artifact("wine", "1").parents[1] / "evidence")
    follower.policy.write_text("metric: mae\n")
    follower.look()
    assert follower.kept().champion.facts == replace(facts, metric="mae")
    assert registry.client.list_artifacts(run, "evidence") == []
    # The tag of `monitor` is followed; one that was written by hand is none.
    assert facts.monitored is None
    last = LastReport("2026-11-30T12:00:00+00:00", 2, "2 alerts", 500, "run")
    registry.client.set_model_version_tag("wine", "1", last_report.TAG, last.dumps())
    follower.look()
    assert follower.kept().champion.facts == replace(facts, metric="mae", monitored=last)
    registry.client.set_model_version_tag("wine", "1", last_report.TAG, "2 alerts")
    follower.look()
    assert follower.kept().champion.facts.monitored is None


def test_a_version_whose_evidence_is_gone_is_served_without_metrics(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    number = registry.version("wine", TWO)
    shutil.rmtree(registry.artifact("wine", number).parents[1] / "evidence")
    registry.promote("wine", number)
    assert follower.look() == {"wine": number}
    facts = follower.kept().champion.facts
    assert facts.metrics == ()
    assert facts.arrival is not None
    registry.rollback("wine")
    follower.look()
    facts = follower.kept().champion.facts
    assert facts.arrival.kind == "rollback"
    assert facts.metric == "rmse"


def test_the_caveat_of_an_adopted_version_is_kept(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE, holdout={"by": "given", "key_columns": ["age"], "rows": 60})
    registry.promote("wine", "1")
    follower.look()
    assert follower.kept().champion.facts.caveat == (
        "logged without this platform; judged on rows that it may have been trained on"
    )


def test_a_version_is_said_to_be_served_once_a_lane_answers(
    registry: Registry, follower: Follower, tmp_path: Path
) -> None:
    settings = ServerSettings(pyfunc=True, metrics_folder=str(tmp_path / "shared"))
    (tmp_path / "shared" / places.FOLDER).mkdir(parents=True)
    follower.begin(lanes=FollowerLanes(settings, follower.cache))
    registry.version("wine", None, model=pyfuncs.unruly(tmp_path / "model"))
    registry.promote("wine", "1")
    for _ in range(2):
        assert follower.look() == {"wine": "1"}
        assert follower.following.waiting
        assert follower.said == ["wine: version 1 is being loaded"]
    champion = follower.kept().champion
    assert champion is not None
    assert champion.pyfunc is not None
    champion.pyfunc.places(settings.metrics_folder, settings.pyfunc_processes).socket(0).touch()
    for _ in range(2):
        assert follower.look() == {"wine": "1"}
        assert not follower.following.waiting
        assert follower.said == ["wine: version 1 is being loaded", "wine: version 1 is served"]


def attach(registry: Registry, number: str, card: Scorecard) -> None:
    """Attach a scorecard to a version, as an evaluation does."""
    run = registry.client.create_run("0").info.run_id
    registry.client.log_text(run, card.dumps(), "evidence/adoption/scorecard.json")
    tags = {adoption.URI_TAG: f"runs:/{run}/evidence/adoption", adoption.SCORECARD_TAG: card.digest}
    for name, value in tags.items():
        registry.client.set_model_version_tag("wine", number, name, value)


def test_an_attached_scorecard_is_served_and_the_next_one_in_its_place(registry: Registry, follower: Follower) -> None:
    registry.version("wine", None)
    registry.promote("wine", "1")
    assert follower.look() == {"wine": None}
    for card in (ONE, TWO):
        attach(registry, "1", card)
        assert follower.look() == {"wine": "1"}
        champion = follower.kept().champion
        assert champion is not None
        assert champion.card == card.digest
    assert follower.said[-1] == "wine: version 1 is served by the scorecard of its newest evaluation"
    follower.begin()
    assert follower.look() == {"wine": "1"}


def test_an_attached_scorecard_that_is_not_that_of_the_tag_is_refused(registry: Registry, follower: Follower) -> None:
    registry.version("wine", None)
    registry.promote("wine", "1")
    attach(registry, "1", ONE)
    registry.client.set_model_version_tag("wine", "1", adoption.SCORECARD_TAG, TWO.digest)
    assert follower.look() == {"wine": None}
    assert "is another than the version's tag names; evaluate the version anew" in follower.kept().refused


def test_what_does_not_change_is_not_written_again(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    mark, generation = follower.cache.mark(), follower.cache.read().generation
    for _ in range(3):
        follower.look()
    follower.begin()
    follower.look()
    assert (follower.cache.mark(), follower.cache.read().generation) == (mark, generation)


def test_a_promotion_under_way_is_not_taken_for_a_move_by_hand(registry: Registry, follower: Follower) -> None:
    for number, card in (("1", ONE), ("2", TWO)):
        registry.version("wine", card)
        said: list[str] = []

        def look(step: str, said: list[str] = said) -> None:
            follower.look()
            kept = follower.kept()
            said.append(kept.refused if kept else "")

        registry.promote("wine", number, observe=look)
        assert f"version {number} is being promoted" in said
        assert not any("by hand" in line for line in said)
        assert follower.look() == {"wine": number}
        assert follower.kept().refused == ""


def test_a_move_by_hand_is_served_once_it_is_judged(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    registry.version("wine", TWO)
    follower.look()
    registry.by_hand("wine", "2", "Production")
    assert follower.look() == {"wine": "1"}
    assert follower.following.waiting
    assert "version 2 was moved to Production by hand and is not judged" in follower.kept().refused
    follower.watch()
    assert follower.look() == {"wine": "2"}
    assert not follower.following.waiting
    assert follower.kept().refused == ""


def test_a_move_by_hand_that_fails_is_never_served(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    failed = {"name": "made", "success": False, "evaluated": 3, "failed": 3, "findings": []}
    registry.version("wine", TWO, suite=failed)
    registry.by_hand("wine", "2", "Production")
    assert follower.look() == {"wine": "1"}
    follower.watch()
    assert follower.look() == {"wine": "1"}
    assert follower.kept().refused == ""


def test_a_move_by_hand_that_fails_is_served_under_the_policy_flag(registry: Registry, follower: Follower) -> None:
    follower.policy.write_text("lineage: {commit: optional}\nby_hand: flag\n")
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    failed = {"name": "made", "success": False, "evaluated": 3, "failed": 3, "findings": []}
    registry.version("wine", TWO, suite=failed)
    registry.by_hand("wine", "2", "Production")
    follower.watch()
    assert follower.look() == {"wine": "2"}


def test_with_an_empty_cache_the_one_before_a_move_by_hand_is_fetched(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    registry.version("wine", TWO)
    registry.by_hand("wine", "2", "Production")
    assert follower.look() == {"wine": "1"}


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (
            lambda path: path.unlink(),
            "version 2 has no scorecard; start the server with `--pyfunc yes`",
        ),
        (lambda path: path.write_text("{"), "version 2: its scorecard.json is refused: "),
        (lambda path: path.write_bytes(b"\xff\xfe"), "version 2: its scorecard.json is refused: it is no text"),
        (
            lambda path: path.write_text(ONE.dumps().replace(ONE.digest, TWO.digest)),
            "version 2: its scorecard.json is refused",
        ),
    ],
)
def test_a_version_that_does_not_load_is_refused_and_the_old_one_stays(
    registry: Registry, follower: Follower, break_it: Callable[[Path], None], says: str
) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    registry.version("wine", TWO)
    break_it(registry.artifact("wine", "2"))
    registry.promote("wine", "2")
    for _ in range(3):
        assert follower.look() == {"wine": "1"}
    assert follower.kept().refused.startswith(says)
    assert str(registry.folder) not in follower.kept().refused
    assert sum(says in line for line in follower.said) == 1
    registry.rollback("wine")
    assert follower.look() == {"wine": "1"}
    assert follower.kept().refused == ""


def test_where_nothing_served_before_what_does_not_load_is_told(registry: Registry, follower: Follower) -> None:
    registry.version("wine", None)
    registry.promote("wine", "1")
    assert follower.look() == {"wine": None}
    assert "mlflow models serve -m models:/wine/1" in follower.kept().refused


def test_files_that_are_not_there_are_asked_for_again(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    registry.version("wine", TWO)
    folder = registry.artifact("wine", "2").parent
    folder.rename(folder.with_name("away"))
    registry.promote("wine", "2")
    for _ in range(2):
        assert follower.look() == {"wine": "1"}
    assert sum("there is no file of it in the artifact store" in line for line in follower.said) == 1
    folder.with_name("away").rename(folder)
    assert follower.look() == {"wine": "2"}


def test_what_is_archived_or_deleted_is_no_longer_served(registry: Registry, follower: Follower) -> None:
    for name in ("wine", "tea"):
        registry.version(name, ONE)
        registry.promote(name, "1")
    assert follower.look() == {"tea": "1", "wine": "1"}
    registry.by_hand("wine", "1", "Archived", archive=False)
    assert follower.look() == {"tea": "1", "wine": None}
    registry.client.delete_registered_model("tea")
    assert follower.look() == {"wine": None}
    assert "tea: it is no longer registered, and no longer served" in follower.said


def test_a_model_made_anew_under_its_old_name_is_another(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    registry.client.delete_registered_model("wine")
    registry.version("wine", TWO)
    registry.by_hand("wine", "1", "Production")
    registry.promote("wine", "1")
    assert follower.look() == {"wine": "1"}
    assert follower.kept().champion.card == TWO.digest


def test_a_renamed_model_is_judged_anew(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    registry.client.rename_registered_model("wine", "red wine")
    assert follower.look() == {"red wine": None}
    follower.watch()
    assert follower.look() == {"red wine": "1"}


def test_names_that_urls_would_read_otherwise(registry: Registry, follower: Follower) -> None:
    names = ["it's", 'say "x"', "a b#c", "50%25", "été?", "a@b"]
    for name in names:
        registry.version(name, ONE)
        registry.promote(name, "1")
    assert follower.look() == dict.fromkeys(sorted(names), "1")


def test_the_challenger_and_its_traffic(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    registry.version("wine", TWO)
    registry.promote("wine", "2", "Staging")
    follower.look()
    assert (follower.kept().challenger.version, follower.kept().traffic.mode) == ("2", "none")
    follower.policy.write_text("models: {wine: {serve: {traffic: canary, weight: 0.25}}}\n")
    follower.look()
    assert (follower.kept().traffic.mode, follower.kept().traffic.weight) == ("canary", 0.25)
    assert follower.said[-1] == "wine: version 2 is the challenger, traffic: canary of 25%"
    follower.policy.write_text("models: {wine: {serve: {traffic: all}}}\n")
    follower.look()
    assert follower.kept().traffic.mode == "canary"
    assert follower.said[-1].endswith("; the previous policy stays in use")
    registry.promote("wine", "2")
    follower.look()
    assert (follower.kept().champion.version, follower.kept().challenger) == ("2", None)


def test_a_cache_that_was_damaged_is_written_anew(registry: Registry, follower: Follower) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    follower.look()
    for path in [*follower.cache.folder.glob("state-*"), *(follower.cache.folder / "cards").iterdir()]:
        path.write_bytes(path.read_bytes()[:-20])
    follower.look()
    reader = CacheReader(follower.cache)
    assert reader.read().models["wine"].champion.version == "1"
    assert not reader.broken
    for path in (follower.cache.folder / "cards").iterdir():
        path.unlink()
    follower.begin()
    follower.look()
    assert CacheReader(follower.cache).read().models["wine"].champion.version == "1"


def test_a_ledger_that_is_away_changes_nothing(registry: Registry, follower: Follower, tmp_path: Path) -> None:
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    registry.version("wine", TWO)
    follower.look()
    registry.promote("wine", "2")
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    (tmp_path / "ledger.db").mkdir()
    assert follower.look() == {"wine": "1"}
    assert "wine: the ledger" in follower.said[-1]
    (tmp_path / "ledger.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "ledger.db")
    assert follower.look() == {"wine": "2"}


def test_what_cannot_be_written_is_not_said_to_be_served(registry: Registry, follower: Follower) -> None:
    follower.look()
    (path,) = follower.cache.folder.glob("state-*")
    path.unlink()
    path.mkdir()
    registry.version("wine", ONE)
    registry.promote("wine", "1")
    with pytest.raises(CacheError, match="cannot be written"):
        follower.look()
    assert not follower.said
    path.rmdir()
    assert follower.look() == {"wine": "1"}
    assert follower.said == ["wine: version 1 is served"]


def test_a_path_that_cannot_be_written_is_not_said_to_be_served(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", "wine")
    cache.make()
    models = direct.read([f"wine={servers.model(tmp_path / 'model', ONE)}"])
    with logged() as said:
        direct.serve(cache, models)
    assert said == ["wine: version 0 is served"]
    (path,) = cache.folder.glob("state-*")
    path.unlink()
    path.mkdir()
    with logged() as said, pytest.raises(CacheError, match="cannot be written"):
        direct.serve(cache, models)
    assert not said
