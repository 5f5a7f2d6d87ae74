"""Which column of a table a user probably wants to predict, where nobody named it."""

import re

import pyarrow.compute as pc

from pipelines.sources import Table

#: Names that a target goes by, tried in this order where none is given.
TARGET_NAMES = ("target", "label", "class", "y")
#: Words in the names of targets: those that are taken without asking where they are the whole name, and others.
_WORDS = (
    *TARGET_NAMES,
    *("outcome", "response", "result", "churn", "churned", "default", "fraud"),
    *("survived", "diagnosis", "risk", "species", "quality", "price"),
)
#: A column with at most this many values is probably one of classes.
_FEW = 20


def likely(table: Table) -> str:
    """The column whose name has a word that targets go by; else the last or first, one of few values preferred."""
    names = table.columns.column_names
    for word in _WORDS:
        for name in reversed(names):
            if word in re.split(r"[^a-z0-9]+", name.lower()):
                return name
    return next((name for name in (names[-1], names[0]) if _few_values(table, name)), names[-1])


def _few_values(table: Table, name: str) -> bool:
    try:
        distinct = pc.count_distinct(table.columns[name]).as_py()
    except NotImplementedError:  # pyarrow's own error for lists and objects
        return False
    return 2 <= distinct <= min(_FEW, table.columns.num_rows // 2)
