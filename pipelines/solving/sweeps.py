"""Passes over the table: the objective, its gradient and its second derivatives at points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipelines.solving.families import Family
from pipelines.solving.pieces import Piece, pieces
from pipelines.solving.problem import Block, Blocks, Progress, Remember, forget


class Total:
    """A sum of arrays that keeps what rounding loses (Neumaier 1974), one addition a block."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._sum = np.zeros(shape)
        self._lost = np.zeros(shape)

    def add(self, values: np.ndarray) -> None:
        together = self._sum + values
        larger = np.abs(self._sum) >= np.abs(values)
        with np.errstate(invalid="ignore"):
            self._lost += np.where(larger, (self._sum - together) + values, (values - together) + self._sum)
        self._sum = together

    @property
    def value(self) -> np.ndarray:
        return self._sum + self._lost


@dataclass(frozen=True)
class Sums:
    """At a point, fold by fold (one row without folds): k folds, q parameters.

    Parameters
    ----------
    losses : shape (k,). gradients : shape (k, q). hessians : shape (k, q, q).
    pearson : shape (k,), sums of squared Pearson residuals.
    slack, reach : shape (k,), how far the direction that was asked for raises the loss of a row at worst (see
        ``Family.slack``), and how far it changes a row's predictor at most.
    margin : shape (k,), the slack of the point itself.
    """

    losses: np.ndarray
    gradients: np.ndarray
    hessians: np.ndarray
    pearson: np.ndarray
    slack: np.ndarray
    reach: np.ndarray
    margin: np.ndarray

    def merged(self, other: "Sums") -> "Sums":
        """The sums over these rows and others."""
        with np.errstate(over="ignore", invalid="ignore"):
            return Sums(
                self.losses + other.losses,
                self.gradients + other.gradients,
                self.hessians + other.hessians,
                self.pearson + other.pearson,
                np.minimum(self.slack, other.slack),
                np.maximum(self.reach, other.reach),
                np.minimum(self.margin, other.margin),
            )


