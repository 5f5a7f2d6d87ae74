"""A transition, from plan to done: each write in its order, and what is left of one that was cut short.

The order is intent (ledger), a tag that names it, stage, alias, tags and description (registry), done (ledger), tags
that name that row, all under the ledger's lock. The stages of all versions that make room change in the same
transaction of the registry as the one that comes. So whatever was killed in between is found by its intent, and has
either moved nothing, and is undone, or has moved the stage, and is completed. An intent that no tag names has moved
nothing, whoever wrote it; and a closing row that no tag names, though its intent is named, was cut short.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from registry import annotations, evidence, hooks, logs, stages
from registry.cli import interrupts
from registry.errors import RegistryError
from registry.ledger import DONE, INTENT, UNDONE, Ledger, LedgerEntry
from registry.ledger.entries import closing
from registry.ledger.locks import Lock
from registry.stages import ALIASES, ARCHIVED, NoModel, State

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.gates import Verdict
    from registry.policy import StageHook

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Move:
    """A version's way from one stage to another; ``created`` is when the registry made the version."""

    version: str
    source: str
    target: str
    created: int


@dataclass(frozen=True)
class Pointing:
    """An alias, and the version it points at before and after; None for none."""

    alias: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class TransitionPlan:
    """What a transition will do.

    Parameters
    ----------
    kind : ``promote``, ``reject``, ``rollback``, ``by-hand``, ``revert``.
    version, source, target : the version that it is about, and its stages before and after.
    moves : every version whose stage is another after it.
    calls : what is asked of the registry, in order: version and stage.
    aliases : the aliases that change.
    before : the stages, as they are in the registry, of the versions that the calls concern.
    """

    kind: str
    name: str
    version: str
    source: str
    target: str
    moves: tuple[Move, ...]
    calls: tuple[tuple[str, str], ...]
    aliases: tuple[Pointing, ...]
    before: Mapping[str, str]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.calls or self.aliases or any(move.source != move.target for move in self.moves))

    def to_dict(self) -> dict[str, Any]:
        """What of it the ledger keeps beside the columns."""
        return {
            "moves": [
                {"version": move.version, "from": move.source, "to": move.target, "created": move.created}
                for move in self.moves
            ],
            "calls": [list(call) for call in self.calls],
            "aliases": [asdict(pointing) for pointing in self.aliases],
            "before": dict(self.before),
        }


def planned(
    state: State,
    kind: str,
    version: str,
    calls: Sequence[tuple[str, str]],
    *,
    sources: Mapping[str, str] | None = None,
    told: bool = False,
) -> TransitionPlan:
    """The plan of a transition that makes these calls.

    Parameters
    ----------
    version : the one that it is about.
    calls : version and stage, in order; those that would change nothing are left out.
    sources : stages that versions had before they were moved by hand, where that is not what the registry has.
    told : whether it is told on the version also where that does not move.
    """
    before = {number: one.stage for number, one in state.versions.items()}
    now, made = dict(before), []
    for call in calls:
        after = _after(now, call)
        if after != now:
            made.append(call)
        now = after
    sources = {**before, **(sources or {})}
    moves = [
        Move(number, sources[number], stage, state.versions[number].created)
        for number, stage in now.items()
        if sources[number] != stage or (told and number == version)
    ]
    concerned = {move.version for move in moves} | {number for number, _ in made}
    return TransitionPlan(
        kind=kind,
        name=state.name,
        version=version,
        source=sources[version],
        target=now[version],
        # The version that it is about comes first.
        moves=tuple(sorted(moves, key=lambda move: (move.version != version, int(move.version)))),
        calls=tuple(made),
        aliases=tuple(_pointings(state, now, preferred=version)),
        before={number: before[number] for number in sorted(concerned, key=int)},
    )


def execute(
    client: "MlflowClient",
    ledger: Ledger,
    lock: Lock,
    state: State,
    plan: TransitionPlan,
    *,
    actor: str,
    reason: str,
    verdict: "Verdict | None" = None,
    followers: Sequence["StageHook"] = (),
    **details: Any,
) -> LedgerEntry:
    """Carry out a plan; the intent, as it stands in the ledger. An interrupt waits until it is carried out.

    Parameters
    ----------
    state : what the plan was made for, read under the lock.
    actor, reason, verdict : who, why, and what the gates said; None where they were not asked.
    followers : the commands and webhooks that follow moves of this model.
    details : what else the ledger keeps of it.

    Raises
    ------
    RegistryError
        where registry or ledger refuse or go away. Then nothing was moved, or the intent stays, and the next command
        finishes it.
    """
    following = hooks.titles(followers, plan.target)
    intended = LedgerEntry(
        kind=plan.kind,
        state=INTENT,
        model=plan.name,
        version=plan.version,
        source=plan.source,
        target=plan.target,
        actor=actor,
        reason=reason,
        digest=digest(state, plan.version, verdict),
        verdict=verdict.to_dict() if verdict else None,
        details={"schema": 2, **plan.to_dict(), **details, **({"follow": following} if following else {})},
    )
    with interrupts.held():
        _next(plan.name, "intent")
        (intent,) = ledger.extend([intended])
        try:
            _forward(client, ledger, lock, state, intent, calls=plan.calls)
        except RegistryError as error:
            if _refused(error):
                # The registry answers: what is to become of the intent can be seen now.
                with contextlib.suppress(RegistryError):
                    finish(client, ledger, lock, intent)
            raise
    return intent


