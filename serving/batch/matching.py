"""Which column of a table is which input of a model."""

from collections.abc import Mapping, Sequence

from registry.cli.text import listed
from serving.errors import InputError, ServingError
from serving.scorecard.inputs import NUMBER, Input
from serving.scorecard.names import aliases

# Types of DuckDB of which no value is a number, a text or a boolean.
_UNREADABLE = ("BLOB", "BIT", "DATE", "TIME", "INTERVAL", "STRUCT", "MAP", "UNION", "GEOMETRY")


def meant(
    table: str,
    there: Sequence[str],
    inputs: Sequence[str],
    *,
    optional: frozenset[str],
    constant: str | None = None,
) -> dict[str, str]:
    """The model's name of each column that has another in the table: by the table's name.

    Parameters
    ----------
    table : what messages call it.
    there : the columns of the table, in order.
    inputs : the columns of the model.
    optional : those that a table may lack.
    constant : the column of ones that the model was fitted with; None without one.

    Raises
    ------
    ServingError
        if the table lacks a column, or two of its columns are one of the model's.
    """
    try:
        spelled = aliases(list(there), set(inputs))
    except InputError as error:
        raise ServingError(f"{table}: {error}") from None
    known = {*there, *spelled}
    if absent := [name for name in inputs if name not in optional and name not in known]:
        raise ServingError(
            f"{table} lacks {'columns' if len(absent) > 1 else 'the column'} that the model reads: "
            f"{listed(absent)}; it has {listed(list(there))}"
            + (f"; {constant!r} is its constant: add a column of ones" if constant in absent else "")
        )
    return {own: name for name, own in spelled.items()}


def check_names(table: str, names: Sequence[str]) -> None:
    """Raise ServingError if two columns have one name to DuckDB, which ignores the case and would rename one.

    Parameters
    ----------
    table : what messages call it.
    """
    known: dict[str, str] = {}
    for name in names:
        if name.lower() in known:
            raise ServingError(
                f"{table}: the columns {known[name.lower()]!r} and {name!r} have one name (their case is ignored); "
                "rename one"
            )
        known[name.lower()] = name


def check_types(table: str, kinds: Mapping[str, str], inputs: Sequence[Input]) -> None:
    """Raise ServingError if a column of the model has a type of which every value would be rejected.

    Parameters
    ----------
    table : what messages call it.
    kinds : DuckDB's type of each column.
    """
    for item in inputs:
        kind = kinds.get(item.name, "")
        nested = kind.endswith("]") or kind.startswith(_UNREADABLE)
        if nested or (kind == "BOOLEAN" and item.type == NUMBER):
            wanted = "numbers" if item.type == NUMBER else f"values of type {item.type}"
            raise ServingError(
                f"{table}: the column {item.name!r} is of type {kind.partition('(')[0]}, and the model, which reads "
                f"{wanted}, would reject all its rows; convert the column"
            )
