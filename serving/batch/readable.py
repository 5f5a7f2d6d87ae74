"""Which columns of a database's tables the exported SQL reads there as training reads them from it."""

from typing import TYPE_CHECKING

from serving.batch.database_input import DatabaseInput
from serving.databases.address import MARIADB, MYSQL, POSTGRESQL, SQLITE
from serving.scorecard import Cleaning, Input
from serving.scorecard.inputs import CATEGORY, NUMBER

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

_PROBE = "lifecycle_columns"


def columns(connection: "Connection", source: DatabaseInput) -> "dict[str, TypeEngine]":
    """The columns of a query with their types, in order: those of a temporary table that is made of no row of it."""
    import sqlalchemy

    plain = {"no_parameters": True}
    create = f"CREATE TEMPORARY TABLE {_PROBE} AS SELECT * FROM {relation(connection, source)} LIMIT 0"
    connection.exec_driver_sql(create, execution_options=plain)
    found = {column["name"]: column["type"] for column in sqlalchemy.inspect(connection).get_columns(_PROBE)}
    temporary = "TEMPORARY " if connection.dialect.name in (MYSQL, MARIADB) else ""
    connection.exec_driver_sql(f"DROP {temporary}TABLE {_PROBE}")
    return found


def relation(connection: "Connection", source: DatabaseInput) -> str:
    """What a query reads, to stand behind FROM."""
    from serving.databases.writing import Name, Writing

    query = source.query
    if query.table is None:
        # On a line of its own: the query may end with a comment.
        return f"(\n{query.text}\n) AS given_rows"
    return Writing(source.database, connection, False).quoted(Name(query.schema, query.table))


def is_usual(kind: "TypeEngine") -> bool:
    """Whether a driver's value of a type is what the database takes back for it."""
    from sqlalchemy import types

    usual = (
        types.Integer,
        types.Numeric,
        types.Float,
        types.String,
        types.Boolean,
        types.Date,
        types.DateTime,
        types.Time,
    )
    return isinstance(kind, (*usual, types._Binary))


def is_single(kind: "TypeEngine", dialect: str) -> bool:
    """Whether a column holds float32 numbers, which PostgreSQL's drivers give as the shortest decimal."""
    from sqlalchemy import types

    return dialect == POSTGRESQL and isinstance(kind, types.REAL)


def why_not(item: Input, cleaning: Cleaning, kind: "TypeEngine", dialect: str) -> str:
    """Why a database would read a column in another way than training does; empty if it does not."""
    from sqlalchemy import types

    reads, name = _reason(item, cleaning, kind, dialect), type(kind).__name__
    if dialect == SQLITE or not reads:  # each value of SQLite's has a type of its own
        return ""
    told = "unknown" if isinstance(kind, types.NullType) else name
    return f"the column {item.name!r} has the type {told}, {reads}"


def _reason(item: Input, cleaning: Cleaning, kind: "TypeEngine", dialect: str) -> str:
    from sqlalchemy import types

    if isinstance(kind, types.Boolean):
        return "and the model reads numbers" if item.type == NUMBER else ""
    if isinstance(kind, types.Integer):
        return ""
    if isinstance(kind, (types.Numeric, types.Float)):
        return "whose text is not that of training" if item.type == CATEGORY and dialect != POSTGRESQL else ""
    if isinstance(kind, types.CHAR) and dialect == POSTGRESQL and not cleaning.trim:
        return "which PostgreSQL pads with blanks"
    if isinstance(kind, types.String):
        return ""
    return f"and the model reads a {item.type}"
