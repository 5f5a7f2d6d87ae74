"""Detect the layout of delimited text: the delimiter, lines above the header, and the column names."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from serving.text_files import header, preamble
from serving.text_files.spelling import BLANKS

if TYPE_CHECKING:
    from _csv import Reader

# Of two marks that cut lines equally well the first is taken: values with commas stand between semicolons.
_MARKS = ";,\t|"
_SAMPLE = 20
_ROWS = 300
# What Excel writes before the names, and reads, to say which mark it is.
_SEPARATOR = re.compile(r"sep=([,;\t|])(\r\n|\r|\n)", re.IGNORECASE)
_BREAK = re.compile(r"\r\n|\r|\n")
#: What begins a line that is no row.
COMMENT = "#"
_IN_COMMENT = "names in a line that begins with '#'"
_SHOWN = {"\t": r"\t", BLANKS: "blanks"}


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are cut into rows, and what its columns are called.

    Parameters
    ----------
    delimiter : between two values; ``BLANKS`` for runs of blanks.
    names : of the columns, trimmed; "" where there is none.
    width : how many values a line has: more than there are names where each line ends with a delimiter.
    above : the lines above the first row: those to skip, empty ones, comments, ``sep=;``.
    named : whether the first row is the line of names.
    titled : where the names are, in words.
    spaced : whether blanks stand between a delimiter and a quotation mark, which Arrow does not skip.
    empty : whether there is no row but the line of names.
    notes : what was found or assumed.
    """

    delimiter: str
    names: tuple[str, ...]
    width: int
    above: int
    named: bool
    spaced: bool = False
    empty: bool = False
    titled: str = "names in the first line"
    notes: tuple[str, ...] = ()

    def told(self) -> str:
        """The layout in words."""
        return f"delimited text: separator {self.mark}, {self.titled}"

    @property
    def mark(self) -> str:
        """The delimiter, as a person reads it."""
        return _shown(self.delimiter)

    def body(self, lines: TextIO) -> Iterator[tuple[int, list[str]]]:
        """The number of the line at which each row below the names ends, from 1, and the row; without empty rows.

        Parameters
        ----------
        lines : the whole file, whose line ends are as they were written.

        Raises
        ------
        ValueError
            if a line is no delimited text, or has too few values or too many.
        """
        for number, (line, row) in enumerate(self._rows(lines)):
            if number == 0 and self.named:
                continue
            if len(row) != self.width:
                raise ValueError(self._wrong(row, line))
            yield line, row

    def reader(self, lines: Iterable[str]) -> "Reader":
        """Rows by Python's own ``csv``; its ``line_num`` counts lines."""
        return _reader(lines, self.delimiter, self.spaced)

    def _rows(self, stream: TextIO) -> Iterator[tuple[int, list[str]]]:
        for _ in range(self.above):
            stream.readline()
        lines = self.reader(stream)
        try:
            yield from ((self.above + lines.line_num, row) for row in lines if row)
        except csv.Error as error:
            raise ValueError(f"line {self.above + lines.line_num}: {error}") from None

    def _wrong(self, row: list[str], line: int) -> str:
        """What is wrong with a row that has too few values, or too many."""
        if row[0].lstrip().startswith(COMMENT):
            return f"line {line} begins with '#'; take out comments that stand below the columns' names"
        if self.width == 1:
            return f"the first line is one value, line {line} has {len(row)}; begin with a line that names the columns"
        names = len(self.names)
        counted = f"line {line} has {len(row)} value{'s'[: len(row) != 1]}"
        expected = f"the first line names {names} columns" if self.named else f"the first has {names}"
        return f"{counted}, {expected}; correct the line, or put quotation marks around a value that holds {self.mark}"


