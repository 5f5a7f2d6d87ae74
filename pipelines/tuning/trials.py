"""One trial of a search: a point of the space, cross-validated on the training rows, as an MLflow run of its own."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines import features, fitting, modelling, run_metrics, runs, tracking
from pipelines.errors import PipelineError
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from pipelines.fitting import CrossValidation
from pipelines.tuning import studies
from pipelines.tuning.search_plan import SearchPlan
from registry.cli.text import one_line
from registry.client import speaking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

#: Metrics that a decision threshold does not move.
_UNTHRESHOLDED = frozenset({"roc_auc", "log_loss"})
#: Metrics that are not defined on a fold whose target is constant.
_NEEDS_TWO_VALUES = frozenset({"r2", "roc_auc"})

#: Tags of a trial's run, of a search's, and of the version that was found.
STUDY_TAG, TRIAL_TAG, STATE_TAG, REASON_TAG = "tuning.study", "tuning.trial", "tuning.state", "tuning.reason"
SEARCH_TAG, CONTINUES_TAG = "tuning.search_run", "tuning.continues"

#: Features of all folds are kept in up to this many bytes.
MOST_BYTES = 512 * 2**20

# A trial is judged by its folds so far once this many trials are complete, and from the second fold on.
_PRUNE_AFTER_TRIALS = 5
_PRUNE_AFTER_FOLDS = 1


@dataclass(frozen=True)
class Fold:
    """What one fit needs: rows to fit on and rows to judge by, as tables, or as features where `ready`."""

    table: Any
    target: pd.Series
    judged: Any
    truth: np.ndarray
    ready: bool


class Folds:
    """The folds of a search; their features are made once where they fit into memory, instead of in each trial.

    The preprocessing is fitted on each fold's own rows either way, so that the values are the same.

    Parameters
    ----------
    most : bytes that all features together may take.
    """

    def __init__(self, plan: SearchPlan, *, most: int = MOST_BYTES) -> None:
        rows, dataset = plan.training.split.training, plan.training.dataset
        self._table, self._target = dataset.features.iloc[rows], dataset.target.iloc[rows]
        self._inputs, self._pairs = dataset.inputs, plan.folds[1]
        self._made: list[Fold] = []
        while len(self._made) < len(self._pairs):
            self._made.append(self._ready(*self._pairs[len(self._made)]))
            if sum(_bytes(fold.table) + _bytes(fold.judged) for fold in self._made[:1]) * len(self._pairs) > most:
                self._made = []
                break

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Fold]:
        return iter(self._made) if self._made else (self._raw(*pair) for pair in self._pairs)

    def _raw(self, fitted_on: np.ndarray, judged_on: np.ndarray) -> Fold:
        table, target = self._table, self._target
        truth = target.iloc[judged_on].to_numpy()
        return Fold(table.iloc[fitted_on], target.iloc[fitted_on], table.iloc[judged_on], truth, ready=False)

    def _ready(self, fitted_on: np.ndarray, judged_on: np.ndarray) -> Fold:
        raw = self._raw(fitted_on, judged_on)
        made = features.build(self._inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = made.fit_transform(raw.table)
            return replace(raw, table=table, judged=made.transform(raw.judged), ready=True)


def _bytes(matrix: Any) -> int:
    return matrix.data.nbytes  # of an array, and of a sparse matrix, whose indices take as much again


class _Pruned(Exception):
    """The folds so far are worse than those of half the trials."""


class _Failed(Exception):
    """A trial cannot be measured; the message is the reason."""


def run(plan: SearchPlan, folds: Folds, study: "Study", trial: "Trial", client: "MlflowClient") -> None:
    """Measure one point, as a run of its own, and tell the study."""
    import mlflow
    from optuna.trial import TrialState

    candidate, texts = plan.space.read(trial.params)
    tags = {**runs.tags(), STUDY_TAG: study.study_name, TRIAL_TAG: str(trial.number)}
    state, value = TrialState.COMPLETE, None
    try:
        with runs.run(client, experiment=None, name=f"trial {trial.number}", tags=tags) as run:
            trial.set_user_attr(studies.RUN, run.info.run_id)
            chosen = {f"estimator.{name}": text for name, text in texts.items()}
            tracking.log_parameters({"estimator.class": candidate.entry.class_name, **chosen})
            answers: list[Answers] = []
            told = "complete"
            try:
                if same := _same(study, trial):
                    value, measured, told = same.value, same.user_attrs[studies.METRICS], f"as trial {same.number}"
                else:
                    value = _measure(plan, trial, folds, answers)
                    measured = _means(plan, answers)
            except _Pruned:
                state, told, measured = TrialState.PRUNED, f"pruned after {len(answers)} folds", _means(plan, answers)
            except _Failed as error:
                with speaking():
                    mlflow.set_tags({STATE_TAG: "failed", REASON_TAG: str(error)})
                raise
            trial.set_user_attr(studies.METRICS, measured)
            with speaking():
                mlflow.set_tag(STATE_TAG, told)
                mlflow.log_metrics(measured)
    except _Failed as error:
        state = TrialState.FAIL
        trial.set_user_attr(studies.REASON, str(error))
    study.tell(trial, value, state=state)


def _same(study: "Study", trial: "Trial") -> "FrozenTrial | None":
    """An earlier trial of the same point, whose value is this one's: small spaces have few points."""
    return next((other for other in studies.measured(study) if other.params == trial.params), None)


