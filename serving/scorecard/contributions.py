"""The share of each input in a linear model's scores, for whole tables with NumPy.

The terms of the same inputs are one share, as in the reasons of ``explain``, and the scores are those that it explains.
"""

from typing import Any

import numpy as np

from . import explain, frames
from .nodes import Label
from .scorecard import Scorecard


class Contributions:
    """What each group of inputs adds to each explained score of a linear model.

    Attributes
    ----------
    labels : of each score, the class that it speaks for; None for a regression.
    inputs : the groups: names of inputs whose terms are summed.
    scale : what a score is, in words: ``log-odds``, ``target``.

    Raises
    ------
    Unsupported
        if the score is no sum of terms.
    """

    def __init__(self, card: Scorecard) -> None:
        program, classes = card.program, card.classes
        model = explain.explainable(program)
        self.labels: tuple[Label | None, ...] = (None,)
        if classes is not None:
            self.labels = (card.positive,) if len(classes) == 2 else tuple(classes)
        self.scale = explain.scale(model, regression=classes is None)
        chosen = [explain.direction(model, classes, label) for label in self.labels]
        self._outputs = [output for output, _, _ in chosen]
        self._slopes = np.array([slope for _, slope, _ in chosen])[:, None]
        self._offsets = np.array([offset for _, _, offset in chosen])[:, None]
        origins = [program.origin[name] for name, _ in program.columns]
        hot = [program.origin[group.names[0]] for group in program.groups]
        self.inputs: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys(origin for origin in (*origins, *hot) if origin))
        places = {origin: place for place, origin in enumerate(self.inputs)}
        self._of_columns = [places.get(origin) for origin in origins]
        self._of_groups = [places.get(origin) for origin in hot]
        weights = np.array(program.weights, dtype=np.float64).reshape(len(program.columns), model.outputs)
        self._weights = self._slopes * weights.T[self._outputs]
        self._tables = card.tables

    def of(self, table: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scores of a table, their shares, and which rows are refused.

        Returns
        -------
        scores : shape (n_scores, n_rows)
        shares : shape (n_scores, n_groups, n_rows); a score is the sum of its shares and a constant.
        refused : shape (n_rows,); the numbers of such rows are not to be used.

        Raises
        ------
        InputError
            if the table lacks a column.
        """
        table = frames.named(table, self._tables.program.inputs)
        count = frames.length(table)
        shares = np.zeros((len(self.labels), len(self.inputs), count))

        def add(block: slice, inputs: np.ndarray, hot: list[np.ndarray]) -> None:
            for place, weights, values in zip(self._of_columns, self._weights.T, inputs, strict=True):
                if place is not None:
                    shares[:, place, block] += weights[:, None] * values
            for place, chosen in zip(self._of_groups, hot, strict=True):
                if place is not None:
                    shares[:, place, block] += self._slopes * chosen[self._outputs]

        raw, refusals = self._tables.blocks(table, add)
        refused = np.zeros(count, dtype=bool)
        refused[refusals.rows()] = True
        return self._slopes * raw[self._outputs] + self._offsets, shares, refused
