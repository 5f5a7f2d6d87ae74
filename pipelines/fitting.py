"""Fit a pipeline, let it answer, cross-validate it: scikit-learn's work, with its failures in one line."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from pipelines import features
from pipelines.dataset import Dataset
from pipelines.errors import PipelineError
from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from pipelines.folds import Pairs
from registry import logs
from registry.cli.text import one_line
from registry.evidence.document import CrossValidationSummary, FoldMetric

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation on the training rows gave.

    Parameters
    ----------
    kind : ``"k-fold"``, ``"stratified"``, ``"group"``, ``"time"`` or ``"key hash"``.
    folds : the answers on each fold's rows, by a model that did not see them.
    """

    kind: str
    folds: tuple[Answers, ...]

    def summary(self) -> CrossValidationSummary:
        """Each metric's values by fold, their mean and their standard deviation (over folds, ddof 1)."""
        by_fold = [metrics.measure(answers) for answers in self.folds]
        return CrossValidationSummary(self.kind, len(self.folds), over_folds(by_fold))

    def with_threshold(self, threshold: float) -> "CrossValidation":
        """The same answers, each row called positive where its probability is at least the threshold."""
        return CrossValidation(self.kind, tuple(at_threshold(answers, threshold) for answers in self.folds))


def over_folds(by_fold: Sequence[Mapping[str, float | None]]) -> dict[str, FoldMetric]:
    """Each metric over the folds, from its values in each."""
    summary = {}
    for name in by_fold[0]:
        values = [fold[name] for fold in by_fold]
        known = [value for value in values if value is not None]
        summary[name] = FoldMetric(
            mean=_finite(np.mean, known) if known else None,
            std=_finite(partial(np.std, ddof=1), known) if len(known) > 1 else None,
            folds=values,
        )
    return summary


def _finite(summary: Callable, values: list[float]) -> float | None:
    """A summary of values; None where it leaves float64, as a variance may where the values do not."""
    with np.errstate(over="ignore"):
        result = float(summary(values))
    return result if np.isfinite(result) else None


def at_threshold(answers: Answers, threshold: float) -> Answers:
    """Answers of two classes with the labels that a threshold gives."""
    positive = answers.classes.index(answers.positive)
    labels = np.array([answers.classes[1 - positive], answers.positive], dtype=answers.predicted.dtype)
    assert answers.probabilities is not None
    predicted = labels[(answers.probabilities[:, positive] >= threshold).astype(int)]
    return replace(answers, predicted=predicted)


def pipeline(dataset: Dataset, estimator) -> Pipeline:
    """An unfitted pipeline: the features of the table's columns, then the estimator."""
    return Pipeline([("features", features.build(dataset.inputs)), ("estimator", estimator)])


def fit(model: Pipeline, table: pd.DataFrame, target: pd.Series) -> list[str]:
    """Fit in place; what a person should know of it, a sentence each.

    Raises
    ------
    PipelineError
        where scikit-learn refuses the data or the parameters.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(table, target.to_numpy())
        except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise PipelineError(f"the model cannot be fitted: {one_line(error)}") from error
    messages = {one_line(warning.message) for warning in caught if issubclass(warning.category, ConvergenceWarning)}
    return [f"did not converge: {text}" for text in sorted(messages)]


def answer(model, table: pd.DataFrame, target: np.ndarray, *, classes: Iterable = (), positive=None) -> Answers:
    """What a fitted model says of a table, beside the truth."""
    classes = tuple(classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not classes:
            return Answers(target, np.asarray(model.predict(table), dtype="float64"))
        probabilities = _in_order(model, np.asarray(model.predict_proba(table)), classes)
        return Answers(target, model.predict(table), probabilities, classes, positive)


def _in_order(model, probabilities: np.ndarray, classes: tuple) -> np.ndarray:
    """Probabilities with a column for every class, 0 for one that the model's own training rows lacked."""
    known = model.classes_.tolist()
    if known == list(classes):
        return probabilities
    whole = np.zeros((len(probabilities), len(classes)))
    whole[:, [classes.index(label) for label in known]] = probabilities
    return whole


def cross_validate(
    make: Callable[[], Pipeline],
    dataset: Dataset,
    training: np.ndarray,
    folds: tuple[str, Pairs],
    *,
    positive=None,
) -> CrossValidation:
    """Fit and measure once a fold; the preprocessing is fitted in each fold anew.

    Parameters
    ----------
    training : positions of the training rows; the folds are positions within them.
    """
    table, target = dataset.features.iloc[training], dataset.target.iloc[training]
    kind, pairs = folds
    by_fold = []
    for fitted_on, judged_on in logs.counted(_log, "cross-validating", pairs):
        model = make()
        fit(model, table.iloc[fitted_on], target.iloc[fitted_on])
        truth = target.iloc[judged_on].to_numpy()
        by_fold.append(answer(model, table.iloc[judged_on], truth, classes=dataset.classes, positive=positive))
    return CrossValidation(kind, tuple(by_fold))
