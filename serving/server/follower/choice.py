"""Which version of a model to serve: one that both the registry and the ledger have in Production.

A version that was moved by hand is not served before ``python -m registry watch`` has judged it: until then, and if it
fails its gates, the ledger has it in another stage. A version that the ledger has in Production passed its gates when
it came there, was left there by the policy ``flag``, or was put back by a rollback or by ``watch``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry import history, reconcile
from registry.ledger import CLOSED, INTENT, LedgerEntry
from registry.policy import FLAG
from registry.stages import ALIASES, PRODUCTION, STAGING, State

_FLAGGED = "flagged"


@dataclass(frozen=True)
class Choice:
    """The versions of a model to serve.

    Parameters
    ----------
    champion, challenger : their numbers; None if there is none.
    waiting : why a version in Production is not served (yet), in one line; empty if all are.
    staged : whether any version is in Production; without one, nothing is served.
    fallback : numbers of versions to serve if neither the champion nor the version served before can be, best first.
    """

    champion: str | None
    challenger: str | None = None
    waiting: str = ""
    staged: bool = True
    fallback: tuple[str, ...] = ()


def choose(state: State, entries: Sequence[LedgerEntry], *, by_hand: str) -> Choice:
    """Choose the versions of a model to serve.

    Parameters
    ----------
    entries : the ledger's rows of the model.
    by_hand : the policy for versions that were moved by hand and fail their gates: ``revert`` or ``flag``.
    """
    known = reconcile.known(entries, state)
    there = [version.number for version in state.in_stage(PRODUCTION)]
    if not there:
        return Choice(None, staged=False)
    fit = [number for number in there if known[number] == PRODUCTION and _stood(state, entries, number, by_hand)]
    named = state.aliases.get(ALIASES[PRODUCTION])
    champion = named if named in fit else next(iter(fit), None)
    unfit = [number for number in there if number not in fit]
    challenger = next((version.number for version in state.in_stage(STAGING) if known[version.number] == STAGING), None)
    fallback = tuple(number for number in reversed(known) if known[number] == PRODUCTION and number not in unfit)
    return Choice(champion, challenger, _why(unfit, known, state, entries), fallback=fallback)


def _stood(state: State, entries: Sequence[LedgerEntry], number: str, by_hand: str) -> bool:
    """Whether the last verdict on a version for Production was a pass, or the policy lets the version stay."""
    created = state.versions[number].created
    for entry in reversed(history.done(entries)):
        if entry.version != number or entry.verdict is None or entry.verdict.get("stage") != PRODUCTION:
            continue
        if all(move["created"] != created for move in entry.details["moves"] if move["version"] == number):
            continue  # about a deleted version of the same number
        return bool(entry.verdict.get("passed")) or entry.details.get("outcome") == _FLAGGED or by_hand == FLAG
    return True


def _why(unfit: Sequence[str], known: dict[str, str], state: State, entries: Sequence[LedgerEntry]) -> str:
    if not unfit:
        return ""
    number = unfit[0]
    if _under_way(entries, number, state.versions[number].created):
        return f"version {number} is being promoted"
    if known[number] == PRODUCTION:
        return f"version {number} failed its gates when it was last judged"
    told = (
        f"version {number} was moved to Production by hand and is not judged: `python -m registry watch` judges it, "
        f"and `python -m registry promote` would have"
    )
    return told if entries else f"{told}; the ledger knows nothing of this model: is LEDGER_URI that of the commands?"


def _under_way(entries: Sequence[LedgerEntry], number: str, created: int) -> bool:
    """Whether a transition of a version to Production has begun and is not closed."""
    closed = {entry.intent for entry in entries if entry.state in CLOSED}
    return any(
        (move["version"], move["created"], move["to"]) == (number, created, PRODUCTION)
        for entry in entries
        if entry.state == INTENT and entry.id not in closed
        for move in entry.details["moves"]
    )
