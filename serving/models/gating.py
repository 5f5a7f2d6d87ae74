"""The word of a model's gates: what the ledger remembers; for a version that was never judged, what they say now."""

from registry import history, judging, ledger, stages
from registry import policy as policies
from registry.errors import RegistryError
from registry.evidence import DIGEST_TAG
from registry.evidence.fetch import EvidenceError
from registry.gates import Verdict
from registry.stages import PRODUCTION, STAGING, State

from .model import ResolvedModel


class NotPassed(RegistryError):
    """A model's gates did not pass, or it has none."""


def passed(model: ResolvedModel) -> str:
    """What is known of the gates of a model that passed them, in words.

    The last verdict that the ledger keeps of the version counts, if it was given on the evidence that the version has
    now. For one that was never judged, or whose ledger this machine does not know, the gates of Production are asked.

    Raises
    ------
    NotPassed
        if they did not pass, the version was rejected, there is no evidence to judge, or it is no registered version.
    RegistryError
        if there is no such version, or the registry refuses.
    """
    if model.client is None or model.name is None or model.version is None:
        raise NotPassed(f"{model} is no registered version, so no gates judged it")
    state = stages.read(model.client, model.name)
    return _remembered(state, model.version) or _judged(model, state, model.version)


def _remembered(state: State, version: str) -> str | None:
    """What the ledger says; None if it says nothing of this version as it is now."""
    try:
        with ledger.open() as opened:
            entries = opened.entries(state.name)
    except RegistryError:
        return None  # a tracking server whose ledger nobody named
    registered = state.version(version)
    for entry in reversed(history.done(entries)):
        moves = entry.details.get("moves", ())
        # A deleted model of the same name may have had a version of the same number.
        if entry.version != version or not any(
            (move["version"], move["created"]) == (version, registered.created) for move in moves
        ):
            continue
        if entry.kind == history.REJECT:
            raise NotPassed(f"version {version} of {state.name!r} was rejected (ledger {entry.intent})")
        if entry.verdict is None or entry.target not in (STAGING, PRODUCTION):
            continue
        verdict = Verdict.from_dict(entry.verdict)
        if verdict.digest != registered.tags.get(DIGEST_TAG):
            return None
        if not verdict.passed:
            raise NotPassed(f"version {version} of {state.name!r} did not pass its gates: {verdict.summary()}")
        return f"{verdict.summary()} of {verdict.stage} (ledger {entry.intent})"
    return None


def _judged(model: ResolvedModel, state: State, version: str) -> str:
    assert model.client is not None
    policy = policies.read(None).for_model(state.name)
    try:
        verdict = judging.StageJudge(model.client, state.name, policy, PRODUCTION).judge(version, state.champion)
    except EvidenceError as error:
        raise NotPassed(f"the gates of version {version} of {state.name!r} cannot be asked: {error}") from None
    if not verdict.passed:
        raise NotPassed(f"version {version} of {state.name!r} does not pass its gates: {verdict.summary()}")
    return f"{verdict.summary()} of {PRODUCTION} (asked now)"
