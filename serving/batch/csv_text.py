"""How values of columns that are kept are written in CSV: the same text by every engine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from serving.batch.quoting import identifier

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

# What a type of DuckDB begins with whose values Arrow writes in another way, or not at all.
_OTHERS = ("TIME", "INTERVAL", "BLOB", "BIT", "UUID", "ENUM")


def is_nested(kind: str) -> bool:
    """Whether a type of DuckDB holds lists or objects, which are written as JSON."""
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def column(name: str, kind: str) -> str:
    """An expression of a column as CSV has it: DuckDB's own text, JSON for lists and objects.

    Parameters
    ----------
    kind : DuckDB's type.
    """
    quoted = identifier(name)
    return f"CAST(to_json({quoted}) AS VARCHAR) AS {quoted}" if is_nested(kind) else quoted


def table(database: "DuckDBPyConnection", found: "pa.Table") -> "pa.Table":
    """A table with columns that Arrow writes as DuckDB would."""
    relation = database.from_arrow(found)
    kinds: Mapping[str, str] = dict(zip(relation.columns, map(str, relation.types), strict=True))
    if not any(is_nested(kind) or kind.startswith(_OTHERS) for kind in kinds.values()):
        return found
    items = []
    for name, kind in kinds.items():
        quoted = identifier(name)
        items.append(f"CAST({quoted} AS VARCHAR) AS {quoted}" if kind.startswith(_OTHERS) else column(name, kind))
    return relation.project(", ".join(items)).to_arrow_table()
