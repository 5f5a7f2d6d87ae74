"""Delimited text (CSV, TSV, ...) -> an Arrow table of text."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.csv

_BOM = "\ufeff"
_MARKS = ",;\t|"
_HEAD = 1 << 20
# Arrow parses blocks side by side; a row must fit into one. Small blocks keep both cores busy.
_BLOCKS = (1 << 20, 1 << 26, 1 << 30)
_SAMPLE = 20
# What Excel writes before the names, and reads, to say which mark it is.
_SEPARATOR = re.compile(r"sep=([,;\t|])(\r\n|\r|\n)", re.IGNORECASE)
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?|-\d+")


def read(opened: Callable[[], pa.NativeFile], delimiter: str | None, *, quoted: bool) -> pa.Table:
    """Every column of the file as text, under the trimmed names of its first line that is not blank, nor ``sep=;``.

    Parameters
    ----------
    opened : opens the file at its start.
    delimiter : None to find it out.
    quoted : whether a quotation mark may occur, and so a value with a line break; without one it goes faster.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where it is not such a text.
    """
    head, complete = _head(opened)
    blank = len(head) - len(head.lstrip("\r\n"))
    if said := _SEPARATOR.match(head, blank):
        delimiter, blank = said[1], said.end()
    delimiter = delimiter or _delimiter(head[blank:])
    rows = csv.reader(io.StringIO(head[blank:], newline=""), delimiter=delimiter)
    try:
        header = next(rows, [])
        only_header = complete and next((False for row in rows if row), True)
    except csv.Error as error:
        raise ValueError(f"the first lines are not delimited text: {error}") from None
    names = [name.strip() for name in header]
    if not any(names):
        raise ValueError("the first line, which names the columns, is empty")
    if only_header:
        return pa.Table.from_arrays([pa.array([], pa.string())] * len(names), names=names)
    _refuse_values(names)
    return _table(opened, delimiter, len(header), _lines(head[:blank]), quoted).rename_columns(names)


def _head(opened: Callable[[], pa.NativeFile]) -> tuple[str, bool]:
    """The beginning of the text without its byte order mark, and whether it is the whole text."""
    with opened() as stream:
        start = stream.read(_HEAD)
        complete = len(start) < _HEAD
    return codecs.getincrementaldecoder("utf-8")().decode(start, final=complete).removeprefix(_BOM), complete


def _lines(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text))


def _delimiter(head: str) -> str:
    """The mark that cuts the first lines into most fields, as many in each line as in the header."""

    def rank(mark: str) -> tuple:
        try:
            lines = list(itertools.islice(csv.reader(io.StringIO(head, newline=""), delimiter=mark), _SAMPLE))
        except csv.Error:
            return False, 0, False
        fields = len(lines[0]) if lines else 0
        alike = sum(len(line) == fields for line in lines)
        return fields > 1 and alike > len(lines) / 2, fields, mark == ","

    return max(_MARKS, key=rank)


def _refuse_values(names: list[str]) -> None:
    """A first line of numbers is a row, not names; years alone (2019, 2020) may be names."""
    values = [name for name in names if _FRACTION.fullmatch(name)]
    if len(values) > len(names) / 3:
        raise ValueError(
            f"the first line holds values ({', '.join(values[:3])}, ...), expected the columns' names; "
            "add a line of names"
        )


def _table(opened: Callable[[], pa.NativeFile], delimiter: str, width: int, blank_lines: int, quoted: bool) -> pa.Table:
    places = [str(place) for place in range(width)]
    for block in _BLOCKS:
        try:
            with opened() as stream:
                return pa.csv.read_csv(
                    stream,
                    read_options=pa.csv.ReadOptions(
                        column_names=places, skip_rows=blank_lines, skip_rows_after_names=1, block_size=block
                    ),
                    parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(places, pa.string()),
                        strings_can_be_null=False,
                        quoted_strings_can_be_null=False,
                    ),
                )
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block < _BLOCKS[-1]:
                continue
            _explain(opened, delimiter, width, blank_lines)
            raise
    raise AssertionError("the last block size returns or raises")


def _explain(opened: Callable[[], pa.NativeFile], delimiter: str, width: int, blank_lines: int) -> None:
    """Raise what is wrong with a file that Arrow refused, with the line; slow, and only for files that are wrong."""
    with opened() as stream:
        content = stream.read()
    text = content.decode("utf-8").removeprefix(_BOM)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in lines:
            if row and len(row) != width and lines.line_num > blank_lines:
                if width == 1:
                    raise ValueError(
                        f"the first line is one value, line {lines.line_num} has {len(row)}; "
                        "begin with a line that names the columns"
                    )
                raise ValueError(
                    f"line {lines.line_num} has {len(row)} value{'s'[: len(row) != 1]}, the first line names {width} "
                    f"columns; correct the line, or put quotation marks around a value that holds {delimiter!r}"
                )
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from None
