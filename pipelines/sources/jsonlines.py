"""JSON lines -> an Arrow table: Arrow's own reader where every column has one type, else line by line."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.json

from pipelines.sources import scalars

_BOM = b"\xef\xbb\xbf"
_PANDAS = 'write it with frame.to_json(PATH, orient="records", lines=True)'


def read(opened: Callable[[], pa.NativeFile]) -> tuple[pa.Table, scalars.Mixed]:
    """A table of one object a line, and its columns of several types; keys that a line lacks are missing.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where a line is no JSON object.
    """
    with opened() as stream:
        start = stream.read(1024).removeprefix(_BOM).lstrip()
    if start.startswith(b"["):
        raise ValueError(
            f"it is one JSON array, expected an object a line; {_PANDAS}, or convert it, for example with jq -c '.[]'"
        )
    mixed: scalars.Mixed = {}
    try:
        with opened() as stream:
            columns = pa.json.read_json(stream)
    except pa.ArrowException:
        with opened() as stream:
            columns, mixed = _line_by_line(stream.read().removeprefix(_BOM).decode("utf-8"))
    if columns.num_rows == 1 and columns.num_columns and all(map(pa.types.is_nested, columns.schema.types)):
        raise ValueError(f"it is one JSON object that holds whole columns, expected an object a row; {_PANDAS}")
    return columns, mixed


def _line_by_line(text: str) -> tuple[pa.Table, scalars.Mixed]:
    """Lines in which a column holds numbers and text: such a column becomes text, as in a CSV file."""
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == 1 and _is_one_object(text):
                raise ValueError(
                    f"it is one JSON object over many lines, expected an object a line; {_PANDAS}"
                ) from None
            raise ValueError(f"line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is not an object of column names and values")
        records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: scalars.column([record.get(name) for record in records]) for name in names}
    mixed = {name: kinds for name, (_, kinds) in columns.items() if kinds}
    return pa.table({name: array for name, (array, _) in columns.items()}), mixed


def _is_one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