def _measure(plan: SearchPlan, trial: "Trial", folds: Folds, answers: list[Answers]) -> float:
    """The mean of the metric over the folds; the answers of each fold are added to ``answers``."""
    dataset = plan.training.dataset
    candidate, texts = plan.space.read(trial.params)
    try:
        tried = plan.training.with_estimator(candidate.entry.name, texts)
        stochastic = "n_iter_no_change" in candidate.entry.load()().get_params()
        for step, fold in enumerate(folds):
            model = tried.build()
            if not fold.ready:
                model = fitting.pipeline(dataset, model)
            notes = fitting.fit(model, fold.table, fold.target)
            # Short of its optimum a linear model is not the one its parameters name; a network always stops short.
            if notes and not stochastic:
                raise _Failed(notes[0])
            classes, positive = dataset.classes, plan.training.positive
            answers.append(fitting.answer(model, fold.judged, fold.truth, classes=classes, positive=positive))
            if _by_fold(plan) and step + 1 < len(folds):
                trial.report(_mean(plan, answers), step)
                if trial.should_prune():
                    raise _Pruned
        return _mean(plan, answers)
    except (PipelineError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise _Failed(one_line(error)) from error


def _by_fold(plan: SearchPlan) -> bool:
    """Whether the metric is known of a fold alone: not where a threshold is chosen on all of them."""
    rule = plan.training.rule
    return rule is None or rule.value is not None or plan.metric in _UNTHRESHOLDED


def _judged(plan: SearchPlan, folds: Sequence[Answers]) -> CrossValidation:
    """The folds' answers, with the decision threshold that training would choose by them."""
    whole = CrossValidation(plan.folds[0], tuple(folds))
    return whole.with_threshold(modelling.threshold_of(plan.training, folds)) if plan.training.rule else whole


def _mean(plan: SearchPlan, folds: Sequence[Answers]) -> float:
    values = []
    for number, answers in enumerate(_judged(plan, folds).folds, start=1):
        value = metrics.measure(answers)[plan.metric]
        if value is not None:
            values.append(value)
        elif plan.metric not in _NEEDS_TWO_VALUES or len(np.unique(answers.target)) > 1:
            raise _Failed(f"{plan.metric} is no finite number in fold {number}")
    if not values:
        raise _Failed(f"{plan.metric} is not defined: the target is constant in every fold")
    return float(np.mean(values))


def _means(plan: SearchPlan, folds: Sequence[Answers]) -> dict[str, float]:
    """All metrics of the folds, by the names that training gives them."""
    means = run_metrics.cross_validated(_judged(plan, folds).summary().metrics)
    return {name: value for name, value in means.items() if value is not None}


def pruner(plan: SearchPlan):
    """Give a trial up where its folds so far are worse than those of half the trials (the median stopping rule)."""
    import optuna

    if not _by_fold(plan):
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=_PRUNE_AFTER_TRIALS, n_warmup_steps=_PRUNE_AFTER_FOLDS)
