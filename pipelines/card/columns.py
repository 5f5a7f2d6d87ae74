"""A version's input columns: what training saw in each."""

import math
from dataclasses import dataclass

import numpy as np

from registry.evidence import Evidence
from registry.evidence.document import CategoryProfile, InputColumn, NumberProfile

#: So many frequent values of a category are named.
_MOST_NAMED = 4
#: Bars of a small histogram, within a width of 100 and a height of 20.
_BARS, _WIDTH, _HEIGHT = 24, 100, 20


@dataclass(frozen=True)
class ColumnRow:
    """An input column and what its values were like; of a version whose training is not known, None and empty.

    Parameters
    ----------
    missing : the share of rows without a value.
    top : the most frequent texts, each with its share; ``more`` is how many other texts there are.
    bars : a small histogram: (left, width, height) of each bar.
    """

    column: InputColumn
    missing: float | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    more: int = 0
    bars: tuple[tuple[float, float, float], ...] = ()


def inputs(document: Evidence) -> list[ColumnRow]:
    """Each input column with its range or its frequent values, its missing share and a small histogram."""
    return [_row(column, document.profile.get(column.name)) for column in document.schema.inputs]


def _row(column: InputColumn, seen: NumberProfile | CategoryProfile | None) -> ColumnRow:
    missing = seen.missing / seen.count if seen and seen.count else None
    if isinstance(seen, CategoryProfile):
        top = tuple((text, times / seen.count) for text, times in list(seen.top.items())[:_MOST_NAMED])
        return ColumnRow(column, missing, top=top, more=max(seen.distinct - _MOST_NAMED, 0))
    if isinstance(seen, NumberProfile):
        low, high = (_whole(end, column.integer) for end in (seen.min, seen.max))
        return ColumnRow(column, missing, low, high, seen.mean, seen.std, bars=_bars(seen))
    return ColumnRow(column)


def _whole(end: float | None, integer: bool) -> float | int | None:
    """The end of a range, without decimals if the column has none."""
    return int(end) if integer and end is not None and float(end).is_integer() else end


def _bars(seen: NumberProfile) -> tuple[tuple[float, float, float], ...]:
    """Bars of equal width between the outermost known quantiles."""
    if seen.histogram is None or len(seen.histogram.edges) < 2:
        return ()
    edges, counts = seen.histogram.edges, seen.histogram.counts
    low, high = seen.quantiles.get("0.01", edges[0]), seen.quantiles.get("0.99", edges[-1])
    if not 0 < high - low < math.inf:
        return ()
    # The profile's bins are of unequal width: rows are taken to lie evenly within each.
    with np.errstate(all="ignore"):  # between the smallest of float64 there is nothing even
        below = np.interp(np.linspace(low, high, _BARS + 1), edges, np.cumsum([0, *counts]))
        rows = np.diff(below)
    if not rows.max() > 0:
        return ()
    step = _WIDTH / _BARS
    heights = (rows / rows.max() * _HEIGHT).tolist()
    return tuple((round(bar * step, 2), round(0.9 * step, 2), round(height, 2)) for bar, height in enumerate(heights))
