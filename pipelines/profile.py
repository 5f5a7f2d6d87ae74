"""The reference profile of a table's columns: what they looked like in training, for drift later."""

import numpy as np
import pandas as pd

from pipelines.spread import Spread
from registry.evidence.document import CategoryProfile, Histogram, NumberProfile

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = 20
# A number of at least this share of the rows, such as a zero, has a bin of its own.
_FREQUENT = 0.5 / _BINS
_TOP = 50
#: Quantiles and histograms are of at most this many rows, evenly spread over the table.
_ROWS = 100_000


def of(table: pd.DataFrame) -> dict[str, NumberProfile | CategoryProfile]:
    """Each column's profile.

    Parameters
    ----------
    table : float64 and ``str`` columns, NaN missing.
    """
    return {
        str(name): _numbers(values) if values.dtype.kind == "f" else _texts(values) for name, values in table.items()
    }


def _numbers(values: pd.Series) -> NumberProfile:
    numbers = values.to_numpy()
    known = numbers[~np.isnan(numbers)]
    missing = len(numbers) - len(known)
    if not len(known):
        return of_numbers(len(numbers), missing, known)
    ends = float(known.min()), float(known.max())
    sample = known[spread(len(known)).next(len(known))]
    return of_numbers(len(numbers), missing, sample, float(known.mean()), float(known.std()), ends)


def spread(known: int) -> Spread:
    """Those of so many values that are looked at."""
    return Spread(known, _ROWS)


def of_numbers(
    count: int,
    missing: int,
    sample: np.ndarray,
    mean: float | None = None,
    std: float | None = None,
    ends: tuple[float | None, float | None] = (None, None),
) -> NumberProfile:
    """The profile of a column of numbers.

    Parameters
    ----------
    count, missing : rows, and those without a value.
    sample : values, evenly spread over those that are there; none where none is.
    mean, std, ends : of all values; None where there is none.
    """
    if not len(sample):
        return NumberProfile(count, missing, mean=None, std=None, min=None, max=None, quantiles={}, histogram=None)
    edges = _edges(sample)
    counts = np.histogram(sample, edges)[0].tolist() if len(edges) > 1 else [len(sample)]
    quantiles = np.quantile(sample, _QUANTILES).tolist()
    return NumberProfile(
        count,
        missing,
        mean=mean,
        std=std,
        min=ends[0],
        max=ends[1],
        quantiles={f"{share:g}": value for share, value in zip(_QUANTILES, quantiles, strict=True)},
        histogram=Histogram(edges.tolist(), counts),
    )


def _edges(sample: np.ndarray) -> np.ndarray:
    """The edges of bins of equal frequency, and around each number that is frequent itself."""
    edges = np.quantile(sample, np.linspace(0, 1, _BINS + 1))
    numbers, counts = np.unique(sample, return_counts=True)
    if len(numbers) == 1:
        return numbers
    frequent = numbers[(counts > 1) & (counts >= _FREQUENT * len(sample))]
    return np.unique(np.concatenate([edges, frequent, np.nextafter(frequent, np.inf)]))


def _texts(values: pd.Series) -> CategoryProfile:
    return of_texts(len(values), int(values.isna().sum()), values.value_counts())


def of_texts(count: int, missing: int, counts: pd.Series) -> CategoryProfile:
    """The profile of a column of texts.

    Parameters
    ----------
    count, missing : rows, and those without a text.
    counts : by text, how many rows have it, the most frequent first.
    """
    # Of texts that are equally frequent the first by name: the same profile whatever the order of the rows.
    least = counts.iloc[min(_TOP, len(counts)) - 1] if len(counts) else 0
    top = sorted(counts[counts >= least].items(), key=lambda pair: (-pair[1], str(pair[0])))[:_TOP]
    return CategoryProfile(
        count=count,
        missing=missing,
        distinct=len(counts),
        top={str(text): int(rows) for text, rows in top},
    )
