"""``promote``, ``reject`` and ``rollback`` at the command line, judged by the real gates."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry import client as clients
from registry import ledger, stages
from registry.__main__ import cli
from registry.stages import ARCHIVED, PRODUCTION, STAGING
from tests.registry import made
from tests.registry.registered import assert_mirrored, staged

NAME = "made"


@pytest.fixture
def client(tracking: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MlflowClient:
    """A client of a store with three versions: the second is better than the first, the third is far worse."""
    client = clients.connect()
    for error in (2.0, 1.0, 60.0):
        made.register(client, NAME, made.holdout([error] * made.ROWS))
    (tmp_path / "policy.yaml").write_text(f"models: {{{NAME}: {{bounds: {{rmse: 10}}}}}}\n")
    monkeypatch.setenv("LIFECYCLE_POLICY", str(tmp_path / "policy.yaml"))
    return client


@pytest.fixture
def run(capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Run a command; its exit code, its output above "Next:", and what it said but for the policy's name."""

    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        out, said = capsys.readouterr()
        said = "".join(line for line in said.splitlines(keepends=True) if not line.startswith("  policy: "))
        return int(ended.value.code or 0), out.partition("\nNext:\n")[0], said

    return command


def state(client: MlflowClient) -> dict[str, str]:
    found = stages.read(client, NAME)
    assert_mirrored(found)
    return staged(found)


def test_a_version_goes_through_staging_to_production(client: MlflowClient, run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "jo")
    assert run("promote", NAME, "1", "--stage", "staging", "--reason", "first") == (
        0,
        "made version 1: None → Staging\nalias challenger → version 1\nledger entry 1\n",
        "",
    )
    run("promote", NAME, "1", "--stage", "Production", "--reason", "first")
    code, out, said = run("promote", NAME, "2", "--stage", "Production", "--reason", "better")
    assert (code, said) == (0, "")
    assert out.splitlines() == [
        "made version 2: None → Production",
        "made version 1: Production → Archived",
        "alias champion → version 2",
        "ledger entry 5",
    ]
    assert state(client) == {"1": ARCHIVED, "2": PRODUCTION}
    with ledger.open() as book:
        entry = book.entries(NAME)[-1]
    assert (entry.actor, entry.reason) == ("jo", "better")
    assert entry.verdict is not None
    assert {result["gate"] for result in entry.verdict["results"]} >= {"bound", "champion", "schema"}
    assert entry.verdict["champion"] == "1"


def test_a_version_that_fails_its_gates_is_refused_with_a_line_for_each_and_exits_with_1(client: MlflowClient, run):
    code, out, said = run("promote", NAME, "3", "--stage", "Production", "--reason", "hope")
    assert (code, out) == (1, "")
    assert said.splitlines() == [
        "error: version 3 of 'made' is not promoted to Production: it fails 2 gates",
        "  bound: rmse 60 is above 10",
        "  baseline: rmse 60 is not better than the baseline's (mean) 50",
    ]
    assert state(client) == {}


def test_a_version_without_evidence_is_refused_by_its_gates(client: MlflowClient, run):
    client.create_model_version(NAME, "nowhere")
    code, _, said = run("promote", NAME, "4", "--stage", "Staging", "--reason", "hope")
    assert code == 1
    assert said.startswith("error: version 4 of 'made' is not promoted to Staging: evidence: ")


@pytest.mark.parametrize(("version", "code"), [("2", 0), ("3", 1)])
def test_a_dry_run_shows_plan_and_verdict(client: MlflowClient, run, tmp_path: Path, version: str, code: int):
    found, out, _ = run("promote", NAME, version, "--stage", "Production", "--reason", "r", "--dry-run")
    assert found == code
    assert f"made version {version} for Production" in out
    assert ("FAIL" in out) == bool(code)
    assert f"would move made version {version}: None → Production\n" in out
    assert f"would point alias champion → version {version}\n" in out
    assert state(client) == {}
    assert not list(tmp_path.glob("ledger*"))


