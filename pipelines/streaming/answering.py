"""What a fitted model answers to the rows of a part, and what is kept of these answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from pipelines import score_sums
from pipelines.spread import Spread
from pipelines.streaming.judging import ProfileSamples, SensitiveColumns
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.sides import DROPPED, HELD, Rows, SideCounts
from pipelines.streaming.typed import Part
from registry.evidence.document import ScoreProfile
from serving.scorecard.contributions import Contributions
from serving.scorecard.inputs import Input

#: The truth, shape (n,), and predictions, shape (n,), or probabilities, shape (n, n_classes).
TruthAndNumbers = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Answering:
    """A fitted model that answers rows of a part.

    Parameters
    ----------
    model : the estimator behind the features.
    classes : how many; 0 for a regression.
    """

    design: Design
    model: Any
    classes: int

    def numbers(self, part: Part) -> np.ndarray:
        """Predictions, shape (n,), or probabilities, shape (n, n_classes)."""
        return numbers_of(self.model, self.design.matrix(part), self.classes)


def numbers_of(model: Any, matrix: np.ndarray, classes: int) -> np.ndarray:
    """Predictions, shape (n,), or probabilities, shape (n, n_classes), for the rows of a matrix."""
    if not len(matrix):
        return np.empty((0, classes) if classes else 0)
    return model.predict_proba(matrix) if classes else np.asarray(model.predict(matrix), dtype="float64")


@dataclass(frozen=True)
class AnsweredPart:
    """A part with the answers to its rows.

    Parameters
    ----------
    seen, out : its training rows, and those that are held out.
    of_seen, of_out : the answers to them.
    keys, groups : of those that are held out: their keys, and their values of the sensitive columns.
    gaps : the inputs that have missing values.
    scores : of the training rows, some at a time, see :meth:`Contributions.of`.
    """

    seen: Part
    out: Part
    of_seen: np.ndarray
    of_out: np.ndarray
    keys: np.ndarray
    groups: dict[str, pd.Series]
    gaps: frozenset[str]
    scores: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Judge:
    """Answers all rows of a part that have a target.

    Parameters
    ----------
    inputs : of the model, in order.
    numbers, categories : the names of the inputs of each kind, in order.
    terms : of the score; None without a scorecard whose score is a sum.
    """

    answering: Answering
    sensitive: SensitiveColumns
    inputs: Sequence[Input]
    numbers: Sequence[str]
    categories: Sequence[str]
    terms: Contributions | None

    def __call__(self, rows: Rows) -> AnsweredPart:
        part = rows.part
        seen, out = part.of(rows.side < HELD), part.of(rows.side == HELD)
        answers = self.answering.numbers(seen), self.answering.numbers(out)
        groups, gaps = self.sensitive.values(rows), frozenset(self._gaps(part, rows.side != DROPPED))
        return AnsweredPart(seen, out, *answers, rows.keys, groups, gaps, list(self._scores(seen)))

    def _scores(self, part: Part) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        if self.terms is None:
            return
        step = score_sums.part_rows(self.terms)
        with np.errstate(all="ignore"):
            for start in range(0, len(part), step):
                rows = np.arange(start, min(start + step, len(part)))
                yield self.terms.of(self.answering.design.frame(part.take(rows), self.inputs))

    def _gaps(self, part: Part, rows: np.ndarray) -> Iterator[str]:
        """The inputs that have missing values in some rows, by a mask."""
        for names, gaps in ((self.numbers, np.isnan(part.numbers)), (self.categories, part.categories == 0)):
            for name, missing in zip(names, (gaps & rows).any(axis=1), strict=True):
                if missing:
                    yield name


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows with the answers to them.

    Parameters
    ----------
    keys, groups : see :class:`AnsweredPart`.
    shown : some of the rows, and ``answers_shown`` to them.
    """

    answers: TruthAndNumbers
    keys: np.ndarray
    groups: dict[str, pd.Series]
    shown: Part
    answers_shown: TruthAndNumbers


