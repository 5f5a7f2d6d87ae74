"""Commands and webhooks follow a transition: told in full, tried again, recorded, and never its undoing."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient

from registry import client as clients
from registry import hook_calls, hooks, ledger, promotion, stages
from registry.ledger import FOLLOW, Ledger, LedgerEntry
from registry.policy import StageHook
from registry.stages import ARCHIVED, PRODUCTION, STAGING
from tests import forked, stores
from tests.lifecycle import promoting
from tests.patience import soon
from tests.registry.registered import passing, register, staged

NAME = "it's diabetes"


@pytest.fixture
def client(tracking: str) -> MlflowClient:
    client = clients.connect()
    register(client, NAME, 3)
    return client


@pytest.fixture
def book(tracking: str) -> Iterator[Ledger]:
    with ledger.open() as book:
        yield book


def command(text: str, *stages: str, tries: int = 2, timeout: float = 30) -> StageHook:
    return StageHook(command=text, webhook=None, stages=stages, timeout=timeout, tries=tries, secret=None)


def webhook(address: str, *, secret: str | None = None, tries: int = 1) -> StageHook:
    return StageHook(command=None, webhook=address, stages=(), timeout=5, tries=tries, secret=secret)


def promote(client: MlflowClient, book: Ledger, version: str, *followers: StageHook, stage: str = PRODUCTION):
    return promotion.promote(
        client, book, NAME, version, stage=stage, reason="better", actor="ann", judge=passing, followers=followers
    )


def told(book: Ledger) -> list[LedgerEntry]:
    """What the ledger keeps of the following."""
    return [entry for entry in book.entries(NAME) if entry.kind == FOLLOW]


@dataclass
class Receiver:
    """An HTTP server that keeps what it is sent, and answers with the statuses it is told, then 204."""

    address: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((stores.HOST, 0), Handler) as server:
        kept.address = f"http://{stores.HOST}:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


def test_a_command_is_told_in_variables_and_in_a_document(client: MlflowClient, book: Ledger, tmp_path: Path):
    variables = '"$MODEL_NAME" $MODEL_VERSION $MODEL_STAGE_BEFORE $MODEL_STAGE $LEDGER_ID $LEDGER_KIND'
    tell = f"printf '%s|' {variables} > said; cat > document"
    promote(client, book, "1", stage=STAGING)
    transition = promote(client, book, "1", command(tell))

    assert (tmp_path / "said").read_text() == f"{NAME}|1|Staging|Production|3|promote|"
    document = json.loads((tmp_path / "document").read_text())
    done = book.entries(NAME, intent=3)[1]
    assert document == {
        "ledger_id": 3,
        "kind": "promote",
        "model": NAME,
        "version": "1",
        "from": STAGING,
        "to": PRODUCTION,
        "actor": "ann",
        "reason": "better",
        "time": done.time,
        "evidence": "sha256:ab",
        "moves": done.details["moves"],
    }
    assert [(one.follower, one.followed, one.tries) for one in transition.outcomes] == [("printf", True, 1)]
    (row,) = told(book)
    assert (row.state, row.intent, row.version) == ("followed", 3, "1")
    assert row.details == {"follower": "printf", "try": 1, "last": True, "said": ""}
    assert book.verify() is None


def test_only_what_names_the_stage_follows_in_the_order_of_the_policy(
    client: MlflowClient, book: Ledger, tmp_path: Path
):
    followers = (
        command("echo all $MODEL_STAGE >> log"),
        command("echo production >> log", PRODUCTION),
        command("echo archived $MODEL_VERSION >> log", ARCHIVED),
    )
    promote(client, book, "1", *followers, stage=STAGING)
    promote(client, book, "1", *followers)
    promotion.reject(client, book, NAME, "2", reason="unfair", actor="jo", followers=followers)
    log = (tmp_path / "log").read_text().split("\n")
    assert log == ["all Staging", "all Production", "production", "all Archived", "archived 2", ""]


def test_one_that_fails_is_tried_again_recorded_and_undoes_nothing(client: MlflowClient, book: Ledger, tmp_path: Path):
    start = time.monotonic()
    failing = command("echo run >> log; echo 'no such target' >&2; exit 3", tries=3)
    transition = promote(client, book, "1", failing, command("echo after >> log"))

    assert time.monotonic() - start > 3, "it waits a second, then two"
    assert (tmp_path / "log").read_text() == "run\n" * 3 + "after\n"
    assert [(one.followed, one.tries, one.said) for one in transition.outcomes] == [
        (False, 3, "ended with 3: no such target"),
        (True, 1, ""),
    ]
    assert [(row.state, row.details["try"], row.details["last"]) for row in told(book)] == [
        ("failed", 1, False),
        ("failed", 2, False),
        ("failed", 3, True),
        ("followed", 1, True),
    ]
    assert staged(stages.read(client, NAME)) == {"1": PRODUCTION}
    assert hooks.catch_up(book, NAME, (failing,)) == [], "it was tried as often as the policy says"


def test_one_that_works_at_the_second_try_is_followed(client: MlflowClient, book: Ledger, tmp_path: Path):
    second = command("echo x >> log; test $(wc -l < log) = 2")
    (outcome,) = promote(client, book, "1", second).outcomes
    assert (outcome.followed, outcome.tries) == (True, 2)
    assert [row.state for row in told(book)] == ["failed", "followed"]


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(client: MlflowClient, book: Ledger, tmp_path: Path):
    slow = command("(sleep 2; echo late > late) & wait", tries=1, timeout=0.3)
    (outcome,) = promote(client, book, "1", slow).outcomes
    assert outcome.said == "took over 0.3 s"
    time.sleep(2.2)
    assert not (tmp_path / "late").exists()


def test_a_command_may_leave_something_running(client: MlflowClient, book: Ledger):
    start = time.monotonic()
    (outcome,) = promote(client, book, "1", command("sleep 20 & echo $! > child; exit 0")).outcomes
    assert outcome.followed
    assert time.monotonic() - start < soon(15)
    import os
    import signal

    os.kill(int(Path("child").read_text()), signal.SIGKILL)


def test_a_webhook_is_sent_a_signed_document(
    client: MlflowClient, book: Ledger, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOOK_KEY", "ключ")
    (outcome,) = promote(client, book, "1", webhook(receiver.address, secret="HOOK_KEY")).outcomes
    assert outcome.followed
    ((headers, body),) = receiver.got
    assert json.loads(body)["ledger_id"] == 1
    assert headers["Content-Type"] == "application/json"
    assert headers["X-MLflow-Delivery-Id"] == "ledger-1"
    assert abs(int(headers["X-MLflow-Timestamp"]) - time.time()) < 60
    signed = b".".join([b"ledger-1", headers["X-MLflow-Timestamp"].encode(), body])
    digest = hmac.new("ключ".encode(), signed, hashlib.sha256).digest()
    assert headers["X-MLflow-Signature"] == "v1," + base64.b64encode(digest).decode()


def test_the_signature_is_the_one_that_mlflows_own_webhooks_have():
    from mlflow.webhooks.delivery import _generate_hmac_signature

    for body in ("{}", '{"name": "größe"}'):
        assert hook_calls.signature("key", "id-1", "123", body) == _generate_hmac_signature("key", "id-1", "123", body)


@pytest.mark.parametrize(
    ("statuses", "followed", "said"),
    [([500, 204], True, ""), ([404, 404], False, "answered 404 Not Found"), ([302, 302], False, "answered 302 Found")],
)
def test_what_a_webhook_answers_counts(
    client: MlflowClient, book: Ledger, receiver: Receiver, statuses: list[int], followed: bool, said: str
):
    receiver.statuses = list(statuses)
    (outcome,) = promote(client, book, "1", webhook(receiver.address, tries=2)).outcomes
    assert (outcome.followed, outcome.tries, outcome.said) == (followed, 2, said)
    assert len({headers["X-MLflow-Delivery-Id"] for headers, _ in receiver.got}) == 1


def test_a_webhook_that_is_away_and_one_whose_key_is_not_set_are_told(client: MlflowClient, book: Ledger):
    away = f"http://ann:secret@{stores.HOST}:{stores.free_port()}/hook"
    outcomes = promote(client, book, "1", webhook(away), webhook("http://x.invalid", secret="NO_SUCH_KEY")).outcomes
    assert [one.followed for one in outcomes] == [False, False]
    assert "Connection refused" in outcomes[0].said
    assert outcomes[1].said == "not sent: the variable NO_SUCH_KEY, whose value signs it, is not set"
    assert "secret" not in "".join(str(entry) for entry in book.entries())


def test_followers_are_called_by_their_name_else_by_program_and_host():
    named = msgspec.structs.replace(command("make notify"), name="tell the team")
    hook = "https://ann:s3cr3t@hooks.slack.com/services/T0/B0/s3cr3t"
    called = {
        "curl hooks.slack.com": command(f"curl -sH 'Authorization: Bearer s3cr3t' {hook}"),
        "make": command("cd /srv && TOKEN=s3cr3t sudo make deploy KEY=s3cr3t"),
        "hooks.slack.com": webhook(hook),
        "make (2)": command("make again"),
        "tell the team": named,
        "deploy.sh": command("export KEY=s3cr3t\n./bin/deploy.sh s3cr3t"),
        "command": command("$DEPLOY s3cr3t"),
        "psql db.example": command("psql postgresql://db.example/x?password=s3cr3t"),
        "echo": command("echo it's s3cr3t"),
    }
    followers = tuple(called.values())
    assert list(hook_calls.titled(followers).items()) == list(called.items())
    assert hooks.titles((*followers, named), PRODUCTION) == list(called), "the same is done once"


@pytest.mark.parametrize(
    "said",
    [
        "postgresql://ann:s3cr3t@db/x",
        "$FOLLOWS_TOKEN is wrong",
        "bad header: Authorization: Bearer s3cr3t",
        "no route to $DATABASE_URL",
    ],
)
def test_what_a_command_says_is_told_without_secrets(
    said: str, client: MlflowClient, book: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FOLLOWS_TOKEN", "s3cr3t")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:p%40s3cr3t@db/x")
    failing = command(f'echo "{said}: ann, s3cr3t, $FOLLOWS_TOKEN" >&2; exit 1', tries=1)
    (outcome,) = promote(client, book, "1", failing).outcomes
    assert "ann, ***, ***" in outcome.said
    assert "s3cr3t" not in str(outcome) + "".join(str(entry) for entry in book.entries())


def test_what_the_policy_names_no_longer_is_not_run_and_is_recorded(client: MlflowClient, book: Ledger, tmp_path: Path):
    killing = "echo run >> log; kill -9 $PPID"
    assert _killed(book, killing)
    (outcome,) = hooks.catch_up(book, NAME, (), patience=20)
    assert (outcome.followed, outcome.said) == (False, "not tried: the policy does not name it any more")
    assert (tmp_path / "log").read_text() == "run\n"
    assert hooks.catch_up(book, NAME, (command(killing),)) == []


def _killed(book: Ledger, text: str) -> bool:
    """Promote version 1 in another process, which the command that follows kills."""
    import os

    tracking = os.environ["MLFLOW_TRACKING_URI"]
    own = tracking.replace("mlflow.db", "ledger.db")
    process = forked.context().Process(target=promoting.follow, args=(tracking, own, NAME, f"cd {os.getcwd()}; {text}"))
    process.start()
    process.join(promoting.PATIENCE)
    return process.exitcode == -9


def test_what_was_not_followed_because_its_process_died_is_followed_by_the_next(
    client: MlflowClient, book: Ledger, tmp_path: Path
):
    text = "echo $LEDGER_ID >> log; test $(wc -l < log) -gt 1 || kill -9 $PPID"
    assert _killed(book, text)
    assert staged(stages.read(client, NAME)) == {"1": PRODUCTION}
    assert told(book) == []

    transition = promote(client, book, "2", command(f"cd {tmp_path}; {text}"))
    assert (tmp_path / "log").read_text() == "1\n1\n3\n", "what is told twice is told with the same id, and in order"
    assert [(one.transition, one.followed) for one in transition.outcomes] == [(1, True), (3, True)]


def test_of_several_that_catch_up_at_once_one_does(client: MlflowClient, book: Ledger, tmp_path: Path):
    text = "echo x >> log; test $(wc -l < log) -gt 1 || kill -9 $PPID; sleep 5"
    assert _killed(book, text)
    longer = command(f"cd {tmp_path}; {text}")

    def catch_up(_: int) -> list[hooks.Outcome]:
        with ledger.open() as own:
            return hooks.catch_up(own, NAME, (longer,), patience=30)

    with ThreadPoolExecutor(3) as pool:
        outcomes = [one for found in pool.map(catch_up, range(3)) for one in found]
    assert [one.followed for one in outcomes] == [True]
    assert (tmp_path / "log").read_text() == "x\nx\n", (
        "once by the one that died, once after it, also for longer than a lease"
    )
