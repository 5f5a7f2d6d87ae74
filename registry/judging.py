"""The verdict on a registered version: its evidence and the champion's, fetched and given to the gates."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry import gates, stages
from registry.evidence.fetch import EvidenceError, fetch_evidence
from registry.gates import GateResult, Verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from registry.policy import Policy

#: The gates that read the champion's evidence, too.
_OF_BOTH = ("champion", "schema")


@dataclass(frozen=True)
class StageJudge:
    """Judges versions of a model for a stage.

    Parameters
    ----------
    breaking : let pass what makes callers change their requests.
    """

    client: "MlflowClient"
    name: str
    policy: "Policy"
    stage: str
    breaking: bool = False

    def judge(self, version: str, champion: str | None) -> Verdict:
        """The verdict on a version.

        Parameters
        ----------
        champion : the version in Production; None if there is none. If it has no evidence, the gates that compare with
            it fail.

        Raises
        ------
        EvidenceError
            if the version has no evidence that can be read.
        RegistryError
            if there is no such version, or the registry refuses.
        """
        against = None if champion == version else champion
        candidate = fetch_evidence(self.client, self._found(version), champion=against)
        other, why = None, ""
        if against is not None:
            try:
                other = fetch_evidence(self.client, self._found(against))
            except EvidenceError as error:
                why = f"not comparable: {error}"
        verdict = gates.judge(candidate, other, self.policy, breaking=self.breaking, stage=self.stage)
        return _incomparable(verdict, against, why) if against and why else verdict

    def judge_or_fail(self, version: str, champion: str | None) -> Verdict:
        """As :meth:`judge`, but a version whose evidence cannot be read fails the gate ``evidence``."""
        try:
            return self.judge(version, champion)
        except EvidenceError as error:
            return Verdict(False, (GateResult("evidence", False, str(error)),), "", champion, self.stage)

    def _found(self, version: str) -> "ModelVersion":
        return stages.model_version(self.client, self.name, version)


def _incomparable(alone: Verdict, champion: str, reason: str) -> Verdict:
    """The verdict on a version whose champion has no evidence."""
    results = tuple(
        replace(result, passed=False, reason=reason) if result.gate in _OF_BOTH else result for result in alone.results
    )
    passed = all(result.passed for result in results if result.judged)
    return replace(alone, results=results, passed=passed, champion=champion)
