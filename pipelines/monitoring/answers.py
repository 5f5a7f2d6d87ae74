"""What a version answers: the distribution of its predictions, and how accurate it expects to be itself."""

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import profile
from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import statistics
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.column_checks import distribution, unseen
from pipelines.monitoring.counts import CategoryCounts, ColumnComparison, NumberCounts
from pipelines.monitoring.counts import of as counted
from pipelines.monitoring.statistics import Sample
from pipelines.monitoring.version import MonitoredVersion
from registry.policy import MonitorRules
from serving.prediction_log.schema import PREDICTION, PROBABILITY
from serving.scorecard import Scorecard
from serving.scorecard.inputs import CATEGORY, NUMBER, Cleaning, Input

#: A probability is near the decision threshold if it is at most so far from it.
NEAR = 0.05
#: Of an accuracy that probabilities promise on the held-out rows, and the true one there: so many standard errors apart
#: the probabilities are taken to be calibrated.
_CALIBRATED = 3.3


@dataclass(frozen=True)
class Expected:
    """The accuracy that a classifier expects of itself: the mean probability of what it answers.

    Parameters
    ----------
    value : of the live rows; ``low`` and ``high`` the ends of its 95 % interval.
    reference : the same of the held-out rows.
    """

    value: float
    low: float
    high: float
    reference: float


class AnswerCounts:
    """What is counted of the answers to some rows.

    Parameters
    ----------
    sample : answers, whose quantiles are the bins of numbers.
    """

    def __init__(self, version: MonitoredVersion, sample: Answers) -> None:
        self._model = version.document.model
        self.rows = self.refused = 0
        self.numbers: NumberCounts | None = None
        self.classes: CategoryCounts | None = None
        self.sure = _Sums()
        self._near = 0
        numbers = self._numbers(sample)
        if numbers is not None:
            known = profile.of(pd.DataFrame({PREDICTION: numbers.astype("float64")}))[PREDICTION]
            counts = counted(Input(PREDICTION, NUMBER), known)
            assert isinstance(counts, NumberCounts)
            self.numbers = counts
        if version.classes:
            labels = tuple(map(str, version.classes))
            self.classes = CategoryCounts(Input(PREDICTION, CATEGORY), labels, frozenset(labels))

    @classmethod
    def held_out(cls, version: MonitoredVersion) -> "AnswerCounts":
        """Those to the held-out rows."""
        found = cls(version, version.answers)
        found.add(version.answers, np.ones(len(version.answers), dtype=bool))
        return found

    @property
    def subject(self) -> str:
        """What the distribution is of."""
        return "prediction" if not self._model.classes else f"probability of {self._model.called(self._model.positive)}"

    def add(self, answers: Answers, answered: np.ndarray) -> None:
        """Add the answers to some rows, whose truth is not looked at.

        Parameters
        ----------
        answered : shape (n_rows,), which of them have an answer.
        """
        self.rows += len(answered)
        self.refused += len(answered) - len(answers)
        numbers = self._numbers(answers)
        if self.numbers is not None and numbers is not None:
            self.numbers.add(numbers.astype("float64"), Cleaning())
        if self.classes is not None:
            counts = np.bincount(_places(answers), minlength=len(answers.classes))
            self.classes.add_counts(dict(zip(answers.classes, counts.tolist(), strict=True)))
            self.sure.add(sureness(answers))
        if self._model.positive is not None and numbers is not None:
            self._near += int((np.abs(numbers - self._threshold) <= NEAR).sum())

    def empty(self) -> "AnswerCounts":
        """The same bins, and nothing counted."""
        found = copy(self)
        found.rows = found.refused = found._near = 0
        found.numbers = None if self.numbers is None else self.numbers.empty()
        found.classes = None if self.classes is None else self.classes.empty()
        found.sure = _Sums()
        return found

    def merge(self, other: "AnswerCounts") -> None:
        """Add what another one of the same bins has counted."""
        self.rows += other.rows
        self.refused += other.refused
        self._near += other._near
        self.sure.merge(other.sure)
        if self.numbers is not None and other.numbers is not None:
            self.numbers.merge(other.numbers)
        if self.classes is not None and other.classes is not None:
            self.classes.merge(other.classes)

    @property
    def near(self) -> float | None:
        """The share of rows whose probability is near the decision threshold; None where there is none."""
        answered = self.rows - self.refused
        return self._near / answered if self._model.positive is not None and answered else None

    @property
    def _threshold(self) -> float:
        return 0.5 if self._model.threshold is None else self._model.threshold

    def _numbers(self, answers: Answers) -> np.ndarray | None:
        """What the distribution is of; None if answers are labels alone, or of more than two classes."""
        return self._likely(answers) if answers.classes else answers.predicted

    def _likely(self, answers: Answers) -> np.ndarray | None:
        """The probabilities of the positive class; None if there are more than two classes, or no probabilities."""
        if answers.probabilities is None or self._model.positive is None or len(answers.classes) != 2:
            return None
        found = answers.probabilities[:, answers.classes.index(self._model.positive)]
        return None if np.isnan(found).all() else found


