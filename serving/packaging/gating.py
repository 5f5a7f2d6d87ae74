"""Whether a version's gates passed: by the ledger, which remembers; else by asking them now."""

from typing import TYPE_CHECKING

from registry import history, judging, ledger, stages
from registry import policy as policies
from registry.errors import RegistryError
from registry.evidence import DIGEST_TAG
from registry.evidence.fetch import EvidenceError
from registry.gates import Verdict
from registry.stages import PRODUCTION, STAGING, State

if TYPE_CHECKING:
    from mlflow import MlflowClient


class NotPassed(RegistryError):
    """A version's gates did not pass, or could not be asked."""


def passed(client: "MlflowClient", name: str, version: str) -> tuple[str, bool]:
    """What is known of a version's gates, in words, and that they passed.

    The last verdict that the ledger keeps of it counts, if it was given on the evidence that the version has now. Of
    one that was never judged, or whose ledger this machine does not know, the gates of Production are asked.

    Raises
    ------
    NotPassed
        if they did not pass, it was rejected, or there is no evidence to judge.
    RegistryError
        if there is no such version, or the registry refuses.
    """
    state = stages.read(client, name)
    found = _remembered(state, version)
    if found is None:
        found = _judged(client, state, version)
    return found, True


def _remembered(state: State, version: str) -> str | None:
    """What the ledger says; None where it says nothing of this version as it is now."""
    try:
        with ledger.open() as opened:
            entries = opened.entries(state.name)
    except RegistryError:
        return None  # a tracking server whose ledger nobody named
    there = state.version(version)
    for entry in reversed(history.done(entries)):
        moves = entry.details.get("moves", ())
        # A deleted model of the same name may have had a version of the same number.
        if entry.version != version or not any((m["version"], m["created"]) == (version, there.created) for m in moves):
            continue
        if entry.kind == history.REJECT:
            raise NotPassed(f"version {version} of {state.name!r} was rejected (ledger {entry.intent})")
        if entry.verdict is None or entry.target not in (STAGING, PRODUCTION):
            continue
        verdict = Verdict.from_dict(entry.verdict)
        if verdict.digest != there.tags.get(DIGEST_TAG):
            return None
        if not verdict.passed:
            raise NotPassed(f"version {version} of {state.name!r} did not pass its gates: {verdict.summary()}")
        return f"{verdict.summary()} of {verdict.stage} (ledger {entry.intent})"
    return None


def _judged(client: "MlflowClient", state: State, version: str) -> str:
    policy = policies.read(None).for_model(state.name)
    try:
        verdict = judging.StageJudge(client, state.name, policy, PRODUCTION).judge(version, state.champion)
    except EvidenceError as error:
        raise NotPassed(f"the gates of version {version} of {state.name!r} cannot be asked: {error}") from None
    if not verdict.passed:
        raise NotPassed(f"version {version} of {state.name!r} does not pass its gates: {verdict.summary()}")
    return f"{verdict.summary()} of {PRODUCTION} (asked now)"
