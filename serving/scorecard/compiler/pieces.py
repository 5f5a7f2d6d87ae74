"""Fitted splines and quantile transforms: polynomials between edges."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import steps as kinds
from .trace import Trace, TracedColumn, finite, unsupported

#: (where it begins, what to subtract, coefficients of rising powers); no coefficients where a value is refused.
Piece = tuple[float, float, list[float]]
#: The sizes of coefficients whose products with powers of a column's values no engine loses.
_SMALLEST, _LARGEST = 1e-150, 1e150


def spline_transformer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The B-splines of a fitted ``SplineTransformer``: each a polynomial between its knots."""
    if step.degree == 0:
        raise unsupported(path, step, "its splines of degree 0 jump: KBinsDiscretizer makes such columns")
    if step.extrapolation == "periodic":
        raise unsupported(path, step, "its splines are periodic")
    zeros = getattr(step, "handle_missing", "error") == "zeros"
    made = [_bases(step, place, path) for place in range(len(columns))]
    _compare(step, made, path)
    found = []
    for column, bases in zip(columns, made, strict=True):
        column = trace.numeric(column, path, step)
        column = column if zeros else trace.require(column)
        if step.extrapolation == "error":
            refuse_rounded(column, path, step, "what lies beyond the outer knots is refused")
            trace.check(trace.then(column, bases[0]), missing=zeros)
        for place, basis in enumerate(bases):
            steps = [basis, kinds.Impute(0.0)] if zeros else [basis]
            found.append(trace.then(column, *steps, label=f"spline {place} of {column.label}", filled=zeros))
    return found


def _bases(step: Any, feature: int, path: str) -> list[kinds.Piecewise]:
    """The basis functions of one column."""
    spline, extrapolation = step.bsplines_[feature], step.extrapolation
    knots, degree, width = spline.t, spline.k, spline.c.shape[1]
    inner = [place for place in range(degree, len(knots) - degree - 1) if knots[place] < knots[place + 1]]
    if not inner:
        raise unsupported(path, step, f"its knots of column {feature} coincide")
    starts = [float(knots[place]) for place in inner]
    # By power, interval and basis function.
    rows = np.array([spline(starts, nu=power) / math.factorial(power) for power in range(degree + 1)])
    # scikit-learn 1.9 adds one to the degree of 1 as it comes to the first column, and keeps it for the others.
    straight = extrapolation == "linear" and degree == 1
    outside = 2 if straight and feature else degree
    low, high = float(knots[outside]), float(knots[-outside - 1])
    moved = 2 if straight else degree
    found = []
    for basis in range(width if step.include_bias else width - 1):
        pieces = [(start, start, rows[:, place, basis].tolist()) for place, start in enumerate(starts)]
        powers = range(2 if extrapolation == "linear" else 1)
        below = [float(spline(low, nu=power)[basis]) if basis < moved else 0.0 for power in powers]
        above = [float(spline(high, nu=power)[basis]) if basis >= width - moved else 0.0 for power in powers]
        if extrapolation == "error":
            pieces = [(-math.inf, 0.0, []), *pieces, (math.nextafter(high, math.inf), 0.0, [])]
        elif extrapolation in ("constant", "linear"):
            pieces = [(max(low, start), origin, row) for start, origin, row in pieces if start < high]
            pieces = [(-math.inf, low, below), *pieces, (high, high, above)]
        found.append(step_of(pieces, path, step))
    return found


def _compare(step: Any, made: Sequence[Sequence[kinds.Piecewise]], path: str) -> None:
    """Refuses splines that the transformer itself computes otherwise, as it does where many knots coincide."""
    columns = []
    for spline in step.bsplines_:
        knots, low, high = spline.t, spline.t[spline.k], spline.t[-spline.k - 1]
        at = np.concatenate([knots, (knots[1:] + knots[:-1]) / 2.0])
        columns.append(np.clip(at, low, high) if step.extrapolation == "error" else at)
    table = np.column_stack(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = step.transform(table)
    found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    runs = [(values, basis.bind("")) for values, bases in zip(table.T, made, strict=True) for basis in bases]
    expected = np.column_stack([[run(x) for x in values.tolist()] for values, run in runs])
    if not np.allclose(found, expected, rtol=1e-9, atol=1e-9):
        raise unsupported(path, step, "some of its knots coincide")


def refuse_rounded(column: TracedColumn, path: str, step: object, where: str) -> None:
    """Refuses a column whose last digits decide on which side of an edge it is."""
    if column.rounded:
        reason = f"{column.label!r} went through a function that libraries round differently, and {where}"
        raise unsupported(path, step, f"{reason}: do this before the function")


def quantile_transformer(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The share of training values below a number, as a fitted ``QuantileTransformer`` interpolates it."""
    if step.output_distribution != "uniform":
        raise unsupported(path, step, "it gives a normal distribution, whose inverse no two libraries round alike")
    found = []
    for place, column in enumerate(columns):
        column = trace.numeric(column, path, step)
        quantiles = [finite(one, path, step, "quantile") for one in step.quantiles_[:, place]]
        pieces = _shares(quantiles, step.references_.tolist())
        if len(set(quantiles)) < len(quantiles):
            refuse_rounded(column, path, step, "some of its quantiles are equal")
        found.append(trace.then(column, step_of(pieces, path, step), label=f"quantile of {column.label}"))
    return found


def _shares(quantiles: list[float], references: list[float]) -> list[Piece]:
    """Straight lines between quantiles; where several are equal, the middle of their shares."""
    values = sorted(set(quantiles))
    first = {value: references[quantiles.index(value)] for value in values}
    last = dict(zip(quantiles, references, strict=True))
    pieces: list[Piece] = [(-math.inf, 0.0, [0.0])]
    for place, value in enumerate(values):
        middle = 0.0 if place == 0 else 1.0 if place == len(values) - 1 else (first[value] + last[value]) / 2.0
        jumps = place in (0, len(values) - 1) or first[value] < last[value]
        if jumps:
            pieces.append((value, value, [middle]))
        start = math.nextafter(value, math.inf) if jumps else value
        if value == values[-1]:
            pieces.append((start, value, [1.0]))
        else:
            following = values[place + 1]
            slope = (first[following] - last[value]) / (following - value)
            pieces.append((start, value, [last[value], slope]))
    return pieces


def step_of(pieces: Sequence[Piece], path: str, step: object) -> kinds.Piecewise:
    """The step of these pieces, where neighbours that say the same constant are one."""
    kept: list[Piece] = []
    for start, origin, row in pieces:
        row = [finite(one, path, step, "coefficient") for one in row]
        if any(one and not _SMALLEST < abs(one) < _LARGEST for one in row):
            raise unsupported(path, step, "its knots are too near, or too far from each other")
        while len(row) > 1 and not row[-1]:
            row = row[:-1]
        if kept and len(row) == 1 and kept[-1][2] == row:
            continue
        kept.append((start, 0.0 if len(row) < 2 else origin, row))
    return kinds.Piecewise(
        [start for start, _, _ in kept[1:]], [origin for _, origin, _ in kept], [r for _, _, r in kept]
    )
