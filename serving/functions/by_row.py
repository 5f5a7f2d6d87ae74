"""Score a row at a time, for records that are not requests: lines of an object, items of a table."""

from ..contract import OUTPUTS, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..contract.answers import AnsweringModel


def probability_names(card: "AnsweringModel") -> "list[str]":
    """Return the labels of a classifier as text, in the order of its probabilities."""
    return [str(label) for label in card.classes or ()]


def by_row(card: "AnsweringModel", output: str) -> "Callable[[Mapping[str, Any]], dict[str, Any]]":
    """Return the function from a row (a mapping of column name to raw value) to ``{"prediction": ...}`` and, if asked
    for, ``{"probabilities": {label: probability}}``.

    Raises
    ------
    RequestError
        if the model has no such output.
    """
    if output == OUTPUTS[0]:
        predict = card.predict_row
        return lambda row: {"prediction": predict(row)}
    if output != OUTPUTS[1] or not card.has_probabilities:
        raise RequestError("OUTPUT: expected predictions, or probabilities of a model that has them, found another")
    labels = probability_names(card)

    def both(row: "Mapping[str, Any]") -> "dict[str, Any]":
        likely = dict(zip(labels, card.probabilities_row(row), strict=True))
        return {"prediction": card.predict_row(row), "probabilities": likely}

    return both
