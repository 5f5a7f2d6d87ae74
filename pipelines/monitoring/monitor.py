"""Monitor a version: its live rows against a reference, window by window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.monitoring import checks, column_checks, live, outcomes, reference, version
from pipelines.monitoring.answers import AnswerComparison
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.column_checks import ScoreShift
from pipelines.monitoring.counting import RowCounts, RowReader
from pipelines.monitoring.counts import ColumnComparison
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.outcomes import WindowMetrics
from pipelines.monitoring.reference import TRAINING, Reference
from pipelines.monitoring.report import MonitorReport, WindowReport
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import ALL, Period
from pipelines.score_sums import terms_of
from pipelines.sources import FIND, ReadOptions
from registry import logs, policy
from registry.cli.text import listed
from registry.evidence.document import MetricValue
from registry.policy import MonitorRules
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: The memory that DuckDB may use, in bytes.
MEMORY = 512 << 20


@dataclass(frozen=True)
class MonitorRequest:
    """The settings of a report; see ``python -m pipelines monitor --help``."""

    model: str
    data: str
    period: Period = ALL
    query: str | None = None
    options: ReadOptions = FIND
    time: str | None = None
    outcomes: str | None = None
    on: Sequence[str] = ()
    target: str | None = None
    policy: str | None = None
    reference: str = TRAINING


def compare(client: "MlflowClient", request: MonitorRequest) -> MonitorReport:
    """The report on a version's live rows; nothing is written.

    Raises
    ------
    PipelineError, RegistryError, ServingError
        if anything is refused.
    """
    if bool(request.outcomes) != bool(request.on):
        raise PipelineError("--outcomes and --on go together: --on request_id, or the columns that identify a row")
    known = version.fetch(client, request.model)
    rules = policy.read(request.policy).for_model(known.name)
    metric = rules.metric_of(known.document.model.task)
    _log.info("monitoring %s", known.title)
    with (
        live.opened(
            request.data,
            model=known.name,
            version=known.version,
            period=request.period,
            memory=MEMORY,
            time=request.time,
            query=request.query,
            options=request.options,
        ) as rows,
        reference.opened(request.reference, known, rows, request.period, memory=MEMORY) as compared,
    ):
        return _Monitor(known, rules.monitor, metric, rows, compared, request).report()


class _Monitor:
    """One report in the making."""

    def __init__(
        self,
        version: MonitoredVersion,
        rules: MonitorRules,
        metric: str,
        rows: LiveRows,
        reference: Reference,
        request: MonitorRequest,
    ) -> None:
        self._version, self._rules, self._metric, self._request = version, rules, metric, request
        self._rows, self._reference = rows, reference
        self._notes = list(rows.notes)
        card = self._card(version.card)
        terms = terms_of(card)
        if terms and request.reference == TRAINING and not version.scores:
            terms = None
            self._notes.append(
                "the evidence of this version is of an earlier release: how far a column moves the score is not known, "
                "and an alert does not ask for it; train the version anew"
            )
        names = [item.name for item in version.inputs if rows.name_of(item.name)]
        self._reader = RowReader(version, names, card, terms)

    def report(self) -> MonitorReport:
        """Read the rows, compare, and judge."""
        period, rules = self._request.period, self._rules
        span = self._rows.span(period)
        if self._rows.timed and span is None:
            raise PipelineError("no row is in that period; see --since and --until")
        self._reference.choose_bins(self._reader)
        counted = self._reader.count(self._rows, period)
        if not counted:
            raise PipelineError("no row is in that period; see --since and --until")
        numbers = sorted(counted)
        before = self._reference.counts(self._reader, numbers)
        metrics, held = self._metrics() if self._request.outcomes else ({}, {})
        windows = [
            self._window(number, counted[number], before[number], span, metrics.get(number)) for number in numbers
        ]

        def all_checks(alpha: float) -> list[WindowCheck]:
            return [check for window in windows for check in self._checks(window, held, alpha)]

        tests = max(sum(check.enough for check in all_checks(rules.rate)), 1)
        judged = checks.judged(all_checks(rules.rate / tests), rules.rate)
        return MonitorReport(
            model=self._version.name,
            version=self._version.version,
            task=self._version.document.model.task,
            source=self._rows.source,
            reference=self._reference.title,
            rules=rules,
            windows=tuple(windows),
            checks=tuple(judged),
            alerts=tuple(checks.persisting(judged, [window.name for window in windows], *rules.persistence)),
            held=held,
            metric=self._metric,
            notes=(*self._notes, *self._reference.notes),
        )

    def _checks(self, window: WindowReport, held: Mapping[str, MetricValue], alpha: float) -> Iterator[WindowCheck]:
        moved = _moved(window.shifts)
        for column in window.columns.values():
            yield from column_checks.checks(window.name, column, self._rules, moved=moved.get(column.name), alpha=alpha)
        if window.answers.live.rows:
            yield from window.answers.checks(window.name, self._rules, alpha)
        if window.outcomes is not None:
            yield from outcomes.checks(window.name, window.outcomes, held, self._version, self._rules, self._metric)

    def _card(self, card: Scorecard | None) -> Scorecard | None:
        """The scorecard, if the data have the columns that it needs; notes what they lack."""
        inputs = [item.name for item in self._version.inputs]
        missing = [name for name in inputs if not self._rows.name_of(name)]
        if len(missing) == len(inputs) and missing:
            raise PipelineError(
                f"the data have no column of {self._version.title}, which takes {listed(missing)}; "
                f"they have {listed(self._rows.features)}"
            )
        if missing:
            self._notes.append(f"columns that the data lack: {listed(missing)}")
        if card is None or all(name in card.optional for name in missing):
            return card
        self._notes.append("the score cannot be told without them, nor how a column moves it")
        return None

    def _metrics(self) -> tuple[dict[int, WindowMetrics], dict[str, MetricValue]]:
        """The metrics by window of the rows whose outcome is known, and those of the held-out rows."""
        asked, version = self._request, self._version
        assert asked.outcomes is not None
        target = asked.target or version.document.model.target
        found = outcomes.fetch(asked.outcomes, asked.on, target, logged=self._rows.is_log)
        logged = self._reader.is_answered(self._rows)
        if not logged and self._reader.card is None:
            raise PipelineError("--outcomes: the answers are not known: the data have no column `prediction`")
        table, notes = outcomes.joined(self._rows, asked.period, found, self._reader.needed(self._rows, logged=logged))
        self._notes += notes
        given = self._reader.answered(self._rows, table, logged=logged)
        assert given is not None
        answers, answered = given
        table = table.filter(pa.array(answered))
        answers = outcomes.with_truth(answers, table["outcome"], version.title)
        windows = table["outcome_window"].to_numpy()
        by_window = {int(n): outcomes.measured(int(n), answers[windows == n]) for n in np.unique(windows)}
        return by_window, outcomes.measured(0, version.answers).metrics

    def _window(
        self,
        number: int,
        counted: RowCounts,
        before: RowCounts,
        span: tuple[int, int] | None,
        metrics: WindowMetrics | None,
    ) -> WindowReport:
        period = self._request.period
        start = end = None
        if span is not None:
            start, end = period.start(number, span), period.end(number, span)
        bounded = Period(start, end) if period.window else period
        answers = AnswerComparison(self._version, before.answers, counted.answers)
        return WindowReport(
            name=period.name(number, span),
            start=start,
            end=end,
            rows=counted.rows,
            refused=counted.answers.refused,
            columns={name: ColumnComparison(before.columns[name], column) for name, column in counted.columns.items()},
            scores=counted.scores,
            before=before.scores if counted.scores else [],
            shifts=tuple(column_checks.shifts(before.scores, counted.scores)),
            answers=answers,
            near=counted.answers.near,
            expected=answers.expected(),
            outcomes=metrics,
            service=self._rows.service(bounded) or {},
        )


def _moved(shifts: Sequence[ScoreShift]) -> dict[str, float]:
    """How far each column moves the score at most, over all scores and all terms that it is part of."""
    found: dict[str, float] = {}
    for shift in shifts:
        for name in shift.inputs:
            found[name] = max(found.get(name, 0.0), shift.moved)
    return found
