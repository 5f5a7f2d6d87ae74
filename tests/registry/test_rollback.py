"""A rollback leads to the newest earlier champion that was never taken back, and that still loads and answers."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from registry import client as clients
from registry import evidence, history, ledger, policy, promotion, reconcile, smoke_test, stages
from registry.errors import RegistryError
from registry.evidence import adoption
from registry.ledger import DONE, Ledger
from registry.stages import ARCHIVED, PRODUCTION, STAGING, State
from tests.patience import soon
from tests.registry import made
from tests.registry.registered import assert_mirrored, by_ui, passing, register, staged, take_back

NAME = "diabetes"

CODE = """
import os, time, mlflow

class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load}

    def predict(self, context, model_input, params=None):
        {predict}

print("said while it loads")
mlflow.models.set_model(Model())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that has an input example."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "code.py").write_text(CODE.format(load="pass", predict="return model_input['bmi'] * 2"))
    example = pd.DataFrame({"bmi": [1.0, 2.0, 3.0]})
    mlflow.pyfunc.save_model(
        str(folder / "model"), python_model=str(folder / "code.py"), input_example=example, pip_requirements=["mlflow"]
    )
    return folder / "model"


@pytest.fixture
def source(model: Path, tmp_path: Path) -> Path:
    """The model, in a folder of the test's own."""
    return Path(shutil.copytree(model, tmp_path / "model"))


@pytest.fixture
def client(tracking: str, source: Path) -> MlflowClient:
    client = clients.connect()
    register(client, NAME, 4, str(source))
    return client


@pytest.fixture
def book(tracking: str) -> Iterator[Ledger]:
    with ledger.open() as book:
        yield book


@pytest.fixture
def promote(client: MlflowClient, book: Ledger) -> Callable[..., object]:
    """Promote versions to Production, one after another."""

    def run(*versions: str) -> None:
        for version in versions:
            promotion.promote(client, book, NAME, version, stage=PRODUCTION, reason="r", actor="ann", judge=passing)

    return run


def rollback(client: MlflowClient, book: Ledger, **more) -> promotion.Transition:
    return promotion.rollback(client, book, NAME, reason="answers are off", actor="ann", **more)


def read(client: MlflowClient) -> State:
    return stages.read(client, NAME)


def targets(client: MlflowClient, book: Ledger) -> list[str]:
    """Where rollbacks would lead, one after another."""
    state = read(client)
    champion = (state.champion, state.versions[state.champion].created) if state.champion else None
    return [number for number, _ in history.earlier(book.entries(NAME), champion=champion)]


def test_the_champion_before_comes_back(client: MlflowClient, book: Ledger, promote):
    promote("1", "2")
    transition = rollback(client, book)
    state = read(client)
    assert staged(state) == {"1": PRODUCTION, "2": ARCHIVED}
    assert_mirrored(state)
    assert transition.notes == ["version 1 answered its input example"]
    entry = book.entries(NAME)[-1]
    assert (entry.kind, entry.state, entry.version, entry.intent) == ("rollback", DONE, "1", transition.id)
    assert (entry.source, entry.target, entry.reason) == (ARCHIVED, PRODUCTION, "answers are off")
    assert entry.details["left"] == {"version": "2", "created": state.versions["2"].created}
    assert "Production → Archived by ann: version 1 came; answers are off" in state.versions["2"].description
    assert book.verify() is None


def seen(client: MlflowClient, book: Ledger) -> None:
    """What ``watch`` does about a change by hand."""
    settled = reconcile.settle(client, book, NAME, policy.read().default)
    assert [one.outcome for one in settled] == ["kept"]


def archived_by_hand_seen(client: MlflowClient, book: Ledger) -> None:
    archived_by_hand(client, book)
    seen(client, book)


def archived_by_hand(client: MlflowClient, book: Ledger) -> None:
    by_ui(client, NAME, "3", ARCHIVED)


def archived_by_hand_and_put_back(client: MlflowClient, book: Ledger) -> None:
    archived_by_hand(client, book)
    take_back(client, book, NAME, "3", [("3", PRODUCTION)])


def another_archived_by_hand(client: MlflowClient, book: Ledger) -> None:
    by_ui(client, NAME, "4", ARCHIVED)
    seen(client, book)


