"""Tensors of models without a scorecard: any shape in, and whatever the model answers out."""

import math
from typing import Any

from serving.server.protocols.mlflow import written
from serving.server.protocols.tensors import TEXT, TRUTH, Tensor


def request(found: list[Tensor], *, alone: bool) -> dict[str, Any]:
    """The request of MLflow's that tensors mean.

    Parameters
    ----------
    alone : whether the model takes one tensor without a name, or has no signature.
    """
    if alone and len(found) == 1:
        return {"inputs": _nested(found[0].values, found[0].shape)}
    return {"inputs": {tensor.name: _nested(tensor.values, tensor.shape) for tensor in found}}


def outputs(found: Any) -> list[tuple[dict[str, Any], list]]:
    """The output tensors of an answer without their data, and their values row by row.

    A table's columns are tensors of their names; everything else is one tensor ``predict``. What no tensor can hold is
    JSON text.
    """
    rows = found if isinstance(found, list) else [found]
    names = list(rows[0]) if rows and isinstance(rows[0], dict) else []
    if names and all(isinstance(row, dict) and list(row) == names for row in rows):
        return [_tensor(name, [row[name] for row in rows]) for name in names]
    return [_tensor("predict", rows)]


def _tensor(name: str, rows: list) -> tuple[dict[str, Any], list]:
    shape = _shape(rows)
    values = _flat(rows, len(shape))
    datatype = _datatype(values)
    if datatype is None:  # ragged, or of several types
        shape, values, datatype = [len(rows)], [written(row).decode() for row in rows], TEXT
    if datatype == "FP64":
        values = [math.nan if value is None else float(value) for value in values]
    return {"name": name, "datatype": datatype, "shape": shape}, values


def _shape(rows: list) -> list[int]:
    shape, level = [len(rows)], rows
    while level and all(isinstance(item, list) and len(item) == len(level[0]) for item in level) and level[0]:
        shape.append(len(level[0]))
        level = [value for item in level for value in item]
    return shape


def _flat(rows: list, depth: int) -> list:
    for _ in range(depth - 1):
        rows = [value for item in rows for value in item]
    return rows


def _datatype(values: list) -> str | None:
    types = set(map(type, values))
    if types == {bool}:
        return TRUTH
    if types == {str}:
        return TEXT
    if types == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return "INT64"
    return "FP64" if types and types <= {int, float, type(None)} else None


def _nested(values: list, shape: list[int]) -> list:
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def described(signature: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs of a signature that does not name columns of plain types, as V2's metadata has them."""
    found = []
    for place, one in enumerate(signature):
        spec = one.get("tensor-spec")
        datatype = _DATATYPES.get(spec["dtype"], TEXT) if spec else TEXT
        shape = spec["shape"] if spec else [-1]
        found.append({"name": one.get("name", f"input-{place}"), "datatype": datatype, "shape": shape})
    return found


_DATATYPES = {
    **{"float64": "FP64", "float32": "FP32", "float16": "FP16", "bool": "BOOL"},
    **{f"{kind}int{bits}": f"{kind.upper()}INT{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
}
