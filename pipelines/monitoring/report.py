"""A monitoring report as data: windows, checks and alerts; and what of it goes to JSON and to MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipelines.monitoring.answers import AnswerComparison, Expected
from pipelines.monitoring.challengers import Challenger, FormerChampion
from pipelines.monitoring.checks import ALERT, HARMLESS, SMALL, TOO_FEW, Alert, WindowCheck, by_comparison
from pipelines.monitoring.column_checks import ScoreShift
from pipelines.monitoring.counts import ColumnComparison, NumberCounts
from pipelines.monitoring.known import AgeMetric, GroupMetric
from pipelines.monitoring.outcomes import WindowMetrics
from pipelines.monitoring.windows import moment
from registry.evidence.document import MetricValue, ScoreProfile
from registry.policy import MonitorRules


@dataclass(frozen=True)
class WindowReport:
    """What was found in one window.

    Parameters
    ----------
    number : of the window; it goes on from report to report.
    start, end : in microseconds since 1970; None without times.
    refused : how many rows have no answer.
    scores, before : of the live rows, and of those of the reference; empty if the score is no sum of terms.
    shifts : how far each input moved the score, the strongest first.
    near : the share of rows whose probability is near the decision threshold.
    expected : the expected accuracy; None if it is not known.
    outcomes : the metrics of the rows whose outcome is known; None without any.
    ages : what was known of the window by the age of its outcomes; empty without their times.
    service : of a log: requests, refused and failed ones, latencies in milliseconds.
    """

    number: int
    name: str
    start: int | None
    end: int | None
    rows: int
    refused: int
    columns: Mapping[str, ColumnComparison]
    scores: list[ScoreProfile]
    before: list[ScoreProfile]
    shifts: tuple[ScoreShift, ...]
    answers: AnswerComparison
    near: float | None
    expected: Expected | None
    outcomes: WindowMetrics | None
    ages: tuple[AgeMetric, ...]
    service: Mapping[str, float]

    @property
    def known(self) -> float:
        """The share of the rows whose outcome is known."""
        return len(self.outcomes.answers) / self.rows if self.outcomes else 0.0

    @property
    def scale(self) -> float:
        """The size of the scores, beside which a share of one is zero but for rounding."""
        return max((abs(one.mean) + one.std for one in (*self.scores, *self.before)), default=0.0)


@dataclass(frozen=True)
class MonitorReport:
    """The report on a version.

    Parameters
    ----------
    reference : what windows are compared with, in words.
    checks : all, with their verdicts.
    alerts : those checks that alert in enough windows.
    held : the metrics on the held-out rows; empty without outcomes.
    metric : the one that versions are judged by.
    groups : the metric of each group of the rows whose outcome is known.
    challengers : the versions that answered the same rows of a log.
    former : the champion before, on its own rows; None if the log has none, and without outcomes.
    notes : what a person should look at, a sentence each.
    facts : what is as it should be, or what was done; a sentence each.
    log : the prediction log that the rows are of, by a name that is the same wherever a command runs; None for tables.
    """

    model: str
    version: str
    task: str
    source: str
    reference: str
    rules: MonitorRules
    windows: tuple[WindowReport, ...]
    checks: tuple[WindowCheck, ...]
    alerts: tuple[WindowCheck, ...]
    held: Mapping[str, MetricValue]
    metric: str
    groups: tuple[GroupMetric, ...]
    challengers: tuple[Challenger, ...]
    former: FormerChampion | None
    notes: tuple[str, ...]
    facts: tuple[str, ...] = ()
    log: str | None = None

    @property
    def rows(self) -> int:
        """The rows of all windows."""
        return sum(window.rows for window in self.windows)

    @property
    def undecided(self) -> bool:
        """Whether there were too few rows for any check."""
        return not self.alerts and all(check.verdict == TOO_FEW for check in self.checks)

    @property
    def alerting(self) -> list[Alert]:
        """The alerts by what they are of; see :func:`pipelines.monitoring.checks.by_comparison`."""
        return by_comparison(self.alerts, self.windows[-1].name)

    @property
    def verdict(self) -> str:
        """In one sentence."""
        if self.alerts:
            many, windows = len(self.alerting), len({check.window for check in self.alerts})
            several = f" in {windows} of {len(self.windows)} windows" if len(self.windows) > 1 else ""
            return f"{many} alert{'s' if many > 1 else ''}{several}"
        if self.undecided and not any(column.reference.rows for one in self.windows for column in one.columns.values()):
            return f"nothing to compare with: {self.reference} has no rows"
        if self.undecided:
            return f"not enough rows to tell: {self.rows:,}, {self.rules.fewest:,} a window are needed"
        told = []
        if few := len({check.window for check in self.checks if check.verdict == TOO_FEW}):
            told.append(f"not enough rows in {few} of {len(self.windows)} windows for some of the columns")
        quiet = sum(check.verdict in (SMALL, HARMLESS) for check in self.checks)
        told += [f"{_changes(quiet)} certain, but too small to matter or harmless"] if quiet else []
        waiting = sum(check.verdict == ALERT for check in self.checks)
        told += [f"{_changes(waiting)} not yet in {self.rules.windows} windows"] if waiting else []
        return "no alert" + (f" ({'; '.join(told)})" if told else "")

    def plain(self) -> dict[str, Any]:
        """All of it that JSON holds."""
        return {
            "model": self.model,
            "version": self.version,
            "source": self.source,
            "reference": self.reference,
            "rows": self.rows,
            "verdict": self.verdict,
            "false_alarm_rate": self.rules.rate,
            "alerts": [msgspec.to_builtins(check) for check in self.alerts],
            "windows": [self._plain(window) for window in self.windows],
            "groups": [msgspec.to_builtins(one) for one in self.groups],
            "gaps": [msgspec.to_builtins(check) for check in self.checks if check.kind == "gap"],
            "challengers": [msgspec.to_builtins(one) for one in self.challengers],
            "former_champion": None if self.former is None else _plain_champion(self.former),
            "notes": [*self.notes, *self.facts],
        }

    def _plain(self, window: WindowReport) -> dict[str, Any]:
        return {
            "window": window.name,
            "since": None if window.start is None else _iso(window.start),
            "until": None if window.end is None else _iso(window.end),
            "rows": window.rows,
            "refused": window.refused,
            "checks": [msgspec.to_builtins(check) for check in self.checks if check.window == window.name],
            "scores": [
                {"label": None if one.label is None else str(one.label), "scale": one.scale, "mean": one.mean,
                 "std": one.std, "reference_mean": old.mean, "reference_std": old.std}
                for one, old in zip(window.scores, window.before, strict=False)
            ],
            "shifts": [
                {"label": one.label, "inputs": list(one.inputs), "reference": one.reference, "live": one.live,
                 "shift": one.shift, "moved": one.moved}
                for one in window.shifts
            ],
            "near_threshold": window.near,
            "expected_accuracy": None if window.expected is None else msgspec.to_builtins(window.expected),
            "outcomes": None
            if window.outcomes is None
            else {
                "rows": len(window.outcomes.answers),
                "share": window.known,
                "metrics": msgspec.to_builtins(window.outcomes.metrics),
                "held_out": msgspec.to_builtins(dict(self.held)),
                "ages": [msgspec.to_builtins(one) for one in window.ages],
            },
            "service": dict(window.service),
        }  # fmt: skip

    def metrics(self, window: WindowReport) -> dict[str, float]:
        """The numbers of a window by what MLflow calls them, before names are made fit for it."""
        found: dict[str, float] = {"rows": window.rows, "refused": window.refused}
        mine = [check for check in self.checks if check.window == window.name]
        found["alerts"] = sum(check.window == window.name for check in self.alerts)
        for check in mine:
            if not check.enough:
                continue
            if check.kind == "distribution":
                found[f"psi/{check.subject}"] = check.effect
            elif check.live is not None and check.kind in ("missing", "outside", "unknown", "unreadable"):
                found[f"{check.kind}/{check.subject}"] = check.live
        for name, column in window.columns.items():
            if isinstance(column.live, NumberCounts) and column.live.mean is not None:
                found[f"mean/{name}"] = column.live.mean
        for score in window.scores:
            found[_of("score/mean", score.label)] = score.mean
            found[_of("score/std", score.label)] = score.std
        for shift in window.shifts:
            found[_of(f"shift/{' and '.join(shift.inputs)}", shift.label)] = shift.shift
        if window.near is not None:
            found["near_threshold"] = window.near
        if window.expected is not None:
            found["expected_accuracy"] = window.expected.value
            found["expected_accuracy_low"], found["expected_accuracy_high"] = window.expected.low, window.expected.high
        if window.outcomes is not None:
            found["outcomes"], found["outcomes_share"] = len(window.outcomes.answers), window.known
            for name, value in window.outcomes.metrics.items():
                if value.value is not None:
                    found[f"live/{name}"] = value.value
            for age in window.ages:
                if age.reached and age.value is not None and age.value.value is not None:
                    found[f"within_{age.age}/share"] = age.share
                    found[f"within_{age.age}/{self.metric}"] = age.value.value
        if window is self.windows[-1]:
            found |= self._of_all()
        return {**found, **{f"service/{name}": value for name, value in window.service.items()}}

    def _of_all(self) -> dict[str, float]:
        """The numbers of all windows together: of groups, and of other versions in the log."""
        found = {
            f"group/{self.metric} of {group.column} {group.group}": group.value.value
            for group in self.groups
            if group.value.value is not None
        }
        for one in self.challengers:
            place = f"version_{one.version}"
            values = {"rows": one.rows, "disagree": one.disagree, "distance": one.distance}
            if one.outcomes is not None:
                values |= {f"{self.metric}_difference": one.outcomes.difference, "by_chance": one.outcomes.probability}
            found |= {f"{place}/{name}": value for name, value in values.items() if value is not None}
        return found


def _plain_champion(one: FormerChampion) -> dict[str, Any]:
    return {**msgspec.to_builtins(one), "first": _iso(one.first), "last": _iso(one.last)}


def _iso(micros: int) -> str:
    return moment(micros).isoformat()


def _changes(count: int) -> str:
    return "1 change is" if count == 1 else f"{count:,} changes are"


def _of(name: str, label: object) -> str:
    return name if label is None else f"{name}/{label}"
