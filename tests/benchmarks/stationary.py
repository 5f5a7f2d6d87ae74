"""Columns of many kinds, as training sees them and as they are met later: for false alarms and for power."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipelines import profile
from pipelines.monitoring import checks, column_checks, counts
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.counts import CategoryCounts, ColumnComparison, ColumnCounts, NumberCounts
from registry import policy
from serving.scorecard.inputs import CATEGORY, NUMBER, Input

#: The kinds of columns, of each of which a table has four.
KINDS = ("normal", "skewed", "heavy-tailed", "discrete", "zero-heavy", "50 categories")
_CATEGORIES = np.array([f"c{place}" for place in range(50)])
_WEIGHTS = 1 / np.arange(1, 51) / (1 / np.arange(1, 51)).sum()
#: The share of rows without a value.
_MISSING = 0.03

RULES = policy.read(policy.SHIPPED).default.monitor


def draw(kind: str, rows: int, random: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    """The values of a column.

    Parameters
    ----------
    shift : of a normal one, in standard deviations.
    """
    if kind == "normal":
        return random.standard_normal(rows) + shift
    if kind == "skewed":
        return np.exp(random.standard_normal(rows))
    if kind == "heavy-tailed":
        return random.standard_cauchy(rows)
    if kind == "discrete":
        return random.poisson(2, rows).astype("float64")
    if kind == "zero-heavy":
        return np.where(random.random(rows) < 0.7, 0.0, random.exponential(size=rows))
    return _CATEGORIES[random.choice(50, rows, p=_WEIGHTS)]


def likely(kind: str, column: ColumnCounts, shift: float = 0.0) -> np.ndarray:
    """How probable each bin of a column's counts is, so that a million rows need not be drawn one by one."""
    from scipy.stats import cauchy, expon, lognorm, norm, poisson

    if isinstance(column, CategoryCounts):
        of = dict(zip(_CATEGORIES, _WEIGHTS, strict=True))
        known = [of[label] for label in column.labels]
        return np.array([*known, max(1 - sum(known), 0.0)])
    assert isinstance(column, NumberCounts)
    # A row is below an edge if it is less than it.
    edges = column.edges
    before = np.nextafter(edges, -np.inf)
    below = {
        "normal": lambda: norm.cdf(edges - shift),
        "skewed": lambda: lognorm.cdf(edges, 1),
        "heavy-tailed": lambda: cauchy.cdf(edges),
        "discrete": lambda: poisson.cdf(before, 2),
        "zero-heavy": lambda: 0.7 * (before >= 0) + 0.3 * expon.cdf(edges),
    }[kind]()
    return np.diff([0.0, *below, 1.0])


def reference(kind: str, name: str, rows: int, random: np.random.Generator) -> ColumnComparison:
    """A column whose training had so many rows, and an empty count beside it."""
    values = pd.Series(draw(kind, rows, random), dtype="str" if kind == KINDS[-1] else "float64")
    values[random.random(rows) < _MISSING] = np.nan
    found = profile.of(pd.DataFrame({name: values}))[name]
    column = Input(name, CATEGORY if kind == KINDS[-1] else NUMBER)
    return ColumnComparison(counts.of_training(column, found), counts.of(column, found))


def meet(
    kind: str, column: ColumnCounts, rows: int, random: np.random.Generator, shift: float = 0.0, wild: float = 0.0
) -> None:
    """Count so many live rows; for ``wild`` see :func:`report`."""
    column.rows = rows
    column.missing = int(random.binomial(rows, _MISSING))
    strange = int(random.binomial(column.known, wild))
    found = random.multinomial(column.known - strange, likely(kind, column, shift))
    found[0] += strange // 2
    found[-1] += strange - strange // 2
    if isinstance(column, CategoryCounts):
        column.add_counts({})
        column.histogram += found[:-1]
        column._unseen += int(found[-1])
        return
    column.histogram += found
    # The outermost edges are the least and the largest value of the training.
    column.below, column.above = int(found[0]), int(found[-1])


def report(
    live: int, training: int, random: np.random.Generator, shift: float = 0.0, wild: float = 0.0
) -> list[WindowCheck]:
    """The verdicts on a table of 24 columns; each moves the score enough to alert.

    Parameters
    ----------
    shift : of the first column, in standard deviations.
    wild : the share of its values that are beyond those of the training, as with a wrong unit.
    """

    def found() -> Iterator[WindowCheck]:
        for place in range(4):
            for kind in KINDS:
                name = f"{kind} {place}"
                column = reference(kind, name, training, random)
                meet(kind, column.live, live, random, *((shift, wild) if name == "normal 0" else ()))
                yield from column_checks.checks("now", column, RULES, moved=math.inf, alpha=RULES.rate)

    return checks.judged(list(found()), RULES.rate)


def kolmogorov(live: int, training: int, random: np.random.Generator, level: float = 0.05) -> bool:
    """Whether the Kolmogorov-Smirnov test at a level is passed by all columns of numbers: what many monitors ask."""
    from scipy.stats import ks_2samp

    pairs = ((draw(kind, training, random), draw(kind, live, random)) for kind in KINDS[:-1] for _ in range(4))
    return all(ks_2samp(*pair, method="asymp").pvalue >= level for pair in pairs)
