"""The first pass: weighted means and centred products of the columns and the target, fold by fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipelines.solving.families import Family
from pipelines.solving.pieces import pieces
from pipelines.solving.problem import Block, Blocks, SolvingError


@dataclass(frozen=True)
class Moments:
    """Of some rows, with the targets' columns (one; K indicators of K classes) behind those of the matrix.

    Parameters
    ----------
    rows : how many have a weight above 0.
    weight : the sum of the weights.
    mean : shape (d + k,).
    products : shape (d + k, d + k), weighted products of what is centred at ``mean``.
    """

    rows: int
    weight: float
    mean: np.ndarray
    products: np.ndarray

    def about(self, centre: np.ndarray) -> np.ndarray:
        """The products about another centre than the mean, shape (d + k, d + k)."""
        shift = self.mean - centre
        return self.products + self.weight * np.outer(shift, shift)


def merge(parts: Sequence[Moments]) -> Moments:
    """The moments of all rows: Chan, Golub and LeVeque (1979), Updating formulae ..., equation 2.1."""
    whole = parts[0]
    for part in parts[1:]:
        if not part.weight:
            continue
        weight = whole.weight + part.weight
        apart = part.mean - whole.mean
        whole = Moments(
            rows=whole.rows + part.rows,
            weight=weight,
            mean=whole.mean + apart * (part.weight / weight),
            products=whole.products + part.products + np.outer(apart, apart) * (whole.weight * part.weight / weight),
        )
    return whole


def collect(blocks: Blocks, family: Family, folds: int = 0) -> list[Moments]:
    """The moments of each fold's rows, or of all rows where there are no folds; one pass.

    Raises
    ------
    SolvingError
        where there are no rows, or values that the objective cannot be fitted to.
    """
    found: list[Moments] = []
    for fresh in blocks.map(partial(_of_block, family=family, folds=folds), _merged):
        found = _merged(found, fresh) if found else fresh
    if not found or not sum(part.weight for part in found):
        raise SolvingError("expected rows with a weight above 0 to fit to, found none")
    wrong = np.unique(np.concatenate([np.flatnonzero(~np.isfinite(np.diag(part.products))) for part in found]))
    columns = tuple(int(place) for place in wrong if place < len(found[0].mean) - family.columns)
    if len(wrong):
        what = f"in columns {', '.join(map(str, columns))}" if columns else "in the target"
        raise SolvingError(f"expected finite numbers, found values {what} that are not, or are too large", columns)
    return found


def _merged(one: list[Moments], other: list[Moments]) -> list[Moments]:
    """The moments of each fold, of those of some rows and of others."""
    return [merge(pair) for pair in zip(one, other, strict=True)]


def _of_block(block: Block, family: Family, folds: int) -> list[Moments]:
    _check(block, family)
    columns = block.matrix.shape[1]
    width = columns + family.columns
    if not len(block.target):
        return [Moments(0, 0.0, np.zeros(width), np.zeros((width, width))) for _ in range(max(1, folds))]
    # Any point among the rows will do as a centre: what is left of the mean is corrected below.
    centre = block.matrix[: 1 << 12].mean(axis=0)
    middle = family.indicators(block.target[: 1 << 12]).mean(axis=0)
    rows = [0] * max(1, folds)
    weight = np.zeros(max(1, folds))
    sums = np.zeros((max(1, folds), width))
    products = np.zeros((max(1, folds), width, width))
    for piece in pieces(block, centre, ones=False, folds=folds, width=width):
        both = np.concatenate([piece.matrix, family.indicators(piece.target) - middle], axis=1)
        root = None if piece.weights is None else np.sqrt(piece.weights)
        if root is not None:
            both *= root[:, None]
        for fold, part in piece.cuts:
            some = both[part]
            products[fold] += some.T @ some
            if root is None:
                rows[fold] += len(some)
                weight[fold] += len(some)
                sums[fold] += some.sum(axis=0)
            else:
                rows[fold] += int(np.count_nonzero(root[part]))
                weight[fold] += float(piece.weights[part].sum())  # type: ignore[index]
                sums[fold] += root[part] @ some
    whole = np.concatenate([centre, middle])
    found = []
    for fold, total in enumerate(weight.tolist()):
        shift = sums[fold] / total if total else sums[fold]
        found.append(Moments(rows[fold], total, whole + shift, products[fold] - total * np.outer(shift, shift)))
    return found


def _check(block: Block, family: Family) -> None:
    """Raise SolvingError where a block cannot be fitted to."""
    if block.matrix.ndim != 2 or block.matrix.shape[:1] != block.target.shape:
        raise SolvingError(
            f"expected a matrix of shape (n, d) and a target of shape (n,), "
            f"found {block.matrix.shape} and {block.target.shape}"
        )
    if block.weights is not None and not (block.weights >= 0).all():
        raise SolvingError("weights of rows must be 0 or more, found one that is negative or not a number")
    used = block.target if block.weights is None else block.target[block.weights > 0]
    if len(used):
        family.check(used)
