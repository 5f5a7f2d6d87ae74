"""The dummy model that knows the target of the training rows alone, and answers every row alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.evaluation import metrics
from pipelines.evaluation.metrics import Answers
from registry.evidence.document import Baseline
from registry.metrics import weighted


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
    held = pd.Index(list(classes)).get_indexer(pd.Index(truth))
    return of_class_counts(np.bincount(held, minlength=len(classes)), classes, counts, positive)


def of_class_counts(held: np.ndarray, classes: Sequence, counts: np.ndarray, positive: object) -> Baseline:
    """The same, by how many of the rows have each class, shape (n_classes,)."""
    labels = np.array(classes)
    dummy = Answers(
        labels,
        np.repeat(labels[[int(np.argmax(counts))]], len(labels)),
        np.tile(counts / counts.sum(), (len(labels), 1)),
        tuple(classes),
        positive,
    )
    # The rows of a class are alike: each is measured once, and counts as often as there are of it.
    found = weighted(dummy.coded(), held[None].astype("float64"))
    return Baseline("prior", {name: float(one[0]) if np.isfinite(one[0]) else None for name, one in found.items()})
