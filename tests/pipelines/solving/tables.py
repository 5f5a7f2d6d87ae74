"""Made tables, cut into blocks at any rows."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from pipelines.solving import Block, Blocks, IteratedBlocks


@dataclass(frozen=True)
class Rows:
    """A table in memory."""

    matrix: np.ndarray
    target: np.ndarray
    weights: np.ndarray | None = None
    folds: np.ndarray | None = None

    def blocks(self, *cuts: int) -> Blocks:
        """Blocks that end at some rows."""
        ends = [0, *cuts, len(self.target)]

        def go():
            for start, end in itertools.pairwise(ends):
                part = slice(start, end)
                yield Block(
                    np.ascontiguousarray(self.matrix[part]),
                    self.target[part],
                    None if self.weights is None else self.weights[part],
                    None if self.folds is None else self.folds[part],
                )

        return IteratedBlocks(go)

    def where(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows, without their folds."""
        weights = None if self.weights is None else self.weights[chosen]
        return replace(self, matrix=self.matrix[chosen], target=self.target[chosen], weights=weights, folds=None)


def made(loss: str, *, rows: int = 900, columns: int = 5, seed: int = 0) -> Rows:
    """Correlated numbers with three indicators of four levels, weights, and three folds."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(rows, columns)) + 2 * draw.normal(size=(rows, 1))
    matrix = np.hstack([numbers, np.eye(4)[draw.integers(0, 4, rows)][:, :3]])
    eta = 0.3 * numbers @ draw.normal(size=columns) + 0.5 * matrix[:, columns] - 0.2
    target = {
        "squared": lambda: eta + draw.normal(size=rows) + 3,
        "logistic": lambda: draw.uniform(size=rows) < 1 / (1 + np.exp(-eta)),
        "multinomial": lambda: np.argmax(
            np.stack([eta, -eta, 0.3 * numbers[:, 0]], axis=1) + draw.gumbel(size=(rows, 3)), axis=1
        ),
        "poisson": lambda: draw.poisson(np.exp(eta)),
        "gamma": lambda: draw.gamma(2.0, np.exp(eta)),
        "tweedie": lambda: draw.poisson(np.exp(eta)) * draw.gamma(2.0, 0.7, rows),
    }[loss]()
    return Rows(matrix, target.astype(float), draw.uniform(0.0, 2.0, rows), draw.integers(0, 3, rows))
