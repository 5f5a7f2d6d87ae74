"""What a gate reads, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from registry.evidence import Evidence
from registry.evidence.fetch import VersionEvidence
from registry.policy import Policy
from registry.stages import PRODUCTION

#: Whether the gate is passed, and the reason in words.
Answer = tuple[bool, str]


@dataclass(frozen=True)
class GateContext:
    """A version that is judged.

    Parameters
    ----------
    champion : the version in Production; None if there is none, or it is the candidate.
    breaking : whether the promotion says that callers have to change.
    stage : the stage that it is judged for.
    """

    candidate: VersionEvidence
    champion: VersionEvidence | None
    policy: Policy
    breaking: bool = False
    stage: str = PRODUCTION

    @property
    def document(self) -> Evidence:
        """The candidate's evidence document."""
        return self.candidate.document

    @property
    def metric(self) -> str:
        """The metric that versions of this model are judged by."""
        return self.policy.metric_of(self.document.model.task)

    @property
    def value(self) -> float | None:
        """The candidate's metric on its held-out rows; None if it is not defined."""
        return self.document.value(self.metric)

    @property
    def evaluate(self) -> str:
        """The command that judges the candidate anew."""
        uri = f"models:/{self.candidate.name}/{self.candidate.version}"
        return f"`python -m pipelines evaluate --model {uri} --data TABLE`"


Gate = Callable[[GateContext], Answer]


def short(digest: str) -> str:
    """A digest's first digits."""
    kind, _, rest = digest.partition(":")
    return f"{kind}:{rest[:8]}…" if len(rest) > 8 else digest
