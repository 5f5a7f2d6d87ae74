"""Badly conditioned columns are made orthonormal, by a Gram matrix again of those that were nearly made so.

Source: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya (2015), Roundoff error analysis of the CholeskyQR2 algorithm; and
Fukaya et al. (2020), Shifted Cholesky QR for computing the QR factorization of ill-conditioned matrices. Two passes
reach what Householder's QR, or a singular value decomposition, of the whole matrix does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import linalg

from pipelines.solving import algebra
from pipelines.solving.algebra import NearlyDependent
from pipelines.solving.families import Squared
from pipelines.solving.moments import collect, merge
from pipelines.solving.newton import Solution
from pipelines.solving.problem import Block, Objective, Result
from pipelines.solving.rows import FitRows, choose
from pipelines.solving.sweeps import Sweeper

#: Beyond it steps with products of the columns leave too much of the error; and, where columns depend on each other
#: exactly, the products do not tell well enough how.
_POOR, _POOR_AND_DEPENDENT = 1e6, 1e4

#: Shares of the largest eigenvalue below it are rounding.
_SHIFT = 1e-15


@dataclass(frozen=True)
class Turned:
    """A problem in other columns: ``(matrix - centre) @ turn``.

    Parameters
    ----------
    turn : shape (d, rank).
    space : the row space of the columns themselves.
    sweeper : over the turned blocks.
    fits : the rows of each fit, in turned columns.
    """

    turn: np.ndarray
    space: algebra.RowSpace
    sweeper: Sweeper
    fits: tuple[FitRows, ...]

    def back(self, solved: Solution, rows: FitRows, original: FitRows, sweeper: Sweeper) -> tuple[Solution, FitRows]:
        """A solution in the columns themselves, of least norm; and its rows, with what is known of the columns."""
        ones = sweeper.ones
        null = self.space.null
        if rows.space.basis is not None:
            null = np.concatenate([null, self.turn @ rows.space.null], axis=1)
        back = self.turn
        if null.shape[1]:
            directions = linalg.qr(null / np.linalg.norm(null, axis=0), mode="economic")[0]
            back = back - directions @ (directions.T @ back)
        if ones:
            # The turned columns are centred at their mean, which is zero but for rounding.
            back = np.block([[np.ones((1, 1)), -self.sweeper.centre[None]], [np.zeros((len(back), 1)), back]])
        theta = (solved.theta.reshape(-1, back.shape[1]) @ back.T).ravel()
        inverse = None
        if len(theta) == len(back):
            inverse = back @ algebra.solve(solved.hessian, back.T)
        none = np.zeros((len(theta), len(theta)))
        return replace(solved, theta=theta, hessian=none, inverse=inverse), replace(original, space=self.space)


def check(whole: FitRows, sweeper: Sweeper) -> None:
    """Raise NearlyDependent where a fit without a penalty is better made in orthonormal columns.

    Least squares look themselves whether columns that seem dependent are: they make a pass anyway.
    """
    space = whole.space
    if whole.l1 or whole.l2:
        return
    if space.condition > (_POOR_AND_DEPENDENT if space.collinear else _POOR):
        raise NearlyDependent
    if space.collinear and not isinstance(sweeper.family, Squared):
        found = sweeper.gradients([], [], 0, space.null)
        sweeper.made(float("nan"))
        if found.lengths.max(initial=0.0) > space.rounding * space.largest:
            raise NearlyDependent


def turn(whole: FitRows, sweeper: Sweeper, objective: Objective, folds: int) -> Turned:
    """The problem in orthonormal columns; two passes."""
    moments, ones, columns = whole.moments, sweeper.ones, len(sweeper.centre)
    products = (moments.products if ones else moments.about(np.zeros_like(moments.mean)))[:columns, :columns]
    constant = whole.space.constant
    inner = np.setdiff1d(np.arange(columns), constant)
    norms = np.sqrt(np.maximum(np.diag(products), 0))
    values, vectors = linalg.eigh(products[np.ix_(inner, inner)] / np.outer(norms[inner], norms[inner]))
    spread = np.sqrt(np.maximum(values, _SHIFT * values[-1]))
    first = np.zeros((columns, len(inner)))
    first[inner] = vectors / spread / norms[inner, None]

    nearly = merge(sweeper.remember(first, lambda: collect(_TurnedBlocks(sweeper, first), sweeper.family)))
    sweeper.made(float("nan"))
    again = (nearly.products if ones else nearly.about(np.zeros_like(nearly.mean)))[: len(inner), : len(inner)]
    values, turned = linalg.eigh(again)
    # The columns, scaled to norm 1, are an orthonormal matrix times this one.
    factor = (turned * np.sqrt(np.maximum(values, 0))).T @ (spread[:, None] * vectors.T)
    _, singular, right = linalg.svd(factor)
    order = np.argsort(singular)
    singular, right = singular[order], right[order].T
    null = singular <= whole.space.rounding * singular[-1]
    space = algebra.spanned(norms, constant, right, singular, null, rounding=whole.space.rounding)
    final = np.zeros((columns, space.rank))
    final[inner] = right[:, ~null] / singular[~null] / norms[inner, None]

    blocks = _TurnedBlocks(sweeper, final)
    parts = sweeper.remember((final, folds), lambda: collect(blocks, sweeper.family, folds))
    sweeper.made(float("nan"))
    centre = merge(parts).mean[: space.rank] if ones else np.zeros(space.rank)
    inside = Sweeper(
        blocks,
        sweeper.family,
        centre,
        ones=ones,
        remember=lambda asked, find: sweeper.remember((final, asked), find),
        turned=(sweeper, final * norms[:, None]),
    )
    fits = [choose(parts, objective, sweeper.family, without=place, ones=ones) for place in (None, *range(folds))]
    return Turned(final, space, inside, tuple(fits))


@dataclass(frozen=True)
class _TurnedBlocks:
    """The blocks of a sweeper in other columns."""

    sweeper: Sweeper
    turn: np.ndarray

    def map(self, work: Callable[[Block], Result], merged: Callable[[Result, Result], Result]) -> Iterator[Result]:
        """One pass over the blocks."""
        return self.sweeper.blocks.map(partial(_work_turned, work, self.sweeper.centre, self.turn), merged)


def _work_turned(work: Callable[[Block], Result], centre: np.ndarray, turn: np.ndarray, block: Block) -> Result:
    return work(replace(block, matrix=(block.matrix - centre) @ turn))
