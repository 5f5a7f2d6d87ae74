"""A version's input columns: what training saw in each."""

import math
from collections.abc import Mapping

import numpy as np

from pipelines.card.parts import keyed, part

#: So many frequent values of a category are named.
_MOST_NAMED = 4
#: Bars of a small histogram, within a width of 100 and a height of 20.
_BARS, _WIDTH, _HEIGHT = 24, 100, 20


def inputs(document: Mapping) -> list[dict]:
    """Each input column with its range, its frequent values, its missing share and a small histogram."""
    profiles = part(document, "profile")
    rows = []
    for column in part(document, "schema").get("inputs") or []:
        seen = profiles.get(column.get("name")) or {}
        count, missing = seen.get("count"), seen.get("missing")
        top = list(part(seen, "top").items())
        rows.append(
            {
                **keyed(column, "name", "type", "integer", "null"),
                **keyed(seen, "mean", "std"),
                "min": _whole(seen.get("min"), column.get("integer")),
                "max": _whole(seen.get("max"), column.get("integer")),
                "median": part(seen, "quantiles").get("0.5"),
                "missing": missing / count if count and missing is not None else None,
                "top": [(text, times / count if count else None) for text, times in top[:_MOST_NAMED]],
                "more": max((seen.get("distinct") or len(top)) - _MOST_NAMED, 0),
                "bars": _bars(seen),
            }
        )
    return rows


def _whole(end: float | None, integer: bool | None) -> float | int | None:
    """The end of a range, without decimals where the column has none."""
    return int(end) if integer and end is not None and float(end).is_integer() else end


def _bars(seen: Mapping) -> list[tuple[float, float, float]]:
    """A small histogram: (left, width, height) of bars of equal width between the outermost known quantiles."""
    histogram, quantiles = part(seen, "histogram"), part(seen, "quantiles")
    edges, counts = histogram.get("edges") or [], histogram.get("counts") or []
    if len(edges) != len(counts) + 1 or len(edges) < 2:
        return []
    low, high = quantiles.get("0.01", edges[0]), quantiles.get("0.99", edges[-1])
    if not 0 < high - low < math.inf:
        return []
    # The profile's bins are of unequal width: rows are taken to lie evenly within each.
    with np.errstate(all="ignore"):  # between the smallest of float64 there is nothing even
        below = np.interp(np.linspace(low, high, _BARS + 1), edges, np.cumsum([0, *counts]))
        rows = np.diff(below)
    if not rows.max() > 0:
        return []
    step = _WIDTH / _BARS
    heights = (rows / rows.max() * _HEIGHT).tolist()
    return [(round(bar * step, 2), round(0.9 * step, 2), round(height, 2)) for bar, height in enumerate(heights)]
