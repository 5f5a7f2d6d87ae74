"""Promotion in MLflow's own pages, by a real browser: what is clicked there is judged and recorded by ``watch``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import client, ledger, promotion, stages
from registry.gates import GateResult, Verdict
from registry.ledger import DONE, NOTED, Ledger
from tests import stores
from tests.patience import soon
from tests.registry import made
from tests.registry.watching import program, said

GOOD, BAD = made.holdout([1.0] * made.ROWS), made.holdout([9.0] * made.ROWS)

#: Stage and alias are in line within this time after a click, in seconds.
SOON = soon(5)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """A tracking server and ``watch`` beside it; the server's address, the folder of both, the log of ``watch``."""
    folder = tmp_path_factory.mktemp("promotion")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(stores.tracking_server(folder))
        settings = {"MLFLOW_TRACKING_URI": address, "LEDGER_URI": f"sqlite:///{folder}/ledger.db"}
        _, log = stack.enter_context(program(folder, env=settings))
        said(log, "watching every", within=60)
        yield address, folder, log


@pytest.fixture
def registry(served: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    address, folder, _ = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("LEDGER_URI", f"sqlite:///{folder}/ledger.db")
    return client.connect()


@pytest.fixture
def book(registry: MlflowClient) -> Iterator[Ledger]:
    with ledger.open() as book:
        yield book


def champion(registry: MlflowClient, book: Ledger, name: str) -> None:
    """A model whose version 1 was promoted by the command, and a version 2."""
    fine = Verdict(True, (GateResult("all", True, "fine"),), "", None)
    given = {"stage": "Production", "reason": "the first", "actor": "ann", "judge": lambda version, champion: fine}
    promotion.promote(registry, book, name, "1", **given)


def open_version(page, address: str, name: str, number: str) -> None:
    page.goto(f"{address}/#/models/{name}/versions/{number}")
    page.get_by_role("switch", name="New model registry UI").wait_for()


def click_stage(page, address: str, name: str, number: str, stage: str) -> None:
    """Change a version's stage as people do: on its page, with the new pages switched off."""
    open_version(page, address, name, number)
    page.get_by_role("switch", name="New model registry UI").click()
    page.get_by_role("button", name="Disable").click()
    page.locator(".mlflow-stage-transition-dropdown").click()
    page.locator(f'[role=menuitem][data-menu-id$="-transition-to-{stage}"]').click()
    page.get_by_role("button", name="OK").click()


def click_alias(page, address: str, name: str, number: str, alias: str) -> None:
    """Give a version an alias on its page."""
    open_version(page, address, name, number)
    page.get_by_role("button", name="Add").first.click()
    page.get_by_role("combobox").fill(alias)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save aliases").click()


def now(registry: MlflowClient, name: str) -> tuple[dict[str, str], dict[str, str]]:
    state = stages.read(registry, name)
    return {one.number: one.stage for one in state.versions.values()}, dict(state.aliases)


def test_a_version_that_is_promoted_in_the_pages_is_recorded_and_gets_the_alias(page, served, registry, book):
    address, _, log = served
    made.register(registry, "by-stage", GOOD)
    click_stage(page, address, "by-stage", "1", "Production")
    page.locator(".mlflow-stage-transition-dropdown").filter(has_text="Production").wait_for()
    assert said(log, r"by-stage version 1: .*: kept", within=60) < SOON
    assert now(registry, "by-stage") == ({"1": "Production"}, {"champion": "1"})
    (entry,) = [entry for entry in book.entries("by-stage") if entry.state == DONE]
    assert (entry.kind, entry.actor, entry.source, entry.target) == ("by-hand", "UI", "None", "Production")
    # The pages tell the story.
    page.reload()
    page.get_by_text("stage changed by hand from None to Production; passed 9 gates").first.wait_for()


def test_an_alias_that_is_moved_in_the_pages_moves_the_stage(page, served, registry, book):
    address, _, log = served
    for _ in range(2):
        made.register(registry, "by-alias", GOOD)
    champion(registry, book, "by-alias")
    click_alias(page, address, "by-alias", "2", "champion")
    assert said(log, r"by-alias version 2: alias champion set by hand; .*: kept", within=60) < SOON
    assert now(registry, "by-alias") == ({"1": "Archived", "2": "Production"}, {"champion": "2"})
    assert [entry.actor for entry in book.entries("by-alias") if entry.state == DONE] == ["ann", "UI"]
    page.reload()
    page.get_by_text("Production").first.wait_for()


def test_a_version_that_fails_its_gates_is_moved_back(page, served, registry, book):
    address, _, log = served
    for table in (GOOD, BAD):
        made.register(registry, "failing", table)
    champion(registry, book, "failing")
    click_stage(page, address, "failing", "2", "Production")
    assert said(log, r"failing version 2: .*: reverted", within=60) < SOON
    assert now(registry, "failing") == ({"1": "Production", "2": "None"}, {"champion": "1"})
    rows = [(entry.kind, entry.actor, entry.state) for entry in book.entries("failing") if entry.state in (DONE, NOTED)]
    assert rows == [("promote", "ann", DONE), ("by-hand", "UI", NOTED), ("revert", "watch", DONE)]
    page.reload()
    page.get_by_text("it fails its gates: champion: worse than version 1: rmse is 8 (800 %) higher").first.wait_for()
    page.locator(".mlflow-stage-transition-dropdown").filter(has_text="None").wait_for()
