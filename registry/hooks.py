"""What follows a transition: the commands and webhooks that the policy names are told of it, at least once each.

Every try is a row of the ledger, so that tries are counted also across processes: who finds a transition that was not
followed to the end goes on where the other stopped. A failure never undoes the transition.
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import shlex
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

from registry.cli.text import one_line
from registry.client import cause
from registry.errors import RegistryError
from registry.ledger import DONE, FAILED, FOLLOW, FOLLOWED, Ledger, LedgerEntry
from registry.policy import Hook
from registry.redaction import hidden, redacted, secrets, split, url
from registry.waiting import attempts, exit_status

# A process follows a model's transitions under a lease: one that is killed is succeeded after so many seconds.
_LEASE = 4.0
# What stands before a command's program, and what is done on the way to it.
_BEFORE = {"sudo", "env", "exec", "nohup", "nice", "time", "command", "if", "then", "while", "do", "!", "{"}
_STEPS = {"cd", "set", "export", "unset", "source", ".", "test", "[", "true", "sleep", "umask", "ulimit", "trap"}
# A word that is a key or a digest rather than a word.
_KEY = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=-]{16,}")
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


def titles(followers: Sequence[Hook], stage: str) -> list[str]:
    """The names of those that follow a transition to a stage, as the ledger keeps them."""
    return [title for title, one in titled(followers).items() if not one.stages or stage in one.stages]


def titled(followers: Sequence[Hook]) -> dict[str, Hook]:
    """A policy's followers by the names that the ledger knows them by, in their order.

    A follower is called by its ``name``, else by its program and the host that it calls: ``curl hooks.slack.com``. If
    several would be called the same, they are numbered. What else is in a command or an address may be secret.
    """
    distinct = list(dict.fromkeys(followers))
    found = {redacted(one.name): one for one in distinct if one.name}
    for one in distinct:
        if not one.name:
            called = _called(one)
            names = itertools.chain([called], (f"{called} ({number})" for number in itertools.count(2)))
            found[next(name for name in names if name not in found)] = one
    return dict(sorted(found.items(), key=lambda item: distinct.index(item[1])))


def _called(follower: Hook) -> str:
    if follower.webhook:
        return _host(follower.webhook) or "webhook"
    words = split(follower.command or "")
    host = next(filter(None, map(_host, words)), "")
    return f"{_program(follower.command or '')} {host}".rstrip()


def _host(text: str) -> str:
    """The host of the first URL in a text; blank where there is none, or none that can be read."""
    for place in re.findall(r"[a-z][a-z0-9+.-]*://([^/?#\s'\"]+)", url(text)):
        host = place.rpartition("@")[2].partition(":")[0]
        if re.fullmatch(r"[\w-]+(\.[\w-]+)*", host):
            return host
    return ""


def _program(command: str) -> str:
    """The program that a shell command is about: not ``cd``, ``export`` or ``sudo``, where there is another."""
    lexer = shlex.shlex(command.replace("\n", ";"), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        words = command.split()
    passed, begins = "", True
    for word in words:
        if re.fullmatch(r"[();<>|&]+", word):
            begins = True
        elif begins and word not in _BEFORE and not re.match(r"\w+=", word):
            begins = False
            if not re.fullmatch(r"[\w./][\w./+-]*", word):
                continue
            if word not in _STEPS:
                program = os.path.basename(word)
                return program if program and redacted(program) == program else "command"
            passed = passed or word
    return passed or "command"


def catch_up(ledger: Ledger, name: str, followers: Sequence[Hook], *, patience: float = 0) -> list[Outcome]:
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
    for _ in attempts(patience, every=0.2):
        with _leased(ledger, f"follow {name}") as ours:
            if ours:
                # What was done while we were at it is ours, too: its process did not get the lease.
                while pending := _pending(ledger, name):
                    outcomes += [_follow(ledger, entry, one, tried, followers) for entry, one, tried in pending]
                return outcomes
        if not _pending(ledger, name):
            break
    return outcomes


def _pending(ledger: Ledger, name: str) -> list[tuple[LedgerEntry, str, int]]:
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


def _follow(ledger: Ledger, entry: LedgerEntry, named: str, tried: int, followers: Sequence[Hook]) -> Outcome:
    follower = titled(followers).get(named)
    while True:
        tried += 1
        if follower is None:
            said, last = "not tried: the policy does not name it any more", True
        else:
            said, last = _try(follower, entry), tried >= follower.tries
        state = FAILED if said else FOLLOWED
        details = {"follower": named, "try": tried, "last": last or not said, "said": said}
        ledger.append(
            LedgerEntry(
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


def message(entry: LedgerEntry) -> dict[str, Any]:
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


def _try(follower: Hook, entry: LedgerEntry) -> str:
    """Run a command or post to a webhook; what went wrong, empty where nothing did."""
    body = json.dumps(message(entry), ensure_ascii=False)
    if follower.command:
        return _run(follower, body, _variables(entry))
    return _post(follower, body, entry)


def _variables(entry: LedgerEntry) -> dict[str, str]:
    return {
        "MODEL_NAME": entry.model,
        "MODEL_VERSION": entry.version,
        "MODEL_STAGE": entry.target,
        "MODEL_STAGE_BEFORE": entry.source,
        "LEDGER_ID": str(entry.intent),
        "LEDGER_KIND": entry.kind,
    }


def _run(follower: Hook, body: str, variables: Mapping[str, str]) -> str:
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
        status = exit_status(process, follower.timeout)
        if status is None:
            return f"took over {follower.timeout:g} s"
        if status == 0:
            return ""
        said.seek(max(0, said.tell() - 2000))
        last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        # It may echo what it was given.
        words = split(follower.command or "")
        given = secrets(words, {**os.environ, **variables}) | set(filter(_KEY.fullmatch, words))
        shown = hidden(redacted(" ".join(last)), given)
        return one_line(f"ended with {status}: {shown}".rstrip(": "), 300)


def _post(follower: Hook, body: str, entry: LedgerEntry) -> str:
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
        # Where it was sent to is the key to it: the reason alone.
        return one_line(f"{type(error).__name__}: {_unaddressed(cause(error), follower.webhook or '')}", 300)


def _unaddressed(text: str, address: str) -> str:
    """A text without what of a webhook's address is beyond its host."""
    path = address.partition("://")[2].partition("/")[2]
    parts = {path, *path.split("/")} if path else set()
    return hidden(redacted(text), {*secrets([address]), *(part for part in parts if len(part) > 3)})


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
