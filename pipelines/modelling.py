"""A plan -> a fitted pipeline: cross-validate, choose the decision threshold, fit on the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from pipelines import fitting, thresholds
from pipelines.errors import PipelineError
from pipelines.evaluation.metrics import Answers
from pipelines.fitting import CrossValidation
from pipelines.folds import make_folds
from pipelines.planning import TrainingPlan
from registry import logs
from registry.evidence.document import CrossValidationSummary

_log = logs.get_logger(__name__)

#: The folds that a threshold is chosen on where cross-validation is switched off.
_THRESHOLD_FOLDS = 5


@dataclass(frozen=True)
class FittedModel:
    """A fitted pipeline and what is known of it before it is judged.

    Parameters
    ----------
    cross_validation : None if none was asked for.
    """

    pipeline: Pipeline
    cross_validation: CrossValidationSummary | None
    threshold: float | None
    notes: tuple[str, ...]


def fit(plan: TrainingPlan) -> FittedModel:
    """Cross-validate, choose the threshold, and fit on the training rows, as far as each is asked for.

    Raises
    ------
    PipelineError
        if the data or the parameters are refused; of a user's own pipeline, whatever goes wrong in it.
    """
    if plan.own is None:
        return _fit(plan)
    with plan.own.guarded(plan.dataset):
        fitted = _fit(plan)
        # The same fit once more: what is not deterministic cannot be traced back to its code and seed.
        again = _fitted(plan, fitted.threshold)
        first, second = (answer_with(pipeline, plan, plan.split.holdout) for pipeline in (fitted.pipeline, again))
        if first.predicted.shape != first.target.shape:
            raise PipelineError(f"expected one prediction for each row, found the shape {first.predicted.shape}")
        if not first.classes and not np.isfinite(first.predicted).all():
            raise PipelineError("it predicts infinite or missing numbers, expected a finite number for each row")
    plan.own.check_same(first, second)
    return fitted


def _fit(plan: TrainingPlan) -> FittedModel:
    settings, dataset, training = plan.settings, plan.dataset, plan.split.training
    folds = None
    if count := folds_needed(plan):
        pairs = make_folds(dataset, plan.split, count=count, seed=settings.seed)
        folds = fitting.cross_validate(plan.pipeline, dataset, training, pairs, positive=plan.positive)
    threshold, folds, notes = decided(plan, folds)
    pipeline = plan.pipeline(threshold)
    for shortfall in fitting.fit(pipeline, dataset.features.iloc[training], dataset.target.iloc[training]):
        notes.append(shortfall)
        _log.warning(shortfall)
    summary = folds.summary() if folds and settings.folds else None
    return FittedModel(pipeline, summary, threshold, tuple(notes))


def folds_needed(plan: TrainingPlan) -> int:
    """How many folds cross-validation has: as many as were asked for, or as a threshold is chosen on; 0 for none."""
    return plan.settings.folds or (_THRESHOLD_FOLDS if plan.chooses_threshold else 0)


def decided(
    plan: TrainingPlan, folds: CrossValidation | None
) -> tuple[float | None, CrossValidation | None, list[str]]:
    """The decision threshold of a plan, cross-validation with the labels that it gives, and what to say of it."""
    if plan.rule is None:
        return None, folds, []
    threshold = threshold_of(plan, folds.folds if folds else ())
    notes = []
    if plan.chooses_threshold:
        notes.append(f"decision threshold {threshold:.4g}, for {plan.rule.text} on cross-validated rows")
        _log.info(notes[-1])
    return threshold, folds and folds.with_threshold(threshold), notes


def _fitted(plan: TrainingPlan, threshold: float | None) -> Pipeline:
    pipeline, training = plan.pipeline(threshold), plan.split.training
    fitting.fit(pipeline, plan.dataset.features.iloc[training], plan.dataset.target.iloc[training])
    return pipeline


def threshold_of(plan: TrainingPlan, folds: Sequence[Answers]) -> float:
    """The decision threshold of a plan that has a rule: the one given, or by cross-validated answers."""
    assert plan.rule is not None
    if plan.rule.value is not None:
        return plan.rule.value
    column = plan.dataset.classes.index(plan.positive)
    probabilities = np.concatenate([np.asarray(answers.probabilities)[:, column] for answers in folds])
    truth = np.concatenate([answers.target for answers in folds])
    return thresholds.choose(plan.rule, probabilities, truth == plan.positive)


def answer(fitted: FittedModel, plan: TrainingPlan, rows: np.ndarray) -> Answers:
    """What a fitted model says of rows of the table, by their positions, beside the truth."""
    return answer_with(fitted.pipeline, plan, rows)


def answer_with(pipeline: Pipeline, plan: TrainingPlan, rows: np.ndarray) -> Answers:
    """What a fitted pipeline says of rows of the table, by their positions, beside the truth."""
    dataset = plan.dataset
    truth = dataset.target.iloc[rows].to_numpy()
    return fitting.answer(pipeline, dataset.features.iloc[rows], truth, classes=dataset.classes, positive=plan.positive)
