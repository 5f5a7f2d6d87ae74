"""The training rows as blocks that the exact solvers read."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from pipelines.solving import Block
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.scan import Result
from pipelines.streaming.sides import Rows
from pipelines.streaming.tables import TableInParts


class TrainingBlocks:
    """The training rows of a table, part by part; see :class:`pipelines.solving.Blocks`.

    Parameters
    ----------
    class_weights : by the place of the class; None where all are 1.
    label : what is done with them in a pass, for the progress bar.
    """

    def __init__(
        self, table: TableInParts, design: Design, class_weights: np.ndarray | None, label: Callable[[], str]
    ) -> None:
        self._table, self._design, self._weights, self._label = table, design, class_weights, label

    def map(self, work: Callable[[Block], Result], merged: Callable[[Result, Result], Result]) -> Iterator[Result]:
        """One pass: what is made of each block, in order."""
        return self._table.mapped(partial(_work, work, self._design, self._weights), merged, label=self._label())


def _work(work: Callable[[Block], Result], design: Design, class_weights: np.ndarray | None, rows: Rows) -> Result:
    part, folds = rows.training()
    weights = None if class_weights is None else class_weights[part.target.astype("intp")]
    return work(Block(design.matrix(part), part.target, weights, folds))
