"""A version's metrics for people: beside the baseline, and beside the champion."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.evaluation.comparison import Comparison
from registry import metrics as known_metrics
from registry.evidence import Evidence
from registry.metrics import BY_NAME, is_error

#: The metrics of a group of fewer rows than this are uncertain.
FEW_ROWS = 30


@dataclass(frozen=True)
class MetricGap:
    """How a value stands against another: the difference, its share of the other, and whether it is better."""

    gap: float
    share: float | None
    better: bool | None


@dataclass(frozen=True)
class MetricRow:
    """A metric with the ends of its interval, beside the same metric of the baseline or the champion."""

    name: str
    value: float | None
    other: float | None
    low: float | None = None
    high: float | None = None

    @property
    def label(self) -> str:
        """The metric's name for people."""
        return label(self.name)

    @property
    def difference(self) -> MetricGap | None:
        """The value against the other one; None if one of the two is not defined."""
        if self.value is None or self.other is None:
            return None
        gap = self.value - self.other
        better = None if gap == 0 else (gap < 0) == is_error(self.name)
        # A share of a score that can be negative or zero says nothing.
        share = gap / abs(self.other) if is_error(self.name) and self.other else None
        return MetricGap(gap, share, better)


def beside_baseline(document: Evidence) -> list[MetricRow]:
    """Each metric with its interval, beside the baseline's."""
    dummies = document.baseline.metrics
    return [
        MetricRow(name, found.value, dummies.get(name), found.low, found.high)
        for name, found in ((name, document.metrics[name]) for name in _ordered(document.metrics))
    ]


def headlines(document: Evidence) -> list[MetricRow]:
    """The few of them that tell most, if they have a value."""
    rows = {row.name: row for row in beside_baseline(document) if row.value is not None}
    return [rows[name] for name in known_metrics.headlines(document.model.task) if name in rows]


def beside_champion(against: Comparison) -> list[MetricRow]:
    """Each metric beside the champion's, both on the rows that they share."""
    return [MetricRow(name, against.candidate.get(name), other) for name, other in against.champion.items()]


def label(metric: str) -> str:
    """A metric's name for people."""
    return BY_NAME[metric].label if metric in BY_NAME else metric


def _ordered(names: Iterable[str]) -> list[str]:
    """Metrics in the order in which they are shown; those that are not known come last."""
    return sorted(names, key=lambda name: list(BY_NAME).index(name) if name in BY_NAME else len(BY_NAME))
