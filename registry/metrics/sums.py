"""Metrics that are made of sums over rows: what each row adds, and what the sums give.

Weighted rows add so many times; rows that come in parts are added part by part.
"""

import numpy as np

from registry.metrics.answers import CodedAnswers


def of_rows(answers: CodedAnswers, centre: float) -> np.ndarray:
    """What each row adds, shape (n_rows, n_sums).

    Parameters
    ----------
    centre : about which the spread of a regression's truth is summed, best near its middle: that of values far from
        zero would drown in rounding.
    """
    if answers.probabilities is None:
        return _of_numbers(answers.truth.astype("float64"), answers.predicted, centre)
    return _of_labels(answers, answers.probabilities)


def values(answers: CodedAnswers, sums: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics by name, each of shape (n_weightings,); NaN where one is not defined, infinite beyond float64.

    Parameters
    ----------
    answers : of the same task and classes as the rows; any of them.
    sums : shape (n_weightings, n_sums).
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if answers.probabilities is None:
            return _numbers(sums)
        return _labels(sums, macro=answers.positive is None)


def _of_numbers(truth: np.ndarray, predicted: np.ndarray, centre: float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        error, centred = truth - predicted, truth - centre
        found = np.ones((len(truth), 8))
        for place, column in enumerate((error**2, np.abs(error), centred**2)):
            # A value that is infinite is counted: it makes a mean infinite where its row has a weight.
            infinite = np.isinf(column)
            found[:, 1 + 2 * place] = np.where(infinite, 0.0, column)
            found[:, 2 + 2 * place] = infinite
        found[:, 7] = centred
    return found


def _numbers(sums: np.ndarray) -> dict[str, np.ndarray]:
    rows = sums[:, 0]
    mse, mae, around = (np.where(sums[:, place + 1] > 0, np.inf, sums[:, place] / rows) for place in (1, 3, 5))
    spread = around - (sums[:, 7] / rows) ** 2
    constant = ~(spread > 1e-14 * around)
    return {"mse": mse, "rmse": np.sqrt(mse), "r2": np.where(constant, np.nan, 1 - mse / spread), "mae": mae}


def _of_labels(answers: CodedAnswers, probabilities: np.ndarray) -> np.ndarray:
    truth, predicted = answers.truth, answers.predicted
    places = answers.places
    found = np.ones((len(truth), 3 + 3 * len(places)))
    found[:, 1] = truth == predicted
    # As sklearn.metrics.log_loss does: probabilities are kept off zero by the precision of float64.
    found[:, 2] = -np.log(np.clip(probabilities[np.arange(len(truth)), truth], np.finfo("float64").eps, 1))
    for column, place in enumerate(places, start=1):
        actual, said = truth == place, predicted == place
        found[:, 3 * column], found[:, 3 * column + 1], found[:, 3 * column + 2] = actual & said, actual, said
    return found


def _labels(sums: np.ndarray, *, macro: bool) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the positive class, or their means over the classes that occur."""
    rows = sums[:, 0]
    hits, positives, calls = (sums[:, first::3] for first in (3, 4, 5))
    found = {
        "precision": np.where(calls > 0, hits / calls, 0.0),
        "recall": np.where(positives > 0, hits / positives, 0.0),
        "f1": 2 * hits / (positives + calls),
    }
    # A class that is nowhere says nothing of a mean; of the one positive class zero, as scikit-learn has it.
    occurs = positives + calls > 0
    one = {name: np.where(occurs, each, np.nan if macro else 0.0) for name, each in found.items()}
    return {
        "accuracy": sums[:, 1] / rows,
        **{name: np.nanmean(each, axis=1) for name, each in one.items()},
        "log_loss": sums[:, 2] / rows,
    }
