"""A training on a table that is read in parts: fit, and measure what was fitted."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipelines import fitting, modelling, score_sums, solving
from pipelines.errors import PipelineError
from pipelines.evaluation import baseline, sections
from pipelines.evaluation.metrics import Answers
from pipelines.fitting import CrossValidation
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.record import Measurements
from pipelines.solving import Blocks, Fit, Objective, SolvingError, objectives
from pipelines.spread import Spread
from pipelines.streaming import fitted_estimator, judging, preprocessing
from pipelines.streaming.answering import Answering, FoldAnswers, FoldSpreads, Judge, Measuring
from pipelines.streaming.blocks import TrainingBlocks
from pipelines.streaming.journal import Journal
from pipelines.streaming.judging import CollectedAnswers, ProfileSamples, SensitiveColumns, SensitiveGroups
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.scan_sums import Scan
from pipelines.streaming.summaries import NumberSummary
from pipelines.streaming.tables import TableInParts
from pipelines.streaming.typed import Part
from registry import logs
from registry.cli.text import listed
from registry.evidence.document import Baseline
from registry.holdout import HoldoutRule
from registry.metrics import CodedAnswers, MetricSums
from serving.scorecard import Scorecard
from serving.scorecard.contributions import Contributions

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: Of more training rows, the metrics on training rows and of cross-validation are those of rows, evenly spread, that
#: have so many numbers: a prediction, or a probability of each class.
MOST_ANSWERS = 4_000_000
#: Pictures are of at most so many held-out rows, and parity is measured on as many, evenly spread.
MOST_SHOWN = 200_000


class Streamed:
    """A plan whose table is read in parts; its dataset and its split are those of a sample.

    Parameters
    ----------
    counts : of rules of earlier versions, how many of the held-out rows they do not hold out.
    """

    sampled = True

    def __init__(
        self,
        plan: TrainingPlan,
        table: TableInParts,
        scan: Scan,
        counts: Mapping[HoldoutRule, int],
        journal: Journal,
        name: str,
    ) -> None:
        self.plan, self.name, self._table, self._scan = plan, name, table, scan
        self._counts, self._journal = counts, journal
        inputs, levels = plan.dataset.inputs, table.reader.levels
        self._transformer = preprocessing.fitted(inputs, scan, levels)
        self._design = Design(self._transformer, inputs, levels)
        sets = max(1, len(plan.dataset.classes) - 1)
        table.expect(
            columns=self._design.width, sums=max(1, modelling.folds_needed(plan)) * (sets * self._design.width) ** 2
        )
        self._labels = np.array(plan.dataset.classes, dtype=plan.dataset.target.dtype)
        self._few = _few(plan.dataset.target)
        self.covariance: np.ndarray | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows are trained on, and how many are held out."""
        return self._scan.training, self._scan.held

    @property
    def target(self) -> NumberSummary | None:
        """Of a regression, the target of the training rows."""
        return self._scan.target

    @property
    def objective(self) -> Objective:
        """What the plan's estimator minimises."""
        return objectives.of(self.plan.build(), len(self._labels))

    def with_plan(self, plan: TrainingPlan) -> "Streamed":
        """The engine of another plan on the same rows; the table is not scanned again."""
        other = copy.copy(self)
        other.plan, other.covariance = plan, None
        return other

    def renewed(self, client: "MlflowClient") -> "Streamed":
        """The engine, with versions taken into account that were registered since its plan was made.

        Of a version whose rule was not counted in the scan it is not known what it held out.
        """
        return self.with_plan(self.plan.renewed(client, held=self._scan.held, counts=self._counts))

    def fit(self) -> FittedModel:
        """The fitted pipeline: cross-validation, threshold and fit, as far as each is asked for.

        Raises
        ------
        PipelineError
            if there is no such fit.
        """
        plan, settings = self.plan, self.plan.settings
        folds = modelling.folds_needed(plan)
        weights = self.class_weights()
        journal = self._journal.inside(None if weights is None else weights.tolist())
        with self.solving():
            fit = solving.fit(self.blocks(), self.objective, folds=folds, remember=journal.remember)
        judged = None
        if folds:
            asked = ("folds", [(each.coefficients, each.intercepts) for each in fit.folds], self._most_answers)
            judged = journal.remember(asked, lambda: self.cross_validated(fit))
        for note in fit.notes:
            _log.warning(note)
        threshold, judged, told = modelling.decided(plan, judged)
        pipeline = Pipeline([("features", self._transformer), ("estimator", self._estimator(fit, threshold))])
        self.covariance = fit.covariance
        summary = judged.summary() if judged and settings.folds else None
        return FittedModel(pipeline, summary, threshold, (*fit.notes, *told))

    def _estimator(self, fit: Fit, threshold: float | None = None):
        return fitted_estimator.fitted(self.plan.build(threshold), fit, self._few)

    @contextlib.contextmanager
    def solving(self) -> Iterator[None]:
        """What the solvers raise in the block is raised as a PipelineError that names the columns."""
        try:
            yield
        except SolvingError as error:
            names = self._transformer.get_feature_names_out()
            about = f" ({listed([names[place] for place in error.columns])})" if error.columns else ""
            raise PipelineError(f"the model cannot be fitted: {error}{about}") from None

    def blocks(self, label: Callable[[], str] = lambda: "fitting") -> Blocks:
        """The training rows, for the passes of the solvers.

        Parameters
        ----------
        label : what is done with them in a pass, for the progress bar.
        """
        return TrainingBlocks(self._table, self._design, self.class_weights(), label)

    def class_weights(self) -> np.ndarray | None:
        """The weight of each class, shape (n_classes,); None where all are 1."""
        if self._scan.labels is None:
            return None
        asked = self.plan.build().get_params(deep=False).get("class_weight")
        return objectives.class_weights(asked, self._labels, self._scan.labels[0])

    def cross_validated(self, fit: Fit, label: str = "cross-validating") -> CrossValidation:
        """The answers on each fold's rows, by the fit without them; one pass.

        Parameters
        ----------
        label : what is done, for the progress bar.
        """
        judged = {fold: rows for fold, rows in enumerate(self._scan.folds) if rows}
        spreads = {fold: Spread(rows, self._most_answers // len(fit.folds)) for fold, rows in judged.items()}
        models = {fold: self._estimator(fit.folds[fold]) for fold in judged}
        collected = [CollectedAnswers(spread.count) for spread in spreads.values()]
        work = FoldAnswers(self._design, models, len(self._labels))
        for found in self._table.followed(work, FoldSpreads(spreads), label=label):
            for answers, (truth, numbers) in zip(collected, found, strict=True):
                answers.add(truth, numbers)
        return CrossValidation("key hash", tuple(self._answers(*answers.joined(), None) for answers in collected))

    @property
    def _most_answers(self) -> int:
        return MOST_ANSWERS // max(2, len(self._labels))

    def _answers(self, truth: np.ndarray, numbers: np.ndarray, threshold: float | None) -> Answers:
        if not len(self._labels):
            return Answers(truth, numbers)
        classes = tuple(self.plan.dataset.classes)
        labels = self._labels[truth.astype("intp")]
        plain = Answers(labels, self._labels[numbers.argmax(axis=1)], numbers, classes, self.plan.positive)
        return plain if threshold is None else fitting.at_threshold(plain, threshold)

    def measure(self, fitted: FittedModel, card: Scorecard | None, folder: Path) -> Measurements:
        """Measure a fitted pipeline in one pass, and write its answers to the held-out rows.

        Parameters
        ----------
        card : its scorecard; None if it has none.
        folder : of the evidence.
        """
        plan, scan = self.plan, self._scan
        settings, middle = plan.settings, scan.target.mean if scan.target else 0.0
        held = sections.MeasuredAnswers(scan.held, middle, resamples=settings.resamples, seed=settings.seed)
        constant = MetricSums(middle)
        sensitive = SensitiveColumns.of(plan, self._table)
        groups = SensitiveGroups(sensitive, self._table, middle)
        terms = score_sums.terms_of(card)
        measuring = self._measuring(terms)
        shown: list[Part] = []
        shown_answers = CollectedAnswers(measuring.shown.count)

        with sections.HoldoutWriter(folder, scan.held) as writer:
            work = self._judge(fitted, sensitive, terms)
            for one in self._table.followed(work, measuring, label="evaluating", more=sensitive.names):
                answers = self._answers(*one.answers, fitted.threshold)
                coded = answers.coded()
                held.add(coded)
                if scan.target:
                    constant.add(CodedAnswers(coded.truth, np.full(len(coded), middle)))
                groups.add(one.groups, coded)
                shown.append(one.shown)
                shown_answers.add(*one.answers_shown)
                writer.add(answers, one.keys)
        measured, training = measuring.seen(), MetricSums(middle)
        for kept in measured.answers:
            training.add(self._answers(*kept, fitted.threshold).coded())
        parity = None
        if card is not None:
            frame = self._design.frame(judging.joined(shown), plan.dataset.inputs)
            parity = sections.parity_section(fitted.pipeline, card, frame)
        return Measurements(
            answers=self._answers(*shown_answers.joined(), fitted.threshold),
            rows=scan.held,
            training_rows=scan.training,
            dropped_rows=scan.dropped,
            metrics=held.section(),
            training=training.values(),
            baseline=self._baseline(constant),
            fairness=groups.fairness(),
            scores=measured.scores,
            profile=measured.samples.profiles(plan, self._table.reader, scan),
            parity=parity,
            gaps=frozenset(measured.gaps),
        )

    def _judge(self, fitted: FittedModel, sensitive: SensitiveColumns, terms: Contributions | None) -> Judge:
        reader, answering = self._table.reader, Answering(self._design, fitted.pipeline[-1], len(self._labels))
        numbers, categories = ([item.name for item in kind] for kind in (reader.numbers, reader.categories))
        return Judge(answering, sensitive, self.plan.dataset.inputs, numbers, categories, terms)

    def _measuring(self, terms: Contributions | None) -> Measuring:
        scan = self._scan
        return Measuring(
            Spread(scan.training, self._most_answers),
            Spread(scan.held, MOST_SHOWN),
            ProfileSamples(scan),
            terms,
        )

    def _baseline(self, constant: MetricSums) -> Baseline:
        if self._scan.labels is None:
            return Baseline("mean", constant.values())
        training, held = self._scan.labels
        place = None if self.plan.positive is None else self.plan.dataset.classes.index(self.plan.positive)
        return baseline.of_label_counts(held, training, place)


def _few(target: pd.Series) -> np.ndarray:
    """Some values of a target, two of each class."""
    if target.dtype.kind == "f":
        return np.array([1.0, 2.0])
    return target.groupby(target.astype(str)).head(2).to_numpy()
