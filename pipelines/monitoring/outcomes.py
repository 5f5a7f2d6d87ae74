"""Outcomes, which come later: joined to the answers, and what they tell of the version's metrics."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import columns, numerals
from pipelines.errors import PipelineError
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from pipelines.marks import PLAIN
from pipelines.monitoring.answers import labels_of
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import Period
from pipelines.sources import FIND, ReadOptions, Table, read
from registry.cli.text import listed
from registry.evidence.document import MetricValue
from registry.metrics import is_error
from registry.policy import MonitorRules
from serving.scorecard.inputs import NUMBER

_REQUEST, _ROW = "request_id", "row"
_RESAMPLES, _SEED = 500, 0


@dataclass(frozen=True)
class Outcomes:
    """A table of outcomes.

    Parameters
    ----------
    table : the columns ``key_0``, ``key_1``, ... of text, ``outcome`` as it was read, and ``outcome_row``; with times
        ``outcome_time``, in microseconds since 1970; and ``group_0``, ``group_1``, ...
    on : the columns that join it, by name.
    groups : the columns of groups that it has, by name.
    timed : whether it tells when an outcome came.
    """

    table: pa.Table
    on: tuple[str, ...]
    notes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    timed: bool = False


@dataclass(frozen=True)
class WindowMetrics:
    """The metrics of the rows of a window whose outcome is known.

    Parameters
    ----------
    metrics : by name, with 95 % intervals.
    promised, observed : of two classes, the mean probability of the positive one, and its share; else None.
    """

    window: int
    answers: Answers
    metrics: dict[str, MetricValue]
    promised: float | None
    observed: float | None


def fetch(
    source: str,
    on: Sequence[str],
    target: str,
    *,
    logged: bool,
    time: str | None = None,
    groups: Sequence[str] = (),
    query: str | None = None,
    options: ReadOptions = FIND,
    version: MonitoredVersion,
) -> Outcomes:
    """Read a table of outcomes.

    Parameters
    ----------
    on : the columns that join it to the data.
    target : the column that holds the truth.
    logged : whether it is joined to a prediction log.
    time : the column that tells when an outcome came.
    groups : columns that are kept if it has them.
    version : as its own training table the truth is read: with its words for a missing value, and its marks of numbers.

    Raises
    ------
    PipelineError
        if it lacks a column.
    """
    table = read(source, query=query, options=options)
    names = table.columns.column_names
    keys = (*on, _ROW) if logged and tuple(on) == (_REQUEST,) and _ROW in names else tuple(on)
    if missing := [name for name in (*keys, target, *([time] if time else [])) if name not in names]:
        raise PipelineError(f"--outcomes: no column {listed(missing)}; it has {listed(names)}")
    parts = {f"key_{place}": _key(table, name) for place, name in enumerate(keys)}
    parts["outcome"] = _truth(target, table, version)
    own = tuple(name for name in groups if name in names)
    for place, name in enumerate(own):
        parts[f"group_{place}"] = (
            columns.text(name, table.columns[name], table.cleaning).values.astype(object).to_numpy()
        )
    frame = pa.table({name: pa.array(values, from_pandas=True) for name, values in parts.items()}).to_pandas()
    if time:
        frame["outcome_time"] = _times(table.columns[time], time)
        # Of repeated outcomes the latest is the last.
        frame = frame.sort_values("outcome_time", kind="stable", na_position="first")
    known = frame.dropna(subset=[name for name in frame if str(name).startswith("key_")] + ["outcome"])
    told = [] if len(known) == len(frame) else [f"{len(frame) - len(known):,} outcomes have no value or no key yet"]
    last = known.drop_duplicates([f"key_{place}" for place in range(len(keys))], keep="last")
    if len(last) < len(known):
        told.append(f"{len(known) - len(last):,} outcomes are repeated: the last one counts")
    last = last.assign(outcome_row=np.arange(len(last)))
    return Outcomes(pa.Table.from_pandas(last, preserve_index=False), keys, tuple(told), own, time is not None)


def _times(values: pa.ChunkedArray, name: str) -> pd.Series:
    """Moments as microseconds since 1970, NaN where there is none."""
    if not pa.types.is_timestamp(values.type):
        values = values.cast(pa.string())
    moments = pd.to_datetime(pd.Series(values.to_pandas()), utc=True, errors="coerce", format="ISO8601")
    if not moments.notna().any():
        raise PipelineError(
            f"--outcome-time {name}: expected times such as 2026-11-30 or 2026-11-30T12:00:00Z, found none"
        )
    since = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(microseconds=1)
    return since.reset_index(drop=True)


def _truth(target: str, table: Table, version: MonitoredVersion) -> np.ndarray:
    """The outcomes as text: numbers with a decimal point, words as they are.

    The column's own marks of numbers count, else those of the model, unless a number there contradicts them.
    """
    read = table.written_as(version.inputs, version.cleaning)
    values = columns.text(target, table.columns[target], read.cleaning).values.astype(object)
    labels = version.classes and isinstance(version.classes[0], str)
    if labels or not columns.is_text(table.columns[target]):
        return values.to_numpy()
    own, marks = table.marks_of(target), read.marks_of(target)
    plain = {value: numerals.parse_one(value) for value in values.dropna().unique()}
    numbers = plain if marks == PLAIN else {value: numerals.parse_one(value, marks) for value in plain}
    if any(numbers[value] is None for value, number in plain.items() if number is not None):
        if own != PLAIN:
            raise PipelineError(
                f"--outcomes: column {target!r} has numbers with {own}, and others that are written otherwise; write "
                "them alike"
            )
        numbers = plain
    return values.map(
        {value: value if number is None else repr(number) for value, number in numbers.items()}
    ).to_numpy()


def _key(table: Table, name: str) -> np.ndarray:
    typed = columns.infer_key(name, table.columns[name], table.cleaning, table.marks_of(name))
    if typed.type == NUMBER:
        whole = typed.values.map(
            lambda value: None if value != value else f"{value:.0f}" if value == math.floor(value) else repr(value)
        )
        return whole.astype(object).to_numpy()
    return typed.values.astype(object).to_numpy()


def joined(
    live: LiveRows, period: Period, outcomes: Outcomes, names: Sequence[str], *, needed: bool = True
) -> tuple[pa.Table, list[str]]:
    """The answered rows that have an outcome, and what is to be told of the others.

    Parameters
    ----------
    names : the columns of the relation that are wanted beside.
    needed : whether it is an error that there is none.

    Raises
    ------
    PipelineError
        if the data lack a column to join by, or nothing fits.
    """
    places = [live.name_of(name) for name in outcomes.on]
    if None in places:
        lacking = [name for name, place in zip(outcomes.on, places, strict=True) if place is None]
        raise PipelineError(f"--on: the data have no column {listed(lacking)}; they have {listed(live.features)}")
    found = live.joined(period, outcomes.table, [place for place in places if place], names)
    notes = list(outcomes.notes)
    if live.is_log and outcomes.on == (_REQUEST,):
        # One outcome of a request with several rows tells of none of them.
        counts = found["outcome_row"].value_counts()
        several = pc.struct_field(counts.filter(pc.greater(pc.struct_field(counts, 1), 1)), 0)
        if len(several):
            notes.append(f"{len(several):,} requests have several rows: add a column `row` to the outcomes")
            found = found.filter(pc.invert(pc.is_in(found["outcome_row"], several)))
    matched = len(pc.unique(found["outcome_row"]))
    if matched < len(outcomes.table):
        notes.append(
            f"{len(outcomes.table) - matched:,} of {len(outcomes.table):,} outcomes are of no row of the period"
        )
    if needed and not len(found):
        raise PipelineError(
            f"--outcomes: no outcome is of a row of the data, joined on {listed(outcomes.on)}; check --on"
        )
    return found, notes


def with_truth(answers: Answers, outcome: pa.ChunkedArray, title: str) -> Answers:
    """Answers with their outcomes as the truth; raises PipelineError if one is nothing that the version predicts."""
    if answers.classes:
        truth = labels_of(outcome, answers.classes)
        if truth.dtype == object and any(value is None for value in truth.tolist()):
            raise PipelineError(
                f"--outcomes hold classes that {title} does not know; it knows {listed(answers.classes)}"
            )
    else:
        truth = np.array([_number(value) for value in outcome.to_pylist()])
        if len(truth) and np.isnan(truth).all():
            raise PipelineError(
                f"--outcomes hold text, and {title} predicts numbers; name the column by --target, or write them as "
                "numbers"
            )
    return Answers(truth, answers.predicted, answers.probabilities, answers.classes, answers.positive)


def _number(value: object) -> float:
    """An outcome as a number; NaN for a word, such as one for what is not known yet."""
    number = numerals.parse_one(str(value).strip())
    return math.nan if number is None else number


def measured(window: int, answers: Answers) -> WindowMetrics:
    """The metrics of a window with their intervals."""
    ends = metrics.intervals(answers, resamples=_RESAMPLES, seed=_SEED)
    values = {name: MetricValue(value, *(ends.get(name) or ())) for name, value in metrics.measure(answers).items()}
    promised = observed = None
    if answers.positive is not None and answers.probabilities is not None and len(answers.classes) == 2:
        likely = answers.probabilities[:, answers.classes.index(answers.positive)]
        if not np.isnan(likely).any():
            promised, observed = float(likely.mean()), float(np.mean(answers.target == answers.positive))
    return WindowMetrics(window, answers, values, promised, observed)


def measured_by(answers: Answers, metric: str) -> MetricValue:
    """One metric of some rows with its interval."""
    ends = metrics.intervals(answers, resamples=_RESAMPLES, seed=_SEED, names=[metric]).get(metric)
    return MetricValue(metrics.measure(answers)[metric], *(ends or ()))


def checks(
    window: str,
    live: WindowMetrics,
    held: Mapping[str, MetricValue],
    version: MonitoredVersion,
    rules: MonitorRules,
    metric: str,
) -> Iterator[WindowCheck]:
    """The checks of a window's metrics.

    Parameters
    ----------
    held : the metrics that they are compared with, with intervals: those of the held-out rows, or of the reference.
    metric : the one that versions are judged by.
    """
    enough = len(live.answers) >= rules.fewest
    before, now = held.get(metric), live.metrics.get(metric)
    if before and now and before.value is not None and now.value is not None:
        worse = now.value - before.value if is_error(metric) else before.value - now.value
        scale = before.value if is_error(metric) and before.value > 0 else 1.0
        yield WindowCheck(
            window=window,
            kind="metric",
            subject=metric,
            reference=before.value,
            live=now.value,
            effect=max(worse / scale, 0.0),
            least=rules.metric,
            probability=above(worse, math.hypot(standard_error(before), standard_error(now))),
            rows=len(live.answers),
            unit="share" if is_error(metric) else "points",
            enough=enough,
        )
    if live.promised is not None and live.observed is not None:
        assert live.answers.probabilities is not None
        likely = live.answers.probabilities[:, live.answers.classes.index(live.answers.positive)]
        spread = math.sqrt(float((likely * (1 - likely)).sum())) / len(likely)
        gap = abs(live.observed - live.promised)
        yield WindowCheck(
            window=window,
            kind="calibration",
            subject=f"probability of {version.document.model.called(version.document.model.positive)}",
            reference=live.promised,
            live=live.observed,
            effect=gap,
            least=rules.metric,
            probability=min(1.0, 2 * above(gap, spread)),
            rows=len(live.answers),
            unit="points",
            enough=enough,
        )


def standard_error(value: MetricValue) -> float:
    """The standard error of a metric, from its 95 % interval."""
    return 0.0 if value.low is None or value.high is None else (value.high - value.low) / (2 * 1.96)


def above(difference: float, error: float) -> float:
    """The probability of such a difference, or a larger one, if there is none."""
    from scipy.stats import norm

    if not error > 0:
        return float(difference <= 0)
    return float(norm.sf(difference / error))
