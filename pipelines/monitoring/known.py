"""The rows of a report whose outcome is known: their metrics by window, by group, and by the age of the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import outcomes, statistics
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.counting import RowReader
from pipelines.monitoring.live import TIME, LiveRows
from pipelines.monitoring.outcomes import Outcomes, WindowMetrics, standard_error
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import Period
from registry.cli.text import listed
from registry.evidence.document import MetricValue
from registry.metrics import is_error

_DAY = 86_400 * 1_000_000
#: The ages of an outcome that are told: name -> microseconds after the answer.
AGES: Mapping[str, int] = {"1d": _DAY, "7d": 7 * _DAY, "30d": 30 * _DAY}
#: A window with a smaller share of the known outcomes of the most complete one is incomplete.
_COMPLETE = 0.8
_GROUP = "group_"


@dataclass(frozen=True)
class GroupMetric:
    """The metric of a group of rows.

    Parameters
    ----------
    rows : of the group whose outcome is known.
    value : the metric that versions are judged by, with its 95 % interval.
    """

    column: str
    group: str
    rows: int
    value: MetricValue


@dataclass(frozen=True)
class AgeMetric:
    """What was known of a window at some age of its outcomes.

    Parameters
    ----------
    age : ``1d``, ``7d``, ``30d``: so long after the answer at most the outcome came.
    reached : whether the whole window was that old when the last outcome of the table came.
    rows : whose outcome was known by then.
    share : of all rows of the window.
    value : the metric on these rows; None without any.
    """

    age: str
    reached: bool
    rows: int
    share: float
    value: MetricValue | None


class KnownOutcomes:
    """The answers of a report's rows whose outcome is known, row by row.

    Attributes
    ----------
    table : the outcomes as they were read.
    notes : what a person should know, a sentence each.
    held : the metrics on the held-out rows.
    """

    def __init__(
        self,
        version: MonitoredVersion,
        table: Outcomes,
        answers: Answers,
        joined: pa.Table,
        groups: Mapping[str, str],
        notes: Sequence[str],
        metric: str,
    ) -> None:
        self.table, self.notes = table, list(notes)
        self.held = outcomes.measured(0, version.answers).metrics
        self._answers, self._metric = answers, metric
        self._windows = joined["outcome_window"].to_numpy()
        self._groups = {
            column: metrics.group_names(_series(joined[place], column)).to_numpy() for column, place in groups.items()
        }
        self._delays: np.ndarray | None = None
        self._newest = None
        if table.timed:
            came = joined["outcome_time"].to_numpy().astype("float64")
            self._delays = came - joined[TIME].to_numpy().astype("float64")
            self._newest = float(np.nanmax(came)) if np.isfinite(came).any() else None
            if early := int((self._delays < 0).sum()):
                self.notes.append(f"{early:,} outcomes are older than their row")

    def windows(self) -> dict[int, WindowMetrics]:
        """The metrics of each window."""
        return {
            int(number): outcomes.measured(int(number), self._answers[self._windows == number])
            for number in np.unique(self._windows)
        }

    def groups(self) -> list[GroupMetric]:
        """The metric of each group over all windows, by column."""
        return [
            GroupMetric(column, name, int((names == name).sum()), self._value(self._answers[names == name]))
            for column, names in self._groups.items()
            for name in sorted(set(names.tolist()))
        ]

    def gaps(self, groups: Sequence[GroupMetric], *, window: str, fewest: int, gap: float) -> Iterator[WindowCheck]:
        """The check of the largest gap between two groups of each column.

        Its probability is that of the two groups, times the number of pairs that it was the largest of (Bonferroni).

        Parameters
        ----------
        window : what the windows are called together.
        fewest : rows of a group that is compared.
        gap : the largest that is allowed; of an error, as a share of the error on all rows.
        """
        whole = self._value(self._answers).value
        for column in self._groups:
            mine = [one for one in groups if one.column == column and one.value.value is not None]
            large = sorted((one for one in mine if one.rows >= fewest), key=lambda one: one.value.value or 0.0)
            worst, best = (large[-1:], large[:1]) if is_error(self._metric) else (large[:1], large[-1:])
            enough = len(large) > 1
            values = [one[0].value.value if enough else None for one in (best, worst)]
            size = abs((values[0] or 0.0) - (values[1] or 0.0))
            if is_error(self._metric) and whole:
                size /= whole
            yield WindowCheck(
                window=window,
                kind="gap",
                subject=f"{self._metric} by {column}",
                reference=values[0],
                live=values[1],
                effect=size,
                least=gap,
                probability=self._apart(best[0], worst[0], large) if enough else 1.0,
                rows=sum(one.rows for one in mine),
                unit="share" if is_error(self._metric) else "points",
                enough=enough,
                remark=f"{best[0].group} to {worst[0].group}" if enough else "",
            )

    def ages(self, window: int, rows: int, end: int | None) -> list[AgeMetric]:
        """What was known of a window by age; empty without times of the outcomes.

        Parameters
        ----------
        rows : all of the window.
        end : of the window, in microseconds since 1970.
        """
        if self._delays is None or self._newest is None or end is None:
            return []
        found = []
        for name, age in AGES.items():
            known = self._answers[(self._windows == window) & (self._delays <= age)]
            found.append(
                AgeMetric(
                    age=name,
                    reached=end + age <= self._newest,
                    rows=len(known),
                    share=len(known) / rows,
                    value=self._value(known) if len(known) else None,
                )
            )
        return found

    def _value(self, answers: Answers) -> MetricValue:
        return outcomes.measured_by(answers, self._metric)

    def _apart(self, best: GroupMetric, worst: GroupMetric, of: Sequence[GroupMetric]) -> float:
        pairs = len(list(combinations(of, 2)))
        if self._metric == "accuracy":
            names = self._groups[best.column]
            right = self._answers.target == self._answers.predicted
            hits = [(int(right[names == one.group].sum()), one.rows) for one in (best, worst)]
            return min(1.0, pairs * statistics.shares(hits[0], hits[1]))
        error = float(np.hypot(standard_error(best.value), standard_error(worst.value)))
        size = abs((best.value.value or 0.0) - (worst.value.value or 0.0))
        return min(1.0, pairs * 2 * outcomes.above(size, error))


def join(
    version: MonitoredVersion,
    reader: RowReader,
    rows: LiveRows,
    period: Period,
    table: Outcomes,
    *,
    groups: Sequence[str],
    metric: str,
) -> KnownOutcomes:
    """The rows of a period that have an answer and an outcome.

    Parameters
    ----------
    groups : columns of the data, or of the outcomes.

    Raises
    ------
    PipelineError
        if the answers are not known, no outcome is of a row, or a column is not there.
    """
    if table.timed and not rows.timed:
        raise PipelineError("--outcome-time needs the times of the rows: name their column by --time")
    places = {column: _place(column, rows, table) for column in groups}
    beside = [place for place in places.values() if not place.startswith(_GROUP)]
    found, answers, notes = _answered(version, reader, rows, period, table, beside)
    return KnownOutcomes(version, table, answers, found, places, notes, metric)


def of_reference(
    version: MonitoredVersion, reader: RowReader, rows: LiveRows, period: Period, table: Outcomes
) -> tuple[np.ndarray, Answers]:
    """The windows and the answers of those rows of a reference whose outcome is known; the scorecard answers them."""
    found, answers, _ = _answered(version, reader, rows, period, table, (), score=True, needed=False)
    return found["outcome_window"].to_numpy(), answers


def _answered(
    version: MonitoredVersion,
    reader: RowReader,
    rows: LiveRows,
    period: Period,
    table: Outcomes,
    beside: Sequence[str],
    *,
    score: bool = False,
    needed: bool = True,
) -> tuple[pa.Table, Answers, list[str]]:
    """The rows that have an answer and an outcome, their answers with the truth, and what is to be told of others."""
    logged = reader.is_answered(rows) and not (score and reader.card)
    if not logged and reader.card is None:
        raise PipelineError("--outcomes: the answers are not known: the data have no column `prediction`")
    wanted = list(dict.fromkeys([*reader.needed(rows, logged=logged), *beside]))
    found, notes = outcomes.joined(rows, period, table, wanted, needed=needed)
    given = reader.answered(rows, found, logged=logged)
    assert given is not None
    answers, answered = given
    found = found.filter(pa.array(answered))
    answers = outcomes.with_truth(answers, found["outcome"], version.title)
    if not version.classes and not (finite := np.isfinite(answers.target)).all():
        notes.append(f"{int((~finite).sum()):,} outcomes are no finite numbers, and are left out")
        found, answers = found.filter(pa.array(finite)), answers[finite]
    return found, answers, notes


def _place(column: str, rows: LiveRows, table: Outcomes) -> str:
    """What the joined table calls a column of groups."""
    if place := rows.name_of(column):
        return place
    if column in table.groups:
        return f"{_GROUP}{table.groups.index(column)}"
    raise PipelineError(
        f"--group: no column {column!r} in the data, which have {listed(rows.features)}, nor in the outcomes"
    )


def _series(values: pa.ChunkedArray, name: str) -> pd.Series:
    if pa.types.is_boolean(values.type) or not pa.types.is_primitive(values.type):
        return pd.Series(values.cast(pa.string()).to_pylist(), dtype="str", name=name)
    return pd.Series(values.cast(pa.float64()).to_numpy(), name=name)


def incomplete(known: Mapping[str, float]) -> list[str]:
    """The windows that have much fewer outcomes than the most complete one.

    Parameters
    ----------
    known : window -> the share of its rows whose outcome is known.
    """
    most = max(known.values(), default=0.0)
    return [name for name, share in known.items() if share < _COMPLETE * most]
