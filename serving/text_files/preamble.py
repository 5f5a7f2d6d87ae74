"""Lines above a table in a delimited file, such as a title and a blank line: at which line the table seems to begin."""

from collections import Counter
from collections.abc import Sequence

# So many lines of one length, and nearly all of those that follow, are a table rather than prose.
_FEWEST_ROWS = 3
_NEARLY_ALL = 0.9


def table_line(rows: Sequence[tuple[int, Sequence[str]]]) -> int | None:
    """The line at which a table seems to begin below lines of another kind; None if the first line belongs to it.

    A title is a line of one value, or of the table's width but nearly empty, as spreadsheets write it; or a line of any
    length that a blank line sets apart. One longer or shorter line right above the table may be its names.

    Parameters
    ----------
    rows : the number of each of the first lines, from 1, and its values; no values on a blank line.
    """
    filled = [index for index, (_, row) in enumerate(rows) if row]
    if len(filled) <= _FEWEST_ROWS:
        return None
    width = Counter(len(rows[index][1]) for index in filled[1:]).most_common(1)[0][0]
    title = rows[filled[0]][1]
    if width < 2 or (len(title) == width and not _nearly_empty(title)):
        return None
    for index in filled[1:]:
        number, row = rows[index]
        if len(row) != width or sum(not cell.strip() for cell in row) > (width > 2):
            continue
        below = [len(row) == width for _, row in rows[index + 1 :] if row]
        apart = len(title) in (1, width) or index - filled[0] > 1
        return number if apart and len(below) >= _FEWEST_ROWS and sum(below) >= _NEARLY_ALL * len(below) else None
    return None


def _nearly_empty(row: Sequence[str]) -> bool:
    return len(row) > 2 and sum(bool(cell.strip()) for cell in row) == 1
