"""What a fitted pipeline learned about each column: coefficients in raw units with intervals, or importances."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: The name of the coefficient that belongs to no column.
INTERCEPT = "(intercept)"

#: The level of every interval here.
LEVEL = 0.95

#: Nanoseconds that one refit takes for each cell (row x transformed column x class), measured on one core.
_NANOSECONDS = {
    **{
        "LinearRegression": 25,
        "Ridge": 15,
        "Lasso": 15,
        "ElasticNet": 15,
        "HuberRegressor": 30,
        "PoissonRegressor": 15,
    },
    **{"LogisticRegression": 20, "LinearSVC": 60, "LinearSVR": 500},
}
_SLOW_SOLVERS = {"saga": 350, "sag": 350, "liblinear": 50, "newton-cholesky": 60}
_UNKNOWN_NANOSECONDS = 500
#: A stored value of a sparse matrix costs this much more.
_SPARSE = 2.5
#: Solvers whose steps are single rows come this close, from the estimate, in so many passes over the rows.
_PASSES = {"saga": 100, "sag": 100, "LinearSVR": 1000}

#: What a refit costs whatever its size, the time to aim at, and the time over which no interval is worth it.
_OVERHEAD, _AIM, _CEILING = 1e6, 3e9, 1.2e10
_FEWEST_RESAMPLES, _FEWEST_ROWS = 100, 1_000


@dataclass(frozen=True)
class Coefficient:
    """How the score moves when one thing about a row changes.

    Parameters
    ----------
    class_label : the class whose score moves; None for a regressor.
    feature : what changes, for people: ``bmi``, ``sex = Male``, ``bill_length_mm missing``, ``(intercept)``.
    value : change of the score per unit of the raw column, or from "not so" to "so".
    low, high : 95 % interval, low <= value <= high; None where there is none.
    column : the raw column behind it; None for the intercept.
    deviation : standard deviation of the feature over the rows given, in the units of the raw column.
    """

    class_label: object | None
    feature: str
    value: float
    low: float | None
    high: float | None
    column: str | None
    deviation: float

    @property
    def effect(self) -> float:
        """Change of the score per standard deviation of the feature: what makes features comparable."""
        return self.value * self.deviation


@dataclass(frozen=True)
class Feature:
    """One transformed column: (raw - centre) / scale of a raw column, or of a yes/no question about it."""

    column: str
    label: str
    centre: float = 0.0
    scale: float = 1.0


class _Unreadable(Exception):
    """A step whose effect on raw units is not known here."""


def table(
    pipeline,
    frame: "pd.DataFrame",
    target: "Sequence | np.ndarray | pd.Series",
    *,
    seed: int,
    resamples: int = 500,
    max_rows: int = 10_000,
    positive=None,
) -> list[Coefficient]:
    """The coefficients of a fitted linear model in the units of the raw columns, each with a 95 % interval.

    The score is the model's own linear score: the prediction of a linear regressor, the log of the mean for a
    Poisson regressor, log-odds for a logistic regression, and the margin of a support vector machine before its
    calibration. With the scaler's mean m and scale s, a weight w is w / s per raw unit, and the intercept is w m / s
    less.

    Intervals are percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13): the final estimator is
    refitted on resampled rows of the transformed matrix, while imputation, scaling and encoding stay as they
    were fitted, so they say nothing about the uncertainty of those. Rows are drawn within each class, so that no class
    vanishes. Above `max_rows` rows it is an m-out-of-n bootstrap (Bickel, Gotze and van Zwet 1997): m rows are drawn,
    weighted by n / m so that a penalty keeps its strength, and the distances from the estimate to both ends are
    scaled by sqrt(m / n). Where a refit is slow there are fewer resamples (never under 100), then fewer rows, then
    no intervals; this is decided by the matrix's shape and not by a clock, so that the same seed gives the same
    intervals. An interval is widened to hold its own estimate, which a penalised fit's percentiles may miss.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline of "features" (ColumnTransformer) and an estimator, which may be wrapped by
        ``FixedThresholdClassifier`` and ``CalibratedClassifierCV(ensemble=False)``.
    frame : the (n, columns) rows the pipeline was fitted on.
    target : (n,) their targets.
    seed : decides the resamples; no global random state is read or changed.
    resamples : how many refits at most; 0 for no intervals.
    max_rows : how many rows a refit sees at most.
    positive : of two classes, the one whose score is meant; the second in ``classes_`` where it is None.

    Returns
    -------
    list of Coefficient, class by class: the intercept, then the features in the pipeline's order. Empty where
    the estimator is not linear in its columns (an MLP: see `importances`), or a step of the features is not one
    whose units are known here (imputation, standard scaling, one-hot encoding).
    """
    import numpy as np

    estimator = _linear(pipeline[-1])
    features = layout(pipeline, frame)
    if estimator is None or features is None:
        return []
    weights, intercepts = _weights(estimator)
    if weights.shape[1] != len(features):
        return []
    matrix = pipeline[:-1].transform(frame)
    centre = np.array([feature.centre for feature in features])
    scale = np.array([feature.scale for feature in features])

    estimates = _raw(weights, intercepts, centre, scale)
    drawn = _bootstrap(estimator, matrix, np.asarray(target), seed=seed, resamples=resamples, max_rows=max_rows)
    if drawn is None:
        low = high = np.full_like(estimates, np.nan)
    else:
        low, high = _interval(estimates, [_raw(w, b, centre, scale) for w, b in drawn.fits], drawn.shrink)
    labels = _labels(estimator)
    if positive is not None and len(labels) == 1 and labels[0] != positive:
        labels, estimates, low, high = [positive], -estimates, -high, -low

    names: list[tuple[str, str | None, float]] = [(INTERCEPT, None, 0.0)]
    deviations = _deviations(matrix) * scale
    names += [(feature.label, feature.column, float(d)) for feature, d in zip(features, deviations, strict=True)]
    return [
        Coefficient(label, name, float(v), *_ends(lo, hi), column, deviation if np.isfinite(deviation) else 0.0)
        for label, values, lows, highs in zip(labels, estimates, low, high, strict=True)
        for (name, column, deviation), v, lo, hi in zip(names, values, lows, highs, strict=True)
        if np.isfinite(v)
    ]


def importances(
    pipeline,
    frame: "pd.DataFrame",
    target: "Sequence | np.ndarray | pd.Series",
    *,
    seed: int,
    repeats: int = 5,
    resamples: int = 500,
    max_rows: int = 2_000,
) -> list[Coefficient]:
    """Permutation importance of every raw column on held-out rows, for models that have no coefficients.

    The value is how much the loss grows when the column's values are shuffled among the rows (Breiman 2001; Fisher,
    Rudin and Dominici 2019): RMSE in the target's units for a regressor, log loss for a classifier. The interval is a
    percentile bootstrap over the rows. Nothing is refitted. At most `max_rows` rows are looked at, fewer where
    there are very many columns.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline of "features" (ColumnTransformer) and an estimator.
    frame, target : (n, columns) held-out rows and their (n,) targets.
    seed : decides which rows, shuffles and resamples; no global random state is read or changed.

    Returns
    -------
    list of Coefficient in the pipeline's order, with no class label and deviation 1. Empty where a step of the
    features mixes columns.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    features = layout(pipeline, frame)
    if not features:
        return []
    rng = np.random.default_rng(seed)
    places: dict[str, list[int]] = {}
    for place, feature in enumerate(features):
        places.setdefault(feature.column, []).append(place)
    affordable = int(4e8 // (len(features) * len(places) * repeats))
    rows = min(len(frame), max_rows, max(200, affordable))
    chosen = np.sort(rng.choice(len(frame), rows, replace=False))
    matrix = pipeline[:-1].transform(frame.iloc[chosen])
    matrix = np.array(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)
    losses, total = _losses(pipeline[-1], np.asarray(target)[chosen])
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples)

    found = []
    with threadpool_limits(1), np.errstate(all="ignore"):
        before = losses(matrix)
        for column, where in places.items():
            after = np.zeros(rows)
            kept = matrix[:, where].copy()
            for _ in range(repeats):
                matrix[:, where] = kept[rng.permutation(rows)]
                after += losses(matrix) / repeats
            matrix[:, where] = kept
            value = float(total(after.mean()) - total(before.mean()))
            spread = total(counts @ after / rows) - total(counts @ before / rows)
            low, high = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if resamples else (np.nan, np.nan)
            if np.isfinite(value):
                found.append(Coefficient(None, column, value, *_ends(min(low, value), max(high, value)), column, 1.0))
    return found


