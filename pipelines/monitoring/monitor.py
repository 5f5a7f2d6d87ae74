"""Monitor a version: its live rows against a reference, window by window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError
from pipelines.formatting import percent
from pipelines.monitoring import challengers, checks, column_checks, expectations, live, outcomes, reference, version
from pipelines.monitoring.answers import AnswerComparison
from pipelines.monitoring.challengers import Challenger, FormerChampion
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.column_checks import ScoreShift
from pipelines.monitoring.counting import RowCounts, RowReader, usable_card
from pipelines.monitoring.counts import ColumnComparison
from pipelines.monitoring.expectations import AUTO, NONE
from pipelines.monitoring.known import KnownOutcomes, incomplete, join
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
from registry.policy import Policy
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
    outcome_time: str | None = None
    group: Sequence[str] = ()
    suite: str = AUTO


def compare(client: "MlflowClient", request: MonitorRequest) -> MonitorReport:
    """The report on a version's live rows; nothing is written.

    Raises
    ------
    PipelineError, RegistryError, ServingError
        if anything is refused.
    """
    together(request.outcomes, request.on, group=request.group, outcome_time=request.outcome_time)
    known = version.fetch(client, request.model)
    rules = policy.read(request.policy).for_model(known.name)
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
        return _Monitor(client, known, rules, rows, compared, request).report()


def together(
    outcomes: str | None, on: Sequence[str], *, group: Sequence[str] = (), outcome_time: str | None = None
) -> None:
    """Refuse outcomes without columns that join them, and what goes with outcomes alone.

    Raises
    ------
    PipelineError
        if one is there without the other.
    """
    if bool(outcomes) != bool(on):
        raise PipelineError("--outcomes and --on go together: --on request_id, or the columns that identify a row")
    if (group or outcome_time) and not outcomes:
        raise PipelineError("--group and --outcome-time go with --outcomes, the table of the truth")


class _Monitor:
    """One report in the making."""

    def __init__(
        self,
        client: "MlflowClient",
        version: MonitoredVersion,
        rules: Policy,
        rows: LiveRows,
        reference: Reference,
        request: MonitorRequest,
    ) -> None:
        self._client, self._version, self._request = client, version, request
        self._rules, self._gap = rules.monitor, rules.fairness.gap
        self._metric = rules.metric_of(version.document.model.task)
        self._rows, self._reference = rows, reference
        self._notes = list(rows.notes)
        self._facts: list[str] = []
        if unknown := sorted(self._rules.columns.keys() - {item.name for item in version.inputs}):
            self._notes.append(
                f"policy: monitor: columns: no column {listed(unknown)}; the model has "
                f"{listed([item.name for item in version.inputs])}"
            )
        # A log may leave columns out; a table that lacks one has no values of it.
        self._lacking = [] if rows.is_log else [item.name for item in version.inputs if not rows.name_of(item.name)]
        card = self._card()
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
        asked, rules, rows = self._request, self._rules, self._rows
        span = rows.span(asked.period)
        if rows.timed and span is None:
            raise PipelineError("no row is in that period; see --since and --until")
        self._reference.choose_bins(self._reader)
        numbers = rows.windows(asked.period)
        if not numbers:
            raise PipelineError("no row is in that period; see --since and --until")
        before = self._reference.counts(self._reader, numbers)
        counted = self._reader.count(rows, asked.period, reference=before)
        known = self._known() if asked.outcomes else None
        metrics = known.windows() if known else {}
        compared = self._compared(known, numbers) if known else {}
        windows = [
            self._window(number, counted[number], before[number], span, known, metrics.get(number))
            for number in numbers
        ]
        groups = known.groups() if known else []
        whole = " to ".join(dict.fromkeys((windows[0].name, windows[-1].name)))
        gaps = list(known.gaps(groups, window=whole, fewest=rules.fewest, gap=self._gap)) if known else []
        suite = self._suite(numbers[-1], windows[-1].name) if asked.suite != NONE else []
        lacking = [
            column_checks.lacking(window.name, name, self._version.document.profile[name], window.rows, rules)
            for name in self._lacking
            for window in windows
        ]

        def all_checks(alpha: float) -> list[WindowCheck]:
            return [
                *(check for window in windows for check in self._checks(window, compared, alpha)),
                *gaps,
                *suite,
                *lacking,
            ]

        tests = max(sum(check.tested for check in all_checks(rules.rate)), 1)
        judged = checks.judged(all_checks(rules.rate / tests), rules.rate)
        beside, former = self._others(span, known)
        return MonitorReport(
            model=self._version.name,
            version=self._version.version,
            task=self._version.document.model.task,
            source=rows.source,
            reference=self._reference.title,
            rules=rules,
            windows=tuple(windows),
            checks=tuple(judged),
            alerts=tuple(checks.persisting(judged, [window.name for window in windows], *rules.persistence)),
            held=known.held if known else {},
            metric=self._metric,
            groups=tuple(groups),
            challengers=tuple(beside),
            former=former,
            notes=(*self._notes, *self._reference.notes, *(known.notes if known else ()), *_incomplete(windows)),
            facts=(*self._facts, *self._reference.facts),
            log=rows.place if rows.is_log else None,
        )

    def _compared(self, known: KnownOutcomes, numbers: Sequence[int]) -> dict[int, Mapping[str, MetricValue]]:
        """The metric that each window's is compared with: that of the reference, if enough of its outcomes are known.

        Else it is that of the held-out rows.
        """
        metric = self._metric
        found: dict[int, Mapping[str, MetricValue]] = dict.fromkeys(numbers, known.held)
        answers = self._reference.answers(self._reader, known.table, numbers)
        for number, of_reference in answers.items():
            if len(of_reference) >= self._rules.fewest:
                found[number] = {metric: outcomes.measured_by(of_reference, metric)}
        few = sum(found[number] is known.held for number in answers)
        if few:
            self._notes.append(
                f"the {metric} of {few} of {len(numbers)} windows is compared with that of the held-out rows: fewer "
                f"than {self._rules.fewest:,} outcomes of {self._reference.title} are known"
            )
        return found

    def _checks(
        self, window: WindowReport, compared: Mapping[int, Mapping[str, MetricValue]], alpha: float
    ) -> Iterator[WindowCheck]:
        rules, moved = self._rules, _moved(window.shifts)
        for column in window.columns.values():
            yield from column_checks.checks(window.name, column, rules, moved=moved.get(column.name), alpha=alpha)
        if window.answers.live.rows:
            yield from window.answers.checks(window.name, rules, alpha)
        if window.outcomes is not None:
            before = compared[window.number]
            yield from outcomes.checks(window.name, window.outcomes, before, self._version, rules, self._metric)

    def _suite(self, number: int, window: str) -> list[WindowCheck]:
        found, note = expectations.checks(
            self._client,
            self._version,
            self._reader,
            self._rows,
            self._request.period,
            number=number,
            window=window,
            fewest=self._rules.fewest,
            asked=self._request.suite,
        )
        if note:
            (self._notes if any(check.effect for check in found) else self._facts).append(note)
        return found

    def _others(
        self, span: tuple[int, int] | None, known: KnownOutcomes | None
    ) -> tuple[list[Challenger], FormerChampion | None]:
        """The other versions in a log, beside this one."""
        rows, version = self._rows, self._version
        if not rows.is_log or not rows.prediction or span is None:
            return [], None
        columns, table = self._reader.answer_columns(rows), known.table if known else None
        found = list(challengers.challengers(version, rows, self._request.period, columns, table, self._metric))
        before = challengers.champion_before(version, rows, span, columns, table) if table else None
        return found, before

    def _card(self) -> Scorecard | None:
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
        card = usable_card(self._version, self._rows)
        if self._version.card and not card:
            self._notes.append("the score cannot be told without them, nor how a column moves it")
        return card

    def _known(self) -> KnownOutcomes:
        """The rows whose outcome is known."""
        asked, version = self._request, self._version
        assert asked.outcomes is not None
        table = outcomes.fetch(
            asked.outcomes,
            asked.on,
            asked.target or version.document.model.target,
            logged=self._rows.is_log,
            time=asked.outcome_time,
            groups=asked.group,
            version=version,
        )
        return join(version, self._reader, self._rows, asked.period, table, groups=asked.group, metric=self._metric)

    def _window(
        self,
        number: int,
        counted: RowCounts,
        before: RowCounts,
        span: tuple[int, int] | None,
        known: KnownOutcomes | None,
        metrics: WindowMetrics | None,
    ) -> WindowReport:
        period = self._request.period
        start = end = None
        if span is not None:
            start, end = period.start(number, span), period.end(number, span)
        bounded = Period(start, end) if period.window else period
        answers = AnswerComparison(self._version, before.answers, counted.answers)
        return WindowReport(
            number=number,
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
            ages=tuple(known.ages(number, counted.rows, end)) if known else (),
            service=self._rows.service(bounded) or {},
        )


def _incomplete(windows: Sequence[WindowReport]) -> list[str]:
    """What is to be told of windows whose outcomes are not all there yet."""
    shares = {window.name: window.known for window in windows if window.rows}
    few = incomplete(shares) if any(shares.values()) else []
    if not few:
        return []
    told = f"{listed(few[:3])}{f' and {len(few) - 3} more' if len(few) > 3 else ''}"
    return [
        f"fewer outcomes are known of {told} than of other windows ({percent(min(shares.values()))} of the rows, and "
        f"{percent(max(shares.values()))}): their metrics may change"
    ]


def _moved(shifts: Sequence[ScoreShift]) -> dict[str, float]:
    """How far each column moves the score at most, over all scores and all terms that it is part of."""
    found: dict[str, float] = {}
    for shift in shifts:
        for name in shift.inputs:
            found[name] = max(found.get(name, 0.0), shift.moved)
    return found
