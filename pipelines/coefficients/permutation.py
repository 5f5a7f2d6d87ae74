"""Permutation importance of raw columns, for models that have no coefficients."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from pipelines.coefficients import layout
from pipelines.coefficients.coefficient import TAILS, Coefficient, ends

#: So many cells (row x transformed column), over all predictions, take some seconds.
_MOST_CELLS = 4e8
_FEWEST_ROWS, _MOST_ROWS = 200, 2_000
# How often each column is shuffled.
_REPEATS = 5


def importances(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    target: "Sequence | np.ndarray | pd.Series",
    *,
    seed: int,
    resamples: int = 500,
) -> list[Coefficient]:
    """Permutation importance of every raw column on held-out rows, for models that have no coefficients.

    The value is how much the loss grows when the column's values are shuffled among the rows (Breiman 2001; Fisher,
    Rudin and Dominici 2019): RMSE in the target's units for a regressor, log loss for a classifier. The interval is a
    percentile bootstrap over the rows. Nothing is refitted. At most 2,000 rows are looked at, fewer where
    there are very many columns. Each column is shuffled five times; the mean counts.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline of "features" (ColumnTransformer) and an estimator.
    frame, target : (n, columns) held-out rows and their (n,) targets.
    seed : decides which rows, shuffles and resamples; no global random state is read or changed.
    resamples : of the rows, for the intervals; 0 for none.

    Returns
    -------
    list of Coefficient in the pipeline's order, with no class label and deviation 1. Empty where a step of the
    features mixes columns.
    """
    features = layout.features(pipeline, frame)
    if not features:
        return []
    places: dict[str, list[int]] = {}
    for place, feature in enumerate(features):
        places.setdefault(feature.column, []).append(place)
    rng = np.random.default_rng(seed)
    affordable = int(_MOST_CELLS // (len(features) * len(places) * _REPEATS))
    rows = min(len(frame), _MOST_ROWS, max(_FEWEST_ROWS, affordable))
    chosen = np.sort(rng.choice(len(frame), rows, replace=False))
    matrix = pipeline[:-1].transform(frame.iloc[chosen])
    matrix = np.array(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)
    losses, metric = _losses(pipeline[-1], np.asarray(target)[chosen])
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples)

    found = []
    # Threads of a BLAS that spin cost more than the work itself on matrices of this size.
    with threadpool_limits(1), np.errstate(all="ignore"):
        before = losses(matrix)
        for column, where in places.items():
            after = np.zeros(rows)
            kept = matrix[:, where].copy()
            for _ in range(_REPEATS):
                matrix[:, where] = kept[rng.permutation(rows)]
                after += losses(matrix) / _REPEATS
            matrix[:, where] = kept
            value = float(metric(after.mean()) - metric(before.mean()))
            if not np.isfinite(value):
                continue
            rises = metric(counts @ after / rows) - metric(counts @ before / rows)
            low, high = np.quantile(rises, TAILS) if resamples else (np.nan, np.nan)
            found.append(Coefficient(None, column, value, *ends(min(low, value), max(high, value)), column, 1.0))
    return found


def _losses(estimator, target: np.ndarray) -> tuple[Callable, Callable]:
    """The loss of each row of a transformed matrix as a function, and what turns its mean into the metric."""
    if not is_classifier(estimator):
        return (lambda matrix: (estimator.predict(matrix) - target) ** 2), np.sqrt
    place = {label: column for column, label in enumerate(estimator.classes_.tolist())}
    columns = np.array([place.get(label, -1) for label in target.tolist()])
    known = columns >= 0  # a class that training never saw has no probability, and tells nothing about a column

    def losses(matrix):
        probabilities = estimator.predict_proba(matrix)[np.arange(len(columns)), np.maximum(columns, 0)]
        return np.where(known, -np.log(np.clip(probabilities, 1e-15, None)), 0.0)

    return losses, lambda mean: mean
