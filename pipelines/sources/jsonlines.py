"""JSON lines -> an Arrow table: Arrow's own reader where every column has one type, else line by line."""

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.json

from pipelines.sources import scalars
from serving.text_files import json_lines


def read(opened: Callable[[], pa.NativeFile]) -> tuple[pa.Table, scalars.Mixed]:
    """A table of one object a line, and its columns of several types; keys that a line lacks are missing.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where a line is no JSON object.
    """
    with opened() as stream:
        json_lines.check_head(stream.read(json_lines.HEAD))
    mixed: scalars.Mixed = {}
    try:
        with opened() as stream:
            columns = pa.json.read_json(stream)
    except pa.ArrowException:
        with opened() as stream:
            columns, mixed = _line_by_line(stream.read().removeprefix(json_lines.BOM).decode("utf-8"))
    if columns.num_rows == 1 and columns.num_columns and all(map(pa.types.is_nested, columns.schema.types)):
        raise ValueError(
            f"it is one JSON object that holds whole columns, expected an object a row; {json_lines.PANDAS}"
        )
    return columns, mixed


def _line_by_line(text: str) -> tuple[pa.Table, scalars.Mixed]:
    """Lines in which a column holds numbers and text: such a column becomes text, as in a CSV file."""
    records = list(json_lines.records(io.StringIO(text, newline="\n")))
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: scalars.column([record.get(name) for record in records]) for name in names}
    mixed = {name: kinds for name, (_, kinds) in columns.items() if kinds}
    return pa.table({name: array for name, (array, _) in columns.items()}), mixed