@pytest.mark.parametrize(
    "archive",
    [archived_by_hand, archived_by_hand_seen, archived_by_hand_and_put_back, another_archived_by_hand],
)
def test_twice_in_a_row_after_three_promotions_and_an_archive_by_hand(
    client: MlflowClient, book: Ledger, promote, archive: Callable[[MlflowClient, Ledger], None]
):
    promote("1", "2", "3")
    archive(client, book)

    assert rollback(client, book).plan.version == "2"
    assert staged(read(client))["2"] == PRODUCTION
    assert staged(read(client))["3"] == ARCHIVED
    assert_mirrored(read(client))

    assert rollback(client, book).plan.version == "1"
    assert {number for number, stage in staged(read(client)).items() if stage == PRODUCTION} == {"1"}
    assert_mirrored(read(client))

    with pytest.raises(RegistryError, match="no earlier version in Production to go back to that was neither"):
        rollback(client, book)
    assert staged(read(client))["1"] == PRODUCTION


def test_an_archive_by_hand_between_promotions_takes_nothing_from_the_way_back(
    client: MlflowClient, book: Ledger, promote
):
    promote("1", "2")
    by_ui(client, NAME, "2", ARCHIVED)
    seen(client, book)
    promote("3")
    assert targets(client, book) == ["2", "1"]


def test_a_version_that_came_to_production_twice_is_gone_back_to_by_its_newest_time(
    client: MlflowClient, book: Ledger, promote
):
    promote("1", "2", "1", "3")
    assert targets(client, book) == ["1", "2"]


def test_a_version_that_was_rolled_back_from_is_no_way_back_also_after_it_came_again(
    client: MlflowClient, book: Ledger, promote
):
    promote("1", "2")
    rollback(client, book)
    promote("2", "3")
    assert targets(client, book) == ["1"]


def test_a_rejected_version_is_no_way_back(client: MlflowClient, book: Ledger, promote):
    promote("1", "2", "3")
    promotion.reject(client, book, NAME, "2", reason="unfair", actor="jo")
    assert targets(client, book) == ["1"]
    rollback(client, book)
    assert staged(read(client)) == {"1": PRODUCTION, "2": ARCHIVED, "3": ARCHIVED}


def test_from_a_champion_that_nobody_recorded_it_leads_to_the_one_that_was(client: MlflowClient, book: Ledger, promote):
    promote("1", "2")
    by_ui(client, NAME, "4", PRODUCTION, archive=True)
    assert targets(client, book) == ["2", "1"]
    rollback(client, book)
    assert staged(read(client)) == {"1": ARCHIVED, "2": PRODUCTION, "4": ARCHIVED}
    assert targets(client, book) == ["1"]


def test_a_champion_from_before_there_was_a_ledger_is_a_way_back(client: MlflowClient, book: Ledger, promote):
    by_ui(client, NAME, "1", PRODUCTION)
    promote("2")
    assert targets(client, book) == ["1"]


def test_a_version_in_staging_comes_back_and_is_no_challenger_any_more(client: MlflowClient, book: Ledger, promote):
    promote("1", "2")
    promotion.promote(client, book, NAME, "1", stage=STAGING, reason="r", actor="ann", judge=passing)
    rollback(client, book)
    assert read(client).aliases == {"champion": "1"}
    assert_mirrored(read(client))


def test_deleted_versions_are_passed_over_and_told(client: MlflowClient, book: Ledger, promote):
    promote("1", "2", "3")
    client.delete_model_version(NAME, "2")
    transition = rollback(client, book, dry_run=True)
    assert transition.plan.version == "1"
    assert transition.notes[0] == "version 2, which was in Production later, is deleted"


def test_versions_of_a_model_that_was_deleted_are_no_way_back_for_its_successor(
    client: MlflowClient, book: Ledger, promote, source: Path
):
    promote("1", "2")
    client.delete_registered_model(NAME)
    time.sleep(0.01)
    register(client, NAME, 3, str(source))
    promote("3")
    with pytest.raises(RegistryError, match="no earlier version in Production"):
        rollback(client, book)


@pytest.mark.parametrize("promoted", [[], ["1"]])
def test_without_an_earlier_champion_there_is_no_way_back(client: MlflowClient, book: Ledger, promote, promoted):
    promote(*promoted)
    before = read(client)
    with pytest.raises(RegistryError, match="'diabetes' has no earlier version in Production to go back to"):
        rollback(client, book)
    assert read(client) == before