def recover(client: "MlflowClient", ledger: Ledger, name: str | None = None) -> list[LedgerEntry]:
    """Complete or undo the transitions of a model, or of all, that were cut short; the rows that close them.

    Where nothing is open it asks the ledger two questions, and takes no lock.

    Raises
    ------
    RegistryError
        where registry or ledger do not answer, or the lock is not free.
    """
    found = []
    for model in dict.fromkeys(row.model for row in (*ledger.unanchored(name), *ledger.open_intents(name))):
        with ledger.lock(model) as lock:
            found += recover_locked(client, ledger, lock, model)
    return found


def recover_locked(client: "MlflowClient", ledger: Ledger, lock: Lock, name: str) -> list[LedgerEntry]:
    """``recover`` for who holds the lock of a model already."""
    # Nobody else moves anything now: what is open was left by somebody who is gone.
    for row in ledger.unanchored(name):
        _anchor(client, ledger, row)
    return [finish(client, ledger, lock, intent) for intent in ledger.open_intents(name)]


def finish(client: "MlflowClient", ledger: Ledger, lock: Lock, intent: LedgerEntry) -> LedgerEntry:
    """Complete a transition that was cut short, or undo it; the row that closes it."""
    calls = [(version, stage) for version, stage in intent.details["calls"]]
    before = intent.details["before"]

    def undo(state: State | None, reason: str, **details: Any) -> LedgerEntry:
        if state is not None and not annotations.announced(state, intent):
            _write(intent.model, annotations.undoing(client, state, intent))
        _next(intent.model, "undone")
        return _close(client, ledger, intent, UNDONE, recovered=reason, **details)

    try:
        state = stages.read(client, intent.model)
    except NoModel:
        return undo(None, "the model is gone")
    if intent.version not in state.versions:
        return undo(None, "the version is gone")
    if not annotations.announced(state, intent) and ledger.anchoring(intent):
        return undo(state, "nothing was moved")
    now = {number: one.stage for number, one in state.versions.items() if number in before}
    ways = [dict(before)]
    for call in calls:
        ways.append(_after(ways[-1], call))
    place = next((place for place, way in enumerate(ways) if now == {number: way[number] for number in now}), None)
    if place is None:
        return undo(state, "moved by hand meanwhile", found=now)
    if place == 0 and calls:
        return undo(state, "nothing was moved")
    return _forward(client, ledger, lock, state, intent, calls=calls[place:], recovered="completed")


def _forward(
    client: "MlflowClient",
    ledger: Ledger,
    lock: Lock,
    state: State,
    intent: LedgerEntry,
    *,
    calls: Iterable[Sequence[str]],
    **details: Any,
) -> LedgerEntry:
    lock.check()
    _write(intent.model, annotations.announcement(client, state, intent))
    for version, stage in calls:
        lock.check()
        _next(intent.model, f"stage of {version}")
        stages.move(client, intent.model, version, stage)
    # Whoever recovers finds part of what follows done.
    for pointing in intent.details["aliases"]:
        alias, after = pointing["alias"], pointing["after"]
        if state.aliases.get(alias) != after and (after is None or after in state.versions):
            lock.check()
            _next(intent.model, f"alias {alias}")
            stages.point(client, intent.model, alias, after)
    for step, write in annotations.steps(client, state, intent):
        lock.check()
        _next(intent.model, step)
        write()
    _next(intent.model, "done")
    return _close(client, ledger, intent, DONE, **details)


def _close(client: "MlflowClient", ledger: Ledger, intent: LedgerEntry, state: str, **details: Any) -> LedgerEntry:
    (row,) = ledger.extend([closing(intent, state, **details)])
    _anchor(client, ledger, row)
    return row


def _anchor(client: "MlflowClient", ledger: Ledger, row: LedgerEntry) -> None:
    """Name a closing row on the versions that it moved, as far as they are there still."""
    with contextlib.suppress(NoModel):
        _write(row.model, annotations.closings(client, stages.read(client, row.model), row))
    _next(row.model, "anchored")
    ledger.anchored(row.id)


def _write(model: str, steps: Iterable[annotations.Step]) -> None:
    for step, write in steps:
        _next(model, step)
        write()


def _next(model: str, step: str) -> None:
    """Log a write just before it is made."""
    _log.debug("%s: next is %s", model, step)


def digest(state: State, number: str, verdict: "Verdict | None") -> str | None:
    """The digest of the evidence that a version was judged by; where it was not, of what it was registered with."""
    if verdict and verdict.digest:
        return verdict.digest
    return state.versions[number].tags.get(evidence.DIGEST_TAG) if number in state.versions else None


def _after(now: Mapping[str, str], call: Sequence[str]) -> dict[str, str]:
    """The stages after a call: whatever else is in Production or Staging makes room."""
    version, stage = call
    after = dict(now)
    if stage in ALIASES:
        after |= {number: ARCHIVED for number, there in now.items() if there == stage}
    return {**after, version: stage}


def _pointings(state: State, after: Mapping[str, str], *, preferred: str) -> Iterable[Pointing]:
    """The aliases that have to change for them to mirror the stages."""
    for stage, alias in ALIASES.items():
        there = [number for number, its in after.items() if its == stage]
        pointed = state.aliases.get(alias)
        wanted = next((number for number in (preferred, pointed) if number in there), None)
        wanted = wanted or max(there, key=int, default=None)
        if wanted != pointed:
            yield Pointing(alias, pointed, wanted)


def _refused(error: RegistryError) -> bool:
    """Whether the registry answered, and said no."""
    code = getattr(error.__cause__, "error_code", "INTERNAL_ERROR")
    return code not in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