def sniff(
    head: str, complete: bool, *, sep: str | None, named: bool | None, skip_rows: int | None, usual: str | None
) -> Layout:
    """The layout of a file.

    Parameters
    ----------
    head : the beginning of the text.
    complete : whether that is the whole text.
    sep : the delimiter; None where it has to be found out, as of the next two.
    named : whether the first line names the columns.
    skip_rows : how many lines stand above it; 0 says that the first line belongs to the table.
    usual : the delimiter that the file's name tells; None where it tells none.

    Raises
    ------
    ValueError
        where it is no delimited text.
    """
    skipped = _after_lines(head, skip_rows or 0)
    start, said, comments = _beginning(head, skipped)
    body = head[start:]
    if not body.strip() and comments:  # names that begin with the mark of comments, and nothing below them
        body = comments.pop()
    if usual and usual not in body:
        usual = None
    delimiter = sep or said or usual or _delimiter(body)
    spaced = delimiter != BLANKS and bool(re.search(rf'{re.escape(delimiter)} +"', body))
    rows = _sample(body, delimiter, spaced, complete)
    if not rows or not (any(map(str.strip, rows[0])) or named is False):
        raise ValueError("the first line, which names the columns, is empty")
    line = len(_BREAK.findall(head[: len(head) - len(body)]))
    alone = len(rows[0]) == 1
    if sep is not None and alone:
        _refuse_separator(body, sep)
    if skip_rows is None:
        uncut = alone or Counter(map(len, rows[1:] or rows)).most_common(1)[0][0] == 1
        _refuse_preamble(body, line, (delimiter, *_MARKS) if sep is None and uncut else delimiter)
    if sep is None and alone:
        _refuse_blanks(rows)
    layout = Layout(delimiter, (), 0, line, True, spaced)
    above = [names for line in comments[-1:] for names in layout.reader(io.StringIO(line[1:].strip()))]
    attached = len(comments) == 1 and comments[0][1:2].strip() != ""
    layout = _named(layout, rows, above[0] if above else [], attached, named)
    if comments and layout.titled != _IN_COMMENT:
        lines = "line that begins" if len(comments) == 1 else f"{len(comments)} lines that begin"
        layout = replace(
            layout, notes=(*layout.notes, f"the first {lines} with '#' {'is' if len(comments) == 1 else 'are'} skipped")
        )
    return replace(layout, empty=complete and len(rows) == 1 and layout.named)


def _named(layout: Layout, rows: list[list[str]], above: list[str], attached: bool, asked: bool | None) -> Layout:
    """The layout with its names.

    Parameters
    ----------
    rows : the first rows of the file.
    above : the values of a comment right above them, which may be the names.
    attached : whether it is the only comment, and follows its mark without a blank: #id,x,y.
    asked : whether the first row holds names; None where it has to be found out.
    """
    first, below = rows[0], rows[1:]
    lengths = Counter(map(len, below or rows))
    width = lengths.most_common(1)[0][0]
    names, note = first, ""
    if 1 < len(first) == width - 1 and len(lengths) == 1:
        if not any(row[-1].strip() for row in below):
            return replace(layout, names=tuple(map(str.strip, first)), width=width)
        names, note = (
            ["", *first],
            "the rows have a value more than there are names: the first is taken as the row's own name",
        )
    elif len(first) == width + 1 and not first[-1].strip():
        names = first[:-1]
    else:
        width = len(first)
    named, why = (asked, "") if asked is not None else header.is_one(names, below)
    titled = layout.titled
    if asked is None and len(above) == width > 1 and (not named or attached):
        named, names, why, titled = False, [above[0] or COMMENT, *above[1:]], "", _IN_COMMENT
    elif not named:
        names = [str(number) for number in range(width)]
        titled = f"no line of names: the columns are called 0 to {width - 1}"
    notes = tuple(filter(None, (why, note)))
    return replace(layout, names=tuple(map(str.strip, names)), width=width, named=named, titled=titled, notes=notes)


def _refuse_blanks(rows: list[list[str]]) -> None:
    """Raise where the lines are one value each, and look like several with blanks between them."""
    first, below = rows[0][0].split(), rows[1:]
    if len(first) > 1 and below and sum(len(row) == 1 and len(row[0].split()) > 1 for row in below) > len(below) / 2:
        raise ValueError(
            "no delimiter was found: expected values with , ; | or tabs between them, or as many values with blanks "
            "between them in every line; name the delimiter with --sep, or convert the file"
        )


def _shown(delimiter: str) -> str:
    return _SHOWN.get(delimiter, repr(delimiter))


