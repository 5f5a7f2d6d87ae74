"""What is read from a database: a table or view by its name, or a SELECT."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.cli.text import listed
from serving.databases.address import DatabaseAddress, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Connection, CursorResult

# What begins a statement that reads, behind comments and brackets.
_SELECT = re.compile(
    r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*(select|with|values|table|from)(?=[\s(*\"'`\[])", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Query:
    """What is read: a table or a view, or a statement of the user's own.

    Parameters
    ----------
    text : as it was given, without a semicolon.
    table, schema : of a table or a view; None for a statement.
    columns : of a table or a view, in order; empty for a statement.
    """

    text: str
    table: str | None = None
    schema: str | None = None
    columns: tuple[str, ...] = ()

    def name(self, address: DatabaseAddress) -> str:
        """A short name of what is read."""
        return self.table or Path(address.url.database or "query").stem

    def run(self, connection: "Connection") -> "CursorResult":
        """The rows, which the database keeps until they are fetched."""
        import sqlalchemy

        if self.table is None:
            return stream(connection, self.text)
        columns: list[ColumnClause[Any]] = [sqlalchemy.column(name) for name in self.columns]
        select = sqlalchemy.table(self.table, *columns, schema=self.schema).select()
        return connection.execute(select, execution_options={"stream_results": True})


def stream(connection: "Connection", statement: str) -> "CursorResult":
    """The rows that a statement gives, which the database keeps until they are fetched."""
    # No parameters: colons and percent signs mean nothing but themselves.
    return connection.exec_driver_sql(statement, execution_options={"stream_results": True, "no_parameters": True})


def resolve(connection: "Connection", given: str | None) -> Query:
    """The table or view that a text names, or the statement that it is.

    Parameters
    ----------
    given : ``name`` or ``schema.name`` of a table or view, or a SELECT, which is passed on as it is.

    Raises
    ------
    DatabaseError
        if it is neither.
    """
    import sqlalchemy

    query = clean(given)
    if _SELECT.match(query):
        return Query(query)
    inspector = sqlalchemy.inspect(connection)
    for schema, name in _readings(inspector.get_schema_names(), query):
        if inspector.has_table(name, schema=schema):
            columns: tuple[str, ...] = tuple(column["name"] for column in inspector.get_columns(name, schema=schema))
            return Query(query, name, schema, columns)
    if re.search(r"\s", query):
        raise DatabaseError(
            f"--query: expected a table's name or a SELECT, found neither: it begins with {query.split()[0]!r}; "
            "nothing was executed"
        )
    names = sorted(inspector.get_table_names())
    raise DatabaseError(f"--query {query}: no such table; found {listed(names) if names else 'no table at all'}")


def clean(given: str | None) -> str:
    """A query without the semicolon at its end; raises DatabaseError if there is none."""
    if not given or not given.strip():
        raise DatabaseError("--query is needed with a database: the name of a table, or a SELECT")
    return given.strip().rstrip(";")


def _readings(schemas: list[str], given: str) -> list[tuple[str | None, str]]:
    """The schemas and names that a name with dots may mean, the likeliest first."""
    schema, _, bare = given.rpartition(".")
    return [(None, given), *([(schema, bare)] if schema in schemas else [])]


def table_name(connection: "Connection", given: str) -> tuple[str | None, str]:
    """The schema, None for the usual one, and the name of a table to write: as a query would find it, there or not."""
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    readings = _readings(inspector.get_schema_names(), given)
    there = [one for one in readings if inspector.has_table(one[1], schema=one[0])]
    return (there or readings[::-1])[0]
