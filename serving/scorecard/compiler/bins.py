"""Fitted binarizers and discretizers: on which side of edges a number lies."""

from itertools import pairwise
from typing import Any

import numpy as np

from .. import steps as kinds
from .edges import before_functions
from .trace import Trace, TracedColumn, finite, unsupported


def binarizer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    # x > threshold is x >= the next float64 after it, which is how an edge of a bin is read.
    edge = float(np.nextafter(finite(step.threshold, path, step, "threshold"), np.inf))
    found = []
    for column in columns:
        label = f"{column.label} > {step.threshold:g}"
        column = trace.require(trace.numeric(column, path, step))
        column, edges = before_functions(column, [edge], trace, on_edge_above=False)
        found.append(trace.then(column, kinds.Bin(edges), label=label))
    return found


def discretizer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    if step.dtype is not None and np.dtype(step.dtype) != np.float64:
        raise unsupported(path, step, f"it computes in {np.dtype(step.dtype)}, not float64")
    found = []
    for column, edges in zip(columns, step.bin_edges_, strict=True):
        column = trace.require(trace.numeric(column, path, step))
        inner = [finite(edge, path, step, "bin edge") for edge in edges[1:-1]]
        plain, edges = before_functions(column, inner, trace)
        binned = trace.then(plain, kinds.Bin(edges))
        if step.encode == "ordinal":
            found.append(trace.then(binned, label=f"bin of {column.label}"))
            continue
        limits = [None, *inner, None]
        groups: list[tuple[str, list[kinds.Category]]] = [
            (_interval(column.label, low, high), [float(place)]) for place, (low, high) in enumerate(pairwise(limits))
        ]
        found += trace.one_hot(binned, groups, [], None)
    return found


def _interval(label: str, low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return f"any {label}"
    if low is None:
        return f"{label} < {high:.6g}"
    return f"{label} >= {low:.6g}" if high is None else f"{low:.6g} <= {label} < {high:.6g}"
