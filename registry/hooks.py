"""What follows a transition: the commands and webhooks that the policy names are told of it, at least once each.

Every try is a row of the ledger, so that tries are counted also across processes: who finds a transition that was not
followed to the end goes on where the other stopped. A failure never undoes the transition.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry import lease
from registry.hook_calls import Message, attempt, pause, titled
from registry.ledger import DONE, FAILED, FOLLOW, FOLLOWED, Ledger, LedgerEntry
from registry.policy import StageHook
from registry.waiting import attempts

# A process follows a model's transitions under a lease: one that is killed is succeeded after so many seconds.
_LEASE = 4.0


@dataclass(frozen=True)
class Outcome:
    """What came of one command or webhook: the last try, and what it said."""

    transition: int
    follower: str
    followed: bool
    tries: int
    said: str


def titles(followers: Sequence[StageHook], stage: str) -> list[str]:
    """The names of those that follow a transition to a stage, as the ledger keeps them."""
    return [title for title, one in titled(followers).items() if not one.stages or stage in one.stages]


def catch_up(ledger: Ledger, name: str, followers: Sequence[StageHook], *, patience: float = 0) -> list[Outcome]:
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
        with lease.held(ledger, f"follow {name}", _LEASE) as ours:
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


def _follow(ledger: Ledger, entry: LedgerEntry, named: str, tried: int, followers: Sequence[StageHook]) -> Outcome:
    follower = titled(followers).get(named)
    while True:
        tried += 1
        if follower is None:
            said, last = "not tried: the policy does not name it any more", True
        else:
            said, last = attempt(follower, _message(entry)), tried >= follower.tries
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
        time.sleep(pause(tried))


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


def _message(entry: LedgerEntry) -> Message:
    return Message(f"ledger-{entry.intent}", message(entry), _variables(entry))


def _variables(entry: LedgerEntry) -> dict[str, str]:
    return {
        "MODEL_NAME": entry.model,
        "MODEL_VERSION": entry.version,
        "MODEL_STAGE": entry.target,
        "MODEL_STAGE_BEFORE": entry.source,
        "LEDGER_ID": str(entry.intent),
        "LEDGER_KIND": entry.kind,
    }
