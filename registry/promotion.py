"""Promote, reject, roll back: each is planned, then carried out under the ledger's lock, then followed."""

import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry import history, hooks, smoke_test, stages
from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.ledger import Ledger, LedgerEntry
from registry.ledger.locks import Lock
from registry.stages import ALIASES, ARCHIVED, PRODUCTION, STAGING, State
from registry.transitions import TransitionPlan, execute, planned, recover, recover_locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.gates import Verdict
    from registry.policy import StageHook

PROMOTE = "promote"

#: Judges a version (its number) against the champion (its number; None where there is none).
Judge = Callable[[str, str | None], "Verdict"]

# How often a rollback looks again, where versions move while it tries one.
_AGAIN = 3


class PromotionRefused(RegistryError):
    """A version did not pass its gates.

    Parameters
    ----------
    plan, verdict : what would have been done, and what the gates said.
    """

    def __init__(self, plan: TransitionPlan, verdict: "Verdict"):
        self.plan, self.verdict = plan, verdict
        #: What is refused, without the reasons.
        self.title = f"version {plan.version} of {plan.name!r} is not promoted to {plan.target}"
        super().__init__(f"{self.title}: {verdict.summary()}")


@dataclass(frozen=True)
class Transition:
    """What was done, or on a dry run would be.

    Parameters
    ----------
    id : of the ledger's row; None where nothing was done.
    verdict : what the gates said; None where they were not asked.
    outcomes : what came of the commands and webhooks that follow.
    notes : what else there is to say, in words.
    """

    plan: TransitionPlan
    id: int | None = None
    verdict: "Verdict | None" = None
    outcomes: Sequence[hooks.Outcome] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Mover:
    """What all ways of moving a version share."""

    client: "MlflowClient"
    ledger: Ledger
    name: str
    reason: str
    actor: str
    followers: Sequence["StageHook"] = ()

    def move(
        self, lock: Lock, state: State, plan: TransitionPlan, verdict: "Verdict | None" = None, **details: Any
    ) -> LedgerEntry:
        """Carry out a plan; its intent."""
        return execute(
            self.client,
            self.ledger,
            lock,
            state,
            plan,
            actor=self.actor,
            reason=self.reason,
            verdict=verdict,
            followers=self.followers,
            **details,
        )

    def mend(self) -> list[str]:
        """Finish what was cut short; what became of it, in words."""
        rows = recover(self.client, self.ledger, self.name)
        return [
            f"{row.kind} of version {row.version} (ledger {row.intent}) was cut short: {row.details['recovered']}"
            for row in rows
        ]

    def followed(self) -> list[hooks.Outcome]:
        """Let follow what follows, also of earlier transitions whose process did not come to it; what came of it."""
        patience = sum(one.timeout * one.tries for one in self.followers)
        return hooks.catch_up(self.ledger, self.name, self.followers, patience=patience)


def promote(
    client: "MlflowClient",
    ledger: Ledger,
    name: str,
    version: str,
    *,
    stage: str,
    reason: str,
    actor: str,
    judge: Judge,
    breaking: bool = False,
    dry_run: bool = False,
    followers: Sequence["StageHook"] = (),
) -> Transition:
    """Move a version to Staging or Production; the one that was there is archived, and loses the alias.

    A version may go to Production from any stage: the gates of Production ask for all that it needs. One that is there
    already is left as it is.

    Parameters
    ----------
    breaking : whether the judge was told that the schema may break; it is recorded.
    dry_run : plan and judge only: nothing is written, and a verdict that is not passed raises nothing.

    Raises
    ------
    PromotionRefused
        if a gate fails.
    RegistryError
        if there is no such version, it is the champion and would leave Production empty, or registry or ledger fail.
    """
    mover = _Mover(client, ledger, name, _said(reason), actor, followers)
    notes = [] if dry_run else mover.mend()
    there = f"version {version} is in {stage} already"
    state = stages.read(client, name)
    plan = _promotion(state, version, stage)
    if plan.empty:
        return Transition(plan, outcomes=[] if dry_run else mover.followed(), notes=[*notes, there])
    champion = _other_champion(state, version)
    verdict = _heeding(ledger, state, version, judge(version, champion))
    if dry_run:
        return Transition(plan, verdict=verdict)
    if not verdict.passed:
        raise PromotionRefused(plan, verdict)
    with ledger.lock(name) as lock:
        recover_locked(client, ledger, lock, name)
        before, state = state.versions[version], stages.read(client, name)
        plan = _promotion(state, version, stage)
        if plan.empty:
            return Transition(plan, notes=[*notes, there])
        if _other_champion(state, version) != champion or state.versions[version].tags != before.tags:
            verdict = _heeding(ledger, state, version, judge(version, _other_champion(state, version)))
            if not verdict.passed:
                raise PromotionRefused(plan, verdict)
        intent = mover.move(lock, state, plan, verdict, **({"breaking": True} if breaking else {}))
    return Transition(plan, intent.id, verdict, mover.followed(), notes)


