"""The rows that cannot be scored: a CSV file with their numbers, the column at fault and the reason."""

import csv
from collections import Counter
from pathlib import Path
from typing import TextIO

from serving.errors import ServingError
from serving.scorecard.inputs import InputError

ROW = "row"
HEADER = (ROW, "column", "reason")


class Rejects:
    """Writes rejected rows into a file, which is made with the first of them.

    Parameters
    ----------
    path : of the file; its directory exists.
    leading : names of columns before those of ``HEADER``: the file that a row is in, say.
    numbered : whether rows have numbers.

    Attributes
    ----------
    count : number of rows.
    first : why the first of them was rejected; None if there is none.
    """

    def __init__(self, path: Path, leading: tuple[str, ...] = (), *, numbered: bool = True):
        self._path, self._numbered = path, numbered
        self._header = (*leading, *(HEADER if numbered else HEADER[1:]))
        self._file: TextIO | None = None
        self._reasons: Counter[tuple[str, str]] = Counter()
        self.count = 0
        self.first: InputError | None = None

    def add(self, row: int | None, error: InputError, *leading: object) -> None:
        """Write a row; it is counted from 0, as in the errors of requests.

        Parameters
        ----------
        leading : the values of the columns of that name.
        """
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._writer.writerow(self._header)
            self.first = InputError(error.column, error.reason, row)
        self.count += 1
        self._reasons[error.column, error.reason] += 1
        self._writer.writerow((*leading, *((row,) if self._numbered else ()), error.column, error.reason))

    @property
    def usual(self) -> InputError | None:
        """Why most rows were rejected; None if there are none."""
        return InputError(*self._reasons.most_common(1)[0][0]) if self.count else None

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.close()


def is_ours(path: Path) -> bool:
    """Whether a file may be replaced by rejects: it has some already, or is not there."""
    try:
        with path.open("rb") as file:
            return file.readline(200).strip() == ",".join(HEADER).encode()
    except OSError:
        return True


def stopped(table: str, rejects: Rejects, rows: int, output: str) -> ServingError:
    """The error of a job that rejected rows stop.

    Parameters
    ----------
    table, output : what was scored, and what is not written.
    rows : number of all rows.
    """
    return ServingError(
        f"{table}: {rejects.count:,} of {rows:,} rows cannot be scored, the first: {rejects.first}; "
        f"{output} is not written"
    )
