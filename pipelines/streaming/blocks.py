"""The training rows as blocks that the exact solvers read."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from pipelines.solving import Block
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.scan import Result, StreamedTable, training_of
from pipelines.streaming.typed import Part


class TrainingBlocks:
    """The training rows of a table, part by part; see :class:`pipelines.solving.Blocks`.

    Parameters
    ----------
    class_weights : by the place of the class; None where all are 1.
    label : what is done with them in a pass, for the progress bar.
    """

    def __init__(
        self, table: StreamedTable, design: Design, class_weights: np.ndarray | None, label: Callable[[], str]
    ) -> None:
        self._table, self._design, self._weights, self._label = table, design, class_weights, label

    def map(self, work: Callable[[Block], Result]) -> Iterator[Result]:
        """One pass: what is made of each block, in order, by several threads."""

        def of(raw: pa.Table, part: Part, side: np.ndarray) -> Result:
            rows, folds = training_of(part, side)
            weights = None if self._weights is None else self._weights[rows.target.astype("intp")]
            return work(Block(self._design.matrix(rows), rows.target, weights, folds))

        return self._table.mapped(of, label=self._label())
