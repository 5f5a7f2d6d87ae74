"""Scores of one row by a multi-layer perceptron, with the standard library alone."""

import math

from .nodes import Network
from .responses import logistic
from .rows import RowScorer

try:
    from _operator import mul
except ImportError:
    from operator import mul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .rows import Scores


class NetworkRowScorer(RowScorer):
    """The program of a network made ready to score one mapping of column name to raw value after another."""

    def _scores(self, model: Network) -> "Scores":
        """The function from a row through the layers to the scores before the last link."""
        fill, fsum, slots = self.fill, math.fsum, self.slots
        activate = ACTIVATIONS[model.activation]
        layers = [list(zip(layer.weights, layer.intercepts, strict=True)) for layer in model.layers]
        last = len(layers) - 1

        def scores(row: "Mapping[str, Any]") -> list[float]:
            values = fill(row)
            current = [values[slot] for slot in slots]
            for place, units in enumerate(layers):
                try:
                    current = [fsum(map(mul, current, weights)) + offset for weights, offset in units]
                except (OverflowError, ValueError):
                    raise self.refuse(values) from None
                for unit in current:
                    if unit - unit != 0.0:
                        raise self.refuse(values)
                if place < last and activate is not None:
                    current = [activate(unit) for unit in current]
            return current

        return scores


ACTIVATIONS: "dict[str, Callable[[float], float] | None]" = {
    "identity": None,
    "logistic": logistic,
    "tanh": math.tanh,
    "relu": lambda x: x if x > 0.0 else 0.0,
}
