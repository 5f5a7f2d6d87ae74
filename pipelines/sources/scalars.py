"""Columns of scalars of several types, as JSON lines and SQLite have them: read as text, by the rule of scoring."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pyarrow as pa

from serving.scorecard.inputs import scalar_text

#: Columns of several types by their names: what is in each, in words.
Mixed = Mapping[str, Sequence[str]]

_KINDS = ((bool, "true and false"), ((int, float, Decimal), "numbers"), (str, "texts"))


def column(values: Sequence) -> tuple[pa.Array, tuple[str, ...]]:
    """A column of one type, of text where its values have several; and then what they are.

    Objects and lists are no features, whatever is in them: a column with one is a column of lists.
    """
    plain = (str, int, float, bool)
    if any(value is not None and not isinstance(value, plain) for value in values):
        texts = [None if value is None else [json.dumps(value, default=str)] for value in values]
        return pa.array(texts, pa.list_(pa.string())), ()
    try:
        return pa.array(values), ()
    except (pa.ArrowException, OverflowError, ValueError):
        return as_texts(values)


def as_texts(values: Sequence) -> tuple[pa.Array, tuple[str, ...]]:
    """Scalars as the text that a category has at scoring, NaN as missing, and what they are in words."""
    kinds = tuple(dict.fromkeys(map(_kind, (value for value in values if value is not None))))
    return pa.array(map(_text, values), pa.string()), kinds if len(kinds) > 1 else ()


def told(mixed: Mixed) -> tuple[str, ...]:
    """What to say of columns of several types, a sentence each."""
    return tuple(f"{name.strip()!r} holds {' and '.join(kinds)}, all read as text" for name, kinds in mixed.items())


def _text(value: object) -> str | None:
    if value is None or value != value:
        return None
    try:
        return scalar_text(value)
    except TypeError:  # a moment of a database, or bytes
        return str(value)


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"values of type {type(value).__name__}")