class Sweeper:
    """Makes passes over centred blocks, and counts them.

    Parameters
    ----------
    centre : shape (d,).
    ones : the parameters are an intercept, then a coefficient for each column; without, the coefficients alone.
    remember : is asked for what each pass finds.
    turned : where the blocks' columns are combinations of others: the sweeper over those, which counts the passes, and
        what each combination is made of, shape (other columns, d), in standard deviations.
    """

    def __init__(
        self,
        blocks: Blocks,
        family: Family,
        centre: np.ndarray,
        *,
        ones: bool,
        progress: Progress | None = None,
        remember: Remember = forget,
        turned: "tuple[Sweeper, np.ndarray] | None" = None,
    ) -> None:
        self.blocks, self.family, self.centre, self.ones = blocks, family, centre, ones
        self.parameters = family.parameters(len(centre) + ones)
        self.passes = 0
        self.remember, self._progress, self._turned = remember, progress, turned

    def made(self, gradient: float) -> None:
        """Count a pass, and tell of it."""
        if self._turned is not None:
            self._turned[0].made(gradient)
            return
        self.passes += 1
        if self._progress is not None:
            self._progress(self.passes, gradient)

    def moved(self, step: np.ndarray) -> np.ndarray:
        """How much each column, shape (d,), takes part in a step, shape (q,), in standard deviations."""
        sets = step.reshape(self.family.contrasts.shape[1], -1)[:, self.ones :]
        return np.abs(sets if self._turned is None else sets @ self._turned[1].T).max(axis=0)

    def at(self, theta: np.ndarray, *, folds: int = 0, direction: np.ndarray | None = None) -> Sums:
        """All sums at one point, shape (q,)."""
        return self.remember(("at", theta, folds, direction), lambda: self._at(theta, folds, direction))

    def _at(self, theta: np.ndarray, folds: int, direction: np.ndarray | None) -> Sums:
        count, q = max(1, folds), self.parameters
        losses, gradients = Total((count,)), Total((count, q))
        # Plainly added: their rounding changes the steps, not where they end.
        hessians, pearson = np.zeros((count, q, q)), np.zeros(count)
        slack, reach, margin = np.full(count, np.inf), np.zeros(count), np.full(count, np.inf)
        for some in self.blocks.map(partial(_sums_at, self._cut(folds), theta, direction), Sums.merged):
            losses.add(some.losses)
            gradients.add(some.gradients)
            with np.errstate(over="ignore", invalid="ignore"):
                hessians += some.hessians
                pearson += some.pearson
            np.minimum(slack, some.slack, out=slack)
            np.minimum(margin, some.margin, out=margin)
            np.maximum(reach, some.reach, out=reach)
        return Sums(losses.value, gradients.value, hessians, pearson, slack, reach, margin)

    def line(self, theta: np.ndarray, step: np.ndarray, lengths: np.ndarray, without: int | None, folds: int):
        """The loss, shape (k,), at ``theta + length * step`` for each length, shape (k,)."""

        def find() -> np.ndarray:
            total = Total(lengths.shape)
            work = partial(_losses_along, self._cut(folds), theta, step, lengths, without)
            for some in self.blocks.map(work, np.add):
                total.add(some)
            return total.value

        return self.remember(("line", theta, step, lengths, without, folds), find)

    def gradients(
        self,
        points: Sequence[np.ndarray],
        without: Sequence[int | None],
        folds: int,
        directions: np.ndarray | None = None,
    ) -> "Gradients":
        """At each of m points, over the rows that are not in the fold which it leaves out.

        Parameters
        ----------
        directions : shape (d, r), whose length in the rows is measured, too.
        """
        asked = ("gradients", list(points), list(without), folds, directions)
        return self.remember(asked, lambda: self._gradients(points, without, folds, directions))

    def _gradients(
        self,
        points: Sequence[np.ndarray],
        without: Sequence[int | None],
        folds: int,
        directions: np.ndarray | None,
    ) -> "Gradients":
        found, pearson = Total((len(points), self.parameters)), np.zeros(len(points))
        squares = np.zeros(0 if directions is None else directions.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            for some in self.blocks.map(
                partial(_gradients_at, self._cut(folds), points, without, directions), Gradients.merged
            ):
                found.add(some.values)
                pearson += some.pearson
                squares += some.lengths**2
        return Gradients(found.value, pearson, np.sqrt(squares))

    def _cut(self, folds: int) -> "_Cut":
        return _Cut(self.family, self.centre, self.ones, folds, self.parameters)


@dataclass(frozen=True)
class _Cut:
    """How blocks are cut into pieces."""

    family: Family
    centre: np.ndarray
    ones: bool
    folds: int
    parameters: int

    def pieces(self, block: Block, *, parameters: int = 0) -> Iterator[Piece]:
        """The pieces of a block, for so many numbers a row beside what the derivatives need."""
        width = self.family.width(parameters)
        return pieces(block, self.centre, ones=self.ones, folds=self.folds, width=width)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _sums_at(cut: _Cut, theta: np.ndarray, direction: np.ndarray | None, block: Block) -> Sums:
    """The sums over a block at a point."""
    family, count, q = cut.family, max(1, cut.folds), cut.parameters
    losses, gradients, hessians = np.zeros(count), np.zeros((count, q)), np.zeros((count, q, q))
    pearson, reach = np.zeros(count), np.zeros(count)
    slack, margin = np.full(count, np.inf), np.full(count, np.inf)
    for piece in cut.pieces(block, parameters=q):
        eta = family.predictor(piece.matrix, theta)
        loss, residual, curvature = family.derivatives(eta, piece.target)
        if family.dispersed:
            squares = piece.weighted(family.pearson(eta, piece.target))
        if direction is not None:
            change = family.predictor(piece.matrix, direction)
            worst, own = family.slack(piece.target, change), family.slack(piece.target, eta)
            if piece.weights is not None:
                worst[piece.weights == 0] = own[piece.weights == 0] = np.inf
        for values in (loss, residual, curvature):
            piece.weighted(values)
        for fold, part in piece.cuts:
            losses[fold] += loss[part].sum()
            gradients[fold] += family.gradient(piece.matrix[part], residual[part])
            hessians[fold] += family.hessian(piece.matrix[part], curvature[part])
            if family.dispersed:
                pearson[fold] += squares[part].sum()
            if direction is not None:
                slack[fold] = min(slack[fold], worst[part].min())
                margin[fold] = min(margin[fold], own[part].min())
                reach[fold] = max(reach[fold], np.abs(change[part]).max())
    return Sums(losses, gradients, hessians, pearson, slack, reach, margin)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _losses_along(
    cut: _Cut, theta: np.ndarray, step: np.ndarray, lengths: np.ndarray, without: int | None, block: Block
) -> np.ndarray:
    """The loss of a block, shape (k,), at each length of a step."""
    found = np.zeros(lengths.shape)
    for piece in cut.pieces(block):
        eta, change = cut.family.predictor(piece.matrix, theta), cut.family.predictor(piece.matrix, step)
        for place, length in enumerate(lengths.tolist()):
            loss = piece.weighted(cut.family.derivatives(eta + length * change, piece.target)[0])
            found[place] += loss.sum() - _of_fold(loss, piece, without)
    return found


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _gradients_at(
    cut: _Cut,
    points: Sequence[np.ndarray],
    without: Sequence[int | None],
    directions: np.ndarray | None,
    block: Block,
) -> "Gradients":
    """The gradients of a block, see :meth:`Sweeper.gradients`."""
    family = cut.family
    found, pearson = np.zeros((len(points), cut.parameters)), np.zeros(len(points))
    lengths = np.zeros(0 if directions is None else directions.shape[1])
    for piece in cut.pieces(block):
        if directions is not None:
            reached = piece.weighted((piece.matrix[:, cut.ones :] @ directions) ** 2)
            lengths += reached.sum(axis=0)
        for place, (theta, left_out) in enumerate(zip(points, without, strict=True)):
            eta = family.predictor(piece.matrix, theta)
            residual = piece.weighted(family.derivatives(eta, piece.target)[1])
            for fold, part in piece.cuts:
                if left_out is not None and fold == left_out:
                    residual[part] = 0
            found[place] += family.gradient(piece.matrix, residual)
            if family.dispersed:
                squares = piece.weighted(family.pearson(eta, piece.target))
                pearson[place] += squares.sum() - _of_fold(squares, piece, left_out)
    return Gradients(found, pearson, np.sqrt(lengths))


@dataclass(frozen=True)
class Gradients:
    """At m points: gradients, shape (m, q), sums of squared Pearson residuals, shape (m,); r directions' lengths."""

    values: np.ndarray
    pearson: np.ndarray
    lengths: np.ndarray

    def merged(self, other: "Gradients") -> "Gradients":
        """Those over these rows and others."""
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.hypot(self.lengths, other.lengths)
            return Gradients(self.values + other.values, self.pearson + other.pearson, lengths)


def _of_fold(values: np.ndarray, piece: Piece, fold: int | None) -> float:
    """The sum over one fold's rows."""
    if fold is None:
        return 0.0
    return sum(float(values[part].sum()) for each, part in piece.cuts if each == fold)
