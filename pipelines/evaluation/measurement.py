"""Let versions answer the rows that are judged, part by part, and measure what they answer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines import score_sums, targets
from pipelines.dataset import REGRESSION
from pipelines.errors import PipelineError
from pipelines.evaluation import baseline
from pipelines.evaluation.asking import Unreadable, Version
from pipelines.evaluation.column_profiles import ColumnProfiles
from pipelines.evaluation.groups import GroupNames, GroupSums
from pipelines.evaluation.judged_rows import JudgedPart, JudgedRows
from pipelines.evaluation.metrics import Answers
from pipelines.evaluation.sections import HoldoutWriter, MeasuredAnswers
from pipelines.evaluation.typed_columns import typed
from pipelines.spread import Spread
from registry.evidence import files
from registry.evidence.document import (
    Baseline,
    CategoryProfile,
    Fairness,
    MetricValue,
    NumberProfile,
    Parity,
    ScoreProfile,
)
from registry.metrics import MetricSums
from serving.scorecard.inputs import InputError

#: Of a table that is read in parts, parity is measured on so many of the judged rows at most, evenly spread.
MOST_COMPARED = 200_000


@dataclass(frozen=True)
class Measured:
    """What was measured of a version's answers.

    Parameters
    ----------
    other : the metrics of the version that was judged beside, on the same rows; empty without one.
    scores : empty if the score is no sum of terms.
    positive : of two classes, the one that precision, recall, f1 and roc_auc are of.
    """

    metrics: dict[str, MetricValue]
    other: dict[str, float | None]
    baseline: Baseline
    fairness: list[Fairness]
    profile: dict[str, NumberProfile | CategoryProfile]
    scores: list[ScoreProfile]
    parity: Parity | None
    positive: object


@dataclass(frozen=True)
class JudgedVersions:
    """The versions that are judged, and what is asked about them.

    Parameters
    ----------
    other : the version that is judged beside; None without one.
    positive : the positive class as the user names it; None for the version's own.
    sensitive : columns by which the metrics are broken down.
    resamples, seed : of the bootstrap.
    """

    version: Version
    other: Version | None
    positive: str | None
    sensitive: Sequence[str]
    resamples: int
    seed: int


def measure(asked: JudgedVersions, rows: JudgedRows, folder: Path) -> Measured:
    """Ask the versions about the rows, measure their answers, and write these into a folder.

    ``holdout.parquet`` holds the answers of the version; ``beside/NUMBER`` those of both to the rows that neither was
    trained on, if there are any and there is another one.

    Raises
    ------
    Contradiction
        if rows are not of the types that the sample of a table has.
    PipelineError, ServingError, InputError
        if a row cannot be read or answered.
    """
    return _Measuring(asked, rows).measure(folder)


class _Measuring:
    """What is measured part by part."""

    def __init__(self, asked: JudgedVersions, rows: JudgedRows) -> None:
        self._asked, self._rows = asked, rows
        version, truth = asked.version, rows.truth
        self._positive = _positive(asked, truth.classes)
        self._measured = MeasuredAnswers(rows.count, truth.middle, resamples=asked.resamples, seed=asked.seed)
        self._others = MetricSums(truth.middle)
        self._dummy, self._dummy_mean = MetricSums(truth.middle), _dummy_mean(version, rows)
        self._groups = {
            name: GroupSums(name, GroupNames.of_all(self._values(name)), truth.middle) for name in asked.sensitive
        }
        self._profiles = ColumnProfiles(rows.count)
        terms = None if version.registered.trained_here else score_sums.terms_of(version.scorecard)
        self._scores = score_sums.ScoreSums(terms) if terms else None
        self._scored = score_sums.part_rows(terms) if terms else 0
        self._spread = Spread(rows.count, MOST_COMPARED if rows.table.in_parts else rows.count)
        self._compared: list[pd.DataFrame] = []

    def measure(self, folder: Path) -> Measured:
        asked, rows = self._asked, self._rows
        versions = [version for version in (asked.version, asked.other) if version]
        sample = rows.table.sample
        inputs = [sample.known_as(item.name) or item.name for each in versions for item in each.inputs_in(sample)]
        with ExitStack() as stack:
            writer = stack.enter_context(HoldoutWriter(folder, rows.count))
            beside = folder / files.BESIDE / (asked.other.registered.number if asked.other else "")
            pair = [
                stack.enter_context(HoldoutWriter(beside / who, rows.count))
                for who in (files.BESIDE_CANDIDATE, files.BESIDE_CHAMPION)
            ]
            for part in rows.parts([*inputs, *asked.sensitive], "judging"):
                frame = self._read(asked.version, part)
                answers = self._answers(asked.version, frame, part)
                self._add(part, frame, answers)
                writer.add(answers, part.keys)
                if asked.other is None:
                    continue
                others = self._answers(asked.other, self._read(asked.other, part), part)
                self._others.add(others.coded())
                if part.unseen.any():
                    for each, found in zip(pair, (answers, others), strict=True):
                        each.add(found[part.unseen], part.keys[part.unseen])
        return Measured(
            metrics=self._measured.section(),
            other=self._others.values() if asked.other else {},
            baseline=self._baseline(),
            fairness=[groups.fairness() for groups in self._groups.values()],
            profile=self._profiles.profiles(),
            scores=self._scores.profiles() if self._scores else [],
            parity=self._parity(),
            positive=self._positive,
        )

    def _values(self, name: str) -> Iterator[pd.Series]:
        """The values of a sensitive column, part by part."""
        return (self._typed(part, name) for part in self._rows.parts([name], "looking at groups"))

    def _typed(self, part: JudgedPart, name: str) -> pd.Series:
        try:
            return typed(part.table, name)
        except InputError as error:
            row = error.row or 0
            told = error.at(int(part.places[row]))
            raise self._rows.table.disagreement(part.table.columns.slice(row, 1), told) from None

    def _read(self, version: Version, part: JudgedPart) -> pd.DataFrame:
        try:
            return version.read(part.table, part.places)
        except Unreadable as error:
            if error.column not in version.by_table:
                raise
            raise self._rows.table.disagreement(part.table.columns.slice(error.row, 1), error) from None

    def _answers(self, version: Version, frame: pd.DataFrame, part: JudgedPart) -> Answers:
        truth = self._rows.truth
        try:
            found = version.answer(frame)
        except InputError as error:
            raise (error if error.row is None else error.at(int(part.places[error.row]))) from None
        if truth.task == REGRESSION:
            if found.predictions.dtype.kind not in "fiub":
                raise PipelineError(f"{version.title} predicts text, and {truth.target!r} holds numbers")
            return Answers(part.truth, found.predictions.astype("float64"))
        likely = found.probabilities
        if likely is None:
            # Of labels alone: no probability is known of any class.
            likely = np.full((len(part.truth), len(truth.classes)), np.nan)
        labels = _labels(found.predictions, truth.classes)
        return Answers(part.truth, labels, likely, truth.classes, self._positive)

    def _add(self, part: JudgedPart, frame: pd.DataFrame, answers: Answers) -> None:
        coded = answers.coded()
        self._measured.add(coded)
        if self._dummy_mean is not None:
            self._dummy.add(Answers(part.truth, np.full(len(part.truth), self._dummy_mean)).coded())
        for name, groups in self._groups.items():
            groups.add(coded, self._typed(part, name))
        self._profiles.add(frame)
        if self._scores is not None:
            with np.errstate(all="ignore"):
                for start in range(0, len(frame), self._scored):
                    self._scores.add(frame.iloc[start : start + self._scored])
        if self._asked.version.measure is not None:
            self._compared.append(frame.iloc[self._spread.next(len(frame))].copy())

    def _baseline(self) -> Baseline:
        """The dummy that answers what the training rows' target was like; these rows' own if that is not known."""
        if self._dummy_mean is not None:
            return Baseline("mean", self._dummy.values())
        classes = self._rows.truth.classes
        target = _trained_target(self._asked.version)
        weights = self._rows.labels
        if isinstance(target, CategoryProfile):
            weights = np.array([target.top.get(str(label), 0) for label in classes], dtype="float64")
        place = None if self._positive is None else classes.index(self._positive)
        return baseline.of_label_counts(self._rows.labels, weights, place)

    def _parity(self) -> Parity | None:
        measure = self._asked.version.measure
        if measure is None:
            return None
        frames = self._compared
        return measure(frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True))


def _labels(predictions: np.ndarray, classes: tuple) -> np.ndarray:
    """Predicted labels in the classes' own type: a model may answer 1 for true."""
    if isinstance(classes[0], str) or predictions.dtype.kind not in "fiub":
        return predictions.astype(object)
    return predictions.astype(type(classes[0]))


def _positive(asked: JudgedVersions, classes: tuple) -> object:
    if len(classes) != 2:
        return None
    if asked.positive is not None:
        return targets.label(asked.positive, classes, "--positive")
    document = asked.version.document
    known = document.model.positive if document else None
    return known if known in classes else classes[1]


def _trained_target(version: Version) -> NumberProfile | CategoryProfile | None:
    """The profile of the training rows' target; None if it is not known."""
    return version.document.profile.get(version.document.model.target) if version.document else None


def _dummy_mean(version: Version, rows: JudgedRows) -> float | None:
    """What the dummy of a regression answers; None of a classification."""
    if rows.truth.task != REGRESSION:
        return None
    target = _trained_target(version)
    return target.mean if isinstance(target, NumberProfile) and target.mean is not None else rows.mean