def _refuse_preamble(body: str, above: int, marks: Sequence[str]) -> None:
    """Raise if lines above the table, such as a title, would be read as its names."""
    begins = []
    for mark in dict.fromkeys(marks):
        lines = _reader(io.StringIO(body, newline=""), mark, True)
        rows, number = [], 1
        try:
            for row in itertools.islice(lines, _SAMPLE):
                rows.append((number, row))
                number = lines.line_num + 1
        except csv.Error:
            continue
        if line := preamble.table_line(rows):
            begins.append((max(len(row) for _, row in rows), line))
    if begins:
        line = above + max(begins)[1]
        raise ValueError(
            f"the table seems to begin at line {line}, below lines of another kind; --skip-rows {line - 1} skips them "
            "(--skip-rows 0: the first line belongs to the table)"
        )


def _refuse_separator(body: str, given: str) -> None:
    """Raise if the separator that the user gives is not in the first line, but another one is."""
    other = _delimiter(body)
    if other != given and other in body.splitlines()[0].strip():
        raise ValueError(
            f"--sep {_shown(given)}: the first line has none, and {_shown(other)} seems to be the separator; "
            "leave --sep out"
        )


def _after_lines(head: str, count: int) -> int:
    """Where the line after so many lines begins."""
    place = 0
    for number in range(count):
        end = _BREAK.search(head, place)
        if end is None:
            raise ValueError(f"--skip-rows {count}: expected more lines than that, found {number + 1}")
        place = end.end()
    return place


def _beginning(head: str, start: int) -> tuple[int, str | None, list[str]]:
    """Where the rows begin from a place on, the delimiter that a line says, and the comments above them."""
    said, comments = None, []
    while True:
        start += len(head[start:]) - len(head[start:].lstrip("\r\n"))
        if separator := _SEPARATOR.match(head, start):
            said, start = separator[1], separator.end()
        elif head.startswith(COMMENT, start) and (end := _BREAK.search(head, start)):
            comments.append(head[start : end.start()])
            start = end.end()
        else:
            return start, said, comments


def _reader(lines: Iterable[str], delimiter: str, spaced: bool) -> "Reader":
    if delimiter == BLANKS:
        return csv.reader((line.replace("\t", " ").strip() for line in lines), delimiter=" ", skipinitialspace=True)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced)


def _sample(body: str, delimiter: str, spaced: bool, complete: bool) -> list[list[str]]:
    """The first rows, without one that the end of what was read cuts through."""
    rows: list[list[str]] = []
    try:
        for row in itertools.islice(filter(None, _reader(io.StringIO(body, newline=""), delimiter, spaced)), _ROWS):
            rows.append(row)
    except csv.Error as error:
        if complete or not rows:
            raise ValueError(f"the first lines are not delimited text: {error}") from None
        return rows
    return rows[:-1] if not complete and 1 < len(rows) < _ROWS else rows


def _delimiter(body: str) -> str:
    """The mark that cuts the first lines into most fields, as many in each line; blanks where no mark does."""

    def cut(mark: str) -> list[list[str]]:
        try:
            return list(itertools.islice(filter(None, _reader(io.StringIO(body, newline=""), mark, True)), _SAMPLE))
        except csv.Error:
            return []

    def alike(lines: list[list[str]]) -> int:
        """How many fields most lines have, where the first has as many, or one less or more."""
        if not lines:
            return 0
        fields, count = Counter(map(len, lines[1:] or lines)).most_common(1)[0]
        fits = abs(len(lines[0]) - fields) <= (len(lines[0]) > 1)
        return fields if fits and count > (len(lines) - 1) / 2 else 0

    cut_by = {mark: cut(mark) for mark in (*_MARKS, BLANKS)}
    fields = {mark: alike(lines) for mark, lines in cut_by.items()}
    best = max(_MARKS, key=lambda mark: (fields[mark], -_MARKS.index(mark)))
    if fields[";"] > 1 and all(len(line) == fields[";"] for line in cut_by[";"]):
        best = ";"
    everywhere = all(len(line) == fields[BLANKS] for line in cut_by[BLANKS][1:])
    if fields[BLANKS] > 1 and everywhere and (fields[best] < 2 or (best == "\t" and _holds_columns(cut_by["\t"]))):
        return BLANKS
    if fields[best] > 1:
        return best
    return max(",;\t|", key=lambda mark: len(cut_by[mark][0]) if cut_by[mark] else 0)


def _holds_columns(lines: list[list[str]]) -> bool:
    """Whether every line has a value that is several numbers, as where blanks and tabs both stand between columns."""
    return all(any(len(cell.split()) > 2 and header.are_numbers(cell.split()) for cell in line) for line in lines[1:])
