"""The verdict on a registered version: its evidence and the champion's, fetched and given to the gates."""

from dataclasses import replace
from typing import TYPE_CHECKING

from registry import gates, reading
from registry.gates import Verdict
from registry.reading import EvidenceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policy import Policy

#: The gates that read the champion's evidence, too.
_OF_BOTH = ("champion", "schema")


def judge(
    client: "MlflowClient",
    name: str,
    version: str,
    policy: "Policy",
    *,
    champion: str | None,
    stage: str,
    breaking: bool = False,
) -> Verdict:
    """Judge a version for a stage.

    Parameters
    ----------
    champion : the version in Production; None where there is none. One that has no evidence fails the gates that
        compare with it.

    Raises
    ------
    EvidenceError
        where the version has no evidence that can be read.
    RegistryError
        where there is no such version, or the registry refuses.
    """
    against = None if champion == version else champion
    candidate = reading.fetch(client, reading.version(client, name, version), champion=against)
    if champion is None or champion == version:
        return gates.judge(candidate, None, policy, breaking=breaking, stage=stage)
    try:
        other = reading.fetch(client, reading.version(client, name, champion))
    except EvidenceError as error:
        alone = gates.judge(candidate, None, policy, breaking=breaking, stage=stage)
        return _against_nothing(alone, champion, f"not comparable: {error}")
    return gates.judge(candidate, other, policy, breaking=breaking, stage=stage)


def unreadable(error: EvidenceError, *, stage: str, champion: str | None) -> Verdict:
    """The verdict on a version whose evidence cannot be read."""
    return Verdict(False, (gates.Result("evidence", False, str(error)),), "", champion, stage)


def _against_nothing(alone: Verdict, champion: str, reason: str) -> Verdict:
    results = tuple(
        replace(result, passed=False, reason=reason) if result.gate in _OF_BOTH else result for result in alone.results
    )
    passed = all(result.passed for result in results if result.judged)
    return replace(alone, results=results, passed=passed, champion=champion)
