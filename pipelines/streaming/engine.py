"""A training on a table that is read in parts: fit, and measure what was fitted."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipelines import fitting, modelling, score_sums, solving
from pipelines.errors import PipelineError
from pipelines.evaluation import baseline, metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.fitting import CrossValidation
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.record import Measurements
from pipelines.solving import Block, Fit, Objective, SolvingError, objectives
from pipelines.streaming import fitted_estimator, preprocessing
from pipelines.streaming.judging import CollectedAnswers, ProfileSamples, SampledRows, SensitiveGroups
from pipelines.streaming.prefetch import prefetched
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.scan import DROPPED, HELD, Scan, StreamedTable
from pipelines.streaming.summaries import NumberSummary
from pipelines.streaming.typed import Part
from registry import logs
from registry.cli.text import listed
from registry.evidence.document import Baseline
from registry.holdout import HoldoutRule
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: Of more training rows, the metrics on training rows and of cross-validation are those of so many, evenly spread.
MOST_ANSWERS = 2_000_000
#: Pictures are of at most so many held-out rows, and parity is measured on as many, evenly spread.
MOST_SHOWN = 200_000


class Streamed:
    """A plan whose table is read in parts; its dataset and its split are those of a sample.

    Parameters
    ----------
    counts : of rules of earlier versions, how many of the held-out rows they do not hold out.
    """

    name, sampled = "stream", True

    def __init__(self, plan: TrainingPlan, table: StreamedTable, scan: Scan, counts: Mapping[HoldoutRule, int]) -> None:
        self.plan, self._table, self._scan, self._counts = plan, table, scan, counts
        inputs, levels = plan.dataset.inputs, table.reader.levels
        self._transformer = preprocessing.fitted(inputs, scan, levels)
        self._design = Design(self._transformer, inputs, levels)
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
        with self.solving():
            fit = solving.fit(self.blocks, self.objective, folds=folds)
        judged = self.cross_validated(fit) if folds else None
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

    def blocks(self, label: str = "fitting") -> Iterator[Block]:
        """The training rows, for one pass of the solvers.

        Parameters
        ----------
        label : what is done with them, for the progress bar.
        """
        # What makes the matrices works beside what multiplies them.
        return prefetched(self._blocks(label))

    def _blocks(self, label: str) -> Iterator[Block]:
        weights = self.class_weights()
        for part, folds in self._table.training(label=label):
            of_rows = None if weights is None else weights[part.target.astype("intp")]
            yield Block(self._design.matrix(part), part.target, of_rows, folds)

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
        label : see :meth:`blocks`.
        """
        judged = [
            (fold, self._estimator(each), CollectedAnswers(rows, MOST_ANSWERS // len(fit.folds)))
            for fold, (each, rows) in enumerate(zip(fit.folds, self._scan.folds, strict=True))
            if rows
        ]
        for part, folds in self._table.training(label=label):
            matrix = self._design.matrix(part)
            for fold, model, collected in judged:
                rows = folds == fold
                if rows.any():
                    collected.add(part.target[rows], self._numbers(model, matrix[rows]))
        return CrossValidation("key hash", tuple(self._answers(*each.joined(), None) for _, _, each in judged))

    def _numbers(self, model, matrix: np.ndarray) -> np.ndarray:
        """Predictions, shape (n,), or probabilities, shape (n, n_classes)."""
        return model.predict_proba(matrix) if len(self._labels) else np.asarray(model.predict(matrix), dtype="float64")

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
        plan, scan, threshold = self.plan, self._scan, fitted.threshold
        estimator, inputs = fitted.pipeline[-1], plan.dataset.inputs
        training, held = CollectedAnswers(scan.training, MOST_ANSWERS), CollectedAnswers(scan.held)
        keys = self._table.keys()
        terms = score_sums.terms_of(card)
        sums = score_sums.ScoreSums(terms) if terms else None
        samples = ProfileSamples(self._table, scan)
        shown = SampledRows(-(-scan.held // MOST_SHOWN))
        groups = SensitiveGroups(plan, self._table)
        gaps: set[str] = set()

        def answered() -> Iterator[tuple[Answers, np.ndarray]]:
            written = 0
            for raw, part, side in self._table.parts(label="evaluating", more=groups.columns):
                seen, out = part.of(side < HELD), side == HELD
                gaps.update(self._gaps(part, side != DROPPED))
                if len(seen):
                    training.add(seen.target, self._numbers(estimator, self._design.matrix(seen)))
                    samples.add(seen)
                if sums is not None and len(seen):
                    with np.errstate(all="ignore"):
                        sums.add(self._design.frame(seen, inputs))
                if out.any():
                    held_part = part.of(out)
                    numbers = self._numbers(estimator, self._design.matrix(held_part))
                    held.add(held_part.target, numbers)
                    shown.add(held_part)
                    groups.add(raw, out)
                    own = keys[written : written + len(held_part)]
                    written += len(own)
                    yield self._answers(held_part.target, numbers, threshold), own

        sections.write_holdout_parts(answered(), folder)
        answers = self._answers(*held.joined(), threshold)
        parity = None
        if card is not None:
            parity = sections.parity_section(fitted.pipeline, card, self._design.frame(shown.joined(), inputs))
        return Measurements(
            answers=answers[np.arange(0, len(answers), -(-len(answers) // MOST_SHOWN))],
            rows=scan.held,
            training_rows=scan.training,
            dropped_rows=scan.dropped,
            metrics=sections.metrics_section(answers, resamples=plan.settings.resamples, seed=plan.settings.seed),
            training=metrics.measure(self._answers(*training.joined(), threshold)),
            baseline=self._baseline(answers),
            fairness=groups.fairness(answers),
            scores=sums.profiles() if sums else [],
            profile=samples.profiles(plan),
            parity=parity,
            gaps=frozenset(gaps),
        )

    def _gaps(self, part: Part, rows: np.ndarray) -> Iterator[str]:
        """The inputs that have missing values in some rows, by a mask."""
        reader = self._table.reader
        for item, missing in zip(reader.numbers, (np.isnan(part.numbers) & rows).any(axis=1), strict=True):
            if missing:
                yield item.name
        for item, missing in zip(reader.categories, ((part.categories == 0) & rows).any(axis=1), strict=True):
            if missing:
                yield item.name

    def _baseline(self, answers: Answers) -> Baseline:
        if self._scan.labels is None:
            assert self._scan.target is not None
            return baseline.of_mean(answers.target, self._scan.target.mean)
        return baseline.of_counts(answers.target, answers.classes, self._scan.labels[0], answers.positive)


def _few(target: pd.Series) -> np.ndarray:
    """Some values of a target, two of each class."""
    if target.dtype.kind == "f":
        return np.array([1.0, 2.0])
    return target.groupby(target.astype(str)).head(2).to_numpy()
