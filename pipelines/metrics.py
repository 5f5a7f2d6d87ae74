"""What is measured of answers: the metrics, their bootstrap intervals, the same by group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

REGRESSION_METRICS = ("mse", "rmse", "r2", "mae")
CLASSIFICATION_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")

#: The share of bootstrap resamples inside an interval.
LEVEL = 0.95
#: At most this many rows are resampled.
BOOTSTRAP_ROWS = 10_000
_CHUNK = 50
_BINS = 4
_MOST_GROUPS = 20


@dataclass(frozen=True)
class Answers:
    """What a model answered beside what was true.

    Parameters
    ----------
    target, predicted : shape (n_rows,): numbers of a regression, or labels.
    probabilities : shape (n_rows, n_classes), columns in the order of the classes; None for a regression.
    classes : the labels in order; empty for a regression.
    positive : of two classes, the one that precision, recall, f1 and roc_auc are of.
    """

    target: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple = ()
    positive: object = None

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: np.ndarray) -> "Answers":
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Answers(self.target[rows], self.predicted[rows], probabilities, self.classes, self.positive)


def measure(answers: Answers) -> dict[str, float | None]:
    """The metrics of a task, each once; None where it is not defined (R² of a constant target, AUC of one class).

    For more than two classes precision, recall and f1 are means over the classes that occur in the target or the
    answers, as scikit-learn's macro averages are, and roc_auc is the mean of each class against the rest.
    """
    values = _weighted(answers, np.ones((1, len(answers))))
    return {name: float(value[0]) if np.isfinite(value[0]) else None for name, value in values.items()}


def intervals(answers: Answers, *, resamples: int, seed: int) -> dict[str, tuple[float, float] | None]:
    """The percentile bootstrap interval of each metric (Efron and Tibshirani 1993, chapter 13).

    On more than ``BOOTSTRAP_ROWS`` rows, on a random sample of that many: the interval is that of the smaller sample,
    so wider than need be. None for a metric that is not defined.
    """
    draw = np.random.default_rng(seed)
    if len(answers) > BOOTSTRAP_ROWS:
        answers = answers[np.sort(draw.choice(len(answers), BOOTSTRAP_ROWS, replace=False))]
    rows = len(answers)
    drawn: dict[str, list[np.ndarray]] = {}
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        picks = draw.integers(0, rows, size=(size, rows)) + np.arange(size)[:, None] * rows
        weights = np.bincount(picks.ravel(), minlength=size * rows).reshape(size, rows).astype("float64")
        for name, values in _weighted(answers, weights).items():
            drawn.setdefault(name, []).append(values)
    tail = 100 * (1 - LEVEL) / 2
    result = {}
    for name, parts in drawn.items():
        values = np.concatenate(parts)
        values = values[np.isfinite(values)]
        result[name] = tuple(np.percentile(values, [tail, 100 - tail]).tolist()) if len(values) else None
    return result


def by_group(answers: Answers, groups: pd.Series) -> dict:
    """The metrics of each group of rows and, of each metric, the widest gap between two groups.

    Parameters
    ----------
    groups : shape (n_rows,): texts, or numbers, which are cut into quarters where they are many.

    Returns
    -------
    dict : ``column``, ``groups`` (each ``group``, ``rows``, ``metrics``) and ``gaps``.
    """
    names = _group_names(groups)
    found = []
    for name in sorted(names.unique()):
        chosen = answers[(names == name).to_numpy()]
        found.append({"group": name, "rows": len(chosen), "metrics": measure(chosen)})
    gaps: dict[str, float | None] = {}
    for metric in found[0]["metrics"] if found else ():
        values = [group["metrics"][metric] for group in found if group["metrics"][metric] is not None]
        gaps[metric] = max(values) - min(values) if len(values) > 1 else None
    return {"column": str(groups.name), "groups": found, "gaps": gaps}


def _group_names(groups: pd.Series) -> pd.Series:
    if groups.dtype.kind == "f" and groups.nunique() > _BINS * 2:
        groups = pd.qcut(groups, _BINS, duplicates="drop").astype("str")
    elif groups.dtype.kind == "f":
        groups = groups.map(lambda value: value if value != value else f"{value:g}")
    names = groups.astype(object).where(groups.notna(), "missing").astype("str")
    common = names.value_counts().index[:_MOST_GROUPS]
    return names.where(names.isin(common), "other")


def _weighted(answers: Answers, weights: np.ndarray) -> Mapping[str, np.ndarray]:
    """Each metric under each row of weights: shape (n_weightings,), NaN where it is not defined.

    Parameters
    ----------
    weights : shape (n_weightings, n_rows), how often each row counts.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if answers.probabilities is None:
            return _regression(answers, weights)
        return _classification(answers, answers.probabilities, weights)


def _regression(answers: Answers, weights: np.ndarray) -> Mapping[str, np.ndarray]:
    target = answers.target.astype("float64")
    error = target - answers.predicted
    total = weights.sum(axis=1)
    squares = weights @ error**2
    # Centred first: the spread of values far from zero would drown in rounding. By the median: one row far out
    # leaves the others where they are.
    centred = target - np.median(target) if len(target) else target
    spread = weights @ centred**2 - (weights @ centred) ** 2 / total
    constant = spread <= 1e-14 * (weights @ centred**2)
    mse = squares / total
    r2 = np.where(constant, np.nan, 1 - squares / spread)
    return {"mse": mse, "rmse": np.sqrt(mse), "r2": r2, "mae": weights @ np.abs(error) / total}


def _classification(answers: Answers, probabilities: np.ndarray, weights: np.ndarray) -> Mapping[str, np.ndarray]:
    classes = list(answers.classes)
    codes = pd.Index(classes).get_indexer(pd.Index(answers.target))
    predicted = pd.Index(classes).get_indexer(pd.Index(answers.predicted))
    total = weights.sum(axis=1)
    one_of_two = len(classes) == 2 and answers.positive is not None
    wanted = [classes.index(answers.positive)] if one_of_two else range(len(classes))
    precision, recall, f1, auc = [], [], [], []
    for place in wanted:
        actual, said = codes == place, predicted == place
        hits, positives, calls = (weights @ flags.astype("float64") for flags in (actual & said, actual, said))
        # A class that is nowhere says nothing of a mean; of the one positive class zero, as scikit-learn has it.
        nowhere = 0.0 if one_of_two else np.nan
        occurs = positives + calls > 0
        precision.append(np.where(occurs, np.where(calls > 0, hits / calls, 0.0), nowhere))
        recall.append(np.where(occurs, np.where(positives > 0, hits / positives, 0.0), nowhere))
        f1.append(np.where(occurs, 2 * hits / (positives + calls), nowhere))
        auc.append(_auc(actual, probabilities[:, place], weights))
    # As sklearn.metrics.log_loss does: probabilities are kept off zero by the precision of float64.
    chosen = np.clip(probabilities[np.arange(len(codes)), codes], np.finfo("float64").eps, 1)
    return {
        "accuracy": weights @ (codes == predicted).astype("float64") / total,
        "precision": np.nanmean(precision, axis=0),
        "recall": np.nanmean(recall, axis=0),
        "f1": np.nanmean(f1, axis=0),
        "roc_auc": np.mean(auc, axis=0),
        "log_loss": weights @ -np.log(chosen) / total,
    }


def _auc(actual: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted share of pairs that the score orders rightly, ties half (Mann and Whitney 1947).

    Each positive row counts the rows below it and half of those beside it; of these, the positive ones make half the
    square of the positives' weight.
    """
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
