"""Other versions in a log beside the monitored one: those that answered the same rows, and the champion before."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import answers as live_answers
from pipelines.monitoring import outcomes
from pipelines.monitoring.live import OTHER, LiveRows
from pipelines.monitoring.outcomes import Outcomes
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import Period
from registry.evidence.document import MetricValue
from registry.gates import paired
from registry.metrics import CodedAnswers
from serving.prediction_log.schema import PREDICTION, SHADOW

#: At most so many versions are compared.
_MOST = 3
_ROWS = 100_000
_LEVEL = 0.95


@dataclass(frozen=True)
class PairedMetric:
    """The metric of two versions on the rows whose outcome is known, and how certain the difference is.

    Parameters
    ----------
    here, other : of the monitored version, and of the other one.
    difference, low, high : the other's above this one's, with a 95 % interval by the paired bootstrap.
    test, probability : how probable a difference of this size is by chance, and the test that says so.
    """

    metric: str
    rows: int
    here: float
    other: float
    difference: float
    low: float
    high: float
    test: str
    probability: float


@dataclass(frozen=True)
class Challenger:
    """A version that answered the same rows.

    Parameters
    ----------
    role : ``shadow``, or what it was else.
    rows : that both answered.
    disagree : the share of them with another label; None of a regression.
    difference, distance : of a regression, the mean of the other's answer less this one's, and of its absolute value.
    spread : the standard deviation of this version's answers.
    outcomes : None without outcomes.
    """

    version: str
    role: str
    rows: int
    disagree: float | None
    difference: float | None
    distance: float | None
    spread: float | None
    outcomes: PairedMetric | None = None


@dataclass(frozen=True)
class FormerChampion:
    """The version that was champion before, on its own last rows whose outcome is known.

    Parameters
    ----------
    first, last : the times of these rows at most, in microseconds since 1970.
    metrics : by name, with 95 % intervals.
    """

    version: str
    first: int
    last: int
    rows: int
    metrics: dict[str, MetricValue]


def challengers(
    version: MonitoredVersion,
    rows: LiveRows,
    period: Period,
    columns: list[str],
    known: Outcomes | None,
    metric: str,
) -> Iterator[Challenger]:
    """The versions that answered the same rows of a log in a period; one of the two did so in the shadow.

    Parameters
    ----------
    columns : of the answers.
    known : the outcomes; None without.
    metric : the one that versions are judged by.
    """
    there = rows.versions(version.name, period)
    ours = next((one for one in there if one.version == version.version), None)
    others = [one for one in there if one.version != version.version and one.rows]
    for other in [one for one in others if one.shadow or (ours and ours.shadow)][:_MOST]:
        pairs = rows.beside(version.name, other.version, columns, period)
        found = _answered_alike(version, pairs, period, columns)
        if found is None:
            continue
        role = SHADOW if other.shadow else "champion" if other.champion else "challenger"
        measured = _measured(version, pairs, period, columns, known, metric) if known else None
        yield Challenger(other.version, role, *found, measured)


def _both(version: MonitoredVersion, table: pa.Table, columns: list[str]) -> tuple[Answers, Answers, np.ndarray]:
    """What both answered to the rows that both have answers to, and which rows these are."""
    theirs = table.select([OTHER + name for name in columns]).rename_columns(columns)
    (here, mine), (there, its) = (live_answers.logged(version, one) for one in (table.select(columns), theirs))
    both = mine & its
    return here[both[mine]], there[both[its]], both


def _answered_alike(
    version: MonitoredVersion, pairs: LiveRows, period: Period, columns: list[str]
) -> tuple[int, float | None, float | None, float | None, float | None] | None:
    count, different = 0, 0
    sums = np.zeros(4)
    for _, batch in pairs.batches(period, [*columns, *(OTHER + name for name in columns)], _ROWS):
        if version.classes:
            labels = [batch[name].cast(pa.string()) for name in (PREDICTION, OTHER + PREDICTION)]
            answered = pc.and_(*map(pc.is_valid, labels))
            ours, tours = (live_answers.labels_of(column.filter(answered), version.classes) for column in labels)
            # A label that the version does not know is another one.
            count, different = count + len(ours), different + int((ours != tours).sum())
        else:
            here, there, _ = _both(version, batch, columns)
            count += len(here)
            away, centred = there.predicted - here.predicted, here.predicted - version.answers.predicted.mean()
            sums += [away.sum(), np.abs(away).sum(), centred.sum(), np.dot(centred, centred)]
    if not count:
        return None
    if version.classes:
        return count, different / count, None, None, None
    difference, distance, mean, square = (sums / count).tolist()
    return count, None, difference, distance, math.sqrt(max(square - mean**2, 0.0))


def _measured(
    version: MonitoredVersion, pairs: LiveRows, period: Period, columns: list[str], known: Outcomes, metric: str
) -> PairedMetric | None:
    table, _ = outcomes.joined(pairs, period, known, [*columns, *(OTHER + name for name in columns)], needed=False)
    if not len(table):
        return None
    here, there, both = _both(version, table, columns)
    truth = table["outcome"].filter(pa.array(both))
    if not len(truth):
        return None
    ours, theirs = (outcomes.with_truth(one, truth, version.title).coded() for one in (here, there))
    found = paired.difference(paired.Shared(theirs, ours, 0), metric, level=_LEVEL)
    if math.isnan(found.value) or math.isnan(found.low):
        return None
    test, probability = tested(ours, theirs, metric, found)
    return PairedMetric(
        metric=metric,
        rows=len(ours),
        here=found.champion,
        other=found.champion + found.value,
        difference=found.value,
        low=found.low,
        high=found.high,
        test=test,
        probability=probability,
    )


def tested(ours: CodedAnswers, theirs: CodedAnswers, metric: str, found: paired.Difference) -> tuple[str, float]:
    """How probable such a difference is if both are equally good: the test, and its two-sided probability.

    McNemar's exact test (1947) of the rows that one of the two has right; Student's paired test of the losses; of a
    metric that is no mean over rows, the normal distribution with the bootstrap's standard error.
    """
    from scipy.stats import binomtest, norm, ttest_rel

    if metric == "accuracy":
        right, other = ours.truth == ours.predicted, theirs.truth == theirs.predicted
        gained, lost = int((other & ~right).sum()), int((right & ~other).sum())
        return "McNemar", float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    before, after = _losses(ours, metric), _losses(theirs, metric)
    if before is not None and after is not None:
        same = np.array_equal(before, after)
        return "paired t", 1.0 if same else float(ttest_rel(after, before).pvalue)
    error = (found.high - found.low) / (2 * 1.96)
    return "paired bootstrap", float(2 * norm.sf(abs(found.value) / error)) if error > 0 else float(not found.value)


def _losses(answers: CodedAnswers, metric: str) -> np.ndarray | None:
    """What the metric is the mean of, or the root of the mean; None if it is neither."""
    if metric in ("mse", "rmse"):
        return (answers.truth - answers.predicted) ** 2
    if metric == "mae":
        return np.abs(answers.truth - answers.predicted)
    if metric == "log_loss" and answers.probabilities is not None:
        likely = answers.probabilities[np.arange(len(answers)), answers.truth]
        return -np.log(np.clip(likely, np.finfo("float64").eps, 1))
    return None


def champion_before(
    version: MonitoredVersion, rows: LiveRows, span: tuple[int, int], columns: list[str], known: Outcomes
) -> FormerChampion | None:
    """The champion before the version in a log, measured on its last rows, for as long as the report's; None if none.

    Parameters
    ----------
    span : the first and the last time of the report's rows.
    columns : of the answers.
    """
    there = rows.versions(version.name, Period(*span))
    ours = next((one for one in there if one.version == version.version), None)
    if ours is None or not ours.champion:
        return None
    before = [one for one in there if one.champion and one.version != version.version and one.first < ours.first]
    if not before:
        return None
    other = max(before, key=lambda one: one.last)
    first = max(other.last - (span[1] - span[0]), other.first)
    theirs = rows.of_version(version.name, other.version)
    table, _ = outcomes.joined(theirs, Period(first, other.last + 1), known, columns, needed=False)
    if not len(table):
        return None
    answers, answered = live_answers.logged(version, table)
    truth = table["outcome"].filter(pa.array(answered))
    if not len(truth):
        return None
    found = outcomes.measured(0, outcomes.with_truth(answers, truth, version.title))
    return FormerChampion(other.version, first, other.last, len(truth), found.metrics)
