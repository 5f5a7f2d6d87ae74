"""What people want to know of a served version: how good it was, who put it there and why, and how it does."""

from dataclasses import dataclass

from registry.last_report import LastReport


@dataclass(frozen=True)
class MeasuredMetric:
    """A metric on the rows that a version was judged on.

    Parameters
    ----------
    name, label : in policies, ``log_loss``; and for people, ``Log loss``.
    value : None if the metric is not defined on these rows.
    low, high : the ends of its interval; None if there is none.
    baseline : the same metric of a dummy that does not look at the inputs.
    """

    name: str
    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


@dataclass(frozen=True)
class Arrival:
    """The transition that brought a version into its stage.

    Parameters
    ----------
    kind : as the ledger has it: ``promote``, ``rollback`` or ``by-hand``.
    time : UTC, in ISO 8601.
    """

    kind: str
    actor: str
    time: str
    reason: str


@dataclass(frozen=True)
class VersionFacts:
    """The facts of a version that its evidence, its tags and the ledger have; whatever is unknown is empty or None.

    Parameters
    ----------
    evidence : identifies the evidence that the facts were read from; empty if none was read.
    target : the column that the model predicts.
    metrics : all that were measured.
    metric : the name of the one that the policy judges by.
    rows : number of rows that the metrics are of.
    level : the share of the intervals: 0.95.
    caveat : what the metrics are worth, if the version was logged without this platform.
    monitored : the last report of ``monitor``.
    """

    evidence: str = ""
    target: str = ""
    metrics: tuple[MeasuredMetric, ...] = ()
    metric: str = ""
    rows: int | None = None
    level: float | None = None
    caveat: str = ""
    arrival: Arrival | None = None
    monitored: LastReport | None = None

    @property
    def known(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.metrics or self.arrival or self.monitored)

    @property
    def ordered(self) -> tuple[MeasuredMetric, ...]:
        """The metrics, the policy's first."""
        return tuple(sorted(self.metrics, key=lambda metric: metric.name != self.metric))


#: Of a version of which nothing is known.
UNKNOWN = VersionFacts()