def score_name(pipeline, target: str) -> str:
    """What the coefficients of a fitted pipeline are changes of, in words for an axis: ``log-odds``, the target."""
    from sklearn.base import is_classifier

    estimator = _linear(pipeline[-1])
    if estimator is None:
        return "log loss" if is_classifier(pipeline[-1]) else f"RMSE of {target}"
    if hasattr(estimator, "predict_log_proba"):
        return "log-odds"
    if is_classifier(estimator):
        return "margin"
    return f"log of the mean of {target}" if type(estimator).__name__ == "PoissonRegressor" else target


def layout(pipeline, frame: "pd.DataFrame") -> list[Feature] | None:
    """What each column of the transformed matrix is in terms of the raw columns; None where that is not known.

    Parameters
    ----------
    pipeline : fitted scikit-learn Pipeline whose only step before the estimator is a ColumnTransformer.
    frame : rows as the pipeline takes them; a few are used to see whether a function changes values.
    """
    from sklearn.compose import ColumnTransformer

    if len(pipeline) != 2 or not isinstance(pipeline[0], ColumnTransformer):
        return None
    head = frame.head(50)
    found: list[Feature] = []
    try:
        for _, transformer, columns in pipeline[0].transformers_:
            part = head[list(columns)] if isinstance(columns, (list, tuple)) else head.loc[:, head.columns[columns]]
            if part.shape[1] and not (isinstance(transformer, str) and transformer == "drop"):
                start = [Feature(str(name), str(name)) for name in part.columns]
                found += _through(transformer, start, part)[0]
    except _Unreadable:
        return None
    return found


