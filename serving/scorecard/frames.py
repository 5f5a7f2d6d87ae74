"""Raw table columns, of whatever library, as float64 arrays or as coded categories, with what they refuse.

Imports NumPy and no table library: pandas, PyArrow and polars columns are known by what they can do.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import SEVERAL, kind
from .inputs import ABSENT, BOOLEAN, CATEGORY, FRACTION, INFINITE, REQUIRED, Cleaning, Input, InputError
from .names import aliases


class Coded:
    """A column as codes into a short list of values, so that steps run once a value and not once a row."""

    __slots__ = ("codes", "values")

    def __init__(self, codes: np.ndarray, values: list) -> None:
        self.codes, self.values = codes, values


class Refusals:
    """Rows that are refused, each with the first reason found for it."""

    def __init__(self) -> None:
        self._found: list[tuple[np.ndarray, str, str]] = []

    def add(self, rows: np.ndarray, column: str, reason: str) -> None:
        """Refuses rows, given by their numbers."""
        if len(rows):
            self._found.append((rows, column, reason))

    def first(self) -> InputError | None:
        """The error of the first refused row; None where there is none."""
        if not self._found:
            return None
        rows, column, reason = min(self._found, key=lambda item: item[0].min())
        return InputError(column, reason, int(rows.min()))

    def rows(self) -> np.ndarray:
        """The numbers of all refused rows; a row may occur several times."""
        return np.concatenate([rows for rows, _, _ in self._found]) if self._found else np.empty(0, dtype=np.intp)

    def by_row(self) -> dict[int, InputError]:
        """Each refused row's error."""
        errors: dict[int, InputError] = {}
        for rows, column, reason in self._found:
            for row in rows.tolist():
                if row not in errors:
                    errors[row] = InputError(column, reason, row)
        return errors


def named(table: Any, inputs: Sequence[Input]) -> Any:
    """The table with its columns by name: an array (rows, inputs) has them in the signature's order."""
    if getattr(table, "ndim", None) != 2 or hasattr(table, "columns"):
        return table
    if table.shape[1] != len(inputs):
        name = inputs[min(table.shape[1], len(inputs) - 1)].name if inputs else "the model"
        raise InputError(name, f"expected {len(inputs)} columns, found {table.shape[1]}")
    return {item.name: table[:, place] for place, item in enumerate(inputs)}


def names(table: Any) -> list:
    """The column names of a table."""
    found = getattr(table, "column_names", None)
    if found is None:
        found = getattr(table, "columns", None)
    return list(table if found is None else found)


def spelled(table: Any, known: frozenset[str]) -> dict[str, Any]:
    """What a table calls each of its columns, by the model's names for those that are the model's.

    Raises
    ------
    InputError
        where two names are one column of the model.
    """
    listed = names(table)
    return {**{name: name for name in listed}, **aliases(listed, known)}


def length(table: Any) -> int:
    """How many rows a table has.

    Raises
    ------
    InputError
        where a column is no sequence, or they are not all of one length.
    """
    if not hasattr(table, "keys") or hasattr(table, "columns"):
        return len(table)
    size = None
    for name in table:
        values = table[name]
        if not hasattr(values, "__len__") or isinstance(values, (str, bytes)) or getattr(values, "shape", None) == ():
            raise InputError(str(name), f"expected a list of values, found {kind(values)}")
        size = len(values) if size is None else size
        if len(values) != size:
            raise InputError(str(name), f"expected {size} values as in the other columns, found {len(values)}")
    return size or 0


def column(table: Any, known: dict[str, Any], name: str) -> Any:
    """One column of a table, whose names ``spelled`` has found."""
    if name not in known:
        raise InputError(name, ABSENT)
    try:
        found = table[known[name]]
    except KeyError:  # PyArrow, where there are two
        raise InputError(name, SEVERAL) from None
    if getattr(found, "ndim", 1) != 1:
        raise InputError(name, SEVERAL)
    return found


def cells(values: Any) -> list:
    """A column as a list of Python's own values."""
    if isinstance(values, list):
        return values
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(values, method):
            return getattr(values, method)()
    return list(values)


def read(spec: Input, values: Any, cleaning: Cleaning, refusals: Refusals) -> np.ndarray | Coded:
    """A raw column as a float64 array (missing is NaN), or as ``Coded`` text (missing is None)."""
    reader = _text if spec.type == CATEGORY else _numbers
    return reader(spec, values, cleaning, refusals)


