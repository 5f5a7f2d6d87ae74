"""Read CSV and JSON lines, within limits."""

import csv
import io
from collections.abc import Callable
from typing import Any

from .errors import RequestError
from .forms import listed
from .json_text import BOM, loads, text
from .limits import Limits
from .matrix import Matrix
from .tables import RequestTable

# Separators of CSV other than the comma, and the number of bytes in which the header line is searched.
_MARKS = ";\t|"
_HEAD = 1 << 16


def csv_table(body: bytes, limits: Limits) -> Matrix:
    """Return the table of a CSV text with a header; blank lines are no rows.

    Raises
    ------
    RequestError
        with status 400 or 413.
    """
    mark, start = _separator(body)
    if limits.memory is not None:
        from . import costs

        limits.claim(costs.csv(body, limits.rows + 1, mark))
    # Decoded in pieces: `io.StringIO` would take four bytes for every character.
    content = io.BytesIO(body)
    content.seek(start)
    rows: list[list[str]] = []
    try:
        lines = io.TextIOWrapper(content, encoding="utf-8", newline="")
        for row in csv.reader(lines, delimiter=mark, strict=True):
            if row:
                limits.check_rows(len(rows), more=True)  # the header is one of them
                rows.append(row)
    except csv.Error as error:
        raise RequestError(f"the body is not CSV: {error}") from None
    except UnicodeDecodeError:
        text(body)  # names the byte
        raise
    if not rows:
        raise RequestError("the body is empty: expected CSV with a header")
    if len(rows) == 1:
        raise RequestError("expected at least one row after the line of names, found that line alone")
    names = rows.pop(0)
    return Matrix(names, rows, noun="field")


def _separator(body: bytes) -> tuple[str, int]:
    """The separator of a CSV text, and where the text starts after a byte order mark and Excel's ``sep=;``.

    If the header contains a comma, that is the separator, as in MLflow's scoring server. Otherwise it is the one that
    gives the most columns.
    """
    start = len(BOM.encode()) if body.startswith(BOM.encode()) else 0
    head = body[start : start + _HEAD].decode(errors="ignore").lstrip("\r\n")
    if head[:4].lower() == "sep=" and head[4:5] in ("," + _MARKS) and head[5:6] in ("\r", "\n"):
        return head[4], body.index(head[:5].encode()) + 5

    def names(mark: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=mark, strict=True), []))
        except csv.Error:
            return 0

    return (max(_MARKS, key=names) if names(",") < 2 and max(map(names, _MARKS)) > 1 else ","), start


def lines_table(body: bytes, limits: Limits, parse: Callable[[bytes], Any] | None) -> RequestTable:
    """Return the table of JSON lines: a record, or a list of values, a line. A key that a line lacks is missing.

    Parameters
    ----------
    parse : as ``bodies.read`` takes it.

    Raises
    ------
    RequestError
        with status 400 or 413.
    """
    if limits.memory is not None:
        from . import costs

        limits.claim(costs.lines(body, limits.memory))
    found: list = []
    for line in io.BytesIO(body):
        if not line.strip():
            continue
        limits.check_rows(len(found) + 1, more=True)
        if parse is not None:
            try:
                found.append(parse(line))
                continue
            except (ValueError, RecursionError):
                pass
        try:
            found.append(loads(line))
        except RequestError as error:
            raise RequestError(f"row {len(found)}: {error.message}") from None
    return listed(found, fill=True)