def _through(step, features: list[Feature], head):
    """The features, and the rows at `head`, after one fitted step."""
    import numpy as np
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    if isinstance(step, str) and step == "passthrough":
        return features, head
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            features, head = _through(inner, features, head)
        return features, head
    after = step.transform(head)
    if isinstance(step, FunctionTransformer):
        if not _same(head, after):
            raise _Unreadable
    elif isinstance(step, SimpleImputer):
        import pandas as pd

        kept = [feature for feature, fill in zip(features, step.statistics_, strict=True) if not pd.isna(fill)]
        asked = step.indicator_.features_ if step.add_indicator else []
        if step.strategy == "constant" and isinstance(step.fill_value, str):
            kept = [_Filled(f.column, f.label, fill=step.fill_value) for f in kept]
        features = kept + [Feature(features[i].column, f"{features[i].label} missing") for i in asked]
    elif isinstance(step, StandardScaler):
        centre = step.mean_ if step.with_mean else np.zeros(len(features))
        scale = step.scale_ if step.with_std else np.ones(len(features))
        features = [
            Feature(feature.column, feature.label, float(c), float(s))
            for feature, c, s in zip(features, centre, scale, strict=True)
        ]
    elif isinstance(step, OneHotEncoder):
        features = _encoded(step, features)
    else:
        raise _Unreadable
    return features, after


@dataclass(frozen=True)
class _Filled(Feature):
    """A column whose missing values were filled with a text."""

    fill: str = ""


