"""Monitor a version: its live rows against the evidence, window by window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import answers as live_answers
from pipelines.monitoring import checks, column_checks, counts, live, outcomes, reference
from pipelines.monitoring.answers import AnswerCounts
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.column_checks import ScoreShift
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.outcomes import WindowMetrics
from pipelines.monitoring.reference import Reference
from pipelines.monitoring.report import MonitorReport, WindowReport
from pipelines.monitoring.windows import ALL, Period
from pipelines.score_sums import ScoreSums, part_rows, terms_of
from pipelines.sources import FIND, ReadOptions
from registry import logs, policy
from registry.cli.text import listed
from registry.evidence.document import MetricValue
from registry.policy import MonitorRules
from serving.prediction_log.schema import PREDICTION, PROBABILITY
from serving.scorecard.contributions import Contributions

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: So many rows are read at a time where no scorecard says otherwise.
_ROWS = 100_000
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


def compare(client: "MlflowClient", request: MonitorRequest) -> MonitorReport:
    """The report on a version's live rows; nothing is written.

    Raises
    ------
    PipelineError, RegistryError, ServingError
        if anything is refused.
    """
    together(request.outcomes, request.on)
    known = reference.fetch(client, request.model)
    rules = policy.read(request.policy)
    metric = rules.for_model(known.name).metric_of(known.document.model.task)
    _log.info("monitoring %s version %s", known.name, known.version)
    with live.opened(
        request.data,
        model=known.name,
        version=known.version,
        period=request.period,
        memory=MEMORY,
        time=request.time,
        query=request.query,
        options=request.options,
    ) as rows:
        return _Monitor(known, rules.for_model(known.name).monitor, metric, rows, request).report()


def together(outcomes: str | None, on: Sequence[str]) -> None:
    """Refuse outcomes without columns that join them, and the other way round.

    Raises
    ------
    PipelineError
        if one is there without the other.
    """
    if bool(outcomes) != bool(on):
        raise PipelineError("--outcomes and --on go together: --on request_id, or the columns that identify a row")


class _Window:
    """What is counted of one window."""

    def __init__(self, known: Reference, names: Sequence[str], terms: Contributions | None) -> None:
        profile = known.document.profile
        self.rows = 0
        self.columns = {item.name: counts.of(item, profile[item.name]) for item in known.inputs if item.name in names}
        self.scores = ScoreSums(terms) if terms else None
        self.answers = AnswerCounts(known)


class _Monitor:
    """One report in the making."""

    def __init__(
        self, known: Reference, rules: MonitorRules, metric: str, rows: LiveRows, request: MonitorRequest
    ) -> None:
        self._known, self._rules, self._metric, self._rows, self._request = known, rules, metric, rows, request
        self._notes = list(rows.notes)
        self._names = {item.name: found for item in known.inputs if (found := rows.name_of(item.name))}
        self._card = known.card
        self._terms = terms_of(known.card)
        self._check_columns()
        # A log holds the answers that were given; of other rows the scorecard tells them.
        self._logged = rows.prediction and (rows.is_log or self._card is None)

    def report(self) -> MonitorReport:
        """Read the rows, compare, and judge."""
        period = self._request.period
        span = self._rows.span(period)
        if self._rows.timed and span is None:
            raise PipelineError("no row is in that period; see --since and --until")
        windows = self._counted(period)
        if not windows:
            raise PipelineError("no row is in that period; see --since and --until")
        numbers = sorted(windows)
        names = {number: period.name(number, span) for number in numbers}
        judged_metrics, held = self._metrics(period) if self._request.outcomes else ({}, {})
        shifts = {
            number: column_checks.shifts(self._known.scores, scores.profiles())
            if (scores := windows[number].scores)
            else []
            for number in numbers
        }

        def all_checks(alpha: float) -> list[WindowCheck]:
            found: list[WindowCheck] = []
            for number in numbers:
                window = windows[number]
                moved = _moved(shifts[number])
                for column in window.columns.values():
                    found += column_checks.checks(
                        names[number], column, self._rules, moved=moved.get(column.name), alpha=alpha
                    )
                if window.answers.rows:
                    found += window.answers.checks(names[number], self._known, self._rules, alpha)
                if number in judged_metrics:
                    found += outcomes.checks(
                        names[number], judged_metrics[number], held, self._known, self._rules, self._metric
                    )
            return found

        rate = self._rules.rate
        tests = max(sum(check.enough for check in all_checks(rate)), 1)
        judged = checks.judged(all_checks(rate / tests), rate)
        alerts = checks.persisting(judged, list(names.values()), *self._rules.persistence)
        return MonitorReport(
            model=self._known.name,
            version=self._known.version,
            task=self._known.document.model.task,
            source=self._rows.source,
            rules=self._rules,
            scores=self._known.scores,
            windows=tuple(
                self._window(number, windows[number], names[number], shifts[number], span, judged_metrics)
                for number in numbers
            ),
            checks=tuple(judged),
            alerts=tuple(alerts),
            held=held,
            metric=self._metric,
            notes=tuple(self._notes),
        )

    def _counted(self, period: Period) -> dict[int, _Window]:
        """Read all rows once, and count them by window."""
        wanted = [*self._names.values(), *(self._answer_columns() if self._logged else ())]
        rows = part_rows(self._terms) if self._terms else _ROWS
        windows: dict[int, _Window] = {}
        raw = {name: column for column, name in self._names.items()}
        for number, batch in self._rows.batches(period, list(dict.fromkeys(wanted)), rows):
            if number not in windows:
                windows[number] = _Window(self._known, list(self._names), self._terms)
            window = windows[number]
            window.rows += len(batch)
            table = batch.select(list(self._names.values())).rename_columns([raw[n] for n in self._names.values()])
            table = _encoded(table.combine_chunks())
            for name, column in window.columns.items():
                column.add(table[name], self._known.cleaning)
            with np.errstate(all="ignore"):
                if window.scores:
                    window.scores.add(table)
                if (found := self._answered(batch, table)) is not None:
                    window.answers.add(*found)
        return windows

    def _answered(self, batch: pa.Table, table: pa.Table) -> tuple[Answers, np.ndarray] | None:
        """The answers to some rows, and which rows have one; None if they are not known."""
        if self._logged:
            return live_answers.logged(self._known, batch)
        return live_answers.scored(self._known, self._card, table) if self._card else None

    def _answer_columns(self) -> list[str]:
        likely = [f"{PROBABILITY}{label}" for label in self._known.classes if str(label) in self._rows.labels]
        return [PREDICTION, *likely]

    def _check_columns(self) -> None:
        """Note the columns that the data lack, and whether the score can be told without them."""
        missing = [item.name for item in self._known.inputs if item.name not in self._names]
        if len(missing) == len(self._known.inputs) and missing:
            raise PipelineError(
                f"the data have no column of {self._known.name} version {self._known.version}, which takes "
                f"{listed(missing)}; they have {listed(self._rows.features)}"
            )
        if missing:
            self._notes.append(f"columns that the data lack: {listed(missing)}")
        needed = [] if self._card is None else [name for name in missing if name not in self._card.optional]
        if needed:
            self._card = self._terms = None
            self._notes.append("the score cannot be told without them, nor how a column moves it")
        if self._terms and not self._known.scores:
            self._terms = None
            self._notes.append(
                "the evidence of this version is of an earlier release: how far a column moves the score is not known, "
                "and an alert does not ask for it; train the version anew"
            )

    def _metrics(self, period: Period) -> tuple[dict[int, WindowMetrics], dict[str, MetricValue]]:
        """The metrics by window of the rows whose outcome is known, and those of the held-out rows."""
        asked, known = self._request, self._known
        assert asked.outcomes is not None
        target = asked.target or known.document.model.target
        found = outcomes.fetch(asked.outcomes, asked.on, target, logged=self._rows.is_log)
        wanted = self._answer_columns() if self._logged else list(self._names.values())
        if not self._logged and self._card is None:
            raise PipelineError("--outcomes: the answers are not known: the data have no column `prediction`")
        table, notes = outcomes.joined(self._rows, period, found, wanted)
        self._notes += notes
        raw = {name: column for column, name in self._names.items()}
        columns = table.select(wanted).rename_columns([raw.get(name, name) for name in wanted])
        given = self._answered(columns if self._logged else table, columns)
        assert given is not None
        answers, answered = given
        table = table.filter(pa.array(answered))
        title = f"{known.name} version {known.version}"
        answers = outcomes.with_truth(answers, table["outcome"], title)
        windows = table["outcome_window"].to_numpy()
        by_window = {int(n): outcomes.measured(int(n), answers[windows == n]) for n in np.unique(windows)}
        return by_window, outcomes.measured(0, known.answers).metrics

    def _window(
        self,
        number: int,
        window: _Window,
        name: str,
        shifts: Sequence[ScoreShift],
        span: tuple[int, int] | None,
        judged_metrics: Mapping[int, WindowMetrics],
    ) -> WindowReport:
        period, metrics = self._request.period, judged_metrics.get(number)
        start = end = None
        if span is not None:
            start, end = period.start(number, span), period.end(number, span)
        bounded = Period(start, end) if period.window else period
        return WindowReport(
            name=name,
            start=start,
            end=end,
            rows=window.rows,
            refused=window.answers.refused if window.answers.rows else 0,
            columns=window.columns,
            scores=window.scores.profiles() if window.scores else [],
            shifts=tuple(shifts),
            answers=window.answers,
            near=window.answers.near,
            expected=window.answers.expected(self._known) if window.answers.rows else None,
            outcomes=metrics,
            service=self._rows.service(bounded) or {},
        )


def _encoded(table: pa.Table) -> pa.Table:
    """A table with each text once, which is looked at several times."""
    for place, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            table = table.set_column(place, table.column_names[place], column.dictionary_encode())
    return table


def _moved(shifts: Sequence[ScoreShift]) -> dict[str, float]:
    """How far each column moves the score at most, over all scores and all terms that it is part of."""
    found: dict[str, float] = {}
    for shift in shifts:
        for name in shift.inputs:
            found[name] = max(found.get(name, 0.0), shift.moved)
    return found
