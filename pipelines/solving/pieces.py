"""Blocks cut into pieces that stay in a processor's cache, sorted by fold, with centred columns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.solving.problem import Block, SolvingError

#: Numbers of a piece: 1 MiB of float64.
_NUMBERS = 1 << 17


@dataclass(frozen=True)
class Piece:
    """Some rows of a block.

    Parameters
    ----------
    matrix : shape (n, p), a buffer that may be written to: a column of ones where there is an intercept, then the
        centred columns.
    target, weights : shape (n,).
    folds : shape (n,), ascending; None without folds.
    cuts : the rows of each fold: ``(fold, slice)``.
    """

    matrix: np.ndarray
    target: np.ndarray
    weights: np.ndarray | None
    folds: np.ndarray | None
    cuts: list[tuple[int, slice]]

    def weighted(self, values: np.ndarray) -> np.ndarray:
        """Values times weights, in place; values of shape (n,) or (n, k)."""
        if self.weights is not None:
            values *= self.weights if values.ndim == 1 else self.weights[:, None]
        return values


def pieces(block: Block, centre: np.ndarray, *, ones: bool, folds: int = 0, width: int = 0) -> Iterator[Piece]:
    """The pieces of a block; each overwrites the buffer of the one before.

    Parameters
    ----------
    centre : shape (d,), what is subtracted of each column.
    ones : put a column of ones before the others.
    folds : sort the rows of a piece by so many folds; 0 leaves them as they are.
    width : numbers a row that the caller will hold beside the matrix's own.
    """
    rows, columns = block.matrix.shape
    if columns != len(centre):
        raise SolvingError(f"blocks must have the same columns: expected {len(centre)}, found {columns}")
    length = max(128, min(8192, _NUMBERS // max(1, columns + ones + width)))
    buffer = np.empty((min(length, rows), columns + ones))
    for start in range(0, rows, length):
        part = slice(start, min(start + length, rows))
        matrix, target = block.matrix[part], block.target[part]
        weights = None if block.weights is None else block.weights[part]
        judged: np.ndarray | None = None
        cuts = [(0, slice(0, len(target)))]
        if folds:
            if block.folds is None:
                raise SolvingError(f"expected a fold for each row to fit {folds} folds, found blocks without")
            judged = block.folds[part]
            if (judged[1:] < judged[:-1]).any():
                order = np.argsort(judged, kind="stable")
                judged, matrix, target = judged[order], matrix[order], target[order]
                weights = None if weights is None else weights[order]
            if len(judged) and not 0 <= judged[0] <= judged[-1] < folds:
                raise SolvingError(f"folds of rows must be 0 to {folds - 1}, found {judged[0]} to {judged[-1]}")
            ends = np.searchsorted(judged, np.arange(folds + 1)).tolist()
            cuts = [(fold, slice(ends[fold], ends[fold + 1])) for fold in range(folds) if ends[fold] < ends[fold + 1]]
        filled = buffer[: len(target)]
        if ones:
            filled[:, 0] = 1.0
        np.subtract(matrix, centre, out=filled[:, ones:] if ones else filled)
        yield Piece(filled, target, weights, judged, cuts)