def _encoded(encoder, features: list[Feature]) -> list[Feature]:
    """One feature per column of a fitted one-hot encoder, named by the encoder itself: it knows what it dropped."""
    asked: list[tuple] = []

    def note(place, category) -> str:
        asked.append((place, category))
        return str(len(asked) - 1)

    namer = copy.copy(encoder)
    namer.feature_name_combiner = note
    vars(namer).pop("feature_names_in_", None)
    names = namer.get_feature_names_out([str(place) for place in range(len(features))])
    # The encoder tries its combiner out first: what was asked for is what its answer names.
    pairs = [(int(place), category) for place, category in (asked[int(name)] for name in names)]
    rare = [group is not None for group in getattr(encoder, "infrequent_categories_", [None] * len(features))]
    found = []
    for place, category in pairs:
        feature = features[place]
        if category == "infrequent_sklearn" and rare[place]:
            label = f"{feature.label} = (rare values)"
        elif isinstance(feature, _Filled) and category == feature.fill:
            label = f"{feature.label} missing"
        else:
            label = f"{feature.label} = {category}"
        found.append(Feature(feature.column, label))
    return found


def _same(before, after) -> bool:
    """Whether a function left all values as they were, whatever it did to their type."""
    import numpy as np
    import pandas as pd

    one, two = np.asarray(before, dtype=object), np.asarray(after, dtype=object)
    return one.shape == two.shape and bool(np.all((one == two) | (pd.isna(one) & pd.isna(two))))


def _linear(estimator):
    """The fitted linear estimator inside a threshold and a calibration; None where there is none, or several."""
    if hasattr(estimator, "estimator_") and hasattr(estimator, "pos_label"):
        estimator = estimator.estimator_
    if hasattr(estimator, "calibrated_classifiers_"):
        if len(estimator.calibrated_classifiers_) != 1:
            return None
        estimator = estimator.calibrated_classifiers_[0].estimator
    return estimator if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_") else None


def _weights(estimator):
    """A fitted linear estimator's weights and intercepts, of shapes (scores, columns) and (scores,)."""
    import numpy as np

    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=float))
    return weights, np.broadcast_to(np.asarray(estimator.intercept_, dtype=float).ravel(), (len(weights),))


def _labels(estimator) -> list:
    """The class of each score: None for a regressor, the second class where there are two."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return [None]
    labels = classes.tolist()
    return labels[1:] if len(labels) == 2 else labels


def _raw(weights, intercepts, centre, scale):
    """Weights of scaled columns in raw units, intercepts first: shape (scores, 1 + columns)."""
    import numpy as np

    with np.errstate(all="ignore"):
        per_unit = weights / scale
        return np.column_stack([intercepts - per_unit @ centre, per_unit])


def _interval(estimates, draws, shrink: float):
    """Percentile interval of the draws, its ends moved towards the estimate by `shrink`, and holding it."""
    import numpy as np

    with np.errstate(all="ignore"):
        ends = np.quantile(np.stack(draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        low, high = estimates + shrink * (ends - estimates)
        return np.minimum(low, estimates), np.maximum(high, estimates)


def _ends(low, high) -> tuple[float | None, float | None]:
    import math

    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else (None, None)


def _deviations(matrix):
    """Standard deviation of each column of a dense or sparse matrix."""
    import numpy as np

    with np.errstate(all="ignore"):
        if not hasattr(matrix, "toarray"):
            return np.asarray(matrix).std(axis=0)
        mean = np.asarray(matrix.mean(axis=0)).ravel()
        return np.sqrt(np.maximum(np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel() - mean**2, 0))


@dataclass(frozen=True)
class _Draws:
    """Weights and intercepts of every refit, and what their distances from the estimate are multiplied by."""

    fits: list
    shrink: float


def _bootstrap(estimator, matrix, target, *, seed: int, resamples: int, max_rows: int) -> _Draws | None:
    """Refits of an estimator on resampled rows; None where they would take too long or most of them fail."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    n = matrix.shape[0]
    wanted, rows = _plan(estimator, matrix, resamples, max_rows)
    if not wanted:
        return None
    rng = np.random.default_rng(seed)
    strata = _strata(estimator, target)
    sizes = [max(1, round(len(stratum) * rows / n)) for stratum in strata]
    model = copy.deepcopy(estimator)
    parameters = model.get_params()
    # From the estimate a refit is a few steps away; and liblinear draws its own numbers.
    changed: dict[str, Any] = {"warm_start": True, "random_state": seed}
    if passes := _PASSES.get(parameters.get("solver") or type(model).__name__):
        changed["max_iter"] = min(parameters["max_iter"], passes)
    model.set_params(**{name: value for name, value in changed.items() if name in parameters})
    # A penalty that is weighed against a sum over rows must see as much weight as all n rows have.
    heavier = {"sample_weight": np.full(sum(sizes), n / rows)} if rows < n else {}
    matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else np.asarray(matrix)
    fits = []
    # Threads of a BLAS that spin cost up to a hundred times the work itself on matrices of this size.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(wanted):
            chosen = np.concatenate(
                [stratum[rng.integers(0, len(stratum), size)] for stratum, size in zip(strata, sizes, strict=True)]
            )
            try:
                model.fit(matrix[chosen], target[chosen], **heavier)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                continue
            weights, intercepts = _weights(model)
            fits.append((weights.copy(), intercepts.copy()))
    return _Draws(fits, float(np.sqrt(rows / n))) if len(fits) > wanted / 2 else None


