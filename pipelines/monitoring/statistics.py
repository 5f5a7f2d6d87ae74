"""Tests of two samples: how far apart they are, and how certain it is that this is no chance."""

import math
from collections.abc import Sequence

import numpy as np

#: The fewest rows that a bin of either sample holds on average, so that the chi-square distribution fits its counts.
FEWEST = 10
#: The same of the reference where bins were made from its own quantiles.
FEWEST_REFERENCE = 50
#: The most bins that are compared. The customary bounds of the PSI (0.1, 0.25) are of about ten.
MOST = 10
# A category of a smaller share of the reference has no bin of its own in a PSI.
_RARE = 0.01
# What is added to each count, so that an empty bin has a logarithm.
_SMOOTHING = 0.5
# Fisher's test is worth its time from so many standard deviations on.
_UNUSUAL = 2.5
# From here on the normal distribution is exact enough for shares; below, Fisher's test.
_MANY = 2000


def psi(reference: np.ndarray, live: np.ndarray) -> float:
    """The population stability index of two histograms: the sum of (q - p) ln(q / p) over the bins.

    It is the symmetric Kullback-Leibler divergence (Kullback and Leibler 1951) of the two distributions. Half a row is
    added to each bin.

    Parameters
    ----------
    reference, live : shape (n_bins,), counts.
    """
    before, now = (_shares(counts) for counts in (reference, live))
    return float(((now - before) * np.log(now / before)).sum())


def _shares(counts: np.ndarray) -> np.ndarray:
    raised = np.asarray(counts, dtype="float64") + _SMOOTHING
    return raised / raised.sum()


def psi_by_chance(reference: int, live: int, bins: int) -> float:
    """The PSI that two samples of one distribution have on average: (1/n + 1/m) (B - 1).

    The PSI of two samples of n and m rows in B bins is distributed as (1/n + 1/m) times a chi-square variable of B - 1
    degrees of freedom, if both are of one distribution (Yurdakul and Naranjo 2020).
    """
    return (1 / reference + 1 / live) * (bins - 1)


def psi_within_chance(reference: int, live: int, bins: int, level: float) -> float:
    """The PSI that two samples of one distribution exceed with the probability ``level``."""
    from scipy.stats import chi2

    return float((1 / reference + 1 / live) * chi2.isf(level, bins - 1))


def homogeneity(reference: np.ndarray, live: np.ndarray) -> float:
    """The probability of so different histograms if both are samples of one distribution: Pearson's chi-square test.

    To second order Pearson's statistic is the PSI divided by 1/n + 1/m. The PSI itself has longer tails where bins are
    small, and would cry wolf.

    Parameters
    ----------
    reference, live : shape (n_bins,), counts; no bin is empty in both.
    """
    from scipy.stats import chi2

    counts = np.array([reference, live], dtype="float64")
    if counts.shape[1] < 2:
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, counts.shape[1] - 1))


def shares(reference: tuple[int, int], live: tuple[int, int]) -> float:
    """The probability of so different shares if both are of one distribution; two-sided.

    Fisher's exact test (1935), its two-sided probability being twice that of the nearer tail; where all counts are
    large the pooled normal approximation.

    Parameters
    ----------
    reference, live : how many rows have the property, and how many rows there are.
    """
    (a, m), (b, n) = reference, live
    if not m or not n or a + b == 0 or a + b == m + n:
        return 1.0
    pooled = (a + b) / (m + n)
    if min(m, n) * min(pooled, 1 - pooled) >= _MANY:
        from scipy.stats import norm

        deviation = math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
        return float(2 * norm.sf(abs(a / m - b / n) / deviation))
    return _fisher(a, m, b, n)


def _fisher(a: int, m: int, b: int, n: int) -> float:
    """Twice the nearer tail of the hypergeometric distribution, of ``b`` given the sums."""
    from scipy.stats import hypergeom

    given = m + n, a + b, n
    return float(min(1.0, 2 * min(hypergeom.cdf(b, *given), hypergeom.sf(b - 1, *given))))


def beyond(reference: int, live: int, outside: int) -> float:
    """The probability of so many live values below the least or above the largest of the reference, or more of them.

    The share of a continuous distribution outside of the extremes of ``n`` values has the distribution Beta(2, n - 1),
    whatever the distribution is (Wilks 1941), so that the number of live values there is beta-binomial. By the symmetry
    of the n + 1 intervals between values (Tukey 1947) it is as probable as that at most one of the ``outside + 1``
    smallest of all values is of the reference, a tail of the hypergeometric distribution. Where values are repeated the
    test is conservative.

    Parameters
    ----------
    reference, live : how many values there are.
    outside : how many of the live ones are beyond the extremes of the reference.
    """
    from scipy.stats import hypergeom

    if not outside or reference < 2:
        return 1.0
    drawn = reference + live, reference, outside + 1
    return float(min(1.0, hypergeom.pmf(0, *drawn) + hypergeom.pmf(1, *drawn)))


def means(reference: "Sample", live: "Sample") -> float:
    """The probability of so different means if both are equal; Welch's test (1947), two-sided."""
    from scipy.stats import t

    parts = [sample.variance / sample.rows for sample in (reference, live)]
    total = sum(parts)
    if not total > 0:
        return 1.0 if reference.mean == live.mean else 0.0
    freedom = total**2 / sum(
        part**2 / max(sample.rows - 1, 1) for part, sample in zip(parts, (reference, live), strict=True)
    )
    return float(2 * t.sf(abs(live.mean - reference.mean) / math.sqrt(total), freedom))