@dataclass(frozen=True)
class AnswerComparison:
    """The answers to live rows, beside those to the rows of the reference; both have the same bins."""

    version: MonitoredVersion
    reference: AnswerCounts
    live: AnswerCounts

    @property
    def numbers(self) -> ColumnComparison | None:
        """The predicted numbers, or the probabilities; None if there are none."""
        before, now = self.reference.numbers, self.live.numbers
        return None if before is None or now is None else ColumnComparison(before, now)

    @property
    def classes(self) -> ColumnComparison | None:
        """The predicted labels; None of a regression."""
        before, now = self.reference.classes, self.live.classes
        return None if before is None or now is None else ColumnComparison(before, now)

    def expected(self) -> Expected | None:
        """The expected accuracy; None of a regression, and if the probabilities do not hold on the held-out rows."""
        held, sure, before = calibrated(self.version.answers), self.live.sure, self.reference.sure
        if held is None or not sure.rows or not before.rows:
            return None
        error = 1.96 * math.sqrt(sure.error**2 + held.error**2)
        return Expected(sure.mean, max(sure.mean - error, 0.0), min(sure.mean + error, 1.0), before.mean)

    def checks(self, window: str, rules: MonitorRules, alpha: float) -> Iterator[WindowCheck]:
        """The checks of the answers in one window."""
        for column, subject in ((self.numbers, self.live.subject), (self.classes, "prediction")):
            if column is None or column.live.known < rules.fewest:
                continue
            if column.reference.known:
                yield distribution(window, subject, column, least=rules.psi, alpha=alpha)
            else:
                yield unseen(window, subject, column.live.known, rules.psi)
        expected = self.expected()
        if expected is not None:
            sure = self.live.sure
            yield WindowCheck(
                window=window,
                kind="expected accuracy",
                subject="prediction",
                reference=expected.reference,
                live=expected.value,
                effect=max(expected.reference - expected.value, 0.0),
                least=rules.metric,
                probability=statistics.means(self.reference.sure.sample, sure.sample),
                rows=sure.rows,
                unit="points",
                enough=sure.rows >= rules.fewest,
            )


