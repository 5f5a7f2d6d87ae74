"""The dummy model that knows the target of the training rows alone, and answers every row alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from registry.evidence.document import Baseline
from registry.metrics import CodedAnswers, weighted


def of_mean(truth: np.ndarray, mean: float) -> Baseline:
    """A regression: the mean of the training rows' target."""
    return Baseline("mean", metrics.measure(Answers(truth, np.full(len(truth), mean))))


def of_counts(truth: np.ndarray, classes: Sequence, counts: np.ndarray, positive: object) -> Baseline:
    """A classification: the most frequent class of the training rows, and the shares of all.

    Parameters
    ----------
    truth : labels, shape (n_rows,).
    counts : rows of each class, shape (n_classes,).
    """
    places = pd.Index(list(classes)).get_indexer(pd.Index(truth))
    judged = np.bincount(places, minlength=len(classes))
    return of_label_counts(judged, counts, list(classes).index(positive) if positive is not None else None)


def of_label_counts(judged: np.ndarray, training: np.ndarray, positive: int | None) -> Baseline:
    """As :func:`of_counts`, of how many judged rows each class has.

    Parameters
    ----------
    judged, training : rows of each class, shape (n_classes,).
    positive : see :class:`CodedAnswers`.
    """
    classes = len(judged)
    shares = np.tile(training / training.sum(), (classes, 1))
    # Rows of one class are answered alike, and so are one row, as often as it occurs.
    dummy = CodedAnswers(np.arange(classes), np.full(classes, np.argmax(training)), shares, positive)
    with np.errstate(invalid="ignore"):
        found = weighted(dummy, judged[None, :].astype("float64"))
    values = {name: float(value[0]) for name, value in found.items()}
    return Baseline("prior", {name: value if np.isfinite(value) else None for name, value in values.items()})