class Sample:
    """The mean and the variance of a sample.

    Parameters
    ----------
    rows : how many; at least one.
    variance : of the values, not of their mean.
    """

    __slots__ = ("mean", "rows", "variance")

    def __init__(self, rows: int, mean: float, variance: float) -> None:
        self.rows, self.mean, self.variance = rows, mean, variance

    @classmethod
    def of(cls, values: np.ndarray) -> "Sample":
        """That of some values."""
        return cls(len(values), float(values.mean()), float(values.var(ddof=1)) if len(values) > 1 else 0.0)


def holm(probabilities: Sequence[float], rate: float) -> list[bool]:
    """Which of several tests are certain, so that the chance of any false one is at most ``rate`` (Holm 1979).

    Parameters
    ----------
    probabilities : of each test, that of what was found if nothing has changed.
    """
    certain = [False] * len(probabilities)
    for rank, place in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        if not probabilities[place] <= rate / (len(probabilities) - rank):
            break
        certain[place] = True
    return certain


def difference(reference: np.ndarray, live: np.ndarray, *, ordered: bool) -> float:
    """The probability of so different histograms, of whatever counts, if both are samples of one distribution.

    Two tests, at half the level each. Pearson's needs bins that are not small: it merges them, and does so by the sum
    of both histograms alone; given the sum, nothing that is chosen by it makes two samples of one distribution look
    more different than chance does. Fisher's of each bin against all others is exact, and also sees rows that went
    where there were none.
    """
    merge = _merge_ordered if ordered else _merge_unordered
    both = reference + live
    used = both > 0
    if used.sum() < 2:
        return 1.0
    places = merge(reference[used], live[used])
    of_all = homogeneity(np.bincount(places, reference[used]), np.bincount(places, live[used]))
    return min(1.0, 2 * min(of_all, int(used.sum()) * _of_one(reference[used], live[used])))


def _of_one(reference: np.ndarray, live: np.ndarray) -> float:
    """Fisher's probability of the bin that is the most unusual; 1 if none is by the normal approximation."""
    before, now = int(reference.sum()), int(live.sum())
    pooled = (reference + live) / (before + now)
    unusual = np.abs(reference / before - live / now) / np.sqrt(pooled * (1 - pooled) * (1 / before + 1 / now))
    place = int(unusual.argmax())
    if unusual[place] < _UNUSUAL:
        return 1.0
    return shares((int(reference[place]), before), (int(live[place]), now))


def bins(reference: np.ndarray, *, ordered: bool) -> np.ndarray:
    """Into which bin each bin of a profile goes, so that a PSI of them means what it usually does: of about ten bins.

    Parameters
    ----------
    reference : shape (n_bins,), counts; of an ordered column in order.

    Returns
    -------
    array, shape (n_bins,) : numbers of the merged bins, from 0.
    """
    total = int(reference.sum())
    if (reference > 0).sum() == 1:
        return (reference == 0).astype(np.intp)  # a constant, and all else
    if ordered:
        return _in_order(reference, 0.9 * total / MOST)
    return _by_size(reference, _RARE * total)


def _merge_ordered(reference: np.ndarray, live: np.ndarray) -> np.ndarray:
    both = reference + live
    return _in_order(both, _least(reference, live, FEWEST_REFERENCE, 0.999 / MOST if len(both) > MOST else 0.0))


def _merge_unordered(reference: np.ndarray, live: np.ndarray) -> np.ndarray:
    return _by_size(reference + live, _least(reference, live, FEWEST))


def _in_order(counts: np.ndarray, least: float) -> np.ndarray:
    """Neighbours together until each bin has at least so many rows."""
    merged, bin_, held = np.zeros(len(counts), dtype=np.intp), 0, 0
    remaining = int(counts.sum())
    for place, count in enumerate(counts.tolist()):
        if held >= least and remaining >= least:
            bin_, held = bin_ + 1, 0
        merged[place] = bin_
        held += count
        remaining -= count
    return merged


def _by_size(counts: np.ndarray, least: float) -> np.ndarray:
    """Frequent ones have their own bin, all others share the last one; all have at least so many rows."""
    order = np.argsort(-counts, kind="stable")
    merged = np.zeros(len(counts), dtype=np.intp)
    rest = int(counts.sum())
    for rank, place in enumerate(order.tolist()):
        rest -= int(counts[place])
        merged[place] = rank
        if rest < least or (rank + 1 < len(order) and counts[order[rank + 1]] < least):
            merged[order[rank + 1 :]] = rank + 1 if rest >= least else rank
            break
    return merged


def _least(reference: np.ndarray, live: np.ndarray, fewest: int, share: float = 0.0) -> float:
    """The fewest rows of both samples in a bin.

    Parameters
    ----------
    fewest : of the reference alone.
    share : the least share of all rows.
    """
    before, now = int(reference.sum()), int(live.sum())
    if not before or not now:
        return math.inf
    return max(FEWEST / now, fewest / before, share) * (before + now)
