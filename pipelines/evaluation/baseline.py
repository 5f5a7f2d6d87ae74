"""The dummy model that knows the target of the training rows alone, and answers every row alike."""

from collections.abc import Sequence

import numpy as np

from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from registry.evidence.document import Baseline


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
    shares = np.tile(counts / counts.sum(), (len(truth), 1))
    label = np.array([classes[int(np.argmax(counts))]], dtype=truth.dtype)
    dummy = Answers(truth, np.repeat(label, len(truth)), shares, tuple(classes), positive)
    return Baseline("prior", metrics.measure(dummy))
