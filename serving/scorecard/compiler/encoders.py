"""Fitted encoders of categories: which column, or which number, each category becomes."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..fields import NUMBER
from ..steps import Category, Lookup
from .trace import Trace, TracedColumn, finite, unsupported


def one_hot_encoder(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The 0/1 columns of a fitted ``OneHotEncoder``: rare categories share one, dropped and unknown ones have none."""
    if np.dtype(step.dtype).kind == "f" and np.dtype(step.dtype) != np.float64:
        raise unsupported(path, step, f"it makes columns of {np.dtype(step.dtype)}, not float64")
    rare_of = getattr(step, "infrequent_categories_", None)
    found: list[TracedColumn] = []
    for place, column in enumerate(columns):
        categories, column = _categories(step.categories_[place], column, trace, path, step)
        rare: set[Category] = set()
        if rare_of is not None and rare_of[place] is not None:
            rare = {categories[_position(step.categories_[place], item)] for item in rare_of[place]}
        groups = [(_label(column, item), [item]) for item in categories if item not in rare]
        if rare:
            groups.append((f"{column.label} is rare", [item for item in categories if item in rare]))
        dropped = None if step.drop_idx_ is None else step.drop_idx_[place]
        zero: list[Category] = []
        if dropped is not None:
            zero = next(of for _, of in groups if categories[dropped] in of)
            groups = [group for group in groups if group[1] is not zero]
        other = None if step.handle_unknown == "error" else -1
        if (
            step.handle_unknown in ("infrequent_if_exist", "warn")
            and rare
            and groups[-1:]
            and rare == set(groups[-1][1])
        ):
            other = len(groups) - 1
        if None not in categories and step.handle_unknown == "error":
            column = trace.require(column)
        if not groups:  # nothing is left of the column but that it has to be a known category
            zeros: list[float | None] = [0.0] * len(categories)
            known = Lookup(categories, zeros, "refuse" if step.handle_unknown == "error" else 0.0)
            trace.check(trace.then(column, known, filled=True))
            continue
        found += trace.one_hot(column, groups, zero, other)
    return found


def ordinal_encoder(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The numbers of a fitted ``OrdinalEncoder``."""
    if np.dtype(step.dtype).kind == "f" and np.dtype(step.dtype) != np.float64:
        raise unsupported(path, step, f"it makes columns of {np.dtype(step.dtype)}, not float64")
    found = []
    for place, column in enumerate(columns):
        categories, column = _categories(step.categories_[place], column, trace, path, step)
        # The encoder itself says the codes: rare categories share one that only its private attributes know.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe = np.empty((len(categories), len(columns)), dtype=object)
            for other in range(len(columns)):
                probe[:, other] = step.categories_[other][0]
            probe[:, place] = step.categories_[place]
            # A table of whatever library that ``set_output`` asked for.
            codes = np.asarray(step.transform(_like_fit(step, probe)))[:, place]
        values: list[float | None] = [None if code != code else float(code) for code in map(float, codes)]
        otherwise: str | float | None = "refuse"
        if step.handle_unknown == "use_encoded_value":
            unknown = float(step.unknown_value)
            otherwise = None if unknown != unknown else finite(unknown, path, step, "unknown_value")
        column = _missing_after(column, categories, values, otherwise, trace)
        found.append(replace(trace.then(column, Lookup(categories, values, otherwise)), kind=NUMBER))
    return found


def target_encoder(step: Any, columns: list[TracedColumn], trace: Trace, path: str) -> list[TracedColumn]:
    """The means of a fitted ``TargetEncoder``, one a class where there are several; what is unknown has that of all."""
    means = np.atleast_1d(step.target_mean_)
    found = []
    for place, column in enumerate(columns):
        categories, column = _categories(step.categories_[place], column, trace, path, step)
        for output, mean in enumerate(means):
            encoding = step.encodings_[place * len(means) + output]
            values: list[float | None] = [finite(one, path, step, "encoding") for one in encoding]
            known = Lookup(categories, values, finite(mean, path, step, "target mean"))
            label = f"{column.label} by target"
            label = label if len(means) == 1 else f"{label} {step.classes_[output]}"
            found.append(replace(trace.then(column, known, label=label, filled=True), kind=NUMBER))
    return found


def _missing_after(
    column: TracedColumn,
    categories: list[Category],
    values: list[float | None],
    otherwise: str | float | None,
    trace: Trace,
) -> TracedColumn:
    """The column with the inputs that still leave it missing once it is encoded."""
    coded = dict(zip(categories, values, strict=True)).get(None, otherwise)
    if coded == "refuse":
        return trace.require(column)
    if coded is None:
        return column
    return trace.then(column, filled=True)


def _like_fit(step: Any, probe: np.ndarray) -> np.ndarray:
    """The probe as the kind of table that the encoder was fitted on, so that names and dtypes agree."""
    columns = []
    for place, known in enumerate(step.categories_):
        kind = known.dtype.kind
        columns.append(probe[:, place].astype(known.dtype) if kind in "iufb" else probe[:, place])
    kinds = {column.dtype.kind for column in columns}
    return np.column_stack(columns) if kinds <= set("iufb") else probe


def _position(categories: Sequence[Any], wanted: object) -> int:
    for place, item in enumerate(categories):
        if item is wanted or item == wanted or (item != item and wanted != wanted):
            return place
    raise ValueError("an encoder names a rare category that is none of its categories")


def _categories(
    known: np.ndarray, column: TracedColumn, trace: Trace, path: str, step: object
) -> tuple[list[Category], TracedColumn]:
    """The categories as the document says them (None for missing), and the column of the kind they are."""
    found: list[Category] = []
    kinds = set()
    for item in known.tolist():
        if item is None or item != item or type(item).__name__ == "NAType":
            if None in found:
                raise unsupported(path, step, f"{column.label!r} has two kinds of missing value as categories")
            found.append(None)
        elif isinstance(item, str):
            kinds.add("text")
            found.append(str(item))
        elif isinstance(item, (bool, np.bool_)):
            kinds.add("boolean")
            found.append(float(item))
        elif isinstance(item, (int, float)) and float(item) == item:
            kinds.add("number")
            found.append(finite(item, path, step, "category"))
        else:
            raise unsupported(path, step, f"{column.label!r} has categories of {type(item).__name__}")
    if len(kinds) > 1:
        raise unsupported(path, step, f"{column.label!r} has categories of several types")
    kind = kinds.pop() if kinds else None
    if kind == "text" or (kind is None and trace.kind(column) is None):
        return found, trace.textual(column, path, step)
    if kind is None:
        return found, column
    if column.rounded:
        raise unsupported(
            path,
            step,
            f"{column.label!r} went through a function that processors round differently, and its categories are "
            "numbers to equal: encode the column before the function",
        )
    return found, trace.numeric(column, path, step, boolean=kind == "boolean")


def _label(column: TracedColumn, item: Category) -> str:
    if item is None:
        return f"{column.label} is missing"
    return f"{column.label} = {item}" if isinstance(item, str) else f"{column.label} = {item:g}"