def _plan(estimator, matrix, resamples: int, max_rows: int) -> tuple[int, int]:
    """How many refits, on how many rows each; (0, 0) where even the fewest would take too long."""
    n, columns = matrix.shape
    if resamples < 1:
        return 0, 0
    solver = estimator.get_params().get("solver")
    nanoseconds = _NANOSECONDS.get(type(estimator).__name__, _UNKNOWN_NANOSECONDS)
    if type(estimator).__name__ == "LogisticRegression":
        nanoseconds = _SLOW_SOLVERS.get(solver, nanoseconds)
    if type(estimator).__name__ == "LinearRegression":
        nanoseconds += columns / 10  # its singular value decomposition is quadratic in the columns
    width = _SPARSE * matrix.nnz / n if hasattr(matrix, "nnz") else columns
    a_row = nanoseconds * width * _weights(estimator)[0].shape[0]

    rows = min(n, max_rows)
    count = min(resamples, max(_FEWEST_RESAMPLES, int(_AIM / (_OVERHEAD + a_row * rows))))
    if count * (_OVERHEAD + a_row * rows) > _AIM:
        least = min(rows, max(_FEWEST_ROWS, 5 * columns))
        rows = min(rows, max(least, int((_AIM / count - _OVERHEAD) / a_row)))
    return (count, rows) if count * (_OVERHEAD + a_row * rows) <= _CEILING else (0, 0)


def _strata(estimator, target) -> list:
    """Row numbers by class; for a Poisson regressor zeros and others, since it cannot be fitted to zeros alone."""
    import numpy as np

    if hasattr(estimator, "classes_"):
        groups = np.unique(target, return_inverse=True)[1]
    elif type(estimator).__name__ == "PoissonRegressor":
        groups = (target > 0).astype(int)
    else:
        groups = np.zeros(len(target), dtype=int)
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def _losses(estimator, target):
    """The loss of each row of a transformed matrix as a function, and what turns its mean into the metric."""
    import numpy as np
    from sklearn.base import is_classifier

    if not is_classifier(estimator):
        return (lambda matrix: (estimator.predict(matrix) - target) ** 2), np.sqrt
    place = {label: column for column, label in enumerate(estimator.classes_.tolist())}
    columns = np.array([place.get(label, -1) for label in target.tolist()])
    known = columns >= 0  # a class that training never saw has no probability, and tells nothing about a column

    def losses(matrix):
        probabilities = estimator.predict_proba(matrix)[np.arange(len(columns)), np.maximum(columns, 0)]
        return np.where(known, -np.log(np.clip(probabilities, 1e-15, None)), 0.0)

    return losses, lambda mean: mean
