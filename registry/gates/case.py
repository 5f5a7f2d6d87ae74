"""What a gate is asked, and how it answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.gates.verdict import Evidence

if TYPE_CHECKING:
    from registry.policy import Policy

#: Whether the gate is passed, and the reason in words.
Answer = tuple[bool, str]


@dataclass(frozen=True)
class Case:
    """A version that is to be judged.

    Parameters
    ----------
    champion : the version in Production; None where there is none, or it is the candidate.
    breaking : whether the promotion says that callers have to change.
    """

    candidate: Evidence
    champion: Evidence | None
    policy: "Policy"
    breaking: bool = False

    @property
    def document(self) -> dict:
        """The candidate's evidence document."""
        return self.candidate.document

    @property
    def metric(self) -> str:
        """What versions of this model are judged by."""
        return self.policy.metric(self.document["model"]["task"])

    @property
    def value(self) -> float | None:
        """The candidate's metric on its held-out rows; None where it is not defined."""
        return self.document["metrics"][self.metric]["value"]

    @property
    def evaluate(self) -> str:
        """The command that judges the candidate anew."""
        uri = f"models:/{self.candidate.name}/{self.candidate.version}"
        return f"`python -m pipelines evaluate --model {uri} --data TABLE`"


def short(digest: str) -> str:
    """A digest's first digits."""
    kind, _, rest = digest.partition(":")
    return f"{kind}:{rest[:8]}…" if len(rest) > 8 else digest
