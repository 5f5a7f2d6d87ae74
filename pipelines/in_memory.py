"""A training on a table that is in memory: fit, and measure what was fitted."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.pipeline import Pipeline

from pipelines import modelling, score_sums
from pipelines.evaluation import baseline, metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.record import Measurements
from registry.evidence.document import Baseline, Parity
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    from mlflow import MlflowClient


class InMemory:
    """A plan whose table is in memory."""

    name, sampled = "memory", False
    covariance: np.ndarray | None = None

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows are trained on, and how many are held out."""
        return len(self.plan.split.training), len(self.plan.split.holdout)

    def with_plan(self, plan: TrainingPlan) -> "InMemory":
        """The engine of another plan on the same rows."""
        return InMemory(plan)

    def renewed(self, client: "MlflowClient") -> "InMemory":
        """The engine, with versions taken into account that were registered since its plan was made."""
        return InMemory(self.plan.renewed(client, held=len(self.plan.split.holdout)))

    def fit(self) -> FittedModel:
        """The fitted pipeline; see :func:`modelling.fit`."""
        return modelling.fit(self.plan)

    def measure(self, fitted: FittedModel, card: Scorecard | None, folder: Path) -> Measurements:
        """Measure a fitted pipeline, and write its answers to the held-out rows.

        Parameters
        ----------
        card : its scorecard; None if it has none.
        folder : of the evidence.
        """
        plan, dataset, split = self.plan, self.plan.dataset, self.plan.split
        settings = plan.settings
        answers = modelling.answer(fitted, plan, split.holdout)
        sections.write_holdout(answers, split.keys[split.holdout], folder)
        held = ((name, dataset.column(name).iloc[split.holdout]) for name in settings.roles.sensitive)
        groups = [values.reset_index(drop=True).rename(name) for name, values in held]
        features = dataset.features
        return Measurements(
            answers=answers,
            rows=len(split.holdout),
            training_rows=len(split.training),
            dropped_rows=dataset.dropped_rows,
            metrics=sections.metrics_section(answers, resamples=settings.resamples, seed=settings.seed),
            training=metrics.measure(modelling.answer(fitted, plan, split.training)),
            baseline=self._baseline(answers),
            fairness=[metrics.by_group(answers, group) for group in groups],
            scores=score_sums.measured(card, features.iloc[split.training]),
            profile=sections.profile_section(dataset, split.training),
            parity=self._parity(fitted.pipeline, card),
            gaps=frozenset(features.columns[features.isna().any()]),
        )

    def _baseline(self, answers: Answers) -> Baseline:
        target = self.plan.dataset.target.iloc[self.plan.split.training]
        if not answers.classes:
            return baseline.of_mean(answers.target, float(target.mean()))
        counts = target.value_counts().reindex(list(answers.classes)).to_numpy()
        return baseline.of_counts(answers.target, answers.classes, counts, answers.positive)

    def _parity(self, pipeline: Pipeline, card: Scorecard | None) -> Parity | None:
        if card is None:
            return None
        return sections.parity_section(pipeline, card, self.plan.dataset.features.iloc[self.plan.split.holdout])
