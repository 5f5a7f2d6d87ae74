"""What a model answers to a table: its predictions and probabilities, one of each a row."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from serving.errors import ServingError
from serving.models.native import inside
from serving.models.native.messages import BOOLEAN_IF_KNOWN, Layout

#: Predictions that are looked at for a type that is none of numbers or labels.
_LOOK = 100
_PROBABILITY = "probability_{}"


@dataclass(frozen=True)
class Answers:
    """Answers to the rows of a table.

    Parameters
    ----------
    predictions : shape (n_rows,).
    probabilities : shape (n_rows, n_classes); None if the model has none.
    """

    predictions: np.ndarray
    probabilities: np.ndarray | None


def answers(
    predict: Callable[[Any], Any], fitted: Any, method: str, table: Any, *, probabilities: bool = True
) -> Answers:
    """Ask a model.

    Parameters
    ----------
    predict : of MLflow's ``python_function``.
    fitted : the object inside it; None if it is not known.
    method : which of its methods ``predict`` calls.
    probabilities : whether they are wanted, too.

    Raises
    ------
    ServingError
        if it answers something else than one number or label a row.
    """
    found = predict(table)
    if method == "predict_proba" and hasattr(fitted, "classes_"):
        likely = np.asarray(found, dtype="float64")
        return Answers(np.asarray(fitted.classes_)[likely.argmax(axis=1)], likely)
    if method != "predict":
        raise ServingError(f"it was logged with pyfunc_predict_fn={method!r}; only predictions are read")
    predictions = _one_a_row(_in_order(found, table), len(table))
    if not probabilities or not inside.has_probabilities(fitted):
        return Answers(predictions, None)
    return Answers(predictions, np.asarray(fitted.predict_proba(table), dtype="float64"))


def _in_order(found: Any, table: Any) -> Any:
    """Answers that pandas knows by the index of their rows, in the order of the rows."""
    given = isinstance(found, (pd.DataFrame, pd.Series)) and isinstance(table, pd.DataFrame)
    if not given or len(found) != len(table) or found.index.equals(table.index):
        return found
    if found.index.is_unique and len(table.index.difference(found.index)) == 0:
        return found.reindex(table.index)
    raise ServingError(
        "its answers have another index than the rows, and nobody can tell which row each is of; expected the index "
        "of the rows, or an array in their order: .to_numpy()"
    )


def _one_a_row(found: Any, rows: int) -> np.ndarray:
    if isinstance(found, (pd.DataFrame, pd.Series)):
        found = found.to_numpy()
    try:
        values = np.asarray(found)
    except ValueError:
        values = np.empty(0)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    first = values.flat[:_LOOK] if values.dtype.kind == "O" else ()
    if values.dtype.kind in "mM" or any(isinstance(one, (date, timedelta)) for one in first):
        raise ServingError("it answers by dates or times; expected numbers or labels: a number of days, or a text, say")
    if values.shape != (rows,) or values.dtype.kind not in "fiubUO":
        told = f"an array of shape {values.shape}" if values.size else f"a {type(found).__name__}"
        several = values.ndim == 2 and len(values) == rows and values.shape[1] > 1
        raise ServingError(
            f"it answers {rows} rows by {told}; expected one number or label a row"
            + (f"; {inside.ONE_OUTPUT_EACH}" if several else "")
        )
    return values


def table(path: Path, layout: Layout) -> Any:
    """The rows of an Arrow file as the model takes them: a DataFrame, or an array of its values."""
    with pa.memory_map(str(path)) as source:
        frame = pa.ipc.open_file(source).read_all().to_pandas()
    if layout.array:
        return frame.to_numpy()
    for name, kind in zip(frame.columns, layout.kinds, strict=bool(layout.kinds)):
        frame[name] = _as(kind, frame[name])
    if layout.whole_names:
        frame.columns = [int(name) for name in frame.columns]
    return frame


def _as(kind: str, values: pd.Series) -> pd.Series:
    """A column as a signature wants it; booleans of which some are missing are objects, which MLflow takes alone."""
    whole = {"long": "int64", "integer": "int32"}
    if kind in whole and values.dtype.kind == "f":
        return values.astype(whole[kind])
    if kind == "boolean" and values.dtype.kind == "f":
        known = values.notna()
        return values.astype(bool) if known.all() else values.astype(bool).astype(object).where(known, None)
    if kind == BOOLEAN_IF_KNOWN:
        return values if values.isna().any() else values.astype(bool)
    if kind == "float":
        return values.astype("float32")
    if kind == "string":
        return values.astype(object)
    return pd.to_datetime(values) if kind == "datetime" else values


def write(found: Answers, path: Path) -> None:
    """Write answers into an Arrow file."""
    values = found.predictions
    columns: dict[str, Any] = {"prediction": pa.array(values.tolist() if values.dtype == object else values)}
    if found.probabilities is not None:
        for place in range(found.probabilities.shape[1]):
            columns[_PROBABILITY.format(place)] = pa.array(found.probabilities[:, place])
    whole = pa.table(columns)
    with pa.OSFile(str(path), "wb") as target, pa.ipc.new_file(target, whole.schema) as file:
        file.write_table(whole)


def read(path: Path) -> Answers:
    """The answers in an Arrow file."""
    with pa.memory_map(str(path)) as source:
        whole = pa.ipc.open_file(source).read_all()
    predictions = whole["prediction"].to_pylist() if pa.types.is_string(whole["prediction"].type) else None
    values = whole["prediction"].to_numpy() if predictions is None else np.array(predictions, dtype=object)
    likely = [whole[name].to_numpy() for name in whole.column_names[1:]]
    return Answers(values, np.column_stack(likely) if likely else None)
