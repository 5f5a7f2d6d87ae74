"""Small symmetric systems: which columns depend on others, and solutions of least norm."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from pipelines.solving.moments import Moments

_EPS = float(np.finfo(np.float64).eps)

#: A direction of the correlation matrix with a smaller share of its largest eigenvalue is an exact dependency, or not
#: to be told from one: the matrix is known to about its size times the machine's precision.
_CUTOFF = 1e-13

#: A column that varies by less, beside its mean, is constant: its variance is rounding.
_CONSTANT = 16 * _EPS


class NearlyDependent(Exception):
    """The columns are nearly dependent, more than their products tell."""


@dataclass(frozen=True)
class RowSpace:
    """The directions that a matrix determines.

    Parameters
    ----------
    basis : shape (d, rank), orthonormal; None where it is all of them.
    rank, condition, collinear : as in :class:`pipelines.solving.problem.Fit`.
    constant : the columns that do not vary (that are zero, without an intercept).
    null : shape (d, d - rank), directions in which the matrix is zero, each times the columns' norms of norm 1.
    largest : the largest singular value of the columns, scaled to norm 1.
    rounding : a direction's share of it that may be due to the rounding of the matrix's numbers.
    """

    basis: np.ndarray | None
    rank: int
    condition: float
    collinear: tuple[int, ...]
    constant: tuple[int, ...]
    null: np.ndarray
    largest: float = 1.0
    rounding: float = 0.0


def row_space(products: np.ndarray, moments: Moments) -> RowSpace:
    """Of the columns with some products, shape (d, d).

    Dependencies are found in the correlation matrix, so that the columns' units do not matter; the basis is
    orthonormal in the columns' own units, so that a solution in it is the one of least norm there.
    """
    columns = len(products)
    norms = np.sqrt(np.maximum(np.diag(products), 0))
    varies = norms > _CONSTANT * np.abs(moments.mean[:columns]) * np.sqrt(moments.weight)
    constant = tuple(np.flatnonzero(~varies).tolist())
    if not varies.any():
        return RowSpace(np.zeros((columns, 0)), 0, 1.0, (), constant, np.eye(columns))
    inner = np.flatnonzero(varies)
    values, vectors = linalg.eigh(products[np.ix_(inner, inner)] / np.outer(norms[inner], norms[inner]))
    null = values <= _CUTOFF * values[-1]
    far = np.abs(moments.mean[inner]) * np.sqrt(moments.weight) / norms[inner]
    rounding = _EPS * max(moments.rows, columns, 8 * float(far.max()) * np.sqrt(columns))
    return spanned(norms, constant, vectors, np.sqrt(np.maximum(values, 0)), null, rounding=float(rounding))


def spanned(
    norms: np.ndarray,
    constant: tuple[int, ...],
    vectors: np.ndarray,
    singular: np.ndarray,
    null: np.ndarray,
    *,
    rounding: float,
) -> RowSpace:
    """The row space, of the singular values of the columns that vary, scaled to norm 1, in ascending order.

    Parameters
    ----------
    norms : shape (d,), of the columns; those of ``constant`` are not looked at.
    vectors : shape (m, m), the right singular vectors, in columns.
    singular, null : shape (m,), the singular values, and which of them are zero.
    """
    columns = len(norms)
    inner = np.setdiff1d(np.arange(columns), constant)
    rank = int((~null).sum())
    condition = float(singular[-1] / singular[~null][0])
    directions = np.zeros((columns, columns - rank))
    directions[inner, : int(null.sum())] = vectors[:, null] / norms[inner, None]
    directions[list(constant), np.arange(int(null.sum()), columns - rank)] = 1.0
    taking_part = np.abs(vectors[:, null]).max(axis=1, initial=0) > 1e-6
    collinear = tuple(inner[taking_part].tolist())
    basis = None
    if rank < columns:
        basis = linalg.qr(directions / np.linalg.norm(directions, axis=0))[0][:, columns - rank :]
    return RowSpace(basis, rank, condition, collinear, constant, directions, float(singular[-1]), rounding)


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a symmetric, positive definite system, scaled to a diagonal of ones.

    Directions in which the scaled matrix is not known are left out.

    Parameters
    ----------
    matrix : shape (q, q).
    right : shape (q,) or (q, k).
    """
    if not len(matrix):
        return np.zeros_like(right)
    diagonal = np.diag(matrix)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix * np.outer(scale, scale)
    sides = scale * right if right.ndim == 1 else scale[:, None] * right
    try:
        found = linalg.cho_solve(linalg.cho_factor(scaled, lower=True), sides)
        if not np.isfinite(found).all():
            raise linalg.LinAlgError
    except linalg.LinAlgError:
        values, vectors = linalg.eigh(scaled)
        known = values > _EPS * len(matrix) * values[-1]
        vectors = vectors[:, known]
        inner = vectors.T @ sides
        found = vectors @ (inner / (values[known] if right.ndim == 1 else values[known][:, None]))
    return scale * found if right.ndim == 1 else scale[:, None] * found