def test_a_dry_run_tries_the_version_and_writes_nothing(client: MlflowClient, book: Ledger, promote):
    promote("1", "2")
    before, rows = read(client), book.entries()
    transition = rollback(client, book, dry_run=True)
    assert [(move.version, move.target) for move in transition.plan.moves] == [("1", PRODUCTION), ("2", ARCHIVED)]
    assert transition.notes == ["version 1 answered its input example"]
    assert (transition.id, read(client), book.entries()) == (None, before, rows)


def test_one_that_does_not_load_is_not_passed_over_silently(
    client: MlflowClient, book: Ledger, promote, source: Path, tmp_path: Path
):
    broken = shutil.copytree(source, tmp_path / "broken")
    (broken / "code.py").unlink()
    client.create_model_version(NAME, str(broken))
    promote("1", "5", "2")
    before, rows = read(client), book.entries()
    with pytest.raises(
        RegistryError, match=r"version 5 of 'diabetes' does not load and answer: .*nothing was moved"
    ) as told:
        rollback(client, book)
    assert "`python -m registry reject diabetes 5 --reason ...` and roll back again" in str(told.value)
    assert "\n" not in str(told.value)
    assert (read(client), book.entries()) == (before, rows)

    promotion.reject(client, book, NAME, "5", reason="does not load", actor="ann")
    rollback(client, book)
    assert staged(read(client)) == {"1": PRODUCTION, "2": ARCHIVED, "5": ARCHIVED}


# The trial


@pytest.mark.parametrize(
    ("load", "predict", "told"),
    [
        ("raise ValueError('no weights')", "return model_input['bmi']", "ValueError: no weights"),
        ("pass", "raise KeyError('age')", "KeyError: 'age'"),
        ("pass", "return [1.0]", "3 rows of its input example were answered by 1"),
        ("os._exit(3)", "return model_input['bmi']", r"its process ended with 3 \(said while it loads\)"),
        ("os.kill(os.getpid(), 11)", "return model_input['bmi']", "its process ended with -11"),
    ],
)
def test_a_version_that_does_not_answer_is_told_in_one_line(
    client: MlflowClient, source: Path, load: str, predict: str, told: str
):
    (source / "code.py").write_text(CODE.format(load=load, predict=predict))
    with pytest.raises(RegistryError, match=f"version 1 of 'diabetes' does not load and answer: .*{told}") as caught:
        smoke_test.run(NAME, "1")
    assert "\n" not in str(caught.value)


def test_a_version_that_takes_too_long_is_ended(client: MlflowClient, source: Path):
    (source / "code.py").write_text(CODE.format(load="time.sleep(60)", predict="return model_input['bmi']"))
    start = time.monotonic()
    with pytest.raises(RegistryError, match=r"took over 0\.5 s to load"):
        smoke_test.run(NAME, "1", patience=0.5)
    assert time.monotonic() - start < soon(10)


def test_a_version_without_an_input_example_has_to_load(client: MlflowClient, source: Path):
    for file in source.glob("*input_example*"):
        file.unlink()
    text = (source / "MLmodel").read_text()
    lines, skipping = [], False
    for line in text.splitlines():
        skipping = line.startswith("saved_input_example_info") or (skipping and line.startswith(" "))
        lines += [] if skipping else [line]
    (source / "MLmodel").write_text("\n".join(lines) + "\n")
    assert smoke_test.run(NAME, "1") == "loads; it has no input example to answer"


def test_a_version_with_an_attached_scorecard_answers_by_that_and_its_code_is_not_run(tracking: str):
    client = clients.connect()
    number = made.register(client, "made")
    client.set_model_version_tag("made", number, adoption.SCORECARD_TAG, "sha256:ab")
    assert smoke_test.tried(client, "made", number) == "has its scorecard", "there is no model to load"

    run = client.get_run(client.get_model_version("made", number).run_id)
    path = Path(run.info.artifact_uri) / evidence.TRAINING / evidence.DOCUMENT
    path.write_text(path.read_text() + "\n")
    with pytest.raises(RegistryError, match="version 1 of 'made': its evidence, or its scorecard, was changed"):
        smoke_test.tried(client, "made", number)
