"""What the ledger's rows of a model come to: who was in Production when, and where a rollback may lead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from registry.gates.verdict import GateResult, Verdict
from registry.ledger import DONE, FOLLOW, LedgerEntry
from registry.stages import PRODUCTION

REJECT, ROLLBACK, REVERT = "reject", "rollback", "revert"


@dataclass(frozen=True)
class Interval:
    """A time in which a version was in Production.

    Parameters
    ----------
    version : its number.
    created : when the registry made it; it tells versions of one number from each other.
    begun, ended : the ids of the intents that brought it there, and took it away; None where it is there still. Where
        the ledger does not know how it came there, both are of the one that took it away.
    """

    version: str
    created: int
    begun: int
    ended: int | None


def done(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The transitions that took place, oldest first."""
    return [entry for entry in entries if entry.state == DONE and entry.kind != FOLLOW]


def stages(entries: Iterable[LedgerEntry]) -> dict[str, str]:
    """The stage of every version that ever moved, as the ledger last knew it."""
    return {move["version"]: move["to"] for entry in done(entries) for move in entry.details["moves"]}


def intervals(entries: Iterable[LedgerEntry]) -> list[Interval]:
    """The times in Production of a model's versions, by their beginning."""
    found: list[Interval] = []
    for entry in done(entries):
        moves = {move["version"]: move for move in entry.details["moves"]}
        intent = entry.intent or entry.id
        for place, one in enumerate(found):
            move = moves.get(one.version)
            if one.ended is None and move and (move["to"] != PRODUCTION or move["created"] != one.created):
                found[place] = Interval(one.version, one.created, one.begun, intent)
        # One that came before there was a ledger, or by hand while nobody watched, was there all the same.
        known = {one.version for one in found if one.ended in (None, intent)}
        found += [
            Interval(move["version"], move["created"], intent, intent)
            for move in moves.values()
            if move["from"] == PRODUCTION != move["to"] and move["version"] not in known
        ]
        staying = {one.version for one in found if one.ended is None}
        found += [
            Interval(move["version"], move["created"], intent, None)
            for move in moves.values()
            if move["to"] == PRODUCTION and move["version"] not in staying
        ]
    return found


def disowned(entries: Iterable[LedgerEntry]) -> set[tuple[str, int]]:
    """The versions, by number and creation, that were rejected, or taken out of Production by a rollback or revert."""
    found = set()
    for entry in done(entries):
        if left := entry.details.get("left"):
            found.add((left["version"], left["created"]))
        for move in entry.details["moves"]:
            taken_back = entry.kind in (ROLLBACK, REVERT) and move["from"] == PRODUCTION and move["to"] != PRODUCTION
            if taken_back or (entry.kind == REJECT and move["version"] == entry.version):
                found.add((move["version"], move["created"]))
    return found


def arrival(entries: Iterable[LedgerEntry], version: str, created: int, stage: str) -> LedgerEntry | None:
    """The newest transition that brought a version into a stage, or left it there; None if there is none.

    What puts a version back after a change by hand is passed over: the version came there before.
    """
    for entry in reversed(done(entries)):
        if entry.version == version and entry.kind != REVERT:
            moves = ((move["version"], move["created"], move["to"]) for move in entry.details["moves"])
            if (version, created, stage) in moves:
                return entry
    return None


def heeding(verdict: Verdict, entries: Iterable[LedgerEntry], version: str, created: int) -> Verdict:
    """The verdict on a version, which does not pass where the version was rejected: a rejection is for good."""
    for entry in done(entries):
        moves = entry.details["moves"]
        if entry.kind == REJECT and any((move["version"], move["created"]) == (version, created) for move in moves):
            reason = f"rejected by {entry.actor} ({entry.reason}); register another version in its place"
            return replace(verdict, passed=False, results=(*verdict.results, GateResult("rejected", False, reason)))
    return verdict


def earlier(entries: Sequence[LedgerEntry], *, champion: tuple[str, int] | None) -> list[tuple[str, int]]:
    """The versions, by number and creation, that a rollback may lead to: the newest Production interval first.

    Parameters
    ----------
    champion : the version in Production now; None where there is none, because it was archived by hand, say: then
        the one that was there last is what is rolled back from, and no place to go to.
    """
    past = list(reversed(intervals(entries)))
    never = disowned(entries) | {champion or last(entries)}
    return list(dict.fromkeys(key for one in past if (key := (one.version, one.created)) not in never))


def last(entries: Sequence[LedgerEntry]) -> tuple[str, int] | None:
    """The version, by number and creation, that came to Production last; None where none ever did."""
    past = intervals(entries)
    return (past[-1].version, past[-1].created) if past else None
