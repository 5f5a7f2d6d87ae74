"""Columns of scalars of several types, as JSON lines and SQLite have them: read as text, by the rule of scoring."""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from serving.databases.values import as_texts

#: Columns of several types by their names: what is in each, in words.
Mixed = Mapping[str, Sequence[str]]


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


def told(mixed: Mixed) -> tuple[str, ...]:
    """What to say of columns of several types, a sentence each."""
    return tuple(f"{name.strip()!r} holds {' and '.join(kinds)}, all read as text" for name, kinds in mixed.items())
