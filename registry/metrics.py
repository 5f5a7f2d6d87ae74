"""The metrics of a model: their names, which way is better, and their values on weighted rows.

Every metric that is shown, compared or kept in evidence is computed here, and agrees with scikit-learn's of that name.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

REGRESSION = "regression"
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Metric:
    """What a metric is called, and which way is better.

    Parameters
    ----------
    name : in evidence, policies and MLflow.
    label : for people.
    headline : whether it is among the few that are shown where there is little room.
    lowest : the smallest value that it can have.
    """

    name: str
    label: str
    higher_is_better: bool
    headline: bool = False
    lowest: float = 0.0

    def possible(self, value: float) -> float:
        """The nearest value that the metric can have."""
        return max(min(value, 1.0) if self.higher_is_better else value, self.lowest)


#: The metrics of each task, in the order in which they are shown.
METRICS: Mapping[str, tuple[Metric, ...]] = {
    REGRESSION: (
        Metric("mse", "MSE", False, headline=True),
        Metric("rmse", "RMSE", False, headline=True),
        Metric("r2", "R²", True, headline=True, lowest=-math.inf),
        Metric("mae", "MAE", False),
    ),
    CLASSIFICATION: (
        Metric("accuracy", "Accuracy", True, headline=True),
        Metric("precision", "Precision", True),
        Metric("recall", "Recall", True),
        Metric("f1", "F1", True),
        Metric("roc_auc", "ROC AUC", True, headline=True),
        Metric("log_loss", "Log loss", False, headline=True),
    ),
}
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metrics in METRICS.values() for metric in metrics}


def names(task: str) -> tuple[str, ...]:
    """The names of a task's metrics."""
    return tuple(metric.name for metric in METRICS[task])


def headlines(task: str) -> tuple[str, ...]:
    """The names of those metrics of a task that are shown where there is little room."""
    return tuple(metric.name for metric in METRICS[task] if metric.headline)


def is_error(name: str) -> bool:
    """Whether a metric is known of which less is better."""
    return name in BY_NAME and not BY_NAME[name].higher_is_better


