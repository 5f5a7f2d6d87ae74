"""What travels to and from the gates: a version's evidence in, results and a verdict out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Evidence:
    """What was measured of one version.

    Parameters
    ----------
    name, version : of the registered model and the version.
    document : the evidence document, see ``registry.evidence``.
    holdout : the answers on the held-out rows: ``key``, ``target``, ``prediction`` and, of a classifier,
        ``probability_<class>``.
    digest : of the two files, as they are.
    tagged_digest : as the version's tag tells it; None where it has no such tag.
    latency : what was measured of its speed, by name; empty where nothing was.
    beside : version -> the answers of this version and of that one to the same rows of an evaluated table, rows that
        neither was trained on; of the table that has most of them.
    """

    name: str
    version: str
    document: dict
    holdout: "pa.Table"
    digest: str
    tagged_digest: str | None
    latency: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, tuple["pa.Table", "pa.Table"]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"version {self.version}"


@dataclass(frozen=True)
class Result:
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
    digest : of the candidate's evidence; empty where it has none that can be read.
    champion : the version that it was compared with; None where there is none.
    stage : the stage it was judged for.
    """

    passed: bool
    results: tuple[Result, ...]
    digest: str
    champion: str | None
    stage: str = "Production"

    @property
    def failures(self) -> tuple[Result, ...]:
        """The gates that count and were not passed."""
        return tuple(result for result in self.results if result.judged and not result.passed)

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
        return cls(**{**content, "results": tuple(Result(**result) for result in content["results"])})
