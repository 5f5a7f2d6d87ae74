"""JSON lines -> an Arrow table: Arrow's own reader where every column has one type, else line by line."""

import json
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.json

from pipelines.sources import scalars
from registry.cli.text import listed

_BOM = b"\xef\xbb\xbf"
_PANDAS = 'write it with frame.to_json(PATH, orient="records", lines=True)'


_HEAD = 1 << 20
# A program that writes a key twice does so from the first lines on.
_LINES = 1000


class _Record(dict):
    """A JSON object that remembers a key which it has twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self._keys = [name for name, _ in pairs] if len(pairs) > len(self) else []

    def check(self, line: int) -> None:
        """Raise ValueError if there is such a key: which of its values is meant, nobody can tell."""
        if twice := [name for name, count in Counter(self._keys).items() if count > 1]:
            raise ValueError(f"line {line} has the key {listed(twice)} more than once; rename all but one")


def read(opened: Callable[[], pa.NativeFile]) -> tuple[pa.Table, scalars.Mixed]:
    """A table of one object a line, and its columns of several types; keys that a line lacks are missing.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where a line is no JSON object.
    """
    with opened() as stream:
        start = stream.read(_HEAD).removeprefix(_BOM).lstrip()
    if start.startswith(b"["):
        if _are_arrays(start):
            raise ValueError(
                "each line is a JSON array, expected an object a line; give the values names, for example with "
                "jq -c '{x: .[0], y: .[1]}'"
            )
        raise ValueError(
            f"it is one JSON array, expected an object a line; {_PANDAS}, or convert it, for example with jq -c '.[]'"
        )
    _refuse_repeated_keys(start)
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
            record = json.loads(line, object_pairs_hook=_Record)
        except (ValueError, RecursionError) as error:
            if number == 1 and _is_one_object(text):
                raise ValueError(
                    f"it is one JSON object over many lines, expected an object a line; {_PANDAS}"
                ) from None
            raise ValueError(f"line {number} is not JSON: {error}") from None
        if not isinstance(record, _Record):
            raise ValueError(f"line {number} is not an object of column names and values")
        record.check(number)
        records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: scalars.column([record.get(name) for record in records]) for name in names}
    mixed = {name: kinds for name, (_, kinds) in columns.items() if kinds}
    return pa.table({name: array for name, (array, _) in columns.items()}), mixed


def _are_arrays(start: bytes) -> bool:
    """Whether the first line is a JSON array, and another one begins below it."""
    first, _, rest = start.partition(b"\n")
    try:
        return isinstance(json.loads(first), list) and rest.lstrip().startswith(b"[")
    except (ValueError, RecursionError):
        return False


def _refuse_repeated_keys(start: bytes) -> None:
    """Raise if one of the first lines has a key twice, of which Arrow's reader takes one without a word."""
    for number, line in enumerate(start.split(b"\n")[:_LINES], start=1):
        try:
            record = json.loads(line, object_pairs_hook=_Record)
        except (ValueError, RecursionError):  # what else is wrong with a line is told where it is read
            continue
        if isinstance(record, _Record):
            record.check(number)


def _is_one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
