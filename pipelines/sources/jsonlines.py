"""JSON lines -> an Arrow table: Arrow's own reader where every column has one type, else line by line."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.json

_BOM = b"\xef\xbb\xbf"


def read(opened: Callable[[], pa.NativeFile]) -> pa.Table:
    """A table of one object a line; keys that a line lacks are missing.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where a line is no JSON object.
    """
    with opened() as stream:
        start = stream.read(1024).removeprefix(_BOM).lstrip()
    if start.startswith(b"["):
        raise ValueError("it is one JSON array, expected an object a line; convert it, for example with jq -c '.[]'")
    try:
        with opened() as stream:
            return pa.json.read_json(stream)
    except pa.ArrowException:
        with opened() as stream:
            return _line_by_line(stream.read().removeprefix(_BOM).decode("utf-8"))


def _line_by_line(text: str) -> pa.Table:
    """Lines in which a column holds numbers and text: such a column becomes text, as in a CSV file."""
    records = []
    for place, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {place} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {place} is not an object of column names and values")
        records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    return pa.table({name: _one_type([record.get(name) for record in records]) for name in names})


def _one_type(values: list) -> pa.Array:
    plain = (str, int, float, bool)
    if any(value is not None and not isinstance(value, plain) for value in values):
        # Objects and lists are no features, whatever is in them; a list of one text is none either.
        return pa.array([None if value is None else [json.dumps(value)] for value in values], pa.list_(pa.string()))
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([value if value is None or isinstance(value, str) else json.dumps(value) for value in values])
