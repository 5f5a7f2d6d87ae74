"""Fitted imputers that put one value in each column, and indicators of what was missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import steps as kinds
from ..fields import NUMBER
from .trace import Trace, TracedColumn, finite, is_missing


def simple_imputer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    marker = None if is_missing(step.missing_values) else step.missing_values
    marker = str(marker) if isinstance(marker, str) else marker
    single = getattr(step, "_fill_dtype", None) == np.float32
    ready, found = [], []
    for column, statistic in zip(columns, step.statistics_, strict=True):
        dropped = is_missing(statistic) and not step.keep_empty_features
        fill = statistic
        if isinstance(fill, str) or isinstance(marker, str):
            column = trace.textual(column, path, step)
            fill = str(fill)
        elif dropped:
            column = trace.numeric(column, path, step) if step.strategy in ("mean", "median") else column
        else:
            column = trace.numeric(column, path, step)
            fill = finite(np.float32(fill) if single else fill, path, step, "fill value")
        old = marker if marker is None or isinstance(marker, str) else finite(marker, path, step, "missing_values")
        if old is not None:
            column = trace.require(column)
        ready.append((column, old))
        if not dropped:
            done = kinds.Impute(fill) if old is None else kinds.Replace(old, fill)
            found.append(trace.then(column, done, filled=True))
        elif trace.kind(column) == NUMBER:
            trace.check(column, missing=True)
    if step.add_indicator:
        found += _indicators(step.indicator_, ready)
    return found


def _indicators(indicator: Any, ready: Sequence[tuple[TracedColumn, kinds.Category]]) -> list[TracedColumn]:
    return [
        TracedColumn(
            ready[place][0].source,
            f"{ready[place][0].label} is missing",
            NUMBER,
            (*ready[place][0].steps, kinds.Is(ready[place][1])),
        )
        for place in indicator.features_
    ]


def missing_indicator(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    marker: kinds.Category = None
    if isinstance(step.missing_values, str):
        marker = str(step.missing_values)
        columns = [trace.require(trace.textual(column, path, step)) for column in columns]
    elif not is_missing(step.missing_values):
        marker = finite(step.missing_values, path, step, "missing_values")
        columns = [trace.require(trace.numeric(column, path, step)) for column in columns]
    if step.features == "missing-only" and step.error_on_new:
        known = set(step.features_)
        columns = [c if place in known else trace.require(c) for place, c in enumerate(columns)]
    return _indicators(step, [(column, marker) for column in columns])
