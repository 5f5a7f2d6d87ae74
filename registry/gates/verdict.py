"""What the gates say of a version: a result each, and the verdict."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: The gate that only versions have that were logged without this platform.
ADOPTED = "adopted"
#: How the reason of the gate ``parity`` begins if a version has no scorecard.
NO_SCORECARD = "it has no scorecard"


@dataclass(frozen=True)
class GateResult:
    """What one gate says.

    Parameters
    ----------
    gate : its name.
    passed : whether the version may pass it.
    reason : why, in words.
    judged : whether it counts for the verdict; False: it is shown only.
    """

    gate: str
    passed: bool
    reason: str
    judged: bool = True


@dataclass(frozen=True)
class Verdict:
    """What all gates of a stage say.

    Parameters
    ----------
    passed : whether each gate that counts was passed.
    digest : of the candidate's evidence; empty if it has none that can be read.
    champion : the version that it was compared with; None if there is none.
    stage : the stage it was judged for.
    """

    passed: bool
    results: tuple[GateResult, ...]
    digest: str
    champion: str | None
    stage: str = "Production"

    @property
    def failures(self) -> tuple[GateResult, ...]:
        """The gates that count and were not passed."""
        return tuple(result for result in self.results if result.judged and not result.passed)

    @property
    def portable(self) -> bool:
        """Whether the version has a scorecard; without one, only a server that runs the models' code serves it."""
        return not any(result.gate == "parity" and result.reason.startswith(NO_SCORECARD) for result in self.results)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What whoever moves the version has to know, though it may pass."""
        return tuple(result.reason for result in self.results if result.gate == ADOPTED)

    def summary(self) -> str:
        """The verdict in one line: what failed and why, or how many gates were passed."""
        if self.passed:
            return f"passed {sum(result.judged for result in self.results)} gates"
        return "; ".join(f"{result.gate}: {result.reason}" for result in self.failures)

    def to_dict(self) -> dict[str, Any]:
        """The verdict, ready for JSON."""
        return {**asdict(self), "results": [asdict(result) for result in self.results]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Verdict":
        """The verdict that :meth:`to_dict` gave."""
        return cls(**{**content, "results": tuple(GateResult(**result) for result in content["results"])})
