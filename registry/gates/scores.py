"""The metrics that gates compare two versions by, on weighted rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

REGRESSION = "regression"
CLASSIFICATION = "classification"

#: Metric -> whether more of it is better, for each task; the metrics that evidence documents hold.
METRICS: Mapping[str, Mapping[str, bool]] = {
    REGRESSION: {"mse": False, "rmse": False, "r2": True, "mae": False},
    CLASSIFICATION: {
        **dict.fromkeys(("accuracy", "precision", "recall", "f1", "roc_auc"), True),
        "log_loss": False,
    },
}
#: All of them, by name alone.
HIGHER_IS_BETTER = {name: better for metrics in METRICS.values() for name, better in metrics.items()}


@dataclass(frozen=True)
class Answers:
    """What a version answered to rows whose truth is known.

    Parameters
    ----------
    truth : shape (n_rows,): numbers of a regression; of a classification the places of the labels in ``classes``.
    predicted : shape (n_rows,), likewise.
    probabilities : shape (n_rows, n_classes); None for a regression.
    positive : the place of the positive one of two classes; None for more.
    """

    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    positive: int | None = None


def measure(metric: str, answers: Answers, weights: np.ndarray) -> np.ndarray:
    """A metric under each row of weights, NaN where it is not defined.

    Parameters
    ----------
    metric : one of ``METRICS``.
    weights : shape (n_weightings, n_rows), how often each row counts.

    Returns
    -------
    array, shape (n_weightings,)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if answers.probabilities is None:
            return _of_numbers(metric, answers, weights)
        return _of_labels(metric, answers, answers.probabilities, weights)


def _of_numbers(metric: str, answers: Answers, weights: np.ndarray) -> np.ndarray:
    # What is farther off than this has no square: it is as far off as can be.
    error = np.clip(answers.truth - answers.predicted, -1e150, 1e150)
    total = weights.sum(axis=1)
    if metric == "mae":
        return weights @ np.abs(error) / total
    mse = weights @ error**2 / total
    if metric == "mse":
        return mse
    if metric == "rmse":
        return np.sqrt(mse)
    centred = answers.truth - np.median(answers.truth)
    around = weights @ centred**2 / total
    spread = around - (weights @ centred / total) ** 2
    return np.where(spread > 1e-14 * around, 1 - mse / spread, np.nan)


def _of_labels(metric: str, answers: Answers, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1)
    if metric == "accuracy":
        return weights @ (answers.truth == answers.predicted).astype("float64") / total
    if metric == "log_loss":
        chosen = probabilities[np.arange(len(answers.truth)), answers.truth]
        return weights @ -np.log(np.clip(chosen, np.finfo("float64").eps, 1)) / total
    if metric == "roc_auc":
        places = range(probabilities.shape[1]) if answers.positive is None else [answers.positive]
        return np.mean([_auc(answers.truth == place, probabilities[:, place], weights) for place in places], axis=0)
    return _of_class(metric, answers, probabilities.shape[1], weights)


def _of_class(metric: str, answers: Answers, classes: int, weights: np.ndarray) -> np.ndarray:
    """Precision, recall or F1: of the positive class, or the mean over the classes that occur."""
    found = []
    for place in range(classes) if answers.positive is None else [answers.positive]:
        actual, said = answers.truth == place, answers.predicted == place
        hits, positives, calls = (weights @ flags.astype("float64") for flags in (actual & said, actual, said))
        value = {
            "precision": np.where(calls > 0, hits / calls, 0.0),
            "recall": np.where(positives > 0, hits / positives, 0.0),
            "f1": 2 * hits / (positives + calls),
        }[metric]
        nowhere = np.nan if answers.positive is None else 0.0
        found.append(np.where(positives + calls > 0, value, nowhere))
    return np.nanmean(found, axis=0)


def _auc(actual: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted share of pairs that the score orders rightly, ties half (Mann and Whitney 1947)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    ordered = weights[:, order]
    positive = np.add.reduceat(ordered * actual[order], starts, axis=1)
    negative = np.add.reduceat(ordered * ~actual[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return (positive * (below + negative / 2)).sum(axis=1) / pairs