def finite_sum(array: np.ndarray) -> bool:
    """Whether the sum of an array is finite: then so are all of its numbers, and one pass was enough to know."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()))


def _numbers(spec: Input, values: Any, cleaning: Cleaning, refusals: Refusals) -> np.ndarray:
    array = _float64(spec, values)
    if array is None:
        array = _one_by_one(spec, values, cleaning, refusals)
    if not len(array):
        return array
    if not finite_sum(array):
        infinite = np.flatnonzero(np.isinf(array))
        if len(infinite) and spec.type != BOOLEAN:
            refusals.add(infinite, spec.name, INFINITE)
        missing = np.flatnonzero(array != array)
        if len(missing) and not spec.null:
            refusals.add(missing, spec.name, REQUIRED)
    if spec.type == BOOLEAN:
        rows = np.flatnonzero((array != 0.0) & (array != 1.0) & (array == array))
        refusals.add(rows, spec.name, "expected true or false, found a number")
    elif spec.integer:
        rows = np.flatnonzero((np.floor(array) != array) & np.isfinite(array))
        refusals.add(rows, spec.name, FRACTION)
    return array


def _float64(spec: Input, values: Any) -> np.ndarray | None:
    """The column as float64 where its own type says that all of it is numbers; None where it has to be looked at."""
    if not hasattr(values, "dtype") and hasattr(values, "to_numpy"):  # PyArrow
        values = values.to_numpy()
    dtype = getattr(values, "dtype", None)
    letter = getattr(dtype, "kind", None)
    if letter in ("f", "i", "u") or (letter == "b" and spec.type == BOOLEAN):
        if isinstance(dtype, np.dtype):
            return np.asarray(values).astype(np.float64, copy=False)
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(values, list) and set(map(type, values)) <= {float, int, type(None)}:
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            return None
    return None


def _one_by_one(spec: Input, values: Any, cleaning: Cleaning, refusals: Refusals) -> np.ndarray:
    # What is refused for being missing, infinite or no whole number comes after, for the whole column.
    read = _lenient(spec).read
    found = np.empty(len(values), dtype=np.float64)
    refused: dict[str, list[int]] = {}
    known: dict[str, float] = {}
    for row, raw in enumerate(cells(values)):
        if type(raw) is str and raw in known:
            found[row] = known[raw]
            continue
        try:
            value = read(raw, cleaning)
        except InputError as error:
            refused.setdefault(error.reason, []).append(row)
            found[row] = 0.0  # refused once is enough: 0 is refused for nothing more
            continue
        found[row] = np.nan if value is None else value
        if type(raw) is str:
            known[raw] = found[row]
    for reason, rows in refused.items():
        refusals.add(np.array(rows), spec.name, reason)
    return found


def _lenient(spec: Input) -> Input:
    """The input that takes missing values and fractions too."""
    return Input(spec.name, spec.type, decimal=spec.decimal, thousands=spec.thousands)


def _text(spec: Input, values: Any, cleaning: Cleaning, refusals: Refusals) -> Coded:
    codes, uniques = _factorized(values)
    missing = len(uniques)
    texts: list = []
    refused: dict[str, list[int]] = {}
    lenient = _lenient(spec)
    for place, raw in enumerate(uniques):
        try:
            texts.append(lenient.read(raw, cleaning))
        except InputError as error:
            texts.append(None)
            refused.setdefault(error.reason, []).append(place)
    texts.append(None)
    codes[codes < 0] = missing
    for reason, places in refused.items():
        refusals.add(np.flatnonzero(np.isin(codes, places)), spec.name, reason)
    if not spec.null:
        places = [place for place, text in enumerate(texts) if text is None]
        refusals.add(np.flatnonzero(np.isin(codes, places)), spec.name, REQUIRED)
    return Coded(codes, texts)


def _equals_another(value: object) -> bool:
    """Whether a value of another type, and another text, may equal this one: True is 1."""
    return not isinstance(value, str) and value in (0, 1)


def _factorized(values: Any) -> tuple[np.ndarray, list]:
    """Codes (-1 for missing) and the list of different values."""
    try:
        if hasattr(values, "dictionary_encode"):  # PyArrow
            encoded = values.dictionary_encode()
            encoded = encoded.combine_chunks() if hasattr(encoded, "chunks") else encoded
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            return codes.astype(np.intp), encoded.dictionary.to_pylist()
        if hasattr(values, "factorize"):
            codes, uniques = values.factorize()
            uniques = cells(uniques)
            if getattr(values.dtype, "kind", None) != "O" or not any(map(_equals_another, uniques)):
                return np.array(codes, dtype=np.intp), uniques
        keys = listed = cells(values)
        uniques = list(dict.fromkeys(listed))
        if any(map(_equals_another, uniques)):
            keys = [(type(one), one) for one in listed]
            uniques = list(dict.fromkeys(keys))
        places = {key: place for place, key in enumerate(uniques)}
        codes = np.fromiter(map(places.__getitem__, keys), dtype=np.intp, count=len(keys))
        return codes, uniques if keys is listed else [value for _, value in uniques]
    except TypeError:  # values that cannot be hashed, a list in a cell: no text either
        listed = cells(values)
        return np.arange(len(listed), dtype=np.intp), listed
