"""Stages and aliases that were changed by hand: found, judged by the same gates, and brought into line or put back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import annotations, history, judging, stages
from registry.ledger import INTENT, NOTED, Ledger, LedgerEntry
from registry.policy import FLAG, Policy
from registry.stages import ALIASES, NONE, PRODUCTION, STAGING, State
from registry.transitions import TransitionPlan, digest, execute, planned, recover_locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.gates import Verdict
    from registry.ledger.locks import Lock

#: The actor of what was done by hand, in MLflow's pages or by another program, and of what puts it back.
HAND, WATCH = "UI", "watch"
#: The kind of the rows about it.
BY_HAND = "by-hand"

#: Judges a version (its number) for a stage against the champion (its number; None where there is none).
Judge = Callable[[str, str, "str | None"], "Verdict"]

# How long another process that moves versions of the model is waited for, in seconds.
_PATIENCE = 10.0


@dataclass(frozen=True)
class HandMove:
    """A version that was moved to a stage by hand, by its stage or by the alias that mirrors it.

    Parameters
    ----------
    source : the stage that it was in, as the ledger last knew it.
    updated : when the registry last changed the version, in milliseconds; an alias leaves no such trace.
    """

    version: str
    source: str
    target: str
    alias: bool
    updated: int

    @property
    def words(self) -> str:
        """What was done, for the ledger."""
        if self.alias:
            return f"alias {ALIASES[self.target]} set by hand"
        return f"stage changed by hand from {self.source} to {self.target}"


@dataclass(frozen=True)
class Settled:
    """What was made of a change by hand.

    Parameters
    ----------
    id : of the ledger's row.
    outcome : ``kept``, ``flagged`` (kept though it fails the gates), ``reverted`` or ``aligned`` (an alias only).
    words : all of it, for a log.
    """

    id: int
    model: str
    version: str
    outcome: str
    words: str


def known(entries: Sequence[LedgerEntry], state: State) -> dict[str, str]:
    """The stage of each version that the registry has, as the ledger last knew it."""
    last = {}
    for entry in history.done(entries):
        for move in entry.details["moves"]:
            last[move["version"], move["created"]] = move["to"]
    return {number: last.get((number, version.created), NONE) for number, version in state.versions.items()}


def requests(state: State, before: Mapping[str, str], stage: str) -> list[HandMove]:
    """Which versions were moved to a stage by hand, those that count most first.

    The newest change of a stage goes before an older one, and an alias, whose time nobody knows, comes after them.

    Parameters
    ----------
    before : the stages that the ledger knows.
    """
    moved = [
        HandMove(number, before[number], stage, False, version.updated)
        for number, version in state.versions.items()
        if version.stage == stage != before[number]
    ]
    moved.sort(key=lambda request: (request.updated, int(request.version)), reverse=True)
    pointed = state.aliases.get(ALIASES[stage], "")
    if pointed in state.versions and state.versions[pointed].stage != stage != before[pointed]:
        moved.append(HandMove(pointed, before[pointed], stage, True, 0))
    return moved


def drifted(state: State, entries: Sequence[LedgerEntry]) -> bool:
    """Whether stages are not as the ledger knows them, aliases do not mirror them, or a transition was cut short."""
    closed = {entry.intent for entry in entries}
    return (
        any(entry.state == INTENT and entry.id not in closed for entry in entries)
        or known(entries, state) != {number: version.stage for number, version in state.versions.items()}
        or any(not _mirrored(state, stage) for stage in ALIASES)
    )


def _mirrored(state: State, stage: str) -> bool:
    there = [version.number for version in state.in_stage(stage)]
    pointed = state.aliases.get(ALIASES[stage])
    return pointed in there if there else pointed is None


def settle(
    client: "MlflowClient",
    ledger: Ledger,
    name: str,
    policy: Policy,
    *,
    judge: Judge | None = None,
    trusting: bool = False,
) -> list[Settled]:
    """Find what was changed by hand in a model, and bring stages, aliases and ledger into line.

    It holds the lock of the model's transitions: whatever the platform is about is done before, or comes after.

    Parameters
    ----------
    judge : by default the gates, with the evidence in the registry.
    trusting : of a model that the ledger does not know, keep what is there whatever the gates say: where a ledger
        begins, there is nothing known to go back to, and a model in use would be taken away. So it is with a model that
        the ledger knows by another name.

    Raises
    ------
    RegistryError
        where registry or ledger fail; what was not settled is found again.
    """
    asked = judge or _judge(client, name, policy)
    with ledger.lock(name, wait=_PATIENCE) as lock:
        recover_locked(client, ledger, lock, name)
        taken = ""
        if not history.done(ledger.entries(name)):
            former = _renamed(ledger, stages.read(client, name))
            taken = f"when {former!r} was renamed" if former else "when the ledger began" if trusting else ""
        one = _Settling(client, ledger, lock, name, policy, asked, taken)
        state, before = one.look()
        # An alias is brought into line with any move: what it asked for is noted before the first.
        wanted = {stage: requests(state, before, stage) for stage in (PRODUCTION, STAGING)}
        found = [*one.answer(wanted[PRODUCTION]), *one.answer(wanted[STAGING])]
        return [*found, *one.record(), *one.align()]


def _renamed(ledger: Ledger, state: State) -> str | None:
    """By what name the ledger knows the versions of a model; None where it does not.

    The last row of each is named by its tag, and tells when the registry made the version: of another one it is not.
    """
    for number in annotations.rows_named(state):
        for entry in ledger.entries(intent=number):
            keys = {(move["version"], move["created"]) for move in entry.details.get("moves", ())}
            if any((one.number, one.created) in keys for one in state.versions.values()) and entry.model != state.name:
                return entry.model
    return None


def _judge(client: "MlflowClient", name: str, policy: Policy) -> Judge:
    def judge(version: str, stage: str, champion: str | None) -> "Verdict":
        return judging.StageJudge(client, name, policy, stage).judge_or_fail(version, champion)

    return judge


@dataclass(frozen=True)
class _Settling:
    """One model, under its lock.

    Parameters
    ----------
    taken : when what is there is taken as it is; empty where the gates are asked.
    """

    client: "MlflowClient"
    ledger: Ledger
    lock: "Lock"
    name: str
    policy: Policy
    judge: Judge
    taken: str

    def look(self) -> tuple[State, dict[str, str]]:
        """The model as it is, and the stages that the ledger knows."""
        state = stages.read(self.client, self.name)
        return state, known(self.ledger.entries(self.name), state)

    def answer(self, wanted: Sequence[HandMove]) -> list[Settled]:
        """Adopt the first of the requests for a stage that passes its gates; where none does, put all back."""
        failed: list[tuple[HandMove, Verdict]] = []
        for request in wanted:
            state, before = self.look()
            if request.version not in state.versions:
                continue
            there = (number for number, stage in before.items() if stage == PRODUCTION)
            verdict = self.judge(request.version, request.target, next(there, None))
            created = state.versions[request.version].created
            verdict = history.heeding(verdict, self.ledger.entries(self.name), request.version, created)
            if verdict.passed or self.taken or self.policy.by_hand == FLAG:
                for other, its in failed:
                    self._note(other, its, state)
                return [self._keep(state, before, request, verdict)]
            failed.append((request, verdict))
        return self._revert(failed)

    def _keep(self, state: State, before: Mapping[str, str], request: HandMove, verdict: "Verdict") -> Settled:
        concerned = {
            number: stage
            for number, stage in before.items()
            if request.target in (stage, state.versions[number].stage) or number == request.version
        }
        calls = [(request.version, request.target)]
        plan = planned(state, BY_HAND, request.version, calls, sources=concerned, told=True)
        outcome = "kept" if verdict.passed else "flagged"
        words = f"in {request.target} {self.taken}" if self.taken else request.words
        reason = f"{words}; {'' if verdict.passed else 'flagged, it fails its gates: '}{verdict.summary()}"
        return self._done(state, plan, HAND, reason, outcome, verdict)

    def _revert(self, failed: Sequence[tuple[HandMove, "Verdict"]]) -> list[Settled]:
        state, before = self.look()
        # One may have been deleted while it was judged.
        failed = [(request, verdict) for request, verdict in failed if request.version in state.versions]
        if not failed:
            return []
        request, verdict = failed[0]
        for other, its in failed:
            self._note(other, its, state)
        stage = request.target
        # Whoever made room for it comes back, and comes first: there always is a champion.
        goal = {one.version: before[one.version] for one, _ in failed}
        goal |= {number: its for number, its in before.items() if its == stage != state.versions[number].stage}
        calls = [(number, its) for way in stages.STAGES for number, its in goal.items() if its == way]
        # Whatever holds the stage already has to hold it against those that are put back.
        calls = [(number, stage) for number, its in before.items() if its == stage] + calls
        plan = planned(state, history.REVERT, request.version, calls, told=True)
        reason = f"{request.words}; it fails its gates: {verdict.summary()}"
        return [self._done(state, plan, WATCH, reason, "reverted", verdict)]

    def record(self) -> list[Settled]:
        """Record the moves by hand that no gate is asked for: to Archived and None.

        What has come to a stage with gates since the requests were read is not known to the ledger, and so is a request
        of the next look.
        """
        state, before = self.look()
        found = []
        for number, stage in before.items():
            now = state.versions[number].stage if number in state.versions else stage
            if now != stage and now not in ALIASES:
                plan = planned(state, BY_HAND, number, (), sources={number: stage})
                reason = f"stage changed by hand from {stage} to {now}"
                found.append(self._done(state, plan, HAND, reason, "kept"))
                state, _ = self.look()
        return found

    def align(self) -> list[Settled]:
        """Make the aliases mirror the stages again, where one was taken away by hand."""
        state, before = self.look()
        found = []
        for stage, alias in ALIASES.items():
            # Of a version that came to the stage, or got its alias, meanwhile: the next look answers.
            if _mirrored(state, stage) or requests(state, before, stage):
                continue
            there = [version.number for version in state.in_stage(stage)]
            about = there[0] if there else state.aliases[alias]
            if about not in state.versions:
                continue
            plan = planned(state, history.REVERT, about, (), told=True)
            reason = f"alias {alias} was changed by hand; it mirrors the stage"
            found.append(self._done(state, plan, WATCH, reason, "aligned"))
            state, before = self.look()
        return found

    def _done(
        self,
        state: State,
        plan: TransitionPlan,
        actor: str,
        reason: str,
        outcome: str,
        verdict: "Verdict | None" = None,
    ) -> Settled:
        intent = execute(
            self.client,
            self.ledger,
            self.lock,
            state,
            plan,
            actor=actor,
            reason=reason,
            verdict=verdict,
            followers=self.policy.follow if outcome != "aligned" else (),
            outcome=outcome,
        )
        words = f"{plan.name} version {plan.version}: {reason}: {outcome} (ledger {intent.id})"
        return Settled(intent.id, plan.name, plan.version, outcome, words)

    def _note(self, request: HandMove, verdict: "Verdict", state: State) -> None:
        self.ledger.append(
            LedgerEntry(
                kind=BY_HAND,
                state=NOTED,
                model=self.name,
                version=request.version,
                source=request.source,
                target=request.target,
                actor=HAND,
                reason=request.words,
                digest=digest(state, request.version, verdict),
                verdict=verdict.to_dict(),
                details={"outcome": "reverted"},
            )
        )