@dataclass
class MeasuredRows:
    """What is measured of rows.

    Parameters
    ----------
    samples : of the training rows' values.
    answers : to training rows, which are evenly spread.
    gaps : the inputs that have missing values.
    scores : of the training rows; empty if there is no scorecard whose score is a sum.
    """

    samples: ProfileSamples
    answers: list[TruthAndNumbers] = field(default_factory=list)
    gaps: set[str] = field(default_factory=set)
    scores: list[ScoreProfile] = field(default_factory=list)

    def merge(self, other: "MeasuredRows") -> None:
        """Add what was measured of rows further on."""
        self.answers += other.answers
        self.gaps |= other.gaps
        self.samples.merge(other.samples)
        self.scores = score_sums.pooled(self.scores, other.scores)


class Measuring:
    """Measures training rows in their order, and passes on the answers to held-out ones.

    Parameters
    ----------
    chosen, shown : the training rows whose answers are kept, and the held-out ones that are shown.
    terms : of the score; None without a scorecard whose score is a sum.
    """

    def __init__(
        self,
        chosen: Spread,
        shown: Spread,
        samples: ProfileSamples,
        terms: Contributions | None,
    ) -> None:
        self._terms = terms
        self.chosen, self.shown = chosen, shown
        self._scores = score_sums.ScoreSums(terms) if terms else None
        self._measured = MeasuredRows(samples)

    def begun(self, before: SideCounts) -> "Measuring":
        """A fresh one that begins behind so many rows."""
        chosen, shown = self.chosen.begun(before.training), self.shown.begun(before.held)
        samples = self._measured.samples.begun(before)
        return Measuring(chosen, shown, samples, self._terms)

    def seen(self) -> MeasuredRows:
        """What it has measured."""
        own = self._scores.profiles() if self._scores is not None else []
        return replace(self._measured, scores=score_sums.pooled(own, self._measured.scores))

    def merge(self, seen: MeasuredRows) -> None:
        """Add what another one has measured, of rows further on."""
        self._measured.merge(seen)

    def next(self, part: AnsweredPart) -> HeldOut:
        """Add a part, and pass on its held-out rows."""
        seen, out, measured = part.seen, part.out, self._measured
        chosen = self.chosen.next(len(seen))
        measured.answers.append((seen.target[chosen].copy(), part.of_seen[chosen].copy()))
        measured.gaps |= part.gaps
        measured.samples.add(seen)
        if self._scores is not None:
            for found in part.scores:
                self._scores.add_shares(*found)
        shown = self.shown.next(len(out))
        truth, numbers = out.target, part.of_out
        some = out.take(np.arange(len(out))[shown])
        return HeldOut((truth, numbers), part.keys, part.groups, some, (truth[shown], numbers[shown]))


@dataclass(frozen=True)
class FoldAnswers:
    """Answers training rows by the fits without the folds that judge them.

    Parameters
    ----------
    models : fold -> the estimator that was fitted without it.
    """

    design: Design
    models: dict[int, Any]
    classes: int

    def __call__(self, rows: Rows) -> list[TruthAndNumbers]:
        part, folds = rows.training()
        matrix, found = self.design.matrix(part), []
        for fold, model in self.models.items():
            own = slice(*np.searchsorted(folds, [fold, fold + 1]))
            found.append((part.target[own], numbers_of(model, matrix[own], self.classes)))
        return found


@dataclass(frozen=True)
class FoldSpreads:
    """Chooses of each fold's answers, in order, some that are evenly spread.

    Parameters
    ----------
    spreads : by fold.
    """

    spreads: dict[int, Spread]

    def begun(self, before: SideCounts) -> "FoldSpreads":
        """The same choice, behind so many rows."""
        return FoldSpreads({fold: spread.begun(before.folds[fold]) for fold, spread in self.spreads.items()})

    def next(self, found: list[TruthAndNumbers]) -> list[TruthAndNumbers]:
        """The answers that are chosen of the next part's."""
        chosen = [spread.next(len(truth)) for spread, (truth, _) in zip(self.spreads.values(), found, strict=True)]
        return [(truth[rows], numbers[rows]) for rows, (truth, numbers) in zip(chosen, found, strict=True)]

    def seen(self) -> None:
        """Nothing is kept."""

    def merge(self, seen: None) -> None:
        """Nothing is added."""
