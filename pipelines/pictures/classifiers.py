"""How well a classifier ranks, how honest its probabilities are, and what it confuses with what."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.pictures import labels
from pipelines.pictures.calibration import calibration
from pipelines.pictures.confusion import confusion
from pipelines.pictures.curves import Decision, precision_recall, roc
from pipelines.pictures.look import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def classification(
    actual, probabilities, predicted, classes: Sequence, positive=None, threshold: float | None = None
) -> "dict[str, Figure]":
    """How well a classifier ranks, how honest its probabilities are, and what it confuses with what.

    Parameters
    ----------
    actual, predicted : (n,) labels.
    probabilities : (n, k) probabilities in the order of `classes`; None where the model gives none.
    classes : the k labels.
    positive : of two, the one the curves are about; the second where it is None.
    threshold : from which probability of `positive` it is answered; 0.5 where it is None.

    Returns
    -------
    dict with ``roc``, ``precision_recall`` and ``calibration`` (where there are probabilities) and
    ``confusion_matrix``. With more than two classes the curves are one-vs-rest.
    """
    actual, predicted, classes = labels.values(actual), labels.values(predicted), labels.values(classes)
    with style():
        figures = {}
        if probabilities is not None and len(actual):
            scored = labels.one_vs_rest(actual, np.asarray(probabilities, dtype=float), classes, positive)
            decision = None
            if len(classes) == 2:
                answered = labels.places(predicted, [scored[0].label]) == 0
                decision = Decision(0.5 if threshold is None else float(threshold), answered)
            figures["roc"] = roc(scored, decision)
            figures["precision_recall"] = precision_recall(scored, decision)
            figures["calibration"] = calibration(scored)
        figures["confusion_matrix"] = confusion(actual, predicted, classes)
        return figures