class _Sums:
    """Of the probabilities of what was answered: their mean, and the standard error of the accuracy they promise."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = self._squares = self._variance = 0.0

    def add(self, sure: np.ndarray) -> None:
        known = sure[~np.isnan(sure)]
        self.rows += len(known)
        self._sum += float(known.sum())
        self._squares += float(np.square(known).sum())
        self._variance += float((known * (1 - known)).sum())

    def merge(self, other: "_Sums") -> None:
        self.rows += other.rows
        self._sum += other._sum
        self._squares += other._squares
        self._variance += other._variance

    @property
    def mean(self) -> float:
        return self._sum / self.rows

    @property
    def error(self) -> float:
        return math.sqrt(max(self._variance, 0.0)) / self.rows

    @property
    def sample(self) -> Sample:
        return Sample(self.rows, self.mean, max(self._squares / self.rows - self.mean**2, 0.0))


def sureness(answers: Answers) -> np.ndarray:
    """The probability of what was answered, for each row; NaN without probabilities.

    Its mean is the accuracy, if the probabilities are calibrated (confidence-based performance estimation). It does not
    see a change of the relation between columns and target.
    """
    if answers.probabilities is None or not answers.classes:
        return np.full(len(answers), np.nan)
    return np.clip(answers.probabilities[np.arange(len(answers)), _places(answers)], 0.0, 1.0)


def _places(answers: Answers) -> np.ndarray:
    """The place among the classes of what was answered, for each row."""
    # As objects: pandas would make Arrow's texts of them first, which takes longer than the search.
    labels = pd.Index(list(answers.classes), dtype=object)
    return labels.get_indexer(pd.Index(answers.predicted, dtype=object))


def calibrated(answers: Answers) -> _Sums | None:
    """The expected accuracy of held-out rows; None without probabilities, and if the true one is surely another."""
    if not answers.classes:
        return None
    sums = _Sums()
    sums.add(sureness(answers))
    if not sums.rows:
        return None
    right = float(np.mean(answers.target == answers.predicted))
    return sums if abs(right - sums.mean) <= _CALIBRATED * max(sums.error, 1 / len(answers)) else None


def logged(version: MonitoredVersion, table: pa.Table) -> tuple[Answers, np.ndarray]:
    """The answers that a log or a scored table holds, and which rows have one."""
    classes = version.classes
    valid = pc.is_valid(table[PREDICTION])
    if not classes:
        numbers = table[PREDICTION].filter(valid).cast(pa.float64()).to_numpy()
        return Answers(numbers, numbers), _array(valid)
    valid = pc.and_(valid, pa.array([label is not None for label in labels_of(table[PREDICTION], classes).tolist()]))
    held = table.filter(valid)
    labels = labels_of(held[PREDICTION], classes)
    names = [f"{PROBABILITY}{label}" for label in classes]
    if set(names) <= set(held.column_names):
        likely = np.column_stack([held[name].cast(pa.float64()).to_numpy() for name in names])
    else:
        likely = np.full((len(held), len(classes)), np.nan)
    return Answers(labels, labels, likely, classes, version.document.model.positive), _array(valid)


def _array(valid: pa.ChunkedArray) -> np.ndarray:
    return valid.to_numpy().astype(bool)


def labels_of(column: pa.ChunkedArray, classes: tuple) -> np.ndarray:
    """A column of labels in the classes' own type, whatever way they are written; None where it is none of them."""
    known = {str(label): label for label in classes}
    known |= {str(float(label)): label for label in classes if isinstance(label, (int, float))}
    if set(classes) == {0, 1}:  # True and False are 1 and 0, whichever of them the version answers
        for label in classes:
            known |= dict.fromkeys((str(int(label)), str(bool(label)), str(bool(label)).lower()), label)
    encoded = column.combine_chunks().dictionary_encode()
    values = [known.get(str(value).strip()) for value in encoded.dictionary.to_pylist()]
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    if None not in values and (codes < len(values)).all() and not isinstance(classes[0], str):
        return np.array(values)[codes]
    return np.array([*values, None], dtype=object)[codes]


def scored(version: MonitoredVersion, card: Scorecard, table: pa.Table) -> tuple[Answers, np.ndarray]:
    """The answers of the scorecard to raw rows, and which rows it does not refuse."""
    scores, refusals = card.tables.scores(table)
    taken = np.ones(len(table), dtype=bool)
    taken[refusals.rows()] = False
    scores = np.ascontiguousarray(scores[:, taken])
    if not version.classes:
        numbers = card.tables.predicted(scores)
        return Answers(numbers, numbers), taken
    labels = card.tables.labels(scores)
    if card.has_probabilities:
        likely = card.tables.likelihoods(scores)
    else:
        likely = np.full((len(labels), len(version.classes)), np.nan)
    return Answers(labels, labels, likely, version.classes, version.document.model.positive), taken