@dataclass(frozen=True)
class CodedAnswers:
    """What a version predicted for rows whose truth is known.

    Parameters
    ----------
    truth : shape (n_rows,): numbers of a regression; of a classification the places of the labels among the classes.
    predicted : shape (n_rows,), likewise.
    probabilities : shape (n_rows, n_classes); NaN if the version gives labels alone, None for a regression.
    positive : the place of the class, one of two, that precision, recall, f1 and roc_auc are of. None: of more than two
        classes these are means over the classes that occur, as scikit-learn's macro averages are, and roc_auc is the
        mean of each class against the rest.
    """

    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    positive: int | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: np.ndarray) -> "CodedAnswers":
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return CodedAnswers(self.truth[rows], self.predicted[rows], probabilities, self.positive)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics of its task."""
        return names(REGRESSION if self.probabilities is None else CLASSIFICATION)


def measure(predictions: CodedAnswers) -> dict[str, float | None]:
    """The metrics of the task, each once.

    None where one is not defined (R² of a constant target, AUC of one class), or is too large for float64.
    """
    all_rows = np.ones((1, len(predictions)))
    values = {name: float(weighted(name, predictions, all_rows)[0]) for name in predictions.metrics}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def weighted(metric: str, predictions: CodedAnswers, weights: np.ndarray) -> np.ndarray:
    """A metric under each row of weights; NaN where it is not defined, infinite where float64 cannot hold it.

    Parameters
    ----------
    metric : one of ``predictions.metrics``.
    weights : shape (n_weightings, n_rows), how often each row counts.

    Returns
    -------
    array, shape (n_weightings,)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if predictions.probabilities is None:
            return _OF_NUMBERS[metric](predictions.truth.astype("float64"), predictions.predicted, weights)
        if metric in _OF_CLASSES:
            return _over_classes(_OF_CLASSES[metric], predictions, predictions.probabilities, weights)
        return _OF_LABELS[metric](predictions, predictions.probabilities, weights)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean; a value that is infinite counts only where it has a weight."""
    infinite = np.isinf(values)
    mean = weights @ np.where(infinite, 0.0, values) / weights.sum(axis=1)
    return np.where(weights @ infinite.astype("float64") > 0, np.inf, mean) if infinite.any() else mean


def _mse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean((truth - predicted) ** 2, weights)


def _rmse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.sqrt(_mse(truth, predicted, weights))


def _mae(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean(np.abs(truth - predicted), weights)


def _r2(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Centred first: the spread of values far from zero would drown in rounding. By the median: one row far out
    # leaves the others where they are.
    centred = truth - np.median(truth) if len(truth) else truth
    around = _mean(centred**2, weights)
    spread = around - (weights @ centred / weights.sum(axis=1)) ** 2
    constant = ~(spread > 1e-14 * around)
    return np.where(constant, np.nan, 1 - _mse(truth, predicted, weights) / spread)


def _accuracy(predictions: CodedAnswers, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ (predictions.truth == predictions.predicted).astype("float64") / weights.sum(axis=1)


def _log_loss(predictions: CodedAnswers, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # As sklearn.metrics.log_loss does: probabilities are kept off zero by the precision of float64.
    chosen = np.clip(probabilities[np.arange(len(predictions)), predictions.truth], np.finfo("float64").eps, 1)
    return weights @ -np.log(chosen) / weights.sum(axis=1)


def _roc_auc(predictions: CodedAnswers, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    places = range(probabilities.shape[1]) if predictions.positive is None else [predictions.positive]
    return np.mean([_auc(predictions.truth == place, probabilities[:, place], weights) for place in places], axis=0)


def _auc(actual: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted share of pairs that the score orders rightly, ties half (Mann and Whitney 1947).

    Each positive row counts the rows below it and half of those beside it; of these, the positive ones make half the
    square of the positives' weight.
    """
    if np.isnan(score).any():
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    found = np.flatnonzero(actual[order])
    first, last = (np.searchsorted(ranked, ranked[found], side) for side in ("left", "right"))
    below = np.zeros((len(weights), len(score) + 1))
    np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
    own = weights[:, order[found]]
    positive = own.sum(axis=1)
    pairs = (own * (below[:, first] + below[:, last])).sum(axis=1) / 2 - positive**2 / 2
    return pairs / (positive * (below[:, -1] - positive))


def _over_classes(
    metric: Callable, predictions: CodedAnswers, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A metric of the positive class, or its mean over the classes that occur in the truth or the predictions."""
    found = []
    for place in range(probabilities.shape[1]) if predictions.positive is None else [predictions.positive]:
        actual, said = predictions.truth == place, predictions.predicted == place
        hits, positives, calls = (weights @ flags.astype("float64") for flags in (actual & said, actual, said))
        # A class that is nowhere says nothing of a mean; of the one positive class zero, as scikit-learn has it.
        nowhere = np.nan if predictions.positive is None else 0.0
        found.append(np.where(positives + calls > 0, metric(hits, positives, calls), nowhere))
    return np.nanmean(found, axis=0)


_OF_NUMBERS: Mapping[str, Callable] = {"mse": _mse, "rmse": _rmse, "r2": _r2, "mae": _mae}
_OF_LABELS: Mapping[str, Callable] = {"accuracy": _accuracy, "roc_auc": _roc_auc, "log_loss": _log_loss}
#: Of one class: from the weights of what was found of it, of all that is of it, and of all that was called it.
_OF_CLASSES: Mapping[str, Callable] = {
    "precision": lambda hits, positives, calls: np.where(calls > 0, hits / calls, 0.0),
    "recall": lambda hits, positives, calls: np.where(positives > 0, hits / positives, 0.0),
    "f1": lambda hits, positives, calls: 2 * hits / (positives + calls),
}
