"""Delimited text (CSV, TSV, columns between blanks, ...) -> an Arrow table of text."""

import codecs
import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipelines.sources.options import ReadOptions
from serving.text_files.sniffer import Layout, sniff
from serving.text_files.spelling import BLANKS

_BOM = "\ufeff"
_HEAD = 1 << 20
# Arrow parses blocks side by side; a row must fit into one. Small blocks keep both cores busy.
_BLOCKS = (1 << 20, 1 << 26, 1 << 30)


def read(
    opened: Callable[[], pa.NativeFile], options: ReadOptions, *, usual: str | None, quoted: bool
) -> tuple[pa.Table, Layout]:
    """Every column of the file as text, under the trimmed names of its first row, if that holds names.

    Parameters
    ----------
    opened : opens the file at its start.
    usual : the delimiter that the file's name tells; None where it tells none.
    quoted : whether a quotation mark may occur, and so a value with a line break; without one it goes faster.

    Raises
    ------
    UnicodeDecodeError, ValueError, pyarrow.ArrowException
        where it is not such a text.
    """
    head, complete = _head(opened)
    layout = sniff(head, complete, sep=options.sep, named=options.header, skip_rows=options.skip_rows, usual=usual)
    numbers = [str(place) for place in range(layout.width)]
    if layout.empty:
        return pa.table(dict.fromkeys(numbers, pa.array([], pa.string()))).rename_columns(layout.names), layout
    if layout.delimiter == BLANKS or layout.spaced:
        columns = _row_by_row(_text(opened), layout)
    else:
        columns = _table(opened, layout, quoted)
    if layout.width > len(layout.names):
        full = pc.index(pc.not_equal(columns[layout.width - 1], ""), True).as_py()
        if full >= 0:
            raise ValueError(
                f"the first line names {len(layout.names)} columns, and row {full + 1} below it has {layout.width} "
                "values, where others end with a delimiter; correct the row"
            )
        columns = columns.select(range(len(layout.names)))
    return columns.rename_columns(layout.names), layout


def _head(opened: Callable[[], pa.NativeFile]) -> tuple[str, bool]:
    """The beginning of the text without its byte order mark, and whether it is the whole text."""
    with opened() as stream:
        start = stream.read(_HEAD)
        complete = len(start) < _HEAD
    return codecs.getincrementaldecoder("utf-8")().decode(start, final=complete).removeprefix(_BOM), complete


def _text(opened: Callable[[], pa.NativeFile]) -> str:
    with opened() as stream:
        return stream.read().decode("utf-8").removeprefix(_BOM)


def _table(opened: Callable[[], pa.NativeFile], layout: Layout, quoted: bool) -> pa.Table:
    numbers = [str(place) for place in range(layout.width)]
    for block in _BLOCKS:
        try:
            with opened() as stream:
                return pa.csv.read_csv(
                    stream,
                    read_options=pa.csv.ReadOptions(
                        column_names=numbers,
                        skip_rows=layout.above,
                        skip_rows_after_names=int(layout.named),
                        block_size=block,
                    ),
                    parse_options=pa.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=quoted),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(numbers, pa.string()),
                        strings_can_be_null=False,
                        quoted_strings_can_be_null=False,
                    ),
                )
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block < _BLOCKS[-1]:
                continue
            for _ in layout.body(io.StringIO(_text(opened), newline="")):
                pass  # raises what is wrong with a row; slow, and only for files that Arrow refused
            raise
    raise AssertionError("the last block size returns or raises")


def _row_by_row(text: str, layout: Layout) -> pa.Table:
    """The table by Python's own reader, where Arrow's has no notion of such lines."""
    columns: list[list[str]] = [[] for _ in range(layout.width)]
    for _, row in layout.body(io.StringIO(text, newline="")):
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return pa.table({str(number): pa.array(column, pa.string()) for number, column in enumerate(columns)})
