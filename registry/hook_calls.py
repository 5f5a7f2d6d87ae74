"""One call of a command or a webhook that a policy names: what it is given, and how it may fail."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from registry.cli.text import one_line
from registry.client import cause
from registry.policy import Hook
from registry.redaction import hidden, redacted, secrets, split, url
from registry.waiting import exit_status

H = TypeVar("H", bound=Hook)

# What stands before a command's program, and what is done on the way to it.
_BEFORE = {"sudo", "env", "exec", "nohup", "nice", "time", "command", "if", "then", "while", "do", "!", "{"}
_STEPS = {"cd", "set", "export", "unset", "source", ".", "test", "[", "true", "sleep", "umask", "ulimit", "trap"}
# A word that is a key or a digest rather than a word.
_KEY = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=-]{16,}")
#: The pause after a first failure, in seconds; it doubles with every other, up to the second figure.
PAUSES = (1.0, 30.0)


@dataclass(frozen=True)
class Message:
    """What a command or a webhook is told.

    Parameters
    ----------
    delivery : names the message, and stays the same however often it is sent.
    body : a JSON document: the body that is posted, the standard input of a command.
    variables : a command's, beside those of this process.
    """

    delivery: str
    body: Mapping[str, Any]
    variables: Mapping[str, str]


def pause(tried: int) -> float:
    """How long to wait after so many failures, in seconds."""
    return min(PAUSES[0] * 2 ** (tried - 1), PAUSES[1])


def deliver(hook: Hook, message: Message) -> str:
    """Call a command or a webhook as often as it says, until it works; why it failed last, empty if it worked."""
    for tried in range(1, hook.tries + 1):
        if not (said := attempt(hook, message)) or tried == hook.tries:
            break
        time.sleep(pause(tried))
    return said


def attempt(hook: Hook, message: Message) -> str:
    """Run a command or post to a webhook once; what went wrong, empty if nothing did."""
    body = json.dumps(message.body, ensure_ascii=False)
    return _run(hook, body, message.variables) if hook.command else _post(hook, body, message.delivery)


def titled(followers: Sequence[H]) -> dict[str, H]:
    """A policy's commands and webhooks by the names that ledger and log know them by, in their order.

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


def _post(follower: Hook, body: str, delivery: str) -> str:
    import requests

    timestamp = str(int(time.time()))
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
