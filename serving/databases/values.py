"""Values of a database as columns: of one type where they have one, else of text, by the rule of scoring."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from serving.scorecard.scalars import scalar_text

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = ((bool, "true and false"), ((int, float, Decimal), "numbers"), (str, "texts"))


def column(values: Sequence) -> "tuple[pa.Array, tuple[str, ...]]":
    """A column of one type; of text where the values have several, as SQLite's may, and then what they are in words."""
    import pyarrow as pa

    if any(isinstance(value, Decimal) for value in values):
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        return pa.array(values), ()
    except (pa.ArrowException, OverflowError, ValueError):
        return as_texts(values)


def as_texts(values: Sequence) -> "tuple[pa.Array, tuple[str, ...]]":
    """Scalars as the text that a category has at scoring, NaN as missing, and what they are in words."""
    import pyarrow as pa

    kinds = tuple(dict.fromkeys(map(_kind, (value for value in values if value is not None))))
    return pa.array(map(_text, values), pa.string()), kinds if len(kinds) > 1 else ()


def _text(value: object) -> str | None:
    if value is None or value != value:
        return None
    try:
        return scalar_text(value)
    except TypeError:  # a moment of a database, or bytes
        return str(value)


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"values of type {type(value).__name__}")
