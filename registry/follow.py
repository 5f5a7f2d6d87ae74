"""What follows a transition: the commands and webhooks that the policy names are told of it, at least once each.

Every try is a row of the ledger, so that tries are counted also across processes: who finds a transition that was not
followed to the end goes on where the other stopped. A failure never undoes the transition.
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from registry.client import masked
from registry.errors import RegistryError
from registry.ledger import DONE, FAILED, FOLLOW, FOLLOWED, Entry, Ledger
from registry.policy import Follow
from registry.text import one_line

# A process follows a model's transitions under a lease: one that is killed is succeeded after so many seconds.
_LEASE = 4.0
#: The pause after a first failure, in seconds; it doubles with every other, up to the second figure.
PAUSES = (1.0, 30.0)


@dataclass(frozen=True)
class Outcome:
    """What came of one command or webhook: the last try, and what it said."""

    transition: int
    follower: str
    followed: bool
    tries: int
    said: str


def titles(followers: Sequence[Follow], stage: str) -> list[str]:
    """The names of those that follow a transition to a stage, as the ledger keeps them."""
    return list(dict.fromkeys(title(one) for one in followers if not one.stages or stage in one.stages))


def title(follower: Follow) -> str:
    """The name of a follower: its command or address, without passwords."""
    return masked(follower.command or follower.webhook or "")


def catch_up(ledger: Ledger, name: str, followers: Sequence[Follow], *, patience: float = 0) -> list[Outcome]:
    """Follow a model's transitions that have not been followed to their end, in their order.

    Parameters
    ----------
    followers : what the policy names now. What a transition was to be followed by was written down with it; what the
        policy names no longer is not run any more, and recorded so.
    patience : how long another process that follows this model is waited for, in seconds.

    Returns
    -------
    what came of each, in order; nothing where another process is at it.
    """
    if not _pending(ledger, name):
        return []
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + patience
    while True:
        with _leased(ledger, f"follow {name}") as ours:
            if ours:
                # What was done while we were at it is ours, too: its process did not get the lease.
                while pending := _pending(ledger, name):
                    outcomes += [_follow(ledger, entry, one, tried, followers) for entry, one, tried in pending]
                return outcomes
        if time.monotonic() >= deadline or not _pending(ledger, name):
            return outcomes
        time.sleep(0.2)


def _pending(ledger: Ledger, name: str) -> list[tuple[Entry, str, int]]:
    """The transitions that are not followed to their end, by whom, and how often it was tried."""
    entries = ledger.entries(name)
    tried: dict[tuple[int | None, str], int] = {}
    ended = set()
    for entry in entries:
        if entry.kind == FOLLOW:
            key = (entry.intent, entry.details["follower"])
            tried[key] = tried.get(key, 0) + 1
            if entry.state == FOLLOWED or entry.details["last"]:
                ended.add(key)
    return [
        (entry, one, tried.get((entry.intent, one), 0))
        for entry in entries
        if entry.state == DONE
        for one in entry.details.get("follow", ())
        if (entry.intent, one) not in ended
    ]


def _follow(ledger: Ledger, entry: Entry, named: str, tried: int, followers: Sequence[Follow]) -> Outcome:
    follower = next((one for one in followers if title(one) == named), None)
    while True:
        tried += 1
        if follower is None:
            said, last = "not tried: the policy does not name it any more", True
        else:
            said, last = _try(follower, entry), tried >= follower.tries
        state = FAILED if said else FOLLOWED
        details = {"follower": named, "try": tried, "last": last or not said, "said": said}
        ledger.append(
            Entry(
                kind=FOLLOW,
                state=state,
                model=entry.model,
                version=entry.version,
                source=entry.source,
                target=entry.target,
                actor=entry.actor,
                reason=entry.reason,
                intent=entry.intent,
                details=details,
            )
        )
        if last or not said:
            return Outcome(entry.intent or 0, named, not said, tried, said)
        time.sleep(min(PAUSES[0] * 2 ** (tried - 1), PAUSES[1]))


def message(entry: Entry) -> dict[str, Any]:
    """The JSON document by which a transition is told; ``ledger_id`` is the same however often it comes."""
    return {
        "ledger_id": entry.intent,
        "kind": entry.kind,
        "model": entry.model,
        "version": entry.version,
        "from": entry.source,
        "to": entry.target,
        "actor": entry.actor,
        "reason": entry.reason,
        "time": entry.time,
        "evidence": entry.digest,
        "moves": entry.details["moves"],
    }


def _try(follower: Follow, entry: Entry) -> str:
    """Run a command or post to a webhook; what went wrong, empty where nothing did."""
    body = json.dumps(message(entry), ensure_ascii=False)
    if follower.command:
        return _run(follower, body, _variables(entry))
    return _post(follower, body, entry)


def _variables(entry: Entry) -> dict[str, str]:
    return {
        "MODEL_NAME": entry.model,
        "MODEL_VERSION": entry.version,
        "MODEL_STAGE": entry.target,
        "MODEL_STAGE_BEFORE": entry.source,
        "LEDGER_ID": str(entry.intent),
        "LEDGER_KIND": entry.kind,
    }


def _run(follower: Follow, body: str, variables: Mapping[str, str]) -> str:
    # Files, not pipes: a command may leave something running that would keep a pipe open.
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        told.write(body.encode())
        told.seek(0)
        process = subprocess.Popen(
            follower.command or "",
            shell=True,
            stdin=told,
            stdout=said,
            stderr=said,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        try:
            status = process.wait(follower.timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return f"took over {follower.timeout:g} s"
            raise
        if status == 0:
            return ""
        said.seek(max(0, said.tell() - 2000))
        last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        return masked(one_line(f"ended with {status}: {' '.join(last)}".rstrip(": "), 300))


def _post(follower: Follow, body: str, entry: Entry) -> str:
    import requests

    delivery, timestamp = f"ledger-{entry.intent}", str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": timestamp,
    }
    if follower.secret:
        secret = os.environ.get(follower.secret)
        if not secret:
            return f"not sent: the variable {follower.secret}, whose value signs it, is not set"
        headers["X-MLflow-Signature"] = signature(secret, delivery, timestamp, body)
    try:
        answer = requests.post(
            follower.webhook or "",
            data=body.encode(),
            headers=headers,
            timeout=follower.timeout,
            allow_redirects=False,
            stream=True,
        )
        with answer:
            return "" if answer.ok and not answer.is_redirect else f"answered {answer.status_code} {answer.reason}"
    except requests.RequestException as error:
        return masked(one_line(f"{type(error).__name__}: {error}", 300))


def signature(secret: str, delivery: str, timestamp: str, body: str) -> str:
    """The signature of a webhook's body, made as MLflow's own webhooks make theirs: ``v1,`` and base64 of an HMAC."""
    signed = f"{delivery}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


@contextmanager
def _leased(ledger: Ledger, name: str) -> Iterator[bool]:
    """Hold a lease for the block, renewed meanwhile; False where another holder has it."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    if not ledger.lease(name, holder, _LEASE):
        yield False
        return
    over = threading.Event()

    def renew() -> None:
        while not over.wait(_LEASE / 4):
            try:
                ledger.lease(name, holder, _LEASE)
            except RegistryError:
                continue  # it is tried again; at worst somebody else follows a second time

    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        over.set()
        renewing.join()
        ledger.release(name, holder)