def reject(
    client: "MlflowClient",
    ledger: Ledger,
    name: str,
    version: str,
    *,
    reason: str,
    actor: str,
    dry_run: bool = False,
    followers: Sequence["StageHook"] = (),
) -> Transition:
    """Archive a version that is not in Production, for good: no promotion or rollback brings it back.

    One that is archived already stays there, and is rejected all the same.

    Raises
    ------
    RegistryError
        if there is no such version, it is in Production, or registry or ledger fail.
    """
    mover = _Mover(client, ledger, name, _said(reason), actor, followers)
    if dry_run:
        return Transition(_rejection(stages.read(client, name), version))
    notes = mover.mend()
    with ledger.lock(name) as lock:
        recover_locked(client, ledger, lock, name)
        state = stages.read(client, name)
        plan = _rejection(state, version)
        intent = mover.move(lock, state, plan)
    return Transition(plan, intent.id, outcomes=mover.followed(), notes=notes)


def rollback(
    client: "MlflowClient",
    ledger: Ledger,
    name: str,
    *,
    reason: str,
    actor: str,
    dry_run: bool = False,
    followers: Sequence["StageHook"] = (),
) -> Transition:
    """Bring back the version that was in Production before; it is loaded and asked first.

    Versions that were ever rolled back from, reverted or rejected are passed over, and so are deleted ones. No gates
    are asked: it passed them when it came, and the way back must not depend on what has changed since. One that does
    not load is not passed over silently: nothing is moved, and the error says how to go on.

    Raises
    ------
    RegistryError
        if there is no version to go back to, it does not load, or registry or ledger fail.
    """
    mover = _Mover(client, ledger, name, _said(reason), actor, followers)
    mended = [] if dry_run else mover.mend()
    for _ in range(_AGAIN):
        plan, notes, left = _return(ledger, stages.read(client, name))
        try:
            notes = [*notes, f"version {plan.version} {smoke_test.tried(client, name, plan.version)}"]
        except RegistryError as error:
            raise RegistryError(
                f"{error}; nothing was moved: to go further back, "
                f"`python -m registry reject {name} {plan.version} --reason ...` and roll back again"
            ) from None
        if dry_run:
            return Transition(plan, notes=notes)
        with ledger.lock(name) as lock:
            recover_locked(client, ledger, lock, name)
            state = stages.read(client, name)
            tried, (plan, _, left) = plan, _return(ledger, state)
            if plan.version == tried.version:
                intent = mover.move(lock, state, plan, left=left, notes=notes)
                break
    else:
        raise RegistryError(f"versions of {name!r} are being moved by others; look at its history, then try again")
    return Transition(plan, intent.id, outcomes=mover.followed(), notes=[*mended, *notes])


def who() -> str:
    """The name that the ledger keeps of whoever runs this: the tracking server's user, else the machine's."""
    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user without a name.
        return f"uid {os.getuid()}"


def _promotion(state: State, version: str, stage: str) -> TransitionPlan:
    if stage not in ALIASES:
        raise RegistryError(f"a version is promoted to {STAGING} or {PRODUCTION}, found {stage!r}")
    if state.version(version).stage == PRODUCTION and stage == STAGING:
        raise RegistryError(
            f"version {version} of {state.name!r} is in Production, which it would leave empty; "
            "promote another one, or roll back"
        )
    # Told also where only the alias is missing: the ledger may not know yet that the version is there.
    return planned(state, PROMOTE, version, [(version, stage)], told=True)


def _heeding(ledger: Ledger, state: State, version: str, verdict: "Verdict") -> "Verdict":
    return history.heeding(verdict, ledger.entries(state.name), version, state.versions[version].created)


def _rejection(state: State, version: str) -> TransitionPlan:
    if state.version(version).stage == PRODUCTION:
        raise RegistryError(
            f"version {version} of {state.name!r} is in Production, which it would leave empty; "
            f"go back with `python -m registry rollback {state.name} --reason ...`"
        )
    return planned(state, history.REJECT, version, [(version, ARCHIVED)], told=True)


def _return(ledger: Ledger, state: State) -> tuple[TransitionPlan, list[str], dict[str, Any] | None]:
    """Where a rollback leads now: its plan, which versions it passes over, and the version that is left."""
    entries = ledger.entries(state.name)
    key = _key(state, state.champion) if state.champion else None
    past = history.earlier(entries, champion=key)
    there = [number for number, created in past if number in state.versions and _key(state, number)[1] == created]
    if not there:
        raise RegistryError(
            f"{state.name!r} has no earlier version in Production to go back to that was neither rolled back from nor "
            "rejected; promote one by its number"
        )
    gone = [number for number, created in past[: past.index(_key(state, there[0]))]]
    notes = [f"version {number}, which was in Production later, is deleted" for number in gone]
    last = key or history.last(entries)
    left = {"version": last[0], "created": last[1]} if last else None
    return planned(state, history.ROLLBACK, there[0], [(there[0], PRODUCTION)]), notes, left


def _key(state: State, number: str) -> tuple[str, int]:
    return number, state.versions[number].created


def _other_champion(state: State, version: str) -> str | None:
    """What a version is compared with: the one in Production, if that is not itself."""
    return state.champion if state.champion != version else None


def _said(reason: str) -> str:
    said = one_line(reason, 2000)
    if not said:
        raise RegistryError("expected a reason for the transition, found none; give --reason")
    return said
