"""Score a row at a time, for records that are not requests: lines of an object, items of a table."""

from ..contract import OUTPUTS, RequestError


def probability_names(card) -> "list[str]":
    """Return the labels of a classifier as text, in the order of its probabilities."""
    return [str(label) for label in card.classes]


def by_row(card, output: str):
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

    def both(row: dict) -> dict:
        likely = dict(zip(labels, card.probabilities_row(row), strict=True))
        return {"prediction": card.predict_row(row), "probabilities": likely}

    return both