def test_the_result_as_json(client: MlflowClient, run):
    code, out, _ = run("promote", NAME, "1", "--stage", "Staging", "--reason", "r", "--json", "--dry-run", "no")
    document = json.loads(out)
    assert code == 0
    assert (document["model"], document["version"], document["kind"], document["ledger_id"]) == (
        NAME,
        "1",
        "promote",
        1,
    )
    assert [(move["version"], move["from"], move["to"]) for move in document["moves"]] == [("1", "None", STAGING)]
    assert document["aliases"] == [{"alias": "challenger", "before": None, "after": "1"}]
    assert document["verdict"]["passed"] is True


def test_what_follows_is_told_and_what_fails_is_no_failure_of_the_promotion(client: MlflowClient, run, tmp_path: Path):
    (tmp_path / "policy.yaml").write_text(
        "follow:\n  - command: echo $MODEL_VERSION > followed\n  - {command: exit 4, tries: 1}\n"
    )
    code, out, said = run("promote", NAME, "1", "--stage", "Staging", "--reason", "r")
    assert code == 0
    assert "followed by echo\n" in out
    assert said == "not followed (ended with 4; tries: 1) by exit\n"
    assert (tmp_path / "followed").read_text() == "1\n"


def test_a_version_that_is_there_already(client: MlflowClient, run):
    run("promote", NAME, "1", "--stage", "Staging", "--reason", "r")
    code, out, said = run("promote", NAME, "1", "--stage", "Staging", "--reason", "r")
    assert (code, out, said) == (0, "", "  version 1 is in Staging already\n")


def test_reject(client: MlflowClient, run):
    run("promote", NAME, "1", "--stage", "Staging", "--reason", "r")
    code, out, _ = run("reject", NAME, "1", "--reason", "drifts", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, "would move made version 1: Staging → Archived")
    code, out, _ = run("reject", NAME, "1", "--reason", "drifts")
    assert out.splitlines() == [
        "made version 1: Staging → Archived",
        "alias challenger → no version",
        "ledger entry 3",
    ]
    assert state(client) == {"1": ARCHIVED}
    code, out, _ = run("reject", NAME, "1", "--reason", "still")
    assert (code, out.splitlines()[0]) == (0, "made version 1 stays in Archived")


def test_a_rollback_that_cannot_be_is_told_in_one_line(client: MlflowClient, run):
    for version in "12":
        run("promote", NAME, version, "--stage", "Production", "--reason", "r")
    code, out, said = run("rollback", NAME, "--reason", "answers are off")
    assert (code, out) == (2, "")
    assert said.startswith("error: version 1 of 'made' does not load and answer: ")
    assert said.count("\n") == 1
    assert state(client) == {"1": ARCHIVED, "2": PRODUCTION}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["promote", NAME, "1", "--stage", "Production"], "Missing option '--reason'"),
        (["promote", NAME, "1", "--stage", "Production", "--reason", ""], "Missing option '--reason'"),
        (["promote", NAME, "1", "--stage", "", "--reason", "r"], "Missing option '--stage'"),
        (["promote", NAME, "1", "--stage", "Archived", "--reason", "r"], "'Archived' is not one of"),
        (["promote", NAME, "9", "--stage", "Staging", "--reason", "r"], "model 'made' has no version '9'"),
        (["reject", "nobody", "1", "--reason", "r"], "no registered model 'nobody'"),
        (["rollback", NAME, "--reason", "r"], "no earlier version in Production"),
        (["rollback", NAME, "--reason", " "], "expected a reason for the transition"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exits_with_2(client: MlflowClient, run, words: list[str], told: str):
    code, out, said = run(*words)
    assert (code, out) == (2, "")
    assert told in said
    assert said.count("\n") == 1


def test_with_a_server_the_ledger_has_to_be_named(tracking_server: str, run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server)
    code, _, said = run("reject", "anything", "1", "--reason", "r")
    assert code == 2
    assert "a database that all its clients share; set LEDGER_URI" in said
