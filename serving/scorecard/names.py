"""Names of columns in rows and tables that are not the model's to the letter."""

from .errors import SEVERAL, InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any


def column_name(name: str, place: int) -> str:
    """A column's name as training reads it: trimmed, and ``Unnamed: 3`` where nothing is left.

    Parameters
    ----------
    place : of the column in its table, from 0.
    """
    return name.strip() or f"Unnamed: {place}"


def renamed(row: "Mapping[str, Any]", known: frozenset[str] | set[str]) -> "Mapping[str, Any]":
    """A row under the names that a model has for its columns; see :func:`inputs.named`."""
    found = aliases(row.keys(), known)
    meant = {name: own for own, name in found.items()}
    return {meant.get(name, name): value for name, value in row.items()} if found else row


def aliases(names: "Collection[str]", known: frozenset[str] | set[str]) -> dict[str, str]:
    """The columns of a model that a row or a table has under another spelling: by the model's name, the one it has.

    A name that is the model's to the letter is that column; any other is the column whose name it is once
    ``column_name`` has read it.

    Parameters
    ----------
    names : of the row or the table, in order.
    known : set of the model's own.

    Raises
    ------
    InputError
        where two names are one column.
    """
    found: dict[str, str] = {}
    for name in set(names) - known:
        if isinstance(name, str):
            meant = column_name(name, 0) if name.strip() else column_name(name, list(names).index(name))
            if meant in known:
                if meant in found or meant in names:
                    raise InputError(meant, SEVERAL)
                found[meant] = name
    return found
