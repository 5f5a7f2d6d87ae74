"""One trial of a search: a point of the space, cross-validated on the training rows, as an MLflow run of its own."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from pipelines import features, fitting, modelling, run_metrics, runs, tracking
from pipelines.errors import PipelineError, TableChanged
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from pipelines.planning import TrainingPlan
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
class JudgedFold:
    """What was measured of a fold's rows, by the model without them.

    Parameters
    ----------
    varies : whether their target has more than one value.
    """

    metrics: Mapping[str, float | None]
    varies: bool


class TrialFolds(Protocol):
    """Fits and judges the folds of trials.

    Attributes
    ----------
    stepwise : folds are fitted one after the other, and each is judged alone: a trial may be given up in between.
    """

    stepwise: bool

    def __len__(self) -> int:
        """How many there are."""

    def judged(self, tried: TrainingPlan, name: str) -> Iterator[list[JudgedFold]]:
        """The folds that have been judged, whenever these are more; all in the end.

        Parameters
        ----------
        name : of the trial, for the progress bar.

        Raises
        ------
        Failed, PipelineError, ValueError, ArithmeticError, LinAlgError
            where there is no such model.
        """


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
        assert plan.folds is not None
        rows, dataset = plan.training.split.training, plan.training.dataset
        self.stepwise = _by_fold(plan)
        self._dataset = dataset
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

    def judged(self, tried: TrainingPlan, name: str) -> Iterator[list[JudgedFold]]:
        """See :class:`TrialFolds`."""
        stochastic = "n_iter_no_change" in tried.entry.load()().get_params()
        answers: list[Answers] = []
        for fold in self:
            model = tried.build()
            if not fold.ready:
                model = fitting.pipeline(self._dataset, model)
            notes = fitting.fit(model, fold.table, fold.target)
            # Short of its optimum a linear model is not the one its parameters name; a network always stops short.
            if notes and not stochastic:
                raise Failed(notes[0])
            classes, positive = self._dataset.classes, tried.positive
            answers.append(fitting.answer(model, fold.judged, fold.truth, classes=classes, positive=positive))
            if self.stepwise or len(answers) == len(self):
                yield measured(tried, answers)

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


class Failed(Exception):
    """A trial cannot be measured; the message is the reason."""


def run(plan: SearchPlan, folds: TrialFolds, study: "Study", trial: "Trial", client: "MlflowClient") -> None:
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
            judged: list[JudgedFold] = []
            told = "complete"
            try:
                if same := _same(study, trial):
                    value, means, told = same.value, same.user_attrs[studies.METRICS], f"as trial {same.number}"
                else:
                    value = _measure(plan, trial, folds, judged)
                    means = _means(judged)
            except _Pruned:
                state, told, means = TrialState.PRUNED, f"pruned after {len(judged)} folds", _means(judged)
            except Failed as error:
                with speaking():
                    mlflow.set_tags({STATE_TAG: "failed", REASON_TAG: str(error)})
                raise
            trial.set_user_attr(studies.METRICS, means)
            with speaking():
                mlflow.set_tag(STATE_TAG, told)
                mlflow.log_metrics(means)
    except Failed as error:
        state = TrialState.FAIL
        trial.set_user_attr(studies.REASON, str(error))
    study.tell(trial, value, state=state)


def _same(study: "Study", trial: "Trial") -> "FrozenTrial | None":
    """An earlier trial of the same point, whose value is this one's: small spaces have few points."""
    return next((other for other in studies.measured(study) if other.params == trial.params), None)


def _measure(plan: SearchPlan, trial: "Trial", folds: TrialFolds, judged: list[JudgedFold]) -> float:
    """The mean of the metric over the folds; ``judged`` becomes the folds that were judged."""
    candidate, texts = plan.space.read(trial.params)
    try:
        tried = plan.training.with_estimator(candidate.entry.name, texts)
        for found in folds.judged(tried, f"trial {trial.number}"):
            judged[:] = found
            if folds.stepwise and len(judged) < len(folds):
                trial.report(_mean(plan, judged), len(judged) - 1)
                if trial.should_prune():
                    raise _Pruned
        return _mean(plan, judged)
    except TableChanged:
        raise
    except (PipelineError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise Failed(one_line(error)) from error


def _by_fold(plan: SearchPlan) -> bool:
    """Whether the metric is known of a fold alone: not where a threshold is chosen on all of them."""
    rule = plan.training.rule
    return rule is None or rule.value is not None or plan.metric in _UNTHRESHOLDED


def measured(plan: TrainingPlan, folds: Sequence[Answers]) -> list[JudgedFold]:
    """The metrics of the folds' answers, with the decision threshold that training would choose by them."""
    if plan.rule:
        threshold = modelling.threshold_of(plan, folds)
        folds = [fitting.at_threshold(answers, threshold) for answers in folds]
    found = [(metrics.measure(answers), answers.target) for answers in folds]
    return [JudgedFold(by_name, None not in by_name.values() or len(np.unique(y)) > 1) for by_name, y in found]


def _mean(plan: SearchPlan, folds: Sequence[JudgedFold]) -> float:
    values = []
    for number, fold in enumerate(folds, start=1):
        value = fold.metrics[plan.metric]
        if value is not None:
            values.append(value)
        elif plan.metric not in _NEEDS_TWO_VALUES or fold.varies:
            raise Failed(f"{plan.metric} is no finite number in fold {number}")
    if not values:
        raise Failed(f"{plan.metric} is not defined: the target is constant in every fold")
    return float(np.mean(values))


def _means(folds: Sequence[JudgedFold]) -> dict[str, float]:
    """All metrics of the folds, by the names that training gives them."""
    means = run_metrics.cross_validated(fitting.over_folds([fold.metrics for fold in folds]))
    return {name: value for name, value in means.items() if value is not None}


def pruner(folds: TrialFolds):
    """Give a trial up where its folds so far are worse than those of half the trials (the median stopping rule)."""
    import optuna

    if not folds.stepwise:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=_PRUNE_AFTER_TRIALS, n_warmup_steps=_PRUNE_AFTER_FOLDS)
