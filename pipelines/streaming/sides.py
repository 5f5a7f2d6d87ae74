"""The side of a row: whether it has no target, is trained on and judged by which fold, or is held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines import row_keys
from pipelines.sources import Table
from pipelines.streaming.times import Times
from pipelines.streaming.typed import KeyReader, Part, TypedReader
from registry.holdout import GROUP, HoldoutRule

#: What a side says of a row: that it has no target, or is held out; of another row, the fold that judges it.
DROPPED, HELD = 255, 254  # above all folds
# Folds are drawn by the key of a row, mixed with this number, so that they have nothing to do with the holdout.
_FOLDS = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Rows:
    """Rows of a table.

    Parameters
    ----------
    raw : as they were read.
    part : by their types.
    side : shape (n_rows,), uint8.
    keys : of those that are held out, in order, shape (n_held,), uint64.
    """

    raw: pa.Table
    part: Part
    side: np.ndarray
    keys: np.ndarray

    def training(self) -> tuple[Part, np.ndarray]:
        """The training rows with the folds that judge them, which are ascending."""
        rows = np.flatnonzero(self.side < HELD)
        rows = rows[np.argsort(self.side[rows], kind="stable")]
        return self.part.take(rows), self.side[rows]


@dataclass(frozen=True)
class SideCounts:
    """How many rows there are of each kind.

    Parameters
    ----------
    training, held : trained on, and held out.
    folds : of the training rows, those that each fold judges.
    known : of the training rows, those that have a value, for each input of numbers.
    """

    training: int
    held: int
    folds: tuple[int, ...]
    known: tuple[int, ...]

    def __add__(self, other: "SideCounts") -> "SideCounts":
        return SideCounts(
            self.training + other.training,
            self.held + other.held,
            tuple(map(sum, zip(self.folds, other.folds, strict=True))),
            tuple(map(sum, zip(self.known, other.known, strict=True))),
        )


class RowSides:
    """Finds the side of rows by nothing but their values.

    Parameters
    ----------
    rule : what holds rows out.
    folds : of cross-validation; 0 for none.
    times, cut : where rows are held out by time: the moments, and the last one of a training row.
    """

    def __init__(
        self,
        rule: HoldoutRule,
        sample: Table,
        reader: TypedReader,
        folds: int,
        times: Times | None = None,
        cut: np.generic | None = None,
    ) -> None:
        self._rule, self._folds, self._times, self._cut = rule, folds, times, cut
        self._rows = KeyReader(rule.key_columns, sample, reader)
        self._units = KeyReader(rule.columns, sample, reader) if rule.by == GROUP else self._rows

    @property
    def columns(self) -> Sequence[str]:
        """The names of the raw columns that it needs."""
        return self._rule.needed

    def of(self, raw: pa.Table, part: Part) -> Rows:
        """The rows with their sides."""
        keys = self._rows.keys(raw, part)
        units = keys if self._units is self._rows else self._units.keys(raw, part)
        known = ~np.isnan(part.target)
        if self._times is not None:
            held = (self._times.of(raw[self._rule.columns[0]]) > self._cut) & known
        else:
            held = (row_keys.share(units) < self._rule.share) & known
        side = np.where(held, np.uint8(HELD), np.where(known, _fold(units, self._folds), np.uint8(DROPPED)))
        return Rows(raw, part, side, keys[held])


def _fold(units: np.ndarray, folds: int) -> np.ndarray:
    """The fold that judges each row; rows of one unit are in one fold."""
    if not folds:
        return np.zeros(len(units), dtype="uint8")
    return (row_keys.share(row_keys.mixed(units ^ _FOLDS)) * folds).astype("uint8")
